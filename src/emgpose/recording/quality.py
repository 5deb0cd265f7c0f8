"""Figures of merit for each EMG channel, gathered chunk by chunk in constant memory.

They describe the signal and do not judge it; `emgpose.recording.check` knows the thresholds.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emgpose.errors import ShapeError
from emgpose.recording.jumps import Jumps
from emgpose.recording.power_spectrum import PowerSpectrum
from emgpose.recording.sample_faults import SampleFaults
from emgpose.signals import Highpass, NoiseFloor, Preprocessor

# Figures of the signal itself are taken above this, so that offset, drift and movement do not count as EMG.
LOWEST_HZ: Final = 20.0
_CHUNK_SAMPLES: Final = 20_000
# A stretch this long without any change is no EMG, however coarse the converter.
_STUCK_S: Final = 0.1


@dataclass(frozen=True)
class ChannelQuality:
    """What one EMG channel is like. Amplitudes are in the recording's unit; figures that cannot be known are NaN.

    Parameters
    ----------
    n_nan, n_inf : int
        Samples that are no numbers.
    first_bad_sample : int or None
        The first of them.
    offset, lowest, highest : float
        Mean and extremes of the finite samples.
    rms : float
        Above 20 Hz.
    noise_floor : float
        5th percentile of the RMS over 0.25 s, above 20 Hz.
    kurtosis : float
        Above 20 Hz; 3 for Gaussian noise, higher where contractions come and go.
    median_frequency_hz : float
        Half of the power above 20 Hz lies below it.
    power_line_shares : dict of float to float
        Per power line (50 and 60 Hz): the share of the power above 20 Hz that stands out at it and its harmonics.
    flat_share : float
        Share of samples equal to the one before; a coarse converter repeats itself too.
    stuck_share : float
        Share of samples in stretches of 0.1 s and more in which nothing changes.
    extreme_share : float
        Share of samples at the channel's own lowest or highest value; high where an amplifier is at its limit.
    closest_channel : int or None
        The other channel that is most alike.
    correlation : float
        With that channel, above 20 Hz.
    low_frequency_share : float
        Share of the power, offset aside, below 20 Hz.
    n_jumps : int
        Steps from one sample to the next that stand out of all steps within 5 ms around.
    """

    n_nan: int
    n_inf: int
    first_bad_sample: int | None
    offset: float
    lowest: float
    highest: float
    rms: float
    noise_floor: float
    kurtosis: float
    median_frequency_hz: float
    power_line_shares: dict[float, float]
    flat_share: float
    stuck_share: float
    extreme_share: float
    closest_channel: int | None
    correlation: float
    low_frequency_share: float
    n_jumps: int

    @property
    def power_line_share(self) -> float:
        """The larger of the power lines' shares."""
        return max(self.power_line_shares.values())

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data for JSON: what cannot be known is None."""
        lines = {f"{line_hz:g}_hz": share for line_hz, share in self.power_line_shares.items()}
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in {**asdict(self), "power_line_shares": _known(lines)}.items()
        }


def _known(values: dict[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


class QualityMeter:
    """Gathers `ChannelQuality` while a recording passes.

    Samples that are NaN or Inf are counted and then taken as the channel's last finite sample.

    Parameters
    ----------
    n_channels : int
    sample_rate_hz : float
    """

    def __init__(self, n_channels: int, sample_rate_hz: float) -> None:
        self._n_channels = n_channels
        self._n_samples = 0
        self._faults = SampleFaults(n_channels, max(2, round(_STUCK_S * sample_rate_hz)))
        cutoff_hz = min(LOWEST_HZ, 0.2 * sample_rate_hz)
        self._highpass = Preprocessor((Highpass(cutoff_hz),), sample_rate_hz, n_channels)
        self._noise_floor = NoiseFloor(n_channels, sample_rate_hz)
        self._spectrum = PowerSpectrum(n_channels, sample_rate_hz, cutoff_hz)
        self._jumps = Jumps(n_channels, sample_rate_hz)
        # Sums about the first sample lose no digits to an offset.
        self._first: NDArray[np.float64] | None = None
        self._raw_powers = np.zeros((2, n_channels))
        self._powers = np.zeros((4, n_channels))
        self._products = np.zeros((n_channels, n_channels))

    def update(self, emg: ArrayLike) -> None:
        """Take the next samples, shape (time, channel).

        Raises
        ------
        ShapeError : another number of axes or channels.
        """
        samples = np.asarray(emg, dtype=np.float64)
        if samples.ndim != 2 or samples.shape[1] != self._n_channels:
            raise ShapeError(f"expected EMG of shape (time, channel={self._n_channels}), got {samples.shape}")
        for start in range(0, len(samples), _CHUNK_SAMPLES):
            self._update(samples[start : start + _CHUNK_SAMPLES])

    def _update(self, samples: NDArray[np.float64]) -> None:
        filled = self._faults.update(samples)
        self._n_samples += len(samples)
        # Values near the end of the float range would overflow when squared.
        bounded = np.clip(filled, -1e12, 1e12)
        if self._first is None:
            self._first = bounded[:1]
        self._raw_powers += [((bounded - self._first) ** power).sum(axis=0) for power in (1, 2)]
        self._jumps.update(bounded)
        filtered = self._highpass.process(bounded).astype(np.float64)
        self._noise_floor.update(filtered)
        self._spectrum.update(filtered)
        self._powers += [(filtered**power).sum(axis=0) for power in (1, 2, 3, 4)]
        self._products += filtered.T @ filtered

    def channels(self) -> tuple[ChannelQuality, ...]:
        """Give the figures so far, one per channel."""
        n = max(self._n_samples, 1)
        mean, square, cube, fourth = self._powers / n
        variance = np.maximum(square - mean**2, 0)
        central_fourth = fourth - 4 * mean * cube + 6 * mean**2 * square - 3 * mean**4
        raw_mean, raw_square = self._raw_powers / n
        with np.errstate(invalid="ignore", divide="ignore"):
            low_frequency_share = np.clip(1 - variance / (raw_square - raw_mean**2), 0, 1)
            kurtosis = central_fourth / variance**2
            covariance = self._products / n - np.outer(mean, mean)
            alike = np.abs(covariance / np.sqrt(np.outer(variance, variance)))
        np.fill_diagonal(alike, -np.inf)
        alike = np.where(np.isnan(alike), -np.inf, alike)
        floor = self._noise_floor.estimate() if self._noise_floor.n_windows else np.full(self._n_channels, np.nan)
        medians, shares = self._spectrum.figures()
        return tuple(
            ChannelQuality(
                **self._faults.figures(channel),
                rms=float(np.sqrt(variance[channel])) if self._n_samples else math.nan,
                noise_floor=float(floor[channel]),
                kurtosis=float(kurtosis[channel]),
                median_frequency_hz=float(medians[channel]),
                power_line_shares={line_hz: float(share[channel]) for line_hz, share in shares.items()},
                closest_channel=int(alike[channel].argmax()) if np.isfinite(alike[channel]).any() else None,
                correlation=float(alike[channel].max()) if np.isfinite(alike[channel]).any() else math.nan,
                low_frequency_share=float(low_frequency_share[channel]),
                n_jumps=int(self._jumps.counts[channel]),
            )
            for channel in range(self._n_channels)
        )
