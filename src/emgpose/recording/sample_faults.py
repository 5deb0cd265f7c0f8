"""Count the faults of a signal's samples as they are stored, chunk by chunk: NaN and Inf, stuck and extreme values."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


class SampleFaults:
    """Counts faults in the samples of each channel.

    Parameters
    ----------
    n_channels : int
    stuck_samples : int
        A stretch in which nothing changes counts from this length on.
    """

    def __init__(self, n_channels: int, stuck_samples: int) -> None:
        self._n_samples = 0
        self._stuck_samples = stuck_samples
        self._n_nan = np.zeros(n_channels, dtype=np.int64)
        self._n_inf = np.zeros(n_channels, dtype=np.int64)
        self._first_bad = np.full(n_channels, -1, dtype=np.int64)
        self._total = np.zeros(n_channels)
        self._lowest = np.full(n_channels, np.inf)
        self._highest = np.full(n_channels, -np.inf)
        self._n_lowest = np.zeros(n_channels, dtype=np.int64)
        self._n_highest = np.zeros(n_channels, dtype=np.int64)
        self._n_flat = np.zeros(n_channels, dtype=np.int64)
        self._run = np.zeros(n_channels, dtype=np.int64)
        self._n_stuck = np.zeros(n_channels, dtype=np.int64)
        self._last = np.full((1, n_channels), np.nan)
        self._last_finite = np.zeros(n_channels)

    def update(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        """Count, and give the samples with the last finite one in place of each NaN and Inf."""
        finite = np.isfinite(samples)
        nan = np.isnan(samples)
        self._n_nan += nan.sum(axis=0)
        self._n_inf += (~finite & ~nan).sum(axis=0)
        new = (self._first_bad < 0) & ~finite.all(axis=0)
        self._first_bad[new] = self._n_samples + (~finite).argmax(axis=0)[new]
        self._n_samples += len(samples)
        self._total += np.where(finite, samples, 0).sum(axis=0)
        self._n_lowest, self._lowest = _extreme(np.where(finite, samples, np.inf), self._lowest, self._n_lowest)
        negated = np.where(finite, -samples, np.inf)
        self._n_highest, highest = _extreme(negated, -self._highest, self._n_highest)
        self._highest = -highest
        before = np.concatenate([self._last, samples[:-1]])
        same = samples == before
        self._n_flat += same.sum(axis=0)
        self._count_stuck(same)
        self._last = samples[-1:].copy()
        filled = samples if finite.all() else _hold(samples, finite, self._last_finite)
        self._last_finite = filled[-1].copy()
        return filled

    def _count_stuck(self, same: NDArray[np.bool_]) -> None:
        # How many samples in a row have had the value, up to and including each.
        here = np.arange(1, len(same) + 1)[:, None]
        change = np.maximum.accumulate(np.where(same, 0, here), axis=0)
        run = np.where(change == 0, here + self._run, here - change + 1)
        # A stretch counts whole once it is long enough, then sample by sample.
        self._n_stuck += self._stuck_samples * (run == self._stuck_samples).sum(axis=0)
        self._n_stuck += (run > self._stuck_samples).sum(axis=0)
        self._run = run[-1]

    def figures(self, channel: int) -> dict[str, Any]:
        """Give the figures of one channel."""
        n_finite = int(self._n_samples - self._n_nan[channel] - self._n_inf[channel])
        known = n_finite > 0
        extreme = int(self._n_lowest[channel] + self._n_highest[channel])
        return {
            "n_nan": int(self._n_nan[channel]),
            "n_inf": int(self._n_inf[channel]),
            "first_bad_sample": int(self._first_bad[channel]) if self._first_bad[channel] >= 0 else None,
            "offset": float(self._total[channel] / n_finite) if known else math.nan,
            "lowest": float(self._lowest[channel]) if known else math.nan,
            "highest": float(self._highest[channel]) if known else math.nan,
            "flat_share": float(self._n_flat[channel] / (self._n_samples - 1)) if self._n_samples > 1 else math.nan,
            "stuck_share": float(self._n_stuck[channel] / self._n_samples) if self._n_samples else math.nan,
            "extreme_share": min(1.0, extreme / n_finite) if known else math.nan,
        }


def _extreme(
    samples: NDArray[np.float64], lowest: NDArray[np.float64], count: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Count the samples at the lowest value so far, per channel."""
    now = np.minimum(lowest, samples.min(axis=0))
    kept = np.where(now == lowest, count, 0)
    return kept + ((samples == now) & np.isfinite(samples)).sum(axis=0), now


def _hold(samples: NDArray[np.float64], finite: NDArray[np.bool_], last: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace what is not finite by the newest finite sample before it."""
    padded = np.concatenate([last[None], samples])
    position = np.where(finite, np.arange(1, len(samples) + 1)[:, None], 0)
    newest = np.maximum.accumulate(position, axis=0)
    return np.take_along_axis(padded, newest, axis=0)
