"""Is each EMG channel of use right now? Judged sample by sample, from the past only, in memory that does not grow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import StreamError

# A stretch this long without any change is no EMG, however coarse the converter.
DEAD_S: Final = 0.1
# Quality returns to 1, and clipping is counted, over this long.
WINDOW_S: Final = 0.25
# A sample is taken as cut off when it and the ones before it lie at the channel's own extreme, this many in a row, ...
CLIPPED_RUN: Final = 3
# ... and the channel as clipped when this share of the window is.
CLIPPED_SHARE: Final = 0.05


@dataclass(frozen=True)
class Judged:
    """What was found for each sample and channel; all of shape (time, channel).

    Parameters
    ----------
    quality : array
        0 where the channel is of no use now, else 1 less the share of the last 0.25 s in which it was of none.
    is_bad, is_dead, is_clipped : array of bool
        Of no use for any reason; for want of any change over 0.1 s; for being cut off at its extreme.
    """

    quality: NDArray[np.float32]
    is_bad: NDArray[np.bool_]
    is_dead: NDArray[np.bool_]
    is_clipped: NDArray[np.bool_]


class ChannelQuality:
    """Judges channels while samples come.

    Parameters
    ----------
    n_channels : int
    sample_rate_hz : float
    """

    def __init__(self, n_channels: int, sample_rate_hz: float) -> None:
        self._dead_samples = max(2, round(DEAD_S * sample_rate_hz))
        self._window = max(CLIPPED_RUN, round(WINDOW_S * sample_rate_hz))
        self._previous = np.full(n_channels, np.nan, dtype=np.float32)
        self._lowest = np.full(n_channels, np.inf, dtype=np.float32)
        self._highest = np.full(n_channels, -np.inf, dtype=np.float32)
        # How many samples in a row, up to the newest one, have its value.
        self._run = np.zeros(n_channels, dtype=np.int64)
        # The newest samples but for the next one: cut off, and bad.
        self._cut = np.zeros((self._window - 1, n_channels), dtype=np.bool_)
        self._bad = np.zeros((self._window - 1, n_channels), dtype=np.bool_)

    def judge(self, emg: NDArray[np.float32], is_missing: NDArray[np.bool_]) -> Judged:
        """Take the next samples.

        Parameters
        ----------
        emg : array, shape (time, channel)
            Finite; before any filter, which would hide what is looked for.
        is_missing : array of bool, shape (time, channel)
            Values that were not measured but filled in.
        """
        # Most EMG has no value three times in a row, so that nothing need be counted.
        is_repeated = np.concatenate([self._previous[None], emg[:-1]]) == emg
        if self._is_ordinary(is_repeated, is_missing):
            self._take_ordinary(emg, is_repeated)
            nothing = np.zeros(emg.shape, dtype=np.bool_)
            return Judged(np.ones(emg.shape, dtype=np.float32), nothing, nothing, nothing)
        run = self._runs(emg, ~is_repeated)
        lowest = np.minimum.accumulate(np.concatenate([self._lowest[None], emg]), axis=0)
        highest = np.maximum.accumulate(np.concatenate([self._highest[None], emg]), axis=0)
        self._lowest, self._highest = lowest[-1], highest[-1]
        cut = (run >= CLIPPED_RUN) & ((emg == lowest[1:]) | (emg == highest[1:])) & ~is_missing
        n_cut, self._cut = self._in_window(self._cut, cut)
        is_dead = (run >= self._dead_samples) & ~is_missing
        # A channel that never moves is dead, not clipped.
        is_clipped = (n_cut >= CLIPPED_SHARE * self._window) & (lowest[1:] < highest[1:]) & ~is_dead
        is_bad = is_missing | is_dead | is_clipped
        n_bad, self._bad = self._in_window(self._bad, is_bad)
        quality = np.where(is_bad, 0, 1 - n_bad / self._window).astype(np.float32)
        return Judged(quality, is_bad, is_dead, is_clipped)

    def _is_ordinary(self, is_repeated: NDArray[np.bool_], is_missing: NDArray[np.bool_]) -> bool:
        """Tell whether no value came three times in a row, none is missing, and nothing was wrong in the window."""
        if (is_repeated[1:] & is_repeated[:-1]).any() or (is_repeated[0] & (self._run >= CLIPPED_RUN - 1)).any():
            return False
        # At very low rates two in a row are dead.
        is_short = self._dead_samples < CLIPPED_RUN
        return not (is_short or is_missing.any() or self._cut.any() or self._bad.any())

    def _take_ordinary(self, emg: NDArray[np.float32], is_repeated: NDArray[np.bool_]) -> None:
        """Remember of ordinary samples what is to be remembered."""
        self._lowest = np.minimum(self._lowest, np.minimum.reduce(emg))
        self._highest = np.maximum(self._highest, np.maximum.reduce(emg))
        self._previous, self._run = emg[-1].copy(), is_repeated[-1] + np.int64(1)

    def _runs(self, emg: NDArray[np.float32], is_new: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Count for each sample how many in a row, itself included, have had its value."""
        here = np.arange(1, len(emg) + 1)[:, None]
        newest_change = np.maximum.accumulate(np.where(is_new, here, 0), axis=0)
        run = np.where(newest_change == 0, here + self._run, here - newest_change + 1)
        self._previous, self._run = emg[-1].copy(), run[-1]
        return run

    def _in_window(
        self, before: NDArray[np.bool_], now: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Count for each sample how often something was in the window that ends with it; give the new history too."""
        if not before.any() and not now.any():
            return np.zeros(now.shape, dtype=np.int64), before
        both = np.concatenate([before, now])
        total = np.concatenate([np.zeros((1, now.shape[1]), dtype=np.int64), np.cumsum(both, axis=0)])
        return total[self._window :] - total[: -self._window], both[len(now) :]

    def state(self) -> dict[str, NDArray[Any]]:
        """Give what it remembers."""
        return {name: getattr(self, f"_{name}").copy() for name in _REMEMBERED}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up what `state` gave.

        Raises
        ------
        StreamError : it is no such state.
        """
        for name in _REMEMBERED:
            own: NDArray[Any] = getattr(self, f"_{name}")
            array = np.asarray(state.get(name))
            if array.shape != own.shape:
                raise StreamError(f"the state of the channels' {name} has shape {array.shape}, expected {own.shape}")
            setattr(self, f"_{name}", array.astype(own.dtype))


_REMEMBERED: Final = ("previous", "lowest", "highest", "run", "cut", "bad")
