"""What a conversion is told beyond its source."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emgpose.errors import ConfigError
from emgpose.hand import SIDES
from emgpose.json_values import json_values
from emgpose.recording.channel_map import ChannelMap
from emgpose.recording.emg2pose_layout import N_CHANNELS
from emgpose.recording.mapping_file import TableMapping
from emgpose.recording.metadata import SPLITS

_LONGEST_TEXT = 200


@dataclass(frozen=True)
class ConversionSettings:
    """What a conversion is told beyond its source.

    Parameters
    ----------
    mapping : TableMapping, optional
        What the columns of CSV and Parquet tables mean.
    input_rate_hz : float, optional
        For files that do not say their rate.
    channels : tuple of str or int, optional
        EMG channels in band order, before the map.
    channel_map : tuple of int, optional
        The recorded channel for each of the 16 of the format.
    resample : bool
        Whether recordings of another rate may be brought to 2 kHz.
    low_rate : bool
        Whether that goes for rates below 1 kHz too, which have lost most of the band of surface EMG.
    noise_floor : tuple of float, optional
        Standard deviation at rest after the filters, in the recording's unit: one, or one for each of the 16 channels.
    rest_span_s : (start, stop), optional
        A span of rest to measure it in; with neither it is estimated from the whole recording.
    side, user, stage : str, optional
        For recordings that do not say them.
    split, generalization : str
        What the metadata table says of every recording.
    stream : str, optional
        Name of the EMG stream of an XDF file.
    angles : Path, optional
        A file of Ninapro DB9, or a folder of them, with calibrated angles for files of DB2 or DB5.

    Raises
    ------
    ConfigError : an impossible value.
    """

    mapping: TableMapping | None = None
    input_rate_hz: float | None = None
    channels: tuple[str | int, ...] | None = None
    channel_map: ChannelMap | None = None
    resample: bool = False
    low_rate: bool = False
    noise_floor: tuple[float, ...] | None = None
    rest_span_s: tuple[float, float] | None = None
    side: str | None = None
    user: str | None = None
    stage: str | None = None
    split: str = "train"
    generalization: str = ""
    stream: str | None = None
    angles: Path | None = None

    def __post_init__(self) -> None:
        if self.side not in (None, *SIDES):
            raise ConfigError(f"--side {self.side!a}: expected {' or '.join(SIDES)}")
        for name in ("user", "stage"):
            text = getattr(self, name)
            if text is not None and not (text.strip() == text and text.isprintable() and 0 < len(text) < _LONGEST_TEXT):
                raise ConfigError(f"--{name} {text!a}: expected a short printable text")
        if self.split not in SPLITS:
            raise ConfigError(f"--split {self.split!a}: expected {', '.join(SPLITS)}")
        if (self.split == "train") != (self.generalization == ""):
            raise ConfigError(
                f"--split {self.split}: expected a --generalization (user, stage, user_stage or another short text) "
                "for val and test, and none for train"
            )
        if self.channel_map is not None and len(self.channel_map) != N_CHANNELS:
            raise ConfigError(
                f"--channel-map: expected {N_CHANNELS} entries, one for each channel of the emg2pose format, got "
                f"{len(self.channel_map)}"
            )
        if self.low_rate and not self.resample:
            raise ConfigError("--low-rate: is for use with --resample")

    @property
    def is_plain(self) -> bool:
        """Whether nothing is asked for that changes a recording."""
        return self == ConversionSettings()

    def to_dict(self) -> dict[str, Any]:
        """Give those that are not left at their defaults, for JSON."""
        fields = dataclasses.fields(self)
        given = {field.name: getattr(self, field.name) for field in fields}
        if self.mapping is not None:
            given["mapping"] = dataclasses.asdict(self.mapping)
        defaults = {field.name: field.default for field in fields}
        return {name: json_values(value) for name, value in given.items() if value != defaults[name]}
