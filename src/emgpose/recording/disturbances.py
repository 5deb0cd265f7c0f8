"""Findings about what disturbs EMG in use: lifted electrodes, bad contacts, sweat, movement, fatigue, cross-talk.

The thresholds raise no alarm on the real wrist recordings that the tests read (GRABMyo) nor on clean simulated data.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emgpose.recording.findings import Finding
from emgpose.recording.quality import LOWEST_HZ, ChannelQuality
from emgpose.recording.session import Session

# A lifted electrode never leaves its own noise floor, while the band as a whole reaches several times its own, or has
# the spectrum of EMG where the lifted channel has that of noise.
LIFTED_LEVEL: Final = 1.15
WORKING_LEVEL: Final = 2.5
JUMPS_PER_S: Final = 0.1
LOW_FREQUENCY_SHARE: Final = 0.5
# Median frequency of wrist EMG, weighted by power: 89 to 164 Hz in real trials, 117 to 152 Hz in 30 simulated people,
# 48 to 64 Hz in these people with a spectrum that fatigue compressed to 0.4. White noise from 20 to 850 Hz: 435 Hz.
LOWEST_MEDIAN_HZ: Final = 75.0
HUM_SHARE: Final = 0.1
# Sampled slower, the spectrum ends too low for its median to tell anything.
LOWEST_RATE_FOR_MEDIAN_HZ: Final = 1000.0
HIGHEST_MEDIAN_HZ: Final = 300.0
# Contact noise is steady (RMS over its quietest moments), and above what the electronics make.
STEADY_LEVEL: Final = 1.12
CONTACT_NOISE: Final = {"noise_floor": 3.0, "uV": 12.0}
# Median over the channels of the correlation with the most similar channel. A real monopolar band has up to 0.988.
CROSS_TALK_CORRELATION: Final = 0.995


def disturbance_findings(session: Session, path: Path, channels: Sequence[ChannelQuality]) -> Iterator[Finding]:
    """Judge the channels that are alive.

    Parameters
    ----------
    session : Session
    path : Path
        For the messages.
    channels : sequence of ChannelQuality, one per channel of the session
    """
    names, where = session.channel_names, str(path)
    alive = np.array([math.isfinite(quality.rms) and quality.rms > 0 for quality in channels], dtype=np.bool_)
    if not alive.any():
        return
    living = [quality for quality, is_alive in zip(channels, alive, strict=True) if is_alive]
    median_hz = _median_frequency_hz(living)
    level = float(np.nanmedian([_level(quality) for quality in living]))
    for channel, quality in enumerate(channels):
        if not alive[channel]:
            continue
        channel_where = f"{where}: channel {names[channel]}"
        yield from _channel_findings(session, quality, channel_where)
        only_noise = quality.median_frequency_hz > HIGHEST_MEDIAN_HZ > median_hz
        if _level(quality) < LIFTED_LEVEL and (level > WORKING_LEVEL or only_noise):
            message = (
                f"only noise: its RMS stays at {_level(quality):.2f} times its own floor (the typical channel's at "
                f"{level:.1f}), its median frequency is {quality.median_frequency_hz:.0f} Hz (the band's "
                f"{median_hz:.0f} Hz); the electrode seems lifted: press the band on"
            )
            yield Finding("warning", "electrode_lift", message, channel_where)
    yield from _band_findings(session, living, where)


def _level(quality: ChannelQuality) -> float:
    return quality.rms / quality.noise_floor if quality.noise_floor > 0 else math.nan


def _median_frequency_hz(channels: Sequence[ChannelQuality]) -> float:
    """Mean over the channels, weighted by power."""
    power, medians = _figures(channels, "rms") ** 2, _figures(channels, "median_frequency_hz")
    known = np.isfinite(medians)
    return float(np.average(medians[known], weights=power[known])) if known.any() else math.nan


def _channel_findings(session: Session, quality: ChannelQuality, where: str) -> Iterator[Finding]:
    jumps_per_s = quality.n_jumps / session.duration_s
    if quality.n_jumps > 2 and jumps_per_s > JUMPS_PER_S:
        message = f"{quality.n_jumps} sudden jumps, {jumps_per_s:.2g} a second; check contact, plug and cable"
        yield Finding("warning", "contact_artefact", message, where)
    if quality.low_frequency_share > LOW_FREQUENCY_SHARE:
        message = (
            f"{quality.low_frequency_share:.0%} of the power is below {LOWEST_HZ:g} Hz, where movement of band and "
            "cable shows; fasten them, or use a high-pass"
        )
        yield Finding("warning", "motion_artefact", message, where)


def _band_findings(session: Session, channels: Sequence[ChannelQuality], where: str) -> Iterator[Finding]:
    median_hz = _median_frequency_hz(channels)
    # Hum and jumps pull the median down by themselves, and have names of their own.
    clear = [quality for quality in channels if quality.n_jumps <= 2 and quality.power_line_share < HUM_SHARE]
    is_judged = session.sample_rate_hz >= LOWEST_RATE_FOR_MEDIAN_HZ and 2 * len(clear) > len(channels)
    if is_judged and median_hz < LOWEST_MEDIAN_HZ:
        message = (
            f"the median frequency is {median_hz:.0f} Hz, expected {LOWEST_MEDIAN_HZ:g} Hz or more; "
            "a compressed spectrum means fatigue, a disturbance of low frequency, or another filter than stated"
        )
        yield Finding("warning", "fatigue", message, where)
    level = float(np.median([_level(quality) for quality in channels]))
    typical_rms = float(np.median(_figures(channels, "rms")))
    lowest_noise = CONTACT_NOISE.get(session.emg_unit, math.inf)
    if median_hz > HIGHEST_MEDIAN_HZ and level < STEADY_LEVEL and typical_rms > lowest_noise:
        message = (
            f"steady noise over the whole band (RMS {typical_rms:.3g}, median frequency {median_hz:.0f} Hz) hides the "
            "EMG; contact impedance has changed, as by sweat: dry skin and electrodes"
        )
        yield Finding("warning", "sweat", message, where)
    correlation = float(np.median(_figures(channels, "correlation")))
    if len(channels) > 2 and correlation > CROSS_TALK_CORRELATION:
        message = (
            f"the typical channel is a copy of another (median correlation {correlation:.4f}); "
            "a conducting film or a wrong reference joins them: dry the skin, check the wiring"
        )
        yield Finding("warning", "cross_talk", message, where)


def _figures(channels: Sequence[ChannelQuality], name: str) -> NDArray[np.float64]:
    return np.array([getattr(quality, name) for quality in channels], dtype=np.float64)
