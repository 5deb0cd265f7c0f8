"""What a conversion is told beyond its source."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from emgpose.errors import ConfigError
from emgpose.hand import SIDES
from emgpose.json_values import json_values
from emgpose.recording.channel_map import ChannelMap
from emgpose.recording.emg2pose_layout import N_CHANNELS
from emgpose.recording.facts import MAX_RATE_HZ, MIN_RATE_HZ
from emgpose.recording.mapping_file import TableMapping
from emgpose.recording.metadata import RESERVED_CONDITIONS, SPLITS
from emgpose.recording.ninapro_databases import DB2, DB3

_LONGEST_TEXT: Final = 200
# From a picovolt in volts to a kilovolt in microvolts; beyond, EMG would turn to zero or infinity.
_FLOORS: Final = (1e-12, 1e9)


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
    database : str, optional
        `DB2` or `DB3` of Ninapro, for files whose names and folders do not tell.
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
    database: str | None = None
    angles: Path | None = None

    def __post_init__(self) -> None:
        if self.side not in (None, *SIDES):
            raise ConfigError(f"--side {self.side!a}: expected {' or '.join(SIDES)}")
        for name in ("user", "stage", "generalization"):
            text = getattr(self, name)
            is_short = text is None or (text.strip() == text and text.isprintable() and len(text) < _LONGEST_TEXT)
            if not is_short or (text == "" and name != "generalization"):
                raise ConfigError(f"--{name} {text[:80]!a}: expected a short printable text")
        if self.generalization in RESERVED_CONDITIONS:
            raise ConfigError(f"--generalization {self.generalization}: is taken; expected another short text")
        self._require_numbers()
        if self.database not in (None, DB2.name, DB3.name):
            raise ConfigError(f"--database {self.database!a}: expected {DB2.name} or {DB3.name}")
        if self.angles is not None and not self.angles.exists():
            raise ConfigError(f"--angles {self.angles}: no such file or folder")
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

    def _require_numbers(self) -> None:
        if self.input_rate_hz is not None and not MIN_RATE_HZ <= self.input_rate_hz <= MAX_RATE_HZ:
            raise ConfigError(
                f"--input-rate {self.input_rate_hz:g}: expected a rate between {MIN_RATE_HZ:g} and {MAX_RATE_HZ:g} Hz"
            )
        if self.noise_floor is not None and self.rest_span_s is not None:
            raise ConfigError("--noise-floor and --rest-span: give one of the two")
        lowest, highest = _FLOORS
        bad = [floor for floor in self.noise_floor or () if not lowest <= floor <= highest]
        if bad:
            raise ConfigError(
                f"--noise-floor {bad[0]:g}: expected a standard deviation between {lowest:g} and {highest:g}, in the "
                "recording's unit"
            )
        start_s, stop_s = self.rest_span_s or (0.0, 1.0)
        if not 0 <= start_s < stop_s < math.inf:
            raise ConfigError(f"--rest-span {start_s:g} {stop_s:g}: expected seconds, the later one second")

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
