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
from emgpose.signals import Highpass, NoiseFloor, Preprocessor

POWER_LINES_HZ: Final = (50.0, 60.0)
# Figures of the signal itself are taken above this, so that offset, drift and movement do not count as EMG.
LOWEST_HZ: Final = 20.0
# Pieces of this length give the spectrum: 1 Hz resolution.
_SEGMENT_S: Final = 1.0
# A power line's share is what stands out of its neighbours, at the line and its harmonics up to the third.
_LINE_HALF_WIDTH_HZ: Final = 2.0
_NEIGHBOUR_HALF_WIDTH_HZ: Final = 8.0
_HARMONICS: Final = (1, 2, 3)
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
        self._raw = _RawFigures(n_channels, max(2, round(_STUCK_S * sample_rate_hz)))
        cutoff_hz = min(LOWEST_HZ, 0.2 * sample_rate_hz)
        self._highpass = Preprocessor((Highpass(cutoff_hz),), sample_rate_hz, n_channels)
        self._noise_floor = NoiseFloor(n_channels, sample_rate_hz)
        self._spectrum = _Spectrum(n_channels, sample_rate_hz, cutoff_hz)
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
        filled = self._raw.update(samples)
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
                **self._raw.figures(channel),
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


class _RawFigures:
    """Counts of faults in the samples as they are stored."""

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


class _Spectrum:
    """Mean power spectrum of one-second pieces."""

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


def channel_quality(emg: ArrayLike, sample_rate_hz: float) -> tuple[ChannelQuality, ...]:
    """Measure each channel of a whole recording in memory; for long ones feed a `QualityMeter`.

    Parameters
    ----------
    emg : array, shape (time, channel)
    sample_rate_hz : float

    Returns
    -------
    tuple of ChannelQuality, one per channel

    Raises
    ------
    ShapeError : not (time, channel).
    """
    samples = np.asarray(emg)
    if samples.ndim != 2 or samples.shape[1] < 1:
        raise ShapeError(f"expected EMG of shape (time, channel), got {samples.shape}")
    meter = QualityMeter(samples.shape[1], sample_rate_hz)
    meter.update(samples)
    return meter.channels()
