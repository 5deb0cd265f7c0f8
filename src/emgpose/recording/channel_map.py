"""Which recorded channel goes where in a band of another number of electrodes, as the user states it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError
from emgpose.recording.channels import distinct_names
from emgpose.recording.facts import SessionFacts, SessionReader

NO_CHANNEL: Final = "-"
# Each electrode stands for itself and for the place between it and the next: a band of 8 as one of 16.
PRESETS: Final = {"8to16": tuple(channel for channel in range(8) for _ in range(2))}
# Longer digits are no channel's number.
_MOST_DIGITS: Final = 6

ChannelMap = tuple[int | None, ...]


def parse_channel_map(text: str) -> ChannelMap:
    """Read a channel map: a preset, or numbers of the source's channels, and - where a channel gets none.

    Raises
    ------
    ConfigError : anything else.
    """
    if text.strip() in PRESETS:
        return PRESETS[text.strip()]
    parts = [part.strip() for part in text.split(",")]
    if not all(part == NO_CHANNEL or (part.isdecimal() and len(part) <= _MOST_DIGITS) for part in parts):
        raise ConfigError(
            f"--channel-map {text}: expected channel numbers counted from 0, or {NO_CHANNEL} for none, separated by "
            f"commas, one for each channel of the model; or {', '.join(PRESETS)}"
        )
    return tuple(None if part == NO_CHANNEL else int(part) for part in parts)


class ChannelMapReader:
    """Reads a recording with its channels in other places; one may stand in several.

    Parameters
    ----------
    reader : SessionReader
    channel_map : sequence of int
        The recorded channel, counted from 0, for each channel given out.

    Raises
    ------
    ConfigError : there is no such channel, or a preset is for another number of them.
    """

    def __init__(self, reader: SessionReader, channel_map: Sequence[int | None]) -> None:
        names = reader.facts.channel_names
        where = f"session {reader.facts.session} has {len(names)} channels"
        columns = [channel for channel in channel_map if channel is not None]
        if len(columns) != len(channel_map) or not columns:
            raise ConfigError(f"{where}; a channel without EMG would stand in the file as a dead one: map all of them")
        if min(columns) < 0 or max(columns) >= len(names):
            raise ConfigError(f"{where}; the channel map names channel {max(columns)}, use 0 to {len(names) - 1}")
        if tuple(channel_map) in PRESETS.values() and max(columns) != len(names) - 1:
            raise ConfigError(
                f"{where}; the preset is for {max(columns) + 1}: choose them first (--channels), or give numbers"
            )
        self._reader, self._columns = reader, columns
        self._facts = replace(reader.facts, channel_names=distinct_names([names[column] for column in columns]))

    @property
    def facts(self) -> SessionFacts:
        """What the recording is."""
        return self._facts

    def read(self, start: int, stop: int, fields: frozenset[str]) -> dict[str, NDArray[Any]]:
        """Read samples [start, stop); see `SessionReader`."""
        values = self._reader.read(start, stop, fields)
        if "emg" in values:
            values["emg"] = np.ascontiguousarray(values["emg"][:, self._columns])
        return values

    def close(self) -> None:
        """Give back the file."""
        self._reader.close()
