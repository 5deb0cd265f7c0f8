"""Play the EMG stream of an XDF file, as LSL's recorders write them.

The file is read whole. Losses are counted from the recorded time stamps by the rule of a live stream, so playing it
gives what the stream would have given.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emgpose.live.chunk import EmgChunk, SourceFacts
from emgpose.live.sources.stream_description import describe_source
from emgpose.recording.stamps import StampCounter
from emgpose.recording.xdf_streams import STREAM_SEPARATOR, choose_emg, read_xdf

_LOG: Final = logging.getLogger("emgpose.live")


class XdfTrack:
    """Samples with their numbers and stamps as a track.

    Parameters
    ----------
    facts : SourceFacts
    emg : array, shape (time, channel)
    stamps_s : array, shape (time,)
        On the sender's clock.
    """

    def __init__(self, facts: SourceFacts, emg: NDArray[np.float32], stamps_s: NDArray[np.float64]) -> None:
        self._facts, self._emg, self._stamps_s = facts, emg, stamps_s
        # A file says nothing about arrival; the stamps stand for it.
        self._numbers = StampCounter(facts.sample_rate_hz).number(stamps_s, float(stamps_s[-1]))

    @property
    def facts(self) -> SourceFacts:
        """What it is."""
        return self._facts

    @property
    def n_samples(self) -> int:
        """Length, lost samples counted."""
        return int(self._numbers[-1]) + 1

    def read(self, start: int, stop: int) -> EmgChunk | None:
        """Give the first samples of [start, stop) that were not lost, up to the next gap; None where all were lost."""
        first, last = np.searchsorted(self._numbers, (start, stop)).tolist()
        if first == last:
            return None
        breaks = np.flatnonzero(np.diff(self._numbers[first:last]) > 1)
        last = first + int(breaks[0]) + 1 if len(breaks) else last
        return EmgChunk(int(self._numbers[first]), self._emg[first:last], float(self._stamps_s[last - 1]))

    def close(self) -> None:
        """Nothing stays open."""


def open_xdf_track(
    path: Path,
    *,
    stream: str | None = None,
    channels: Sequence[str | int] | None = None,
    input_rate_hz: float | None = None,
) -> XdfTrack:
    """Read the EMG stream of an XDF file.

    Parameters
    ----------
    path : Path
    stream : str, optional
        Its name; by default the only stream whose type is EMG.
    channels : sequence of str or int, optional
        By label or number; by default those of type EMG where the stream gives types, else all.
    input_rate_hz : float, optional
        For a stream that states no rate.

    Raises
    ------
    SessionFormatError : no such file, a damaged one, or one without samples of EMG.
    ConfigError : several streams fit, or a channel does not exist.
    RateMismatch : the stream states no rate, and none is given.
    MissingExtraError : pyxdf is not installed.
    """
    (loaded,), warnings = read_xdf(path, lambda headers: [choose_emg(headers, path, stream)])
    if warnings:
        _LOG.warning("xdf:%s: the file may be damaged; its reader says: %s", path.name, warnings[0])
    facts, chosen = describe_source(
        loaded.description, f"xdf:{path.name}", channels=channels, input_rate_hz=input_rate_hz
    )
    return XdfTrack(facts, chosen.take(loaded.samples), loaded.stamps_s)


def split_stream_name(text: str) -> tuple[Path, str | None]:
    """Divide `FILE#STREAM`; a file whose own name has the sign in it is taken as it is."""
    path, separator, stream = text.rpartition(STREAM_SEPARATOR)
    if not separator or not path or not stream or Path(text).is_file():
        return Path(text), None
    return Path(path), stream
