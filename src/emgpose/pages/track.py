"""One moving hand of a page: poses over time, and what to show between and beyond them."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import DataError, ShapeError
from emgpose.hand import N_JOINTS

# Times closer than this are one: rounding must not make a pose lean on its neighbour.
_SAME_TIME_S: Final = 1e-6


@dataclass(frozen=True)
class Track:
    """One moving hand of the page.

    Parameters
    ----------
    name : str
        As the page calls it: `predicted`, `recorded`.
    sample_times_s : array, shape (time,)
        Increasing; the first EMG sample is at 0 [s].
    joint_angles : array, shape (time, joint=20) [rad]
    valid : array of bool, shape (time,), optional
        True = usable; everything by default. Poses with NaN or Inf are never usable.

    Raises
    ------
    ShapeError : the arrays do not fit together.
    DataError : no samples, or times that do not increase.
    """

    name: str
    sample_times_s: NDArray[np.float64]
    joint_angles: NDArray[np.floating[Any]]
    valid: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        times = np.asarray(self.sample_times_s, dtype=np.float64)
        angles = np.asarray(self.joint_angles)
        if times.ndim != 1 or angles.shape != (len(times), N_JOINTS):
            raise ShapeError(
                f"track '{self.name}': expected times (time,) and joint angles (time, {N_JOINTS}), "
                f"got {times.shape} and {angles.shape}"
            )
        if not len(times):
            raise DataError(f"track '{self.name}': expected at least one pose, got none")
        if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            raise DataError(f"track '{self.name}': expected finite times that increase from sample to sample")
        valid = np.ones(len(times), dtype=bool) if self.valid is None else np.asarray(self.valid, dtype=bool)
        if valid.shape != times.shape:
            raise ShapeError(f"track '{self.name}': expected valid of shape {times.shape}, got {valid.shape}")
        object.__setattr__(self, "sample_times_s", times)
        object.__setattr__(self, "joint_angles", angles)
        object.__setattr__(self, "valid", valid & np.isfinite(angles).all(axis=1))

    @property
    def rate_hz(self) -> float:
        """Poses per second; infinite for a single pose."""
        return float("inf") if len(self.sample_times_s) < 2 else float(1 / np.median(np.diff(self.sample_times_s)))

    def at(self, times_s: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return joint angles (time, joint) and validity (time,) at other times.

        Linear between neighbours, usable where both are; elsewhere the last usable pose is held.
        """
        known, valid = self.sample_times_s, np.asarray(self.valid)
        left = np.clip(np.searchsorted(known, times_s + _SAME_TIME_S, side="right") - 1, 0, len(known) - 1)
        right = np.where(known[left] < times_s - _SAME_TIME_S, np.minimum(left + 1, len(known) - 1), left)
        step = known[right] - known[left]
        weight = np.clip((times_s - known[left]) / np.where(step > 0, step, 1), 0, 1)[:, None]
        inside = (times_s >= known[0] - _SAME_TIME_S) & (times_s <= known[-1] + _SAME_TIME_S)
        usable = valid[left] & valid[right] & inside
        angles = np.zeros((len(times_s), N_JOINTS))
        below, above = self.joint_angles[left[usable]], self.joint_angles[right[usable]]
        angles[usable] = below + weight[usable] * (above - below)
        newest = np.maximum.accumulate(np.where(usable, np.arange(len(times_s)), -1))
        first = int(np.argmax(usable)) if usable.any() else 0
        return angles[np.where(newest < 0, first, newest)].astype(np.float32), usable
