"""Number the samples of a stream by its time stamps, so that those which were lost on the way are counted.

The rule: between two samples lies a gap where their stamps are more than 1.5 sample periods apart, and the excess is
more than twice the jitter. The jitter is the largest excess or shortfall of the last ten seconds or so that was no
gap; during the first second it is taken to be at least 50 ms, because nothing is known of it yet. So a device that
stamps each sample has its losses counted one by one, and a program that stamps its packets when it happens to run has
only losses counted that stand out from that.

A clock that is set, as when the sender starts again on another computer, shows as stamps that jump by more than a
second while the time at which they arrive does not, or by more than a day; then the samples lost are counted by the
time of arrival.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

# A step between two stamps that is off by less than half a sample is no gap, whatever the jitter.
_LEAST_SAMPLES: Final = 0.5
_ABOVE_JITTER: Final = 2.0
_JITTER_MEMORY_S: Final = 10.0
_LEARNING_S: Final = 1.0
_UNKNOWN_JITTER_S: Final = 0.05
# No stream is taken to jitter by more than this.
_MOST_JITTER_S: Final = 0.25
_CLOCK_SET_S: Final = 1.0
# No stream is waited for longer than this.
_LONGEST_GAP_S: Final = 86_400.0
# How fast the newest stamps may fall behind their arrival, as the two clocks drift: seconds per second.
_CLOCK_DRIFT: Final = 0.01


class StampCounter:
    """Gives every sample its number since the stream began, lost ones counted.

    Parameters
    ----------
    rate_hz : float
        Nominal rate. A true rate that differs by a few percent makes no gaps.
    """

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._next = 0
        self._last_stamp_s = math.nan
        self._last_arrival_s = math.nan
        # Largest stamp minus arrival: later stamps cannot be much further ahead unless the clock was set.
        self._lead_s = math.nan
        self._jitter = 0.0
        self._jitter_at = 0

    def number(self, stamps_s: ArrayLike, arrived_s: float) -> NDArray[np.int64]:
        """Number the next samples.

        Parameters
        ----------
        stamps_s : array, shape (time,)
            At least one, finite, on the sender's clock, in the order of arrival.
        arrived_s : float
            When the last of them arrived, on any clock that is never set.

        Returns
        -------
        array of int64, shape (time,), rising.
        """
        stamps = np.asarray(stamps_s, dtype=np.float64)
        lost = np.zeros(len(stamps), dtype=np.int64)
        before_s = stamps[0] - 1 / self._rate_hz if math.isnan(self._last_stamp_s) else self._last_stamp_s
        with np.errstate(over="ignore"):
            excess = np.diff(stamps, prepend=before_s) * self._rate_hz - 1
        self._count_lost(excess, lost, float(stamps[-1]), arrived_s)
        numbers = self._next + np.arange(len(stamps)) + np.cumsum(lost)
        self._note_arrival(float(stamps[-1]), arrived_s)
        self._next = int(numbers[-1]) + 1
        return numbers

    def _count_lost(
        self, excess: NDArray[np.float64], lost: NDArray[np.int64], newest_s: float, arrived_s: float
    ) -> None:
        """Fill in how many samples were lost before each."""
        ahead = newest_s - arrived_s > self._lead_s + _CLOCK_SET_S
        for place in np.flatnonzero(np.abs(excess) > _LEAST_SAMPLES).tolist():
            step = float(excess[place])
            jump_s = step / self._rate_hz
            if jump_s < -_CLOCK_SET_S or jump_s > _LONGEST_GAP_S or (ahead and jump_s > _CLOCK_SET_S):
                since_s = 0.0 if math.isnan(self._last_arrival_s) else arrived_s - self._last_arrival_s
                lost[place] = max(0, round(since_s * self._rate_hz) - len(excess))
                self._lead_s = math.nan
            elif self._is_gap(step, self._next + place):
                lost[place] = round(step)

    def _is_gap(self, step: float, number: int) -> bool:
        """Tell a gap from jitter, which is remembered."""
        memory = self._samples(_JITTER_MEMORY_S)
        jitter = self._jitter * math.exp((self._jitter_at - number) / memory)
        floor = self._samples(_UNKNOWN_JITTER_S) if number < self._samples(_LEARNING_S) else 0.0
        if step > _ABOVE_JITTER * max(jitter, floor):
            return True
        self._jitter = max(jitter, min(abs(step), self._samples(_MOST_JITTER_S)))
        self._jitter_at = number
        return False

    def _samples(self, seconds: float) -> float:
        return seconds * self._rate_hz

    def _note_arrival(self, newest_s: float, arrived_s: float) -> None:
        lead_s = newest_s - arrived_s
        if not math.isnan(self._lead_s):
            lead_s = max(lead_s, self._lead_s - _CLOCK_DRIFT * (arrived_s - self._last_arrival_s))
        self._last_stamp_s, self._last_arrival_s, self._lead_s = newest_s, arrived_s, lead_s
