"""EMG traces for a page: the lowest and highest sample of each column of pixels, gathered while chunks pass."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError, ShapeError

COLUMNS_PER_S: Final = 100
# An hour at 100 columns a second would fill the page's 10 MB; wider columns look the same at that span.
MAX_COLUMNS: Final = 20_000

UNIT_LABELS: Final = {"noise_floor": "× noise floor SD", "uV": "µV", "unknown": "unit unknown"}


class EmgEnvelope:
    """Minimum and maximum of each channel in columns of equal length, in memory that only the span decides.

    Parameters
    ----------
    channel_names : sequence of str
        One per channel, top to bottom on the page.
    sample_rate_hz : float
        Of the chunks that will come [Hz].
    span_s : float
        Length that the page shows, from the first sample; later samples are ignored [s].
    unit : str
        `noise_floor`, `uV` or `unknown`, as in a session's facts.

    Raises
    ------
    ConfigError : a rate or span that is not positive, no channels, or an unknown unit.
    """

    def __init__(
        self,
        channel_names: Sequence[str],
        sample_rate_hz: float,
        span_s: float = 60.0,
        *,
        unit: str = "noise_floor",
    ) -> None:
        if not (sample_rate_hz > 0 and math.isfinite(sample_rate_hz) and span_s > 0 and math.isfinite(span_s)):
            raise ConfigError(
                f"an EMG envelope needs a positive rate and span, got {sample_rate_hz:g} Hz and {span_s:g} s"
            )
        if not channel_names:
            raise ConfigError("an EMG envelope needs at least one channel name, got none")
        if unit not in UNIT_LABELS:
            raise ConfigError(f"EMG unit '{unit}': expected one of {', '.join(UNIT_LABELS)}")
        self.channel_names = tuple(channel_names)
        self.sample_rate_hz = float(sample_rate_hz)
        self.span_s = float(span_s)
        self.unit = unit
        self._n_span = max(1, round(span_s * sample_rate_hz))
        columns = min(MAX_COLUMNS, max(1, round(span_s * COLUMNS_PER_S)))
        self.samples_per_column = max(1, math.ceil(self._n_span / columns))
        shape = (math.ceil(self._n_span / self.samples_per_column), len(self.channel_names))
        self._minimum = np.full(shape, np.nan, dtype=np.float32)
        self._maximum = np.full(shape, np.nan, dtype=np.float32)
        self._n_seen = 0

    def add(self, emg: NDArray[np.float32]) -> None:
        """Take the next chunk.

        Parameters
        ----------
        emg : array, shape (time, channel)
            Follows the chunk before without a gap. NaN and Inf leave a gap in the trace.

        Raises
        ------
        ShapeError : not two axes, or another number of channels.
        """
        if emg.ndim != 2 or emg.shape[1] != len(self.channel_names):
            raise ShapeError(
                f"EMG chunk: expected shape (time, channel={len(self.channel_names)}), got {tuple(emg.shape)}"
            )
        start = self._n_seen
        self._n_seen += len(emg)
        emg = np.asarray(emg[: max(0, self._n_span - start)], dtype=np.float32)
        if not len(emg):
            return
        emg = np.where(np.isfinite(emg), emg, np.float32(np.nan))
        column = np.arange(start, start + len(emg)) // self.samples_per_column
        first = np.flatnonzero(np.diff(column, prepend=column[0] - 1))
        touched = column[first]
        self._minimum[touched] = np.fmin(self._minimum[touched], np.fmin.reduceat(emg, first, axis=0))
        self._maximum[touched] = np.fmax(self._maximum[touched], np.fmax.reduceat(emg, first, axis=0))

    @property
    def column_s(self) -> float:
        """Length of a column [s]."""
        return self.samples_per_column / self.sample_rate_hz

    @property
    def n_columns(self) -> int:
        """Columns that have begun."""
        return math.ceil(min(self._n_seen, self._n_span) / self.samples_per_column)

    @property
    def duration_s(self) -> float:
        """All that has passed, shown or not [s]."""
        return self._n_seen / self.sample_rate_hz

    @property
    def minimum(self) -> NDArray[np.float32]:
        """Lowest sample, shape (column, channel); NaN where a column holds no finite sample."""
        return self._minimum[: self.n_columns]

    @property
    def maximum(self) -> NDArray[np.float32]:
        """Highest sample, shape (column, channel); NaN where a column holds no finite sample."""
        return self._maximum[: self.n_columns]
