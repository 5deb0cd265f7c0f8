"""1-Euro smoothing of joint angles: strong while the hand rests, weak while it moves.

A low-pass of first order whose cutoff rises with the speed of what it follows, so that jitter at rest goes and fast
movement is not late. docs/decisions/009-smoothing.md says how the defaults were chosen.

Source: Casiez, Roussel, Vogel 2012, "1 € Filter" (CHI, doi 10.1145/2207676.2208639).
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError, StreamError
from emgpose.hand import N_JOINTS


@dataclass(frozen=True)
class OneEuro:
    """Parameters of the filter.

    Parameters
    ----------
    min_cutoff_hz : float
        Cutoff at rest; lower is smoother.
    beta : float
        By how much the cutoff rises for each rad/s of speed [Hz / (rad/s)]; higher follows faster.
    speed_cutoff_hz : float
        Cutoff of the low-pass on the speed itself.

    Raises
    ------
    ConfigError : a number that is impossible.
    """

    min_cutoff_hz: float = 1.0
    beta: float = 1.0
    speed_cutoff_hz: float = 3.0

    def __post_init__(self) -> None:
        for name in ("min_cutoff_hz", "speed_cutoff_hz"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"smoothing: {name} must be a positive number of Hz, got {value!r}")
        if not (math.isfinite(self.beta) and self.beta >= 0):
            raise ConfigError(f"smoothing: beta must be 0 or more Hz per rad/s, got {self.beta!r}")


DEFAULT_SMOOTHING: Final = OneEuro()


class OneEuroFilter:
    """The filter at work on poses that come at one rate.

    Parameters
    ----------
    parameters : OneEuro
        May be exchanged at any time; the pose goes on without a jump.
    rate_hz : float
        Poses per second.
    """

    def __init__(self, parameters: OneEuro, rate_hz: float) -> None:
        self.parameters = parameters
        self._rate_hz = rate_hz
        self.reset()

    def reset(self) -> None:
        """Forget what came; the next pose is given as it is."""
        self._pose: NDArray[np.float64] | None = None
        self._speed = np.zeros(N_JOINTS)

    def __call__(self, joint_angles: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next pose (joint=20,) [rad] and give the smoothed one."""
        pose = joint_angles.astype(np.float64)
        if self._pose is not None:
            parameters = self.parameters
            # The speed of the pose against the smoothed one before it, as in the paper's reference listing.
            change = pose - self._pose
            self._speed += self._share(parameters.speed_cutoff_hz) * (change * self._rate_hz - self._speed)
            cutoff_hz = parameters.min_cutoff_hz + parameters.beta * np.abs(self._speed)
            pose = self._pose + self._share(cutoff_hz) * change
        self._pose = pose
        return pose.astype(np.float32)

    def _share(self, cutoff_hz: NDArray[np.float64] | float) -> NDArray[np.float64] | float:
        """Give the weight of the newest value in a low-pass with this cutoff."""
        own_hz = self._rate_hz / (2 * math.pi)
        # In this form a cutoff beyond float64 gives 1.
        return 1 - own_hz / (cutoff_hz + own_hz)

    def state(self) -> dict[str, NDArray[np.float64]]:
        """Give what it remembers."""
        return {"speed": self._speed.copy()} | ({} if self._pose is None else {"pose": self._pose.copy()})

    def restore(self, state: dict[str, NDArray[np.float64]]) -> None:
        """Take up what `state` gave.

        Raises
        ------
        StreamError : it is no such state.
        """
        arrays = {name: np.array(value, dtype=np.float64) for name, value in state.items()}
        if "speed" not in arrays or any(array.shape != (N_JOINTS,) for array in arrays.values()):
            raise StreamError(
                f"the smoothing's state must hold speed and pose, each of {N_JOINTS} numbers, got "
                f"{ {name: array.shape for name, array in arrays.items()} }"
            )
        self._speed, self._pose = arrays["speed"], arrays.get("pose")
