"""The noise floor of an EMG signal: measured in a rest, or estimated from ordinary EMG. Arrays are (time, channel)."""

import math
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emgpose.errors import DataError, ShapeError

Signal = NDArray[np.float64]

NOISE_FLOOR_WINDOW_S: Final = 0.25
NOISE_FLOOR_PERCENTILE: Final = 5.0


def checked_signal(chunk: ArrayLike, n_channels: int | None, first_sample: int = 0) -> Signal:
    """Give samples as float64, if they can be a signal.

    Parameters
    ----------
    chunk : array, shape (time, channel)
    n_channels : int or None
        Channels expected; None for any number.
    first_sample : int
        Number of the first sample in the recording, for the message.

    Raises
    ------
    ShapeError : no numbers, or not (time, channel).
    DataError : a value is NaN or Inf.
    """
    try:
        samples = np.asarray(chunk, dtype=np.float64)
    except (TypeError, ValueError):
        raise ShapeError("a signal must be an array of numbers, shape (time, channel)") from None
    if samples.ndim != 2 or (n_channels is not None and samples.shape[1] != n_channels):
        channels = "channel" if n_channels is None else f"channel={n_channels}"
        raise ShapeError(f"a signal must have shape (time, {channels}), got {samples.shape}")
    finite = np.isfinite(samples)
    if not finite.all():
        sample, channel = np.argwhere(~finite)[0]
        raise DataError(
            f"EMG channel {channel} is {samples[sample, channel]} at sample {first_sample + sample}; a filter would "
            "spread it over every later sample: repair or leave out the channel"
        )
    return samples


def measure_noise_floor(rest_emg: NDArray[np.floating[Any]] | Iterable[ArrayLike]) -> Signal:
    """Measure the noise floor in a span of rest.

    Parameters
    ----------
    rest_emg : array, shape (time, channel), or an iterable of such arrays
        EMG of a relaxed hand, filtered as it will be when it is scaled.

    Returns
    -------
    ndarray, shape (channel,)
        Standard deviation over the span.

    Raises
    ------
    DataError : fewer than two samples, or a value that is NaN or Inf.
    """
    n_samples = 0
    origin = total = squares = np.zeros(1)
    for chunk in (rest_emg,) if isinstance(rest_emg, np.ndarray) else rest_emg:
        samples = checked_signal(chunk, None, first_sample=n_samples)
        if not n_samples and len(samples):
            origin = samples.mean(axis=0)  # sums about a value near the mean lose no digits
        n_samples += len(samples)
        total = total + (samples - origin).sum(axis=0)
        squares = squares + ((samples - origin) ** 2).sum(axis=0)
    if n_samples < 2:
        raise DataError(f"a noise floor needs a span of rest, got {n_samples} samples; give 0.25 s or more")
    return np.sqrt(np.maximum(squares / n_samples - (total / n_samples) ** 2, 0))


class NoiseFloor:
    """Estimate the noise floor as the 5th percentile of the RMS over 0.25 s, in constant memory.

    The windows' values are counted in bins 0.1 % wide, so any length takes the same memory and the result is within
    0.05 % of the percentile. The signal must have been high-passed: an offset counts as noise.

    Parameters
    ----------
    n_channels : int
    sample_rate_hz : float
    """

    _BIN: Final = 1e-3
    # Natural logarithms from 1e-15 (below any converter's last bit in volts) to 1e15.
    _LOWEST: Final = -15 * math.log(10)
    _N_BINS: Final = math.ceil(30 * math.log(10) / 1e-3)

    def __init__(self, n_channels: int, sample_rate_hz: float) -> None:
        self._window_samples = max(1, round(NOISE_FLOOR_WINDOW_S * sample_rate_hz))
        self._rest = np.empty((0, n_channels))
        # Bin 0 counts windows that hold nothing but zeros.
        self._counts = np.zeros((self._N_BINS + 1, n_channels), dtype=np.int64)
        self.n_windows = 0

    def update(self, emg: ArrayLike) -> None:
        """Take the next samples, shape (time, channel)."""
        samples = np.concatenate([self._rest, np.asarray(emg, dtype=np.float64)])
        n_windows = len(samples) // self._window_samples
        used = n_windows * self._window_samples
        self._rest = samples[used:].copy()
        windows = samples[:used].reshape(n_windows, self._window_samples, samples.shape[1])
        rms = np.sqrt(np.mean(windows**2, axis=1))
        bins = (np.log(np.maximum(rms, 1e-300)) - self._LOWEST) // self._BIN + 1
        bins = np.clip(bins, 0, self._N_BINS).astype(np.int64)
        np.add.at(self._counts, (bins, np.broadcast_to(np.arange(samples.shape[1]), bins.shape)), 1)
        self.n_windows += n_windows

    def estimate(self) -> Signal:
        """Give the estimate so far, shape (channel,).

        Raises
        ------
        DataError : less than one window of 0.25 s has come.
        """
        if not self.n_windows:
            raise DataError(
                f"a noise floor estimate needs {NOISE_FLOOR_WINDOW_S} s of EMG ({self._window_samples} samples), got "
                f"{len(self._rest)} samples; give noise_floor instead"
            )
        rank = NOISE_FLOOR_PERCENTILE / 100 * (self.n_windows - 1)
        below, above = self._value_of(math.floor(rank)), self._value_of(math.ceil(rank))
        return below + (rank - math.floor(rank)) * (above - below)

    def _value_of(self, rank: int) -> Signal:
        """The value in each channel that `rank` windows lie below, at its bin's centre."""
        bins = (np.cumsum(self._counts, axis=0) > rank).argmax(axis=0)
        return np.where(bins == 0, 0.0, np.exp(self._LOWEST + (bins - 0.5) * self._BIN))


def estimate_noise_floor(chunks: Iterable[ArrayLike], sample_rate_hz: float) -> Signal:
    """Estimate each channel's noise floor from ordinary EMG: the 5th percentile of its RMS over 0.25 s.

    An estimate, to be labelled as one: without a moment of rest in the recording it lies too high.

    Parameters
    ----------
    chunks : iterable of arrays, shape (time, channel)
        Consecutive pieces of one high-passed recording, of any lengths.
    sample_rate_hz : float

    Returns
    -------
    ndarray, shape (channel,)

    Raises
    ------
    DataError : less than 0.25 s in all, or a value that is NaN or Inf.
    """
    floor: NoiseFloor | None = None
    n_samples = 0
    for chunk in chunks:
        samples = checked_signal(chunk, None, first_sample=n_samples)
        floor = floor or NoiseFloor(samples.shape[1], sample_rate_hz)
        floor.update(samples)
        n_samples += len(samples)
    if floor is None:
        raise DataError("a noise floor estimate needs EMG, got no samples")
    return floor.estimate()
