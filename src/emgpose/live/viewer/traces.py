"""The last seconds of EMG as the lowest and highest sample of each column, and as SVG paths."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Columns = NDArray[np.float32]

SPAN_S: Final = 3.0
N_COLUMNS: Final = 150
# Rows are drawn in a box of this height with the zero line in its middle; the browser stretches it.
ROW_HEIGHT: Final = 20
# This share of all columns fits into its row; the largest bursts are cut off there.
_SHOWN_SHARE: Final = 0.98
# Filters leave rounding noise of this size; less is drawn as a line.
_SMALLEST: Final = 1e-12


class EmgTraces:
    """Gather EMG chunk by chunk; memory does not grow.

    Parameters
    ----------
    n_channels : int
    sample_rate_hz : float
    """

    def __init__(self, n_channels: int, sample_rate_hz: float) -> None:
        self.n_channels = n_channels
        self.samples_per_column = max(1, round(SPAN_S * sample_rate_hz / N_COLUMNS))
        self._low: Columns = np.full((N_COLUMNS, n_channels), np.nan, dtype=np.float32)
        self._high = self._low.copy()
        # Sample numbers of the source divided by `samples_per_column`; -1 before the first.
        self._newest_column = -1

    def add(self, first_sample: int, emg: NDArray[np.float32]) -> None:
        """Take samples (time, channel); lost and missing ones leave gaps.

        Samples further back than what is shown come from a source that counts anew: the traces begin again with them.
        """
        column = first_sample // self.samples_per_column
        start = 0
        while start < len(emg):
            stop = min(len(emg), (column + 1) * self.samples_per_column - first_sample)
            self._add_to(column, emg[start:stop])
            start, column = stop, column + 1

    def _add_to(self, column: int, samples: NDArray[np.float32]) -> None:
        if column <= self._newest_column - N_COLUMNS:
            self._newest_column = -1
        if column > self._newest_column:
            n_new = column - self._newest_column if self._newest_column >= 0 else N_COLUMNS
            rows = np.arange(column - min(n_new, N_COLUMNS) + 1, column + 1) % N_COLUMNS
            self._low[rows] = self._high[rows] = np.nan
            self._newest_column = column
        row = column % N_COLUMNS
        samples = np.where(np.isfinite(samples), samples, np.nan)
        # fmin and fmax leave NaN aside where a sample is known.
        self._low[row] = np.fmin(self._low[row], np.fmin.reduce(samples, axis=0))
        self._high[row] = np.fmax(self._high[row], np.fmax.reduce(samples, axis=0))

    def columns(self) -> tuple[Columns, Columns]:
        """Give the lowest and highest samples, each (column, channel), oldest first; NaN where nothing came."""
        order = (self._newest_column + 1 + np.arange(N_COLUMNS)) % N_COLUMNS
        return self._low[order], self._high[order]

    def paths(self) -> tuple[str, ...]:
        """Draw each channel, all on one scale, as the data of an SVG path.

        Returns
        -------
        tuple of str, one per channel, in a box of N_COLUMNS by ROW_HEIGHT; empty where nothing came.
        """
        low, high = self.columns()
        seen = np.isfinite(low).any(axis=0)
        if not seen.any():
            return ("",) * self.n_channels
        middle = np.zeros(self.n_channels, dtype=np.float32)
        # A device's offset is not EMG.
        middle[seen] = np.nanmedian((low + high)[:, seen] / 2, axis=0)
        reach = np.maximum(np.abs(low - middle), np.abs(high - middle))
        scale = max(float(np.quantile(reach[np.isfinite(reach)], _SHOWN_SHARE)), _SMALLEST)
        half = ROW_HEIGHT / 2
        drawn = [half - half * np.clip((values - middle) / scale, -1, 1) for values in (high, low)]
        return tuple(_path(drawn[0][:, channel], drawn[1][:, channel]) for channel in range(self.n_channels))


def _path(top: Columns, bottom: Columns) -> str:
    """One vertical stroke per column; a stroke of no length is made visible."""
    strokes = []
    for column in np.flatnonzero(np.isfinite(top)):
        length = max(0.5, float(bottom[column] - top[column]))
        strokes.append(f"M{column} {top[column]:.1f}v{length:.1f}")
    return "".join(strokes)
