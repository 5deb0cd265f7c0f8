"""Scores of predicted joint angles against recorded ones.

Pure functions. Each takes windows (window, joint=20, time) and their valid mask (window, time), and returns per window
a sum (float64) and the number of entries summed. So users, conditions, batches and processes can be reduced exactly, in
any way, afterwards: `mean(total, count)` is the score.

Radians and millimetres. Rules as in benchmark.md section 3.
"""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emgpose.errors import DataError, ShapeError
from emgpose.hand import FINGERS, FINGERTIPS, JOINTS, JOINTS_OF_FINGER, JOINTS_OF_GROUP, N_JOINTS, SCORED_LANDMARKS
from emgpose.kinematics import HandModel, forward_kinematics
from emgpose.timing import EMG_RATE_HZ

Sums = tuple[Tensor, Tensor]

# Landmarks are scored at samples 0, 40, 80, ... of the scored span.
LANDMARK_STRIDE: Final = 40
# The published code multiplies the n-th difference by 2000 once, whatever n is.
PUBLISHED_DERIVATIVE_FACTOR: Final = 2000
DERIVATIVES: Final = ("velocity", "acceleration", "jerk")
PUBLISHED_DERIVATIVES: Final = ("published_vel", "published_acc", "published_jerk")

# Names and units of what `score_windows` returns, in the order of the tables.
JOINT_METRICS: Final = (
    "mae",
    *(f"mae_{finger}" for finger in FINGERS),
    *(f"mae_{group}" for group in JOINTS_OF_GROUP),
    *(f"mae_{joint}" for joint in JOINTS),
)
LANDMARK_METRICS: Final = ("landmark_distance", "fingertip_distance")
METRIC_UNITS: Final[dict[str, str]] = {
    **dict.fromkeys(JOINT_METRICS, "rad"),
    **dict.fromkeys(LANDMARK_METRICS, "mm"),
    "velocity": "rad/s",
    "acceleration": "rad/s^2",
    "jerk": "rad/s^3",
    # The published quantities carry no unit that a reader could use, but for the first.
    "published_vel": "rad/s",
    "published_acc": "rad per sample^2 x 2000",
    "published_jerk": "rad per sample^3 x 2000",
}

# Error histograms: 0.1 degree a bin from 0 to 180 degrees; larger errors count in the last bin.
HISTOGRAM_BINS: Final = 1800
HISTOGRAM_WIDTH_RAD: Final = np.pi / HISTOGRAM_BINS


def mean(total: Tensor, count: Tensor) -> Tensor:
    """Sums over counts; NaN where nothing was counted."""
    count = count.reshape(count.shape + (1,) * (total.ndim - count.ndim))
    return torch.where(count > 0, total / count.clamp(min=1), torch.nan)


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
    check_windows(prediction, valid, target)
    error = (prediction.double() - target.double()).abs()
    return _masked(error, valid).sum(-1), valid.sum(-1)


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


def landmark_error(
    prediction: Tensor, target: Tensor, valid: Tensor, hand: HandModel, *, every: int = LANDMARK_STRIDE
) -> Sums:
    """Sum the distances between predicted and recorded landmarks.

    Parameters
    ----------
    prediction, target : Tensor, shape (window, joint=20, time) [rad]
    valid : bool Tensor, shape (window, time)
    hand : HandModel
        Unmirrored for both sides.
    every : int
        Samples between the poses compared, from sample 0 on; those without a valid label do not count.

    Returns
    -------
    total : Tensor, shape (window, landmark=21) [mm]
    count : Tensor, shape (window,)
        Poses compared.

    Raises
    ------
    ShapeError : the three do not fit together.
    """
    check_windows(prediction, valid, target)
    poses = torch.stack((prediction[..., ::every], target[..., ::every])).double().transpose(-1, -2)
    scored = valid[..., ::every]
    # Invalid poses may hold anything; the rest pose in their place keeps the kinematics finite.
    poses = torch.where(scored.unsqueeze(-1), poses, 0.0)
    predicted, recorded = forward_kinematics(poses, hand)
    distance = torch.linalg.vector_norm(predicted - recorded, dim=-1)
    return _masked(distance.transpose(-1, -2), scored).sum(-1), scored.sum(-1)


def landmark_means(total: Tensor, count: Tensor) -> dict[str, Tensor]:
    """Landmark and fingertip distance from `landmark_error`.

    Returns
    -------
    dict of name -> Tensor, shape (window,) [mm]
        `landmark_distance` over the 17 landmarks that the published figure counts, `fingertip_distance` over 5.
    """
    landmarks = mean(total, count)
    return {
        "landmark_distance": landmarks[..., list(SCORED_LANDMARKS)].mean(-1),
        "fingertip_distance": landmarks[..., list(FINGERTIPS)].mean(-1),
    }


def differences(prediction: Tensor, valid: Tensor, order: int) -> Sums:
    """Sum the absolute n-th differences of the prediction between samples.

    A difference counts when all the samples that it spans are valid.

    Parameters
    ----------
    prediction : Tensor, shape (window, joint=20, time) [rad]
    valid : bool Tensor, shape (window, time)
    order : int
        1 for velocity, 2 for acceleration, 3 for jerk.

    Returns
    -------
    total : Tensor, shape (window, joint=20) [rad per sample^order]
    count : Tensor, shape (window,)

    Raises
    ------
    ShapeError : the two do not fit together.
    """
    check_windows(prediction, valid)
    spanned = valid
    for _ in range(order):
        spanned = spanned[..., 1:] & spanned[..., :-1]
    size = prediction.double().diff(n=order, dim=-1).abs()
    return _masked(size, spanned).sum(-1), spanned.sum(-1)


def smoothness(prediction: Tensor, valid: Tensor, sample_rate_hz: float = EMG_RATE_HZ) -> dict[str, Tensor]:
    """Mean size of the prediction's derivatives, in true units and as the published code gives them.

    Returns
    -------
    dict of name -> Tensor, shape (window,)
        `velocity` [rad/s], `acceleration` [rad/s^2], `jerk` [rad/s^3]; `published_vel|acc|jerk`: the n-th difference
        x 2000 for every n.
    """
    true, published = {}, {}
    for order, (name, published_name) in enumerate(zip(DERIVATIVES, PUBLISHED_DERIVATIVES, strict=True), start=1):
        size = mean(*differences(prediction, valid, order)).mean(-1)
        true[name] = size * sample_rate_hz**order
        published[published_name] = size * PUBLISHED_DERIVATIVE_FACTOR
    return true | published


def score_windows(
    prediction: Tensor, target: Tensor, valid: Tensor, hand: HandModel, *, sample_rate_hz: float = EMG_RATE_HZ
) -> dict[str, Tensor]:
    """Every score that a window can have on its own, by name (see `METRIC_UNITS`), each of shape (window,)."""
    return {
        **joint_means(*angle_error(prediction, target, valid)),
        **landmark_means(*landmark_error(prediction, target, valid, hand)),
        **smoothness(prediction, valid, sample_rate_hz),
    }


def error_histogram(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Count the absolute errors of all valid samples and joints in bins of 0.1 degree.

    Returns
    -------
    int64 Tensor, shape (window, bin=1800)

    Raises
    ------
    ShapeError : the three do not fit together.
    DataError : a valid sample's error is NaN or infinite, which no bin holds.
    """
    check_windows(prediction, valid, target)
    error = (prediction.double() - target.double()).abs()
    finite = _masked(error, valid).isfinite()
    if not bool(finite.all()):
        odd = torch.argwhere(~finite)
        window, joint, sample = odd[0].tolist()
        raise DataError(
            f"window {window}, sample {sample}: the prediction of {JOINTS[joint]} or its label is NaN or infinite "
            f"({len(odd)} such values), expected finite angles; mark such samples invalid, or look at the weights"
        )
    bins = (error / HISTOGRAM_WIDTH_RAD).clamp(max=HISTOGRAM_BINS - 1).long()
    n_windows = len(prediction)
    bins += HISTOGRAM_BINS * torch.arange(n_windows, device=bins.device).reshape(-1, 1, 1)
    counted = bins.transpose(-1, -2)[valid].flatten()
    return torch.bincount(counted, minlength=n_windows * HISTOGRAM_BINS).reshape(n_windows, HISTOGRAM_BINS)


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


def variance_sums(prediction: Tensor, target: Tensor, valid: Tensor) -> Sums:
    """Sum what R2 needs; sums of several windows add up before `r2` is taken of them.

    Returns
    -------
    total : Tensor, shape (window, sum=3, joint=20)
        Squared residuals [rad^2], targets [rad], squared targets [rad^2].
    count : Tensor, shape (window,)
        Valid samples.
    """
    check_windows(prediction, valid, target)
    residual, recorded = prediction.double() - target.double(), target.double()
    total = torch.stack([_masked(part, valid).sum(-1) for part in (residual**2, recorded, recorded**2)], dim=1)
    return total, valid.sum(-1)


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


def error_over_time(prediction: Tensor, target: Tensor, valid: Tensor, bin_samples: int) -> Sums:
    """Sum the mean joint error by time since the start of the scored span, to show drift.

    Parameters
    ----------
    prediction, target : Tensor, shape (window, joint=20, time) [rad]
    valid : bool Tensor, shape (window, time)
    bin_samples : int
        Samples of a bin; the last one may be shorter.

    Returns
    -------
    total : Tensor, shape (window, bin) [rad]
        Sum over the bin's valid samples of the error averaged over joints.
    count : Tensor, shape (window, bin)
    """
    check_windows(prediction, valid, target)
    error = _masked((prediction.double() - target.double()).abs(), valid).mean(-2)
    padding = (0, -error.shape[-1] % bin_samples)
    total = torch.nn.functional.pad(error, padding).unflatten(-1, (-1, bin_samples)).sum(-1)
    count = torch.nn.functional.pad(valid.long(), padding).unflatten(-1, (-1, bin_samples)).sum(-1)
    return total, count


def check_windows(prediction: Tensor, valid: Tensor, target: Tensor | None = None) -> None:
    """Raise ShapeError unless the arrays are windows that fit together."""
    shape = tuple(prediction.shape)
    fits = prediction.ndim == 3 and shape[1] == N_JOINTS and tuple(valid.shape) == (shape[0], shape[2])
    if not fits or (target is not None and tuple(target.shape) != shape):
        raise ShapeError(
            f"metrics need prediction and target of shape (window, joint={N_JOINTS}, time) and valid of shape (window, "
            f"time), got prediction {shape}, target {'none' if target is None else tuple(target.shape)} and valid "
            f"{tuple(valid.shape)}"
        )
    if valid.dtype != torch.bool:
        raise ShapeError(f"valid must be a bool tensor (True = usable), got {valid.dtype}")


def _masked(values: Tensor, valid: Tensor) -> Tensor:
    """Values (window, row, time) with 0 where a sample is not valid, whatever stood there, NaN included."""
    # Windows of the protocol are wholly valid: a check of the mask is cheaper than a copy of the values.
    return values if bool(valid.all()) else torch.where(valid.unsqueeze(1), values, 0.0)
