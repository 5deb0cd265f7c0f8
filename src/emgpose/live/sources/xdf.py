"""Play the EMG stream of an XDF file, as LSL's recorders write them.

The file is read whole. Losses are counted from the recorded time stamps by the rule of a live stream, so playing it
gives what the stream would have given.
"""

import contextlib
import gzip
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError, MissingExtraError, SessionFormatError
from emgpose.live.chunk import EmgChunk, SourceFacts
from emgpose.live.sources.stamps import StampCounter
from emgpose.live.sources.stream_description import EMG_TYPE, OWN_ELEMENT, StreamDescription, describe_source

_LOG: Final = logging.getLogger("emgpose.live")
# Between a file and the name of the stream that is meant.
_STREAM_SEPARATOR: Final = "#"


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
    pyxdf = _import_pyxdf()
    if not path.is_file():
        raise SessionFormatError(f"xdf:{path}: {'is not a file' if path.exists() else 'no such file'}")
    with _one_error(path):
        with _opened(path) as file:
            header = _chosen(pyxdf.resolve_streams(file), path, stream)
        # Neither clocks nor jitter are mended: a live stream has them too, and mending would hide losses.
        with _opened(path) as file:
            streams, _ = pyxdf.load_xdf(
                file, select_streams=header["stream_id"], synchronize_clocks=False, dejitter_timestamps=False
            )
        loaded = streams[0]
        description = _description(loaded["info"])
        samples, stamps_s = loaded["time_series"], np.asarray(loaded["time_stamps"], dtype=np.float64)
    where = f"xdf:{path.name}"
    if not len(stamps_s) or not np.isfinite(stamps_s).all() or description.n_channels < 1:
        raise SessionFormatError(f"{where}: stream {description.name!a}: expected samples with time stamps, found none")
    if not isinstance(samples, np.ndarray):
        raise SessionFormatError(f"{where}: stream {description.name!a}: expected numbers, it holds text")
    facts, chosen = describe_source(description, where, channels=channels, input_rate_hz=input_rate_hz)
    return XdfTrack(facts, chosen.take(samples), stamps_s)


def split_stream_name(text: str) -> tuple[Path, str | None]:
    """Divide `FILE#STREAM`; a file whose own name has the sign in it is taken as it is."""
    path, separator, stream = text.rpartition(_STREAM_SEPARATOR)
    if not separator or not path or not stream or Path(text).is_file():
        return Path(text), None
    return Path(path), stream


def _import_pyxdf() -> Any:
    try:
        import pyxdf
    except ImportError as error:
        raise MissingExtraError(
            'XDF files need the library pyxdf, which is not installed; run: pip install "emgpose[live]"'
        ) from error
    return pyxdf


def _opened(path: Path) -> io.BufferedIOBase:
    return gzip.open(path, "rb") if path.suffix == ".xdfz" or path.suffixes[-2:] == [".xdf", ".gz"] else path.open("rb")


def _chosen(headers: Sequence[Mapping[str, Any]], path: Path, stream: str | None) -> Mapping[str, Any]:
    if stream is not None:
        fitting = [header for header in headers if header["name"] == stream]
    else:
        fitting = [header for header in headers if str(header["type"]).upper() == EMG_TYPE]
    if len(fitting) == 1:
        return fitting[0]
    shown = ", ".join(f"{header['name']!a} (type {header['type']!a})" for header in headers[:8]) or "none"
    wanted = f"the name {stream!a}" if stream is not None else f"the type {EMG_TYPE}"
    raise (ConfigError if headers else SessionFormatError)(
        f"xdf:{path}: expected one stream with {wanted}, found {len(fitting)} among: {shown}; name one as "
        f"xdf:FILE{_STREAM_SEPARATOR}NAME"
    )


def _description(info: Mapping[str, Any]) -> StreamDescription:
    """Take a header apart as pyxdf gives it: each element is a list of texts or of further elements."""
    desc = _element(info, "desc")
    listed = _element(desc, "channels").get("channel") or []
    channels = tuple(
        {key: _text(channel, key) for key in ("label", "type", "unit")}
        for channel in listed
        if isinstance(channel, Mapping)
    )
    own = _element(desc, OWN_ELEMENT)
    return StreamDescription(
        _text(info, "name"),
        _text(info, "type"),
        int(_text(info, "channel_count")),
        float(_text(info, "nominal_srate")),
        channels,
        {key: _text(own, key) for key in own},
    )


def _element(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = (parent.get(key) or [None])[0]
    return found if isinstance(found, Mapping) else {}


def _text(parent: Mapping[str, Any], key: str) -> str:
    found = (parent.get(key) or [None])[0]
    return found if isinstance(found, str) else ""


@contextlib.contextmanager
def _one_error(path: Path) -> Iterator[None]:
    """Turn whatever pyxdf raises on a damaged file into one error, and all that it logs into one line."""
    messages: list[str] = []
    log = logging.getLogger("pyxdf.pyxdf")
    collector = _Collector(messages)
    propagated, log.propagate = log.propagate, False
    log.addHandler(collector)
    try:
        yield
    except (ConfigError, SessionFormatError):
        raise
    except Exception as error:  # pyxdf raises almost any type on a damaged file
        reason = " ".join(str(error).split())[:200].encode("ascii", "replace").decode() or type(error).__name__
        raise SessionFormatError(f"xdf:{path}: cannot be read as XDF: {reason}") from None
    finally:
        log.removeHandler(collector)
        log.propagate = propagated
    if messages:
        _LOG.warning("xdf:%s: the file may be damaged; its reader says: %s", path.name, messages[0])


class _Collector(logging.Handler):
    """Keeps the texts of warnings."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.append(" ".join(record.getMessage().split())[:200])
