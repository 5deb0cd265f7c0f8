"""Which samples arrived, which were lost: bookkeeping of a source's chunks, and a watch on its rate."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import StreamError

# Beyond this, in whatever unit, a value is no measurement, and filters would carry it on for long.
LARGEST_VALUE: Final = 1e9
COUNTS: Final = ("samples_late", "samples_filled", "samples_lost", "gaps", "restarts", "not_numbers")


@dataclass(frozen=True)
class Taken:
    """Samples in order, every value finite.

    Parameters
    ----------
    first_sample : int
        Number of the first row, in the source's count.
    emg : array, shape (time, channel)
        Rows that were lost, and values that are no numbers, hold the channel's last value.
    is_filled : array of bool, shape (time,)
        Rows that never came.
    is_missing : array of bool, shape (time, channel)
        Values that are held: in filled rows, and where NaN, infinity or something beyond 1e9 came.
    begins_again : bool
        Too much was lost before the first row for anything to be carried on.
    """

    first_sample: int
    emg: NDArray[np.float32]
    is_filled: NDArray[np.bool_]
    is_missing: NDArray[np.bool_]
    begins_again: bool


class Intake:
    """Puts chunks in order: drops what came before, fills short gaps, reports long ones.

    Parameters
    ----------
    n_channels : int
    max_fill_samples : int
        Longest gap that is filled.
    max_late_samples : int
        A chunk that lies further back than this belongs to a source that counts anew.

    Attributes
    ----------
    counts : dict of str to int
        By the names in `COUNTS`; `not_numbers` counts values, the others samples or occurrences.
    """

    def __init__(self, n_channels: int, max_fill_samples: int, max_late_samples: int) -> None:
        self._max_fill, self._max_late = max_fill_samples, max_late_samples
        self._last = np.zeros(n_channels, dtype=np.float32)
        self._next: int | None = None
        self.counts = dict.fromkeys(COUNTS, 0)

    def take(self, first_sample: int, emg: NDArray[np.float32]) -> Taken | None:
        """Take a chunk (time, channel).

        Returns
        -------
        Taken, or None where the chunk holds nothing new.
        """
        if not len(emg):
            return None
        begins_again = False
        n_fill = 0
        missing = 0 if self._next is None else first_sample - self._next
        if missing < 0 and first_sample + len(emg) + self._max_late < first_sample - missing:
            begins_again, missing = True, 0
            self.counts["restarts"] += 1
        elif missing < 0:
            n_late = min(-missing, len(emg))
            self.counts["samples_late"] += n_late
            first_sample, emg = first_sample + n_late, emg[n_late:]
        elif missing > self._max_fill:
            begins_again = True
            self.counts["gaps"] += 1
            self.counts["samples_lost"] += missing
        else:
            n_fill = missing
            self.counts["samples_filled"] += n_fill
        if not len(emg):
            return None
        self._next = first_sample + len(emg)
        return self._held(first_sample, emg, n_fill, begins_again)

    def _held(self, first_sample: int, emg: NDArray[np.float32], n_fill: int, begins_again: bool) -> Taken:
        """Fill the rows before the chunk, and what is no number, with what came last."""
        is_missing = ~(np.abs(emg) <= LARGEST_VALUE)
        if n_fill or is_missing.any():
            self.counts["not_numbers"] += int(is_missing.sum())
            filled = np.ones((n_fill, emg.shape[1]), dtype=np.bool_)
            is_missing = np.concatenate([filled, is_missing])
            padded = np.concatenate([np.repeat(self._last[None], n_fill + 1, axis=0), emg])
            newest = np.where(is_missing, 0, np.arange(1, len(padded))[:, None])
            emg = np.take_along_axis(padded, np.maximum.accumulate(newest, axis=0), axis=0)
        self._last = emg[-1].copy()
        is_filled = np.zeros(len(emg), dtype=np.bool_)
        is_filled[:n_fill] = True
        return Taken(first_sample - n_fill, emg, is_filled, is_missing, begins_again)

    def state(self) -> dict[str, NDArray[Any]]:
        """Give what it remembers."""
        known, following = self._next is not None, self._next or 0
        counts = [self.counts[name] for name in COUNTS]
        return {"last": self._last.copy(), "counters": np.array([known, following, *counts], dtype=np.int64)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up what `state` gave.

        Raises
        ------
        StreamError : it is no such state.
        """
        last, counters = np.asarray(state.get("last")), np.asarray(state.get("counters"))
        if last.shape != self._last.shape or counters.shape != (2 + len(COUNTS),):
            raise StreamError("the intake's state does not hold one last value per channel and the counts")
        self._last = last.astype(np.float32)
        known, following, *counts = (int(value) for value in counters)
        self._next = following if known else None
        self.counts.update(zip(COUNTS, counts, strict=True))


class RateWatch:
    """Compares the samples that came with the time that passed.

    Parameters
    ----------
    nominal_hz : float
    """

    SPAN_S: Final = 10.0
    LARGEST_DRIFT: Final = 0.005

    def __init__(self, nominal_hz: float) -> None:
        self._nominal_hz = nominal_hz
        self.restart()

    def restart(self) -> None:
        """Forget where it began, as after a gap."""
        self._sample, self._time_s = 0, math.nan

    def drift(self, sample: int, time_s: float) -> float | None:
        """Give measured rate / nominal rate - 1 after each 10 s, None in between.

        Parameters
        ----------
        sample : int
            Number of a sample, lost ones counted.
        time_s : float
            The source's clock at it [s].
        """
        elapsed_s = time_s - self._time_s
        if 0 <= elapsed_s < self.SPAN_S:
            return None
        began, self._sample, self._time_s = self._sample, sample, time_s
        # The first sample after a break, or a clock that was set anew.
        if not (math.isfinite(elapsed_s) and elapsed_s > 0):
            return None
        return (sample - began) / elapsed_s / self._nominal_hz - 1
