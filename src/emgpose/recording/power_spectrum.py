"""The mean power spectrum of a signal, chunk by chunk: its median frequency, and what power lines add to it."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

POWER_LINES_HZ: Final = (50.0, 60.0)
# Pieces of this length give the spectrum: 1 Hz resolution.
_SEGMENT_S: Final = 1.0
# A power line's share is what stands out of its neighbours, at the line and its harmonics up to the third.
_LINE_HALF_WIDTH_HZ: Final = 2.0
_NEIGHBOUR_HALF_WIDTH_HZ: Final = 8.0
_HARMONICS: Final = (1, 2, 3)


class PowerSpectrum:
    """Mean power spectrum of one-second pieces of each channel.

    Parameters
    ----------
    n_channels : int
    sample_rate_hz : float
    lowest_hz : float
        What lies below does not count.
    """

    def __init__(self, n_channels: int, sample_rate_hz: float, lowest_hz: float) -> None:
        self._length = max(8, round(_SEGMENT_S * sample_rate_hz))
        self._frequency_hz = np.fft.rfftfreq(self._length, 1 / sample_rate_hz)
        self._window = np.hanning(self._length)[:, None]
        self._lowest_hz = lowest_hz
        self._power = np.zeros((len(self._frequency_hz), n_channels))
        self._rest = np.empty((0, n_channels))
        self._n_segments = 0

    def update(self, samples: NDArray[np.float64]) -> None:
        """Take the next samples."""
        samples = np.concatenate([self._rest, samples])
        n_segments = len(samples) // self._length
        for segment in range(n_segments):
            piece = samples[segment * self._length : (segment + 1) * self._length]
            self._power += np.abs(np.fft.rfft(piece * self._window, axis=0)) ** 2
        self._n_segments += n_segments
        self._rest = samples[n_segments * self._length :].copy()

    def figures(self) -> tuple[NDArray[np.float64], dict[float, NDArray[np.float64]]]:
        """Give the median frequency and the power lines' shares, each of shape (channel,)."""
        power = np.where(self._frequency_hz[:, None] >= self._lowest_hz, self._power, 0)
        total = power.sum(axis=0)
        unknown = np.full(total.shape, np.nan)
        if not self._n_segments or not total.any():
            return unknown, dict.fromkeys(POWER_LINES_HZ, unknown)
        with np.errstate(invalid="ignore", divide="ignore"):
            half = (np.cumsum(power, axis=0) >= total / 2).argmax(axis=0)
            medians = np.where(total > 0, self._frequency_hz[half], np.nan)
            shares = {line_hz: self._line_power(power, line_hz) / total for line_hz in POWER_LINES_HZ}
        return medians, shares

    def _line_power(self, power: NDArray[np.float64], line_hz: float) -> NDArray[np.float64]:
        """Power at the line and its harmonics, less what their neighbours lead to expect."""
        found = np.zeros(power.shape[1])
        for harmonic in _HARMONICS:
            distance_hz = np.abs(self._frequency_hz - harmonic * line_hz)
            at_line = distance_hz <= _LINE_HALF_WIDTH_HZ
            around = (distance_hz <= _NEIGHBOUR_HALF_WIDTH_HZ) & ~at_line & (self._frequency_hz >= self._lowest_hz)
            if harmonic * line_hz < self._frequency_hz[-1] and around.any():
                expected = np.median(power[around], axis=0) * at_line.sum()
                found += np.maximum(power[at_line].sum(axis=0) - expected, 0)
        return found
