"""How smooth a prediction is: the mean size of its velocity, acceleration and jerk."""

from typing import Final

from torch import Tensor

from emgpose.metrics.window_sums import Sums, check_windows, masked, mean, sum_last_axis, working
from emgpose.timing import EMG_RATE_HZ

# The published code multiplies the n-th difference by 2000 once, whatever n is.
PUBLISHED_DERIVATIVE_FACTOR: Final = 2000
DERIVATIVES: Final = ("velocity", "acceleration", "jerk")
PUBLISHED_DERIVATIVES: Final = ("published_vel", "published_acc", "published_jerk")


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
    values, spanned, sums = working(prediction), valid, []
    for _ in range(highest):
        # Neighbours of a smooth curve are so close that float32 has their difference exactly.
        values, spanned = values.diff(dim=-1), spanned[..., 1:] & spanned[..., :-1]
        sums.append((sum_last_axis(masked(values.abs(), spanned)), spanned.sum(-1)))
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
