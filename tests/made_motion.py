"""Plain movements for tests of the EMG simulator."""

import numpy as np

from emgpose.hand import JOINT_INDEX
from emgpose.simulation.activation import RELAXED_RAD
from emgpose.simulation.joint_motion import Motion

RATE_HZ = 200.0


def step_to(
    change_rad: dict[str, float], *, seconds: float = 4.0, start_s: float = 1.0, move_s: float = 0.4, load: float = 0.0
) -> Motion:
    """Rest, then one minimum-jerk movement of the named joints by `change_rad`, then hold."""
    at_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    along = np.clip((at_s - start_s) / move_s, 0, 1)
    share = along**3 * (10 - 15 * along + 6 * along**2)
    moved = np.tile(RELAXED_RAD, (len(at_s), 1))
    for name, change in change_rad.items():
        moved[:, {**JOINT_INDEX, "WRIST_FE": 20, "WRIST_RU": 21}[name]] += change * share
    return Motion(moved[:, :20], moved[:, 20:], np.outer(load * share, np.ones(5)), RATE_HZ)


def at_rest(seconds: float = 4.0) -> Motion:
    return step_to({}, seconds=seconds)


FIST = {
    f"{finger}_{joint}": 0.9
    for finger in ("INDEX", "MIDDLE", "RING", "PINKY")
    for joint in ("MCP_FE", "PIP_FE", "DIP_FE")
}
OPEN = {
    f"{finger}_{joint}": -0.6
    for finger in ("INDEX", "MIDDLE", "RING", "PINKY")
    for joint in ("MCP_FE", "PIP_FE", "DIP_FE")
}
