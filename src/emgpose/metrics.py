"""Scores of predicted joint angles against recorded ones.

Pure functions. Each takes windows (window, joint=20, time) and their valid mask (window, time), and returns per window
a sum (float64) and the number of entries summed. So users, conditions, batches and processes can be reduced exactly, in
any way, afterwards: `mean(total, count)` is the score. Those that take errors or landmarks in place of windows are for
callers that need several scores and compute what they share once.

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

# Float32 values are added in runs of this many before float64 takes over: a sum is right to about 1e-7 of itself, and
# takes a quarter of the time of a sum in float64 (benchmarks/NOTES.md).
_RUN: Final = 1000

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
    return _masked((_working(prediction) - _working(target)).abs_(), valid)


def angle_sums(error: Tensor, valid: Tensor) -> Sums:
    """Sum what `absolute_error` gave, as `angle_error` does."""
    return _sum(error), valid.sum(-1)


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
    predicted, recorded = (scored_landmarks(angles, valid, hand, every=every) for angles in (prediction, target))
    return landmark_sums(predicted, recorded, valid[..., ::every])


def scored_landmarks(joint_angles: Tensor, valid: Tensor, hand: HandModel, *, every: int = LANDMARK_STRIDE) -> Tensor:
    """Place the landmarks that `landmark_error` compares.

    Parameters
    ----------
    joint_angles : Tensor, shape (window, joint=20, time) [rad]
    valid : bool Tensor, shape (window, time)
    hand : HandModel
    every : int

    Returns
    -------
    float64 Tensor, shape (window, pose, landmark=21, xyz=3) [mm]
        Of samples 0, `every`, 2 x `every`, ...; in the rest pose where there is no valid label.

    Raises
    ------
    ShapeError : the two do not fit together.
    """
    check_windows(joint_angles, valid)
    poses = joint_angles[..., ::every].double().transpose(-1, -2)
    # Invalid poses may hold anything; the rest pose in their place keeps the kinematics finite.
    return forward_kinematics(torch.where(valid[..., ::every].unsqueeze(-1), poses, 0.0), hand)


def landmark_sums(predicted: Tensor, recorded: Tensor, scored: Tensor) -> Sums:
    """Sum the distances of two `scored_landmarks`, as `landmark_error` does.

    Parameters
    ----------
    predicted, recorded : Tensor, shape (window, pose, landmark=21, xyz=3) [mm]
        Or a single pose for all.
    scored : bool Tensor, shape (window, pose)
    """
    # A norm over an axis of 3 takes many times as long.
    distance = (predicted - recorded).square_().sum(-1).sqrt_()
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
    return _differences(prediction.double(), valid, order)[-1]


def _differences(prediction: Tensor, valid: Tensor, highest: int) -> list[Sums]:
    """Sum the differences of every order up to the highest, each taken of the one before."""
    values, spanned, sums = _working(prediction), valid, []
    for _ in range(highest):
        # Neighbours of a smooth curve are so close that float32 has their difference exactly.
        values, spanned = values.diff(dim=-1), spanned[..., 1:] & spanned[..., :-1]
        sums.append((_sum(_masked(values.abs(), spanned)), spanned.sum(-1)))
    return sums


def smoothness(prediction: Tensor, valid: Tensor, sample_rate_hz: float = EMG_RATE_HZ) -> dict[str, Tensor]:
    """Mean size of the prediction's derivatives, in true units and as the published code gives them.

    Returns
    -------
    dict of name -> Tensor, shape (window,)
        `velocity` [rad/s], `acceleration` [rad/s^2], `jerk` [rad/s^3]; `published_vel|acc|jerk`: the n-th difference
        x 2000 for every n.
    """
    check_windows(prediction, valid)
    true, published = {}, {}
    names = zip(DERIVATIVES, PUBLISHED_DERIVATIVES, _differences(prediction, valid, len(DERIVATIVES)), strict=True)
    for order, (name, published_name, sums) in enumerate(names, start=1):
        size = mean(*sums).mean(-1)
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
    return histogram_of(absolute_error(prediction.double(), target.double(), valid), valid)


def histogram_of(error: Tensor, valid: Tensor) -> Tensor:
    """Count what `absolute_error` gave, as `error_histogram` does."""
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
    return residual_sums(absolute_error(prediction.double(), target.double(), valid), target, valid)


def residual_sums(error: Tensor, target: Tensor, valid: Tensor) -> Sums:
    """Sum what `absolute_error` gave, and the targets, as `variance_sums` does."""
    # The targets' two sums are subtracted from each other, so they need all of float64.
    recorded = _masked(target.double(), valid)
    return torch.stack([_sum(error.square()), recorded.sum(-1), recorded.square().sum(-1)], dim=1), valid.sum(-1)


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
    return drift_sums(absolute_error(prediction.double(), target.double(), valid), valid, bin_samples)


def drift_sums(error: Tensor, valid: Tensor, bin_samples: int) -> Sums:
    """Sum what `absolute_error` gave by time, as `error_over_time` does."""
    padding = (0, -error.shape[-1] % bin_samples)
    total = _sum(torch.nn.functional.pad(error.mean(-2), padding).unflatten(-1, (-1, bin_samples)))
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


def all_finite(values: Tensor) -> bool:
    """Tell whether no value is NaN or infinite."""
    # One NaN or Inf shows in the sum of all; a sum beyond the largest float may do so without.
    return bool(values.sum().isfinite()) or bool(values.isfinite().all())


def _working(angles: Tensor) -> Tensor:
    """Angles in the type that scores are computed in: float32, or float64 where they came in that."""
    # One layout, since the order of a float32 sum depends on it.
    return (angles if angles.dtype == torch.float64 else angles.float()).contiguous()


def _sum(values: Tensor) -> Tensor:
    """Sum over the last axis, in float64."""
    whole = values.shape[-1] // _RUN * _RUN
    runs = values[..., :whole].unflatten(-1, (-1, _RUN)).sum(-1)
    return runs.sum(-1, dtype=torch.float64) + values[..., whole:].sum(-1).double()


def _masked(values: Tensor, valid: Tensor) -> Tensor:
    """Values (window, row, time) with 0 where a sample is not valid, whatever stood there, NaN included."""
    # Windows of the protocol are wholly valid: a check of the mask is cheaper than a copy of the values.
    return values if bool(valid.all()) else torch.where(valid.unsqueeze(1), values, 0.0)
