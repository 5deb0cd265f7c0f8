"""Some samples of a recording, and which of them have a usable label."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# A label is missing where all angles are closer to zero than this, the absolute tolerance of `numpy.isclose`.
NO_LABEL_RAD: Final = 1e-8


@dataclass(frozen=True)
class SessionSlice:
    """Samples [start, start + n) of a recording.

    Parameters
    ----------
    start : int
        Number of the first sample in the recording.
    emg : array, shape (time, channel), float32
        No columns where the recording has no EMG.
    joint_angles : array, shape (time, joint=20), float32 [rad]
        NaN where the recording has no joint angles. Rows that are not valid may hold anything.
    valid : array, shape (time,), bool
        True where the joint angles can be used.
    """

    start: int
    emg: NDArray[np.float32]
    joint_angles: NDArray[np.float32]
    valid: NDArray[np.bool_]

    @property
    def stop(self) -> int:
        """One past the last sample."""
        return self.start + len(self.valid)

    def part(self, start: int, stop: int) -> "SessionSlice":
        """Give what lies inside samples [start, stop), as views; perhaps nothing."""
        first = min(max(start, self.start), self.stop)
        inside = slice(first - self.start, max(stop, first) - self.start)
        return SessionSlice(first, self.emg[inside], self.joint_angles[inside], self.valid[inside])


def label_is_valid(joint_angles: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Tell which samples have a label.

    Parameters
    ----------
    joint_angles : array, shape (time, joint=20) [rad]

    Returns
    -------
    array, shape (time,), bool. False where all angles are close to zero, or any is NaN or Inf.

    Source: emg2pose data set (Salter et al. 2024); non-finite labels are our addition.
    """
    present = (np.abs(joint_angles) > NO_LABEL_RAD).any(axis=1)
    return np.asarray(present & np.isfinite(joint_angles).all(axis=1))
