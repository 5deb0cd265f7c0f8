"""What spoils EMG in use, at any severity: functions (emg, rate_hz, severity, rng) -> emg, for any recording.

Severity 0 gives the samples back unchanged; severity 1 is a recording that nobody should use, which `emgpose check`
names by the code in `CHECK_CODES`. In between, the change grows with severity and touches the same channels and
moments: an aggressor draws the same random numbers whatever its severity.

Amplitudes are relative to each channel's own RMS, so recordings in microvolts are spoiled like those on the published
scale. The shapes follow the literature where one is named; the strength at severity 1 is our own choice.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emgpose.errors import ConfigError, ShapeError
from emgpose.noise_floor import NOISE_FLOOR_PERCENTILE, NOISE_FLOOR_WINDOW_S

Signal = NDArray[np.float64]
Aggressor = Callable[[ArrayLike, float, float, np.random.Generator], NDArray[np.float32]]
_Change = Callable[[Signal, float, float, np.random.Generator], Signal]

# Channels around the lifted electrode keep part of their contact: Gaussian over the band, in electrodes.
LIFT_WIDTH: Final = 1.2
# Contacts that open and close: per second on each of half of the channels, in RMS, through a 20 Hz AC coupling.
CONTACT_RATE_HZ: Final = 2.0
CONTACT_HEIGHT: Final = 40.0
AC_COUPLING_S: Final = 1 / (2 * np.pi * 20.0)
# Sweat shunts neighbouring electrodes (less signal) and makes the contact noisy.
SWEAT_GAIN: Final = 0.15
SWEAT_NOISE: Final = 1.0
# Mains hum and its odd harmonics, in RMS of the channel; the grid is set by where one is.
LINE_HZ: Final = 50.0
LINE_HEIGHT: Final = 1.5
LINE_HARMONICS: Final = {1: 1.0, 3: 0.4, 5: 0.15}
# Skin stretch and cable sway lie below about 20 Hz (De Luca et al. 2010).
MOTION_BAND_HZ: Final = (1.0, 12.0)
MOTION_HEIGHT: Final = 4.0
# Conduction velocity, as a share of the rested one. In vivo it falls to about 0.7; full severity goes further.
FATIGUED_VELOCITY: Final = 0.4
# The recording's own spectrum is what is compressed, above the amplifier's high-pass.
SPECTRUM_PIECE_S: Final = 0.25
LOWEST_HZ: Final = 20.0
# Diffusion along the band, in electrodes squared: at full severity all channels are nearly one.
CROSS_TALK_SPREAD: Final = 40.0
CLIPPED_AT_RMS: Final = 0.8
LOST_SHARE: Final = 0.25


def _electrode_lift(emg: Signal, rate_hz: float, severity: float, rng: np.random.Generator) -> Signal:
    """Lift one side of the band: the electrodes there fall to the noise floor."""
    n_channels = emg.shape[1]
    lifted = int(rng.integers(n_channels))
    noise = rng.standard_normal(emg.shape) * _noise_floor(emg, rate_hz).min()
    away = np.abs((np.arange(n_channels) - lifted + n_channels / 2) % n_channels - n_channels / 2)
    lost = severity * np.exp(-0.5 * (away / LIFT_WIDTH) ** 2)
    return emg + lost * (noise - emg)


def _noise_floor(emg: Signal, rate_hz: float) -> Signal:
    window = max(1, round(NOISE_FLOOR_WINDOW_S * rate_hz))
    n_windows = len(emg) // window
    if not n_windows:
        return emg.std(axis=0)
    rms = np.sqrt((emg[: n_windows * window].reshape(n_windows, window, -1) ** 2).mean(axis=1))
    return np.percentile(rms, NOISE_FLOOR_PERCENTILE, axis=0)


def _contact_artefact(emg: Signal, rate_hz: float, severity: float, rng: np.random.Generator) -> Signal:
    """Open and close contacts: sudden steps that decay through the amplifier's AC coupling."""
    from scipy.signal import lfilter

    n_samples, n_channels = emg.shape
    n_events = max(4, round(CONTACT_RATE_HZ * n_samples / rate_hz)) * (n_channels // 2 or 1)
    channels = rng.permutation(n_channels)[: n_channels // 2 or 1]
    steps = np.zeros_like(emg)
    height = CONTACT_HEIGHT * rng.uniform(0.5, 1.5, n_events) * rng.choice([-1.0, 1.0], n_events)
    where = rng.integers(n_samples, size=n_events), rng.choice(channels, n_events)
    np.add.at(steps, where, height)
    decay = np.exp(-1 / (AC_COUPLING_S * rate_hz))
    return emg + severity * _rms(emg) * lfilter([1.0], [1.0, -decay], steps, axis=0)


def _sweat(emg: Signal, rate_hz: float, severity: float, rng: np.random.Generator) -> Signal:
    """Wet the skin: electrodes are shunted, so the signal falls, and the contact adds noise over the whole band."""
    evenness = rng.uniform(0.9, 1.0, emg.shape[1])
    noise = rng.standard_normal(emg.shape) * SWEAT_NOISE * _rms(emg)
    return emg * (1 - severity * evenness * (1 - SWEAT_GAIN)) + severity * evenness * noise


def _power_line(emg: Signal, rate_hz: float, severity: float, rng: np.random.Generator) -> Signal:
    """Add mains hum with odd harmonics, in phase over the band and unequally strong."""
    time_s = np.arange(len(emg)) / rate_hz
    strength = rng.uniform(0.7, 1.3, emg.shape[1])
    phases = rng.uniform(0, 2 * np.pi, len(LINE_HARMONICS))
    hum = sum(
        height * np.sin(2 * np.pi * harmonic * LINE_HZ * time_s + phase)
        for (harmonic, height), phase in zip(LINE_HARMONICS.items(), phases, strict=True)
        if harmonic * LINE_HZ < rate_hz / 2
    )
    return emg + severity * LINE_HEIGHT * np.sqrt(2) * np.outer(hum, strength * _rms(emg))


def _motion_artefact(emg: Signal, rate_hz: float, severity: float, rng: np.random.Generator) -> Signal:
    """Shake the band: swings below the EMG's band, alike on neighbours, coming and going."""
    from scipy.signal import butter, sosfilt

    n_samples, n_channels = emg.shape
    around = 2 * np.pi * np.arange(n_channels) / n_channels
    # Three sources: the whole band, and its two directions across the arm.
    mixing = np.stack([np.ones(n_channels), np.cos(around), np.sin(around)])
    sources = rng.standard_normal((n_samples, len(mixing)))
    swings = sosfilt(butter(4, MOTION_BAND_HZ, "bandpass", fs=rate_hz, output="sos"), sources, axis=0) @ mixing
    time_s = np.arange(n_samples) / rate_hz
    swings *= 1 + np.sin(2 * np.pi * (0.2 * time_s + rng.uniform()))[:, None]
    scale = _rms(emg) / np.maximum(_rms(swings), np.finfo(np.float64).tiny)
    return emg + severity * MOTION_HEIGHT * scale * swings


def _fatigue(emg: Signal, rate_hz: float, severity: float, rng: np.random.Generator) -> Signal:
    """Slow the muscle fibres down: by velocity v the spectrum S(f) becomes S(f/v)/v (Lindstrom and Magnusson 1977)."""
    from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
    from scipy.signal import welch

    velocity = 1 - severity * (1 - FATIGUED_VELOCITY)
    n_samples = len(emg)
    bins_hz, power = welch(emg, rate_hz, nperseg=min(n_samples, round(SPECTRUM_PIECE_S * rate_hz)), axis=0)
    spectrum = power.mean(axis=1) + np.finfo(np.float64).tiny
    n_padded = next_fast_len(n_samples + round(rate_hz), real=True)
    # The amplifier's high-pass comes after the muscle and is not compressed with it.
    frequency_hz = np.maximum(rfftfreq(n_padded, 1 / rate_hz), LOWEST_HZ)
    rested, tired = (np.interp(scaled, bins_hz, np.log(spectrum)) for scaled in (frequency_hz, frequency_hz / velocity))
    # One gain for all channels, of zero phase: the movements in the signal stay where they are.
    gain = np.exp(0.5 * (tired - rested)) / np.sqrt(velocity)
    return irfft(rfft(emg, n_padded, axis=0) * gain[:, None], n_padded, axis=0)[:n_samples]


def _cross_talk(emg: Signal, rate_hz: float, severity: float, rng: np.random.Generator) -> Signal:
    """Join neighbouring electrodes by a conducting film: the signals diffuse around the band."""
    n_channels = emg.shape[1]
    order = np.fft.rfftfreq(n_channels) * 2 * np.pi
    leak = np.exp(-severity * CROSS_TALK_SPREAD * (1 - np.cos(order)))
    return np.fft.irfft(np.fft.rfft(emg, axis=1) * leak, n_channels, axis=1)


def _clipping(emg: Signal, rate_hz: float, severity: float, rng: np.random.Generator) -> Signal:
    """Lower the amplifier's limits, from the largest sample to below one RMS."""
    largest = np.abs(emg).max(axis=0)
    lowest = np.minimum(CLIPPED_AT_RMS * _rms(emg), largest)
    limit = largest ** (1 - severity) * lowest**severity
    return np.clip(emg, -limit, limit)


def _lost_channels(emg: Signal, rate_hz: float, severity: float, rng: np.random.Generator) -> Signal:
    """Cut the wires of up to a quarter of the channels: they hold zero."""
    n_channels = emg.shape[1]
    order = rng.permutation(n_channels)
    n_lost = int(np.ceil(severity * max(1, round(LOST_SHARE * n_channels))))
    changed = emg.copy()
    changed[:, order[:n_lost]] = 0.0
    return changed


def _rms(emg: Signal) -> Signal:
    return np.asarray(emg.std(axis=0))


def _checked(change: _Change) -> Aggressor:
    """Check the arguments once for all aggressors, and make severity 0 the identity."""

    def aggressor(emg: ArrayLike, rate_hz: float, severity: float, rng: np.random.Generator) -> NDArray[np.float32]:
        samples = np.asarray(emg, dtype=np.float64)
        if samples.ndim != 2 or not samples.shape[1]:
            raise ShapeError(f"expected EMG of shape (time, channel), got {samples.shape}")
        if not 0 <= severity <= 1:
            raise ConfigError(f"{change.__name__.lstrip('_')}: expected a severity from 0 to 1, got {severity}")
        if not severity or not len(samples):
            return samples.astype(np.float32)
        return change(samples, rate_hz, severity, rng).astype(np.float32)

    aggressor.__name__ = change.__name__.lstrip("_")
    aggressor.__doc__ = change.__doc__
    return aggressor


AGGRESSORS: Final[dict[str, Aggressor]] = {
    "electrode_lift": _checked(_electrode_lift),
    "contact_artefact": _checked(_contact_artefact),
    "sweat": _checked(_sweat),
    "power_line": _checked(_power_line),
    "motion_artefact": _checked(_motion_artefact),
    "fatigue": _checked(_fatigue),
    "cross_talk": _checked(_cross_talk),
    "clipping": _checked(_clipping),
    "lost_channels": _checked(_lost_channels),
}

# The code by which `emgpose.recording.check` names each.
CHECK_CODES: Final = {name: name for name in AGGRESSORS} | {
    "clipping": "saturated_channel",
    "lost_channels": "dead_channel",
}


def apply_aggressor(
    name: str, emg: ArrayLike, rate_hz: float, severity: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Spoil EMG in one way.

    Parameters
    ----------
    name : str
        One of `AGGRESSORS`.
    emg : array, shape (time, channel)
        In any unit. A span of a recording may be given as well as the whole of it.
    rate_hz : float
    severity : float
        0 (unchanged) to 1.
    rng : numpy Generator
        Decides channels, moments and noise; the severity does not change what is drawn.

    Returns
    -------
    ndarray of float32, shape (time, channel)

    Raises
    ------
    ConfigError : an unknown name, or a severity outside 0 to 1.
    ShapeError : not (time, channel).
    """
    if name not in AGGRESSORS:
        raise ConfigError(f"aggressor {name!a}: expected one of {', '.join(AGGRESSORS)}")
    return AGGRESSORS[name](emg, rate_hz, severity, rng)
