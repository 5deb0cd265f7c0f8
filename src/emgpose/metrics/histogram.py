"""Histograms of absolute joint-angle errors, which add up over windows, and their percentiles."""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emgpose.errors import DataError
from emgpose.hand import JOINTS
from emgpose.metrics.window_sums import all_finite

# 0.1 degree a bin from 0 to 180 degrees; larger errors count in the last bin.
HISTOGRAM_BINS: Final = 1800
HISTOGRAM_WIDTH_RAD: Final = np.pi / HISTOGRAM_BINS


def error_histogram(error: Tensor, valid: Tensor) -> Tensor:
    """Count the absolute errors of all valid samples and joints in bins of 0.1 degree.

    Parameters
    ----------
    error : Tensor, shape (window, joint=20, time) [rad]
        From `absolute_error`.
    valid : bool Tensor, shape (window, time)

    Returns
    -------
    int64 Tensor, shape (window, bin=1800)

    Raises
    ------
    DataError : a valid sample's error is NaN or infinite, which no bin holds.
    """
    if not all_finite(error):
        odd = torch.argwhere(~error.isfinite())
        window, joint, sample = odd[0].tolist()
        raise DataError(
            f"window {window}, sample {sample}: the prediction of {JOINTS[joint]} or its label is NaN or infinite "
            f"({len(odd)} such values), expected finite angles; mark such samples invalid, or look at the weights"
        )
    # Bins of single windows fit 16 bits, which are counted twice as fast as 64.
    bins = (error / HISTOGRAM_WIDTH_RAD).clamp_(max=HISTOGRAM_BINS - 1).short()
    counts = []
    for of_window, usable in zip(bins, valid, strict=True):
        counted = of_window if bool(usable.all()) else of_window[:, usable]
        counts.append(torch.bincount(counted.flatten(), minlength=HISTOGRAM_BINS))
    return torch.stack(counts) if counts else bins.new_zeros((0, HISTOGRAM_BINS), dtype=torch.int64)


def histogram_percentile(counts: NDArray[np.int64], percent: float) -> float:
    """Error that `percent` per cent of the counted errors do not exceed, to within one bin (0.1 degree).

    Parameters
    ----------
    counts : int64 array, shape (bin=1800,)
        From `error_histogram`, summed over whatever belongs together.
    percent : float
        0 to 100.

    Returns
    -------
    float [rad]
        Linear within the bin; NaN when nothing was counted.
    """
    reached = np.cumsum(counts)
    if reached[-1] == 0:
        return float("nan")
    wanted = percent / 100 * reached[-1]
    bin_ = int(np.searchsorted(reached, wanted, side="left"))
    below = reached[bin_ - 1] if bin_ else 0
    return float((bin_ + (wanted - below) / max(counts[bin_], 1)) * HISTOGRAM_WIDTH_RAD)
