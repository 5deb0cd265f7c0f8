"""Count sudden jumps of a signal, chunk by chunk: what a contact that opens or closes leaves behind."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

# EMG is smooth over half a millisecond, however strong: a jump stands out of the steps within 5 ms on either side.
_AROUND_S: Final = 5e-3
_RATIO: Final = 6.0


class Jumps:
    """Counts steps from one sample to the next that are many times larger than all steps around them.

    Parameters
    ----------
    n_channels : int
    sample_rate_hz : float
    """

    def __init__(self, n_channels: int, sample_rate_hz: float) -> None:
        self._around = max(2, round(_AROUND_S * sample_rate_hz))
        self._rest = np.empty((0, n_channels))
        self.counts = np.zeros(n_channels, dtype=np.int64)

    def update(self, samples: NDArray[np.float64]) -> None:
        """Take the next samples, shape (time, channel), all finite."""
        from scipy.ndimage import maximum_filter1d

        samples = np.concatenate([self._rest, samples])
        around = self._around
        # What is judged needs `around` steps on either side; the samples of those not judged yet are kept.
        self._rest = samples[-(2 * around + 1) :].copy()
        steps = np.abs(np.diff(samples, axis=0))
        n_judged = len(steps) - 2 * around
        if n_judged <= 0:
            return
        # Entry i of `before` is the largest of the steps i to i + around - 1.
        before = maximum_filter1d(steps, around, axis=0, origin=-((around) // 2))
        largest = np.maximum(before[:n_judged], before[around + 1 : around + 1 + n_judged])
        jumps = (steps[around : around + n_judged] > _RATIO * largest) & (largest > 0)
        self.counts += jumps.sum(axis=0)
