"""Read streams out of XDF files, as LSL's recorders write them, with pyxdf."""

import contextlib
import gzip
import io
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError, MissingExtraError, SessionFormatError
from emgpose.recording.stream_header import EMG_TYPE, OWN_ELEMENT, StreamDescription

XDF_SUFFIXES: Final = (".xdf", ".xdfz", ".xdf.gz")
# Between a file and the name of the stream that is meant.
STREAM_SEPARATOR: Final = "#"
_NO_OFFSETS: Final = "Segments and clock-segments differ"

Header = Mapping[str, Any]
Choice = Callable[[Sequence[Header]], Sequence[Header]]


@dataclass(frozen=True)
class XdfStream:
    """One stream of a file.

    Parameters
    ----------
    description : StreamDescription
    samples : array, shape (time, channel)
    stamps_s : array, shape (time,)
        On the sender's clock, or the recorder's where clocks were synchronised.
    """

    description: StreamDescription
    samples: NDArray[np.generic]
    stamps_s: NDArray[np.float64]


def read_xdf(path: Path, choose: Choice, *, synchronise: bool = False) -> tuple[list[XdfStream], list[str]]:
    """Read chosen streams of an XDF file whole.

    Parameters
    ----------
    path : Path
    choose : callable
        Takes the headers of all streams and gives those wanted, in order.
    synchronise : bool
        Bring the stamps of several senders to the recorder's clock. Jitter is never mended: that would hide losses.

    Returns
    -------
    streams, warnings of the library
        Streams without samples are left out, but for the first.

    Raises
    ------
    SessionFormatError : no such file, a damaged one, or one without samples in the first stream chosen.
    MissingExtraError : pyxdf is not installed.
    """
    pyxdf = _import_pyxdf()
    if not path.is_file():
        raise SessionFormatError(f"xdf:{path}: {'is not a file' if path.exists() else 'no such file'}")
    with _one_error(path) as warnings:
        with _opened(path) as file:
            chosen = [header["stream_id"] for header in choose(pyxdf.resolve_streams(file))]
        with _opened(path) as file:
            loaded, _ = pyxdf.load_xdf(
                file, select_streams=chosen, synchronize_clocks=synchronise, dejitter_timestamps=False
            )
        by_id = {stream["info"]["stream_id"]: stream for stream in loaded}
        streams = [
            XdfStream(
                _description(by_id[number]["info"]),
                by_id[number]["time_series"],
                np.asarray(by_id[number]["time_stamps"], dtype=np.float64),
            )
            for number in chosen
        ]
    streams = [stream for stream in streams if stream is streams[0] or len(stream.stamps_s)]
    for stream in streams:
        _require_samples(stream, f"xdf:{path.name}")
    # Said of every stream whose recorder measured no clock offsets.
    harmless = {f"Stream {number}: {_NO_OFFSETS}" for number in chosen if not by_id[number]["info"]["clock_segments"]}
    return streams, [text for text in warnings if text not in harmless]


def choose_emg(headers: Sequence[Header], path: Path, stream: str | None) -> Header:
    """Choose the EMG stream: by name, or the only one of type EMG.

    Raises
    ------
    ConfigError : none fits, or several do.
    SessionFormatError : there are no streams at all.
    """
    if stream is not None:
        fitting = [header for header in headers if header["name"] == stream]
    else:
        fitting = [header for header in headers if str(header["type"]).upper() == EMG_TYPE]
    if len(fitting) == 1:
        return fitting[0]
    shown = ", ".join(f"{header['name']!a} (type {header['type']!a})" for header in headers[:8]) or "none"
    wanted = f"the name {stream!a}" if stream is not None else f"the type {EMG_TYPE}"
    raise (ConfigError if headers else SessionFormatError)(
        f"xdf:{path}: expected one stream with {wanted}, found {len(fitting)} among: {shown}; name one "
        f"(emgpose convert --stream NAME, emgpose live --source xdf:FILE{STREAM_SEPARATOR}NAME)"
    )


def _require_samples(stream: XdfStream, where: str) -> None:
    name, stamps_s = stream.description.name, stream.stamps_s
    if not len(stamps_s) or not np.isfinite(stamps_s).all() or stream.description.n_channels < 1:
        raise SessionFormatError(f"{where}: stream {name!a}: expected samples with time stamps, found none")
    if not isinstance(stream.samples, np.ndarray):
        raise SessionFormatError(f"{where}: stream {name!a}: expected numbers, it holds text")


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
def _one_error(path: Path) -> Iterator[list[str]]:
    """Turn whatever pyxdf raises on a damaged file into one error, and gather what it logs."""
    messages: list[str] = []
    log = logging.getLogger("pyxdf.pyxdf")
    collector = _Collector(messages)
    propagated, log.propagate = log.propagate, False
    log.addHandler(collector)
    try:
        yield messages
    except (ConfigError, SessionFormatError):
        raise
    except Exception as error:  # pyxdf raises almost any type on a damaged file
        reason = " ".join(str(error).split())[:200].encode("ascii", "replace").decode() or type(error).__name__
        raise SessionFormatError(f"xdf:{path}: cannot be read as XDF: {reason}") from None
    finally:
        log.removeHandler(collector)
        log.propagate = propagated


class _Collector(logging.Handler):
    """Keeps the texts of warnings."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.append(" ".join(record.getMessage().split())[:200])
