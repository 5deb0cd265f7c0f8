"""Every score that a window can have on its own, with its name and unit."""

from typing import Final

from torch import Tensor

from emgpose.hand import FINGERS, JOINTS, JOINTS_OF_GROUP
from emgpose.kinematics import HandModel
from emgpose.metrics.derivatives import smoothness
from emgpose.metrics.joint_errors import angle_error, joint_means
from emgpose.metrics.landmarks import landmark_error, landmark_means
from emgpose.timing import EMG_RATE_HZ

# Names and units of what `score_windows` returns, in the order of the tables.
METRIC_UNITS: Final[dict[str, str]] = {
    **dict.fromkeys(("mae", *(f"mae_{part}" for part in (*FINGERS, *JOINTS_OF_GROUP, *JOINTS))), "rad"),
    **dict.fromkeys(("landmark_distance", "fingertip_distance"), "mm"),
    "velocity": "rad/s",
    "acceleration": "rad/s^2",
    "jerk": "rad/s^3",
    # The published quantities carry no unit that a reader could use, but for the first.
    "published_vel": "rad/s",
    "published_acc": "rad per sample^2 x 2000",
    "published_jerk": "rad per sample^3 x 2000",
}


def score_windows(
    prediction: Tensor, target: Tensor, valid: Tensor, hand: HandModel, *, sample_rate_hz: float = EMG_RATE_HZ
) -> dict[str, Tensor]:
    """Every score that a window can have on its own, by name (see `METRIC_UNITS`), each of shape (window,)."""
    return {
        **joint_means(*angle_error(prediction, target, valid)),
        **landmark_means(*landmark_error(prediction, target, valid, hand)),
        **smoothness(prediction, valid, sample_rate_hz),
    }
