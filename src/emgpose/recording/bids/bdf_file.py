"""BDF files (24-bit EDF): the header, checked, and any range of samples without reading the rest.

A header is followed by records of equal length; each record holds the samples of one signal after the other, three
bytes each, lowest first.

Source: BioSemi's description of BDF; EDF and EDF+ (Kemp et al. 1992, Kemp and Olivan 2003).
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import SessionFormatError
from emgpose.recording.annex import require_fetched
from emgpose.recording.file_version import file_version, require_same_version

SAMPLE_BYTES: Final = 3
ANNOTATIONS: Final = "BDF Annotations"
_MAGIC: Final = b"\xffBIOSEMI"
_MAX_SIGNALS: Final = 1024
# A record is read at once; one of this size would be minutes of a thousand channels.
_MAX_RECORD_BYTES: Final = 1 << 28
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_WHOLE: Final = re.compile(r"[+-]?\d+")
# Name and width of what the header says of every signal, in the order in which it stands there.
_SIGNAL_FIELDS: Final = (
    ("label", 16),
    ("transducer", 80),
    ("unit", 8),
    ("physical minimum", 8),
    ("physical maximum", 8),
    ("digital minimum", 8),
    ("digital maximum", 8),
    ("prefiltering", 80),
    ("samples per record", 8),
    ("reserved", 32),
)


@dataclass(frozen=True)
class BdfSignal:
    """One signal of a BDF file: physical value = `gain` * digital value + `offset`, in `unit`."""

    label: str
    unit: str
    gain: float
    offset: float
    samples_per_record: int
    first_byte: int


@dataclass(frozen=True)
class BdfHeader:
    """What a BDF file says before its first record."""

    n_bytes: int
    n_records: int
    record_s: float
    record_bytes: int
    signals: tuple[BdfSignal, ...]


def read_bdf_header(path: Path, file: BinaryIO) -> BdfHeader:
    """Read and check the header of a BDF file, and that the file is as long as it says.

    Raises
    ------
    SessionFormatError : it is no BDF file, damaged, cut short, or has interruptions (BDF+D).
    """
    start = file.read(256)
    if len(start) < 256 or not start.startswith(_MAGIC):
        raise SessionFormatError(
            f"{path}: expected a BDF file, which starts with the byte 255 and BIOSEMI, got {start[:8]!a}; "
            "fetch it again"
        )
    if start[192:236].startswith(b"BDF+D"):
        raise SessionFormatError(f"{path}: is a BDF+D file with interruptions, expected one without; split it")
    n_signals = _whole(path, "number of signals", start[252:256], 1, _MAX_SIGNALS)
    n_bytes = _whole(path, "length of the header", start[184:192], 512, 256 * (_MAX_SIGNALS + 1))
    if n_bytes != 256 * (n_signals + 1):
        raise SessionFormatError(
            f"{path}: header: expected {256 * (n_signals + 1)} bytes for {n_signals} signals, it says {n_bytes}; "
            "the file is damaged: fetch it again"
        )
    n_records = _whole(path, "number of records", start[236:244], 1, 99_999_999)
    record_s = _number(path, "length of a record", start[244:252])
    if record_s <= 0:
        raise SessionFormatError(f"{path}: header: length of a record: expected more than 0 s, got {record_s:g}")
    signals = _signals(path, file.read(n_bytes - 256), n_signals)
    record_bytes = SAMPLE_BYTES * sum(signal.samples_per_record for signal in signals)
    if record_bytes > _MAX_RECORD_BYTES:
        raise SessionFormatError(f"{path}: header: expected records up to 256 MiB, got {record_bytes} bytes each")
    _require_length(path, os.fstat(file.fileno()).st_size, n_bytes + n_records * record_bytes)
    return BdfHeader(n_bytes, n_records, record_s, record_bytes, signals)


def _require_length(path: Path, found: int, expected: int) -> None:
    if found != expected:
        how = "the file is incomplete" if found < expected else "something stands behind its end"
        raise SessionFormatError(
            f"{path}: expected {expected} bytes as its header says, got {found}; {how}: fetch it again"
        )


def _signals(path: Path, header: bytes, n_signals: int) -> tuple[BdfSignal, ...]:
    if len(header) < 256 * n_signals:
        raise SessionFormatError(f"{path}: its header is cut short; fetch it again")
    columns: dict[str, list[bytes]] = {}
    position = 0
    for name, width in _SIGNAL_FIELDS:
        columns[name] = [header[position + width * n : position + width * (n + 1)] for n in range(n_signals)]
        position += width * n_signals
    signals: list[BdfSignal] = []
    first_byte = 0
    for number in range(n_signals):
        signals.append(_signal(path, {name: column[number] for name, column in columns.items()}, number, first_byte))
        first_byte += SAMPLE_BYTES * signals[-1].samples_per_record
    return tuple(signals)


def _signal(path: Path, fields: dict[str, bytes], number: int, first_byte: int) -> BdfSignal:
    label = fields["label"].decode("latin-1").strip()
    where = f"signal {number} ({label!a})"
    low, high = (_number(path, f"{where}: {key}", fields[key]) for key in ("physical minimum", "physical maximum"))
    bottom, top = (
        _whole(path, f"{where}: {key}", fields[key], -(1 << 23), (1 << 23) - 1)
        for key in ("digital minimum", "digital maximum")
    )
    # Where both ends are the same there is no scale; a maximum below the minimum turns the signal over, which is legal.
    if bottom >= top or low == high:
        raise SessionFormatError(
            f"{path}: header: {where}: expected two different ends of its ranges, got physical {low:g} to {high:g}, "
            f"digital {bottom} to {top}"
        )
    gain = (high - low) / (top - bottom)
    samples = _whole(path, f"{where}: samples per record", fields["samples per record"], 1, _MAX_RECORD_BYTES)
    unit = fields["unit"].decode("latin-1").strip()
    return BdfSignal(label, unit, gain, low - gain * bottom, samples, first_byte)


def _text(path: Path, what: str, field: bytes, pattern: re.Pattern[str], expected: str) -> str:
    text = field.decode("latin-1").strip(" \0")
    if not pattern.fullmatch(text):
        raise SessionFormatError(
            f"{path}: header: {what}: expected {expected}, got {text[:16]!a}; the file is damaged: fetch it again"
        )
    return text


def _number(path: Path, what: str, field: bytes) -> float:
    number = float(_text(path, what, field, _NUMBER, "a number"))
    if not np.isfinite(number):
        raise SessionFormatError(f"{path}: header: {what}: expected a finite number, got {number}")
    return number


def _whole(path: Path, what: str, field: bytes, lowest: int, highest: int) -> int:
    number = int(_text(path, what, field, _WHOLE, "a whole number"))
    if not lowest <= number <= highest:
        raise SessionFormatError(f"{path}: header: {what}: expected {lowest} to {highest}, got {number}")
    return number


class BdfFile:
    """Samples of a BDF file, read as they are asked for.

    The file is checked and closed again on construction, and opened when it is first read, once per process.

    Parameters
    ----------
    path : Path

    Raises
    ------
    SessionFormatError : no such file, a git-annex pointer, or a damaged file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        self._process = 0
        require_fetched(path)
        with _open(path) as file:
            self._version = file_version([file.fileno()])
            self.header = read_bdf_header(path, file)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None}

    def close(self) -> None:
        """Close the file; reading opens it again."""
        if self._file is not None and self._process == os.getpid():
            self._file.close()
        self._file = None

    def read(self, start: int, stop: int, signals: Sequence[int], factor: float = 1.0) -> NDArray[np.float32]:
        """Read samples [start, stop) of some signals, all with the same number of samples per record.

        Parameters
        ----------
        start, stop : int
            A range inside the file.
        signals : sequence of int
            Numbers of the signals, in the order wanted.
        factor : float
            Multiplies the physical values.

        Returns
        -------
        array, shape (time, signal), float32.

        Raises
        ------
        SessionFormatError : the file was cut short or replaced since it was opened.
        """
        chosen = [self.header.signals[number] for number in signals]
        length = chosen[0].samples_per_record
        gain, offset = np.array([(signal.gain, signal.offset) for signal in chosen]).T[:, :, np.newaxis]
        values = np.empty((stop - start, len(chosen)), dtype=np.float32)
        for record in range(start // length, -(-stop // length)):
            first, last = max(start - record * length, 0), min(stop - record * length, length)
            digital = self._digital(record, chosen, first, last)
            at = record * length + first - start
            with np.errstate(over="ignore"):
                physical = digital * gain
                physical += offset
                physical *= factor
                values[at : at + last - first] = physical.T
        return values

    def record_bytes(self, record: int, signal: BdfSignal) -> bytes:
        """Read what one record holds of one signal, as it is stored."""
        size = SAMPLE_BYTES * signal.samples_per_record
        return self._bytes(record * self.header.record_bytes + signal.first_byte, size)

    def _digital(self, record: int, signals: Sequence[BdfSignal], first: int, last: int) -> NDArray[np.int32]:
        """Give digital values [first, last) of one record, (signal, time)."""
        begin = min(signal.first_byte for signal in signals)
        end = max(signal.first_byte + SAMPLE_BYTES * signal.samples_per_record for signal in signals)
        # One byte before, so that four bytes can be taken for three; the shift drops the lowest of them.
        content = bytearray(1) + self._bytes(record * self.header.record_bytes + begin, end - begin)
        digital = np.empty((len(signals), last - first), dtype=np.int32)
        for values, signal in zip(digital, signals, strict=True):
            at = signal.first_byte - begin + SAMPLE_BYTES * first
            values[:] = np.ndarray(last - first, "<i4", content, at, SAMPLE_BYTES)
        digital >>= 8
        return digital

    def _bytes(self, position: int, size: int) -> bytes:
        file = self._handle()
        try:
            content = os.pread(file.fileno(), size, self.header.n_bytes + position)
        except OSError as error:
            raise SessionFormatError(f"{self.path}: cannot be read: {error.strerror}") from None
        if len(content) != size:
            raise SessionFormatError(f"{self.path}: was cut short while it was read; fetch it again")
        return content

    def _handle(self) -> BinaryIO:
        # A forked process must not share the handle of its parent.
        if self._file is None or self._process != os.getpid():
            self._file = _open(self.path)
            self._process = os.getpid()
        now = file_version([self._file.fileno()])
        if now != self._version:
            self.close()
        require_same_version(self.path, self._version, now)
        return self._file


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise SessionFormatError(f"{path}: cannot be read: {error.strerror}") from None
