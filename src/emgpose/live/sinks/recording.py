"""What a user can choose about a recording of live EMG, and what a source's EMG still needs to be one."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError
from emgpose.live.chunk import SourceFacts
from emgpose.preprocessing import EMG2POSE_PREPROCESSING, Preprocessing, Resample, Scale, missing_steps
from emgpose.recording.prepared import MIN_EMG_RATE_HZ
from emgpose.timing import EMG_RATE_HZ

N_CHANNELS: Final = 16
_LONGEST_TEXT: Final = 200


@dataclass(frozen=True)
class RecordingSettings:
    """What a recording says of itself, and how a source's EMG becomes one of the emg2pose format.

    Parameters
    ----------
    user, stage : str
    side : str, optional
        `left` or `right`; needed where the source does not say.
    noise_floor : tuple of float, optional
        Standard deviation at rest after the filters, in the source's unit: one number, or one for each of the 16
        channels. Needed where the source's EMG has not been scaled.
    channel_map : tuple of int or None, optional
        The source's channel, counted from 0, for each of the recording's 16; all 16 must be real ones.
    resample : bool
        Whether a source of another rate may be resampled to 2 kHz.
    max_gap_s : float
        Longer gaps end the recording, shorter ones are filled [s].

    Raises
    ------
    ConfigError : a text that a file cannot hold, or an impossible gap.
    """

    user: str = "unknown"
    stage: str = "live"
    side: str | None = None
    noise_floor: tuple[float, ...] | None = None
    channel_map: tuple[int | None, ...] | None = None
    resample: bool = False
    max_gap_s: float = 60.0

    def __post_init__(self) -> None:
        for name in ("user", "stage"):
            text = getattr(self, name)
            if not text or not text.isprintable() or len(text) > _LONGEST_TEXT:
                raise ConfigError(
                    f"recording: expected {name} to be printable text, up to {_LONGEST_TEXT} characters, got {text!a}"
                )
        if self.side not in ("left", "right", None):
            raise ConfigError(f"recording: expected side left or right, got {self.side!a}")
        if not 0 <= self.max_gap_s <= 600:
            raise ConfigError(f"recording: max_gap_s must lie between 0 and 600 s, got {self.max_gap_s!r}")


@dataclass(frozen=True)
class RecordingPlan:
    """What is done to a source's EMG on its way into the file.

    Parameters
    ----------
    side : str
    columns : array, shape (channel=16,)
        The source's channel for each of the recording's.
    steps : Preprocessing
        What the format promises and the source has not had.
    noise_floor : array, shape (channel=16,), or None
        For the Scale step; None where there is none.
    """

    side: str
    columns: NDArray[np.int64]
    steps: Preprocessing
    noise_floor: NDArray[np.float64] | None


def plan_recording(name: str, source: SourceFacts, settings: RecordingSettings) -> RecordingPlan:
    """Judge whether a source can be recorded in the emg2pose format, and say what that takes.

    Files of this format hold 16 channels at 2 kHz, band-passed and scaled to the noise floor.

    Parameters
    ----------
    name : str
        Of the sink, for messages.

    Raises
    ------
    ConfigError : the side is not known, the channels or the rate do not suit, or the noise floor is missing.
    """
    side = source.side or settings.side
    if side is None:
        raise ConfigError(
            f"{name}: source {source.name} does not say which hand it is on, and a recording must; give left or right "
            "(--side)"
        )
    if settings.side not in (None, side):
        raise ConfigError(f"{name}: source {source.name} says it is on the {side} hand, not the {settings.side}")
    columns = _columns(name, source, settings.channel_map)
    steps, _ = missing_steps(EMG2POSE_PREPROCESSING, source.preprocessing, source.sample_rate_hz)
    if any(isinstance(step, Resample) for step in steps):
        _require_rate(name, source, settings)
    floor = None
    if any(isinstance(step, Scale) for step in steps):
        floor = _noise_floor(name, source, settings)
    return RecordingPlan(side, columns, steps, floor)


def _columns(name: str, source: SourceFacts, channel_map: tuple[int | None, ...] | None) -> NDArray[np.int64]:
    where = f"{name}: source {source.name} has {source.n_channels} channels, the emg2pose format has {N_CHANNELS}"
    if channel_map is None:
        if source.n_channels != N_CHANNELS:
            raise ConfigError(f"{where}; say which one each of the {N_CHANNELS} gets (--channel-map)")
        return np.arange(N_CHANNELS)
    if len(channel_map) != N_CHANNELS:
        raise ConfigError(f"{where}; the channel map must have {N_CHANNELS} entries, got {len(channel_map)}")
    columns = [channel for channel in channel_map if channel is not None]
    if len(columns) != N_CHANNELS:
        raise ConfigError(f"{where}; a channel without EMG would stand in the file as a dead one: map all of them")
    for channel in columns:
        if not 0 <= channel < source.n_channels:
            raise ConfigError(f"{where}; the channel map names channel {channel}, use 0 to {source.n_channels - 1}")
    return np.array(columns)


def _require_rate(name: str, source: SourceFacts, settings: RecordingSettings) -> None:
    where = f"{name}: source {source.name} gives {source.sample_rate_hz:g} Hz, the emg2pose format has {EMG_RATE_HZ} Hz"
    if source.sample_rate_hz < MIN_EMG_RATE_HZ:
        raise ConfigError(
            f"{where}; below {MIN_EMG_RATE_HZ:g} Hz the band of surface EMG is lost: set the device to more"
        )
    if not settings.resample:
        raise ConfigError(f"{where}; set the device to that rate, or allow resampling (--resample)")


def _noise_floor(name: str, source: SourceFacts, settings: RecordingSettings) -> NDArray[np.float64]:
    if settings.noise_floor is None:
        raise ConfigError(
            f"{name}: the EMG of source {source.name} ({source.emg_unit}) has not been scaled to the noise floor, as "
            "the emg2pose format has it; calibrate (--calibrate), or give the standard deviation at rest after the "
            "filters in the source's unit (--noise-floor)"
        )
    floor = np.array(settings.noise_floor, dtype=np.float64)
    if floor.shape not in ((1,), (N_CHANNELS,)):
        raise ConfigError(f"{name}: expected a noise floor of one number or {N_CHANNELS}, got {floor.size}")
    if not (np.isfinite(floor) & (floor > 0)).all():
        raise ConfigError(f"{name}: expected a noise floor above zero for every channel, got {settings.noise_floor}")
    return np.broadcast_to(floor, (N_CHANNELS,)).copy()
