"""R2: the share of each joint's variance that a prediction explains."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emgpose.metrics.window_sums import Sums, masked, sum_last_axis


def variance_sums(error: Tensor, target: Tensor, valid: Tensor) -> Sums:
    """Sum what R2 needs; sums of several windows add up before `r2` is taken of them.

    Parameters
    ----------
    error : Tensor, shape (window, joint=20, time) [rad]
        From `absolute_error`.
    target : Tensor, shape (window, joint=20, time) [rad]
    valid : bool Tensor, shape (window, time)

    Returns
    -------
    total : Tensor, shape (window, sum=3, joint=20)
        Squared residuals [rad^2], targets [rad], squared targets [rad^2].
    count : Tensor, shape (window,)
        Valid samples.
    """
    # The targets' two sums are subtracted from each other, so they need all of float64.
    recorded = masked(target.double(), valid)
    squares = [sum_last_axis(error.square()), recorded.sum(-1), recorded.square().sum(-1)]
    return torch.stack(squares, dim=1), valid.sum(-1)


def r2(total: NDArray[np.float64], count: NDArray[np.int64] | int) -> NDArray[np.float64]:
    """Share of each joint's variance that the prediction explains.

    Parameters
    ----------
    total : float64 array, shape (..., sum=3, joint=20)
        From `variance_sums`.
    count : int or int array, shape (...)

    Returns
    -------
    float64 array, shape (..., joint=20)
        1 is perfect, 0 as good as the joint's own mean, negative worse. NaN where the joint did not move.
    """
    residual, first, second = np.moveaxis(np.asarray(total, dtype=np.float64), -2, 0)
    n = np.maximum(np.asarray(count, dtype=np.float64), 1)[..., np.newaxis]
    variation = second - first**2 / n
    # Below this the difference of the two sums is rounding.
    moved = variation > 1e-9 * np.maximum(second, 1e-12)
    return np.where(moved, 1 - residual / np.where(moved, variation, 1), np.nan)
