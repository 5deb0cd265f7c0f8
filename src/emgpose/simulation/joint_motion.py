"""A movement of hand and wrist: joint angles over time, with what the muscles work against."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from emgpose.errors import ConfigError, DataError, ShapeError
from emgpose.hand import FINGERS, N_JOINTS
from emgpose.timing import EMG_RATE_HZ


@dataclass(frozen=True, eq=False)
class Motion:
    """Joint angles, wrist and load over time.

    Parameters
    ----------
    joint_angles : array, shape (time, joint=20) [rad]
    wrist : array, shape (time, 2) [rad]
        Flexion (positive) or extension; radial (positive) or ulnar deviation.
    load : array, shape (time, finger=5)
        Outer load on each finger, from 0 (moves freely) to 1 (grips as hard as it can).
    rate_hz : float
        Samples per second of all of them.
    valid : array, shape (time,), bool, optional
        False where recorded angles were missing and have been bridged; None for simulated movement.

    Raises
    ------
    ShapeError, DataError, ConfigError : axes do not fit, a value is not finite, or the rate is not positive.
    """

    joint_angles: NDArray[np.float64]
    wrist: NDArray[np.float64]
    load: NDArray[np.float64]
    rate_hz: float
    valid: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        n = len(self.joint_angles)
        expected: dict[str, tuple[int, ...]] = {
            "joint_angles": (n, N_JOINTS),
            "wrist": (n, 2),
            "load": (n, len(FINGERS)),
        }
        if self.valid is not None:
            expected["valid"] = (n,)
        for name, shape in expected.items():
            values = getattr(self, name)
            if np.shape(values) != shape or n < 2:
                raise ShapeError(f"motion: {name} must have the shape {shape} with time >= 2, got {np.shape(values)}")
            if not np.isfinite(values).all():
                raise DataError(f"motion: {name} holds values that are not finite; bridge them before")
        if not (np.isfinite(self.rate_hz) and self.rate_hz > 0):
            raise ConfigError(f"motion: rate_hz must be positive, got {self.rate_hz:g}")

    @property
    def n_samples(self) -> int:
        """Samples at `rate_hz`."""
        return len(self.joint_angles)

    @property
    def seconds(self) -> float:
        """Length [s]; the last sample counts for one period."""
        return self.n_samples / self.rate_hz

    def at(self, rate_hz: float = EMG_RATE_HZ) -> NDArray[np.float32]:
        """Give the joint angles at another rate, by cubic splines.

        Parameters
        ----------
        rate_hz : float

        Returns
        -------
        array, shape (time, joint=20), float32 [rad]
            Sample i is at i / rate_hz seconds; `seconds` long, the last angles held to the end.
        """
        if rate_hz == self.rate_hz:
            return self.joint_angles.astype(np.float32)
        n = round(self.n_samples * rate_hz / self.rate_hz)
        places = np.minimum(np.arange(n) * (self.rate_hz / rate_hz), self.n_samples - 1)
        return CubicSpline(np.arange(self.n_samples), self.joint_angles)(places).astype(np.float32)

    def velocity(self) -> NDArray[np.float64]:
        """Give the joint velocities at `rate_hz` by central differences, shape (time, joint=20) [rad/s]."""
        return np.asarray(np.gradient(self.joint_angles, 1 / self.rate_hz, axis=0))

    def acceleration(self) -> NDArray[np.float64]:
        """Give the joint accelerations at `rate_hz` by central differences, shape (time, joint=20) [rad/s^2]."""
        return np.asarray(np.gradient(self.velocity(), 1 / self.rate_hz, axis=0))
