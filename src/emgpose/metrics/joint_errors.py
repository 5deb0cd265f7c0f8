"""Absolute joint-angle errors: over joints, fingers and groups, and over the time of a window."""

import torch
from torch import Tensor

from emgpose.hand import JOINTS, JOINTS_OF_FINGER, JOINTS_OF_GROUP
from emgpose.metrics.window_sums import Sums, check_windows, masked, mean, sum_last_axis, working


def angle_error(prediction: Tensor, target: Tensor, valid: Tensor) -> Sums:
    """Sum the absolute joint-angle errors.

    Parameters
    ----------
    prediction, target : Tensor, shape (window, joint=20, time) [rad]
    valid : bool Tensor, shape (window, time)

    Returns
    -------
    total : Tensor, shape (window, joint=20) [rad]
    count : Tensor, shape (window,)
        Valid samples.

    Raises
    ------
    ShapeError : the three do not fit together.
    """
    return angle_sums(absolute_error(prediction.double(), target.double(), valid), valid)


def absolute_error(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Give the absolute joint-angle errors, 0 where a sample is not valid.

    Parameters
    ----------
    prediction, target : Tensor, shape (window, joint=20, time) [rad]
    valid : bool Tensor, shape (window, time)

    Returns
    -------
    Tensor, shape (window, joint=20, time) [rad]
        float64 where one of the two is, else float32; sums of float32 errors are right to about 1e-7 of themselves.

    Raises
    ------
    ShapeError : the three do not fit together.
    """
    check_windows(prediction, valid, target)
    return masked((working(prediction) - working(target)).abs_(), valid)


def angle_sums(error: Tensor, valid: Tensor) -> Sums:
    """Sum what `absolute_error` gave, as `angle_error` does."""
    return sum_last_axis(error), valid.sum(-1)


def joint_means(total: Tensor, count: Tensor) -> dict[str, Tensor]:
    """Mean errors of all joints, each finger, each group and each joint, from `angle_error`.

    Returns
    -------
    dict of name -> Tensor, shape (window,) [rad]
        `mae`, `mae_<finger>`, `mae_proximal|mid|distal`, `mae_<JOINT>`; NaN where no sample is valid.
    """
    joints = mean(total, count)
    groups = {f"mae_{name}": members for name, members in (JOINTS_OF_FINGER | JOINTS_OF_GROUP).items()}
    return {
        "mae": joints.mean(-1),
        **{name: joints[..., list(members)].mean(-1) for name, members in groups.items()},
        **{f"mae_{name}": joints[..., joint] for joint, name in enumerate(JOINTS)},
    }


def error_over_time(error: Tensor, valid: Tensor, bin_samples: int) -> Sums:
    """Sum the mean joint error by time since the start of the scored span, to show drift.

    Parameters
    ----------
    error : Tensor, shape (window, joint=20, time) [rad]
        From `absolute_error`.
    valid : bool Tensor, shape (window, time)
    bin_samples : int
        Samples of a bin; the last one may be shorter.

    Returns
    -------
    total : Tensor, shape (window, bin) [rad]
        Sum over the bin's valid samples of the error averaged over joints.
    count : Tensor, shape (window, bin)
    """
    padding = (0, -error.shape[-1] % bin_samples)
    total = sum_last_axis(torch.nn.functional.pad(error.mean(-2), padding).unflatten(-1, (-1, bin_samples)))
    count = torch.nn.functional.pad(valid.long(), padding).unflatten(-1, (-1, bin_samples)).sum(-1)
    return total, count
