"""A recording on its way: `NAME.part`, to which samples are only ever added, so that a kill takes nothing from it.

The file begins with `MAGIC`. Records follow, each of a kind (4 bytes), the length of its payload, a CRC-32 of kind and
payload (2 little-endian uint32), and the payload:

| kind | payload |
|---|---|
| HEAD | JSON: what the finished file says of itself; first, once |
| ROWS | float64 Unix time of the recording's first sample [s], uint32 rows, bool whether labels follow; then |
| | float32 EMG (time, channel=16) and float32 labels (time, joint=20) [rad]; little-endian |
| NOTE | JSON: lost samples since the last note under `gaps`, and what else has changed |

Whoever writes holds a lock on the file until it is closed, or the process ends in whatever way.
"""

import contextlib
import errno
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError, DataError
from emgpose.hand import N_JOINTS
from emgpose.recording.emg2pose_layout import N_CHANNELS

SUFFIX: Final = ".part"
MAGIC: Final = b"emgpose unfinished recording 1\n"
_RECORD: Final = struct.Struct("<4sII")
_ROWS: Final = struct.Struct("<dI?")
_MOST_NAMES: Final = 1000
_MAX_PAYLOAD_BYTES: Final = 1 << 28
# A head is shorter; where more follows that cannot be read, samples are among it.
_MOST_BYTES_OF_HEAD: Final = 1 << 14
# Rows of a record: far fewer bytes than a reader takes.
_MOST_ROWS: Final = 1 << 16

# Unix time of the recording's first sample, EMG (time, channel), labels (time, joint) or None
Block = tuple[float, NDArray[np.float32], NDArray[np.float32] | None]
Parsed = TypeVar("Parsed")


class PartFile:
    """A new unfinished recording, locked until `close`.

    Parameters
    ----------
    target : Path
        What the recording is to be called. Where another session is writing that one, this is the part of `NAME-2`.
    head : mapping
        What the finished file says of itself.

    Attributes
    ----------
    path : Path
    n_rows : int

    Raises
    ------
    ConfigError : a killed recording of that name is there.
    DataError : the folder does not exist or cannot be written to.
    """

    def __init__(self, target: Path, head: Mapping[str, Any]) -> None:
        self.n_rows = 0
        try:
            self._file = _claimed(target)
            self.path = Path(self._file.name)
            try:
                self._write(MAGIC)
                self._append(b"HEAD", _json(head))
            except BaseException:
                self.delete()
                raise
        except OSError as error:
            raise DataError(
                f"{target}: cannot write there: {error.strerror}; choose a folder that exists and is writable"
            ) from None

    def append(self, start_s: float, emg: NDArray[np.float32], labels: NDArray[np.float32] | None) -> None:
        """Add samples: (time, channel=16) and (time, joint=20) [rad].

        Raises
        ------
        OSError : the disk is full, or gone.
        """
        arrays = [emg] if labels is None else [emg, labels]
        for first in range(0, len(emg), _MOST_ROWS):
            parts = [np.ascontiguousarray(array[first : first + _MOST_ROWS], dtype="<f4") for array in arrays]
            start = _ROWS.pack(start_s, len(parts[0]), labels is not None)
            self._append(b"ROWS", b"".join((start, *(part.tobytes() for part in parts))))
            self.n_rows += len(parts[0])

    def note(self, facts: Mapping[str, Any]) -> None:
        """Add what else the finished file is to say; later values replace earlier ones, but `gaps` are collected.

        Raises
        ------
        OSError : the disk is full, or gone.
        """
        self._append(b"NOTE", _json(facts))

    def sync(self) -> None:
        """Have all of it on the disk, so that a power cut takes nothing either."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let go of the file, which stays."""
        self._file.close()

    def delete(self) -> None:
        """Leave nothing behind."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _append(self, kind: bytes, payload: bytes) -> None:
        self._write(_RECORD.pack(kind, len(payload), zlib.crc32(kind + payload)) + payload)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while len(rest):
            rest = rest[self._file.write(rest) :]


class PartReader:
    """Reads an unfinished recording up to the first record that is not whole.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    head : dict
    notes : dict
        All notes read so far as one; complete after the last of `blocks`.
    n_bytes_left : int
        What comes after the last whole record; known after the last of `blocks`.

    Raises
    ------
    DataError : it cannot be read, or is no unfinished recording.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.notes: dict[str, Any] = {"gaps": []}
        self.n_bytes_left = 0
        with self._opened() as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise DataError(f"{path}: expected an unfinished recording of this version of emgpose (NAME{SUFFIX})")
            kind, payload = _next_record(file) or (b"", b"")
            if kind != b"HEAD":
                raise nothing_in(path, file.seek(0, os.SEEK_END) - len(MAGIC))
        self.head = self._parsed(_object, payload)

    def blocks(self) -> Iterator[Block]:
        """Read the samples in order, as they were added.

        Raises
        ------
        DataError : the disk cannot be read, or a record is none that a recorder writes.
        """
        with self._opened() as file:
            file.seek(len(MAGIC))
            end = file.tell()
            while (record := _next_record(file)) is not None:
                end = file.tell()
                kind, payload = record
                if kind == b"ROWS":
                    yield self._parsed(_block, payload)
                elif kind == b"NOTE":
                    note = self._parsed(_object, payload)
                    self.notes["gaps"] += self._parsed(list, note.pop("gaps", []))
                    self.notes |= note
            self.n_bytes_left = file.seek(0, os.SEEK_END) - end

    def _parsed(self, parse: Callable[[Any], Parsed], payload: Any) -> Parsed:
        # A checksum does not tell who wrote it.
        try:
            return parse(payload)
        except (TypeError, ValueError, struct.error) as error:
            raise DataError(f"{self._path}: expected an unfinished recording, got {error}") from error

    @contextlib.contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        try:
            with self._path.open("rb") as file:
                yield file
        except OSError as error:
            raise DataError(f"{self._path}: cannot be read: {error.strerror or error}") from None


def nothing_in(path: Path, n_bytes_left: int) -> DataError:
    """Say that a file holds no samples, or none that can be read."""
    if n_bytes_left > _MOST_BYTES_OF_HEAD:
        return DataError(f"{path}: is damaged at its beginning; the {n_bytes_left:,} bytes from there on were kept")
    return DataError(f"{path}: nothing was recorded yet when it was cut off; delete it")


def refuse_leftover(path: Path) -> None:
    """Refuse to record beside what a killed recording of the same name left.

    Raises
    ------
    ConfigError
    """
    with contextlib.suppress(OSError), path.open("rb") as file:
        if locks(file):
            raise ConfigError(
                f"{path}: is what an earlier recording left that was killed; make a file of it with "
                f"emgpose live --recover {path}, or choose another name"
            )


def part_of(target: Path) -> Path:
    """Give the name under which a recording is written until it is finished."""
    return target.with_name(f"{target.name}{SUFFIX}")


def locks(file: IO[bytes], *, waits: bool = False) -> bool:
    """Lock a file until it is closed, or its process ends; False where another has it, unless it `waits`.

    Where the disk knows no locks, every file is free.
    """
    # Windows has none of these locks, and lets nobody delete a file that is open.
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
    return True


def _claimed(target: Path) -> IO[bytes]:
    """Make an empty file that nobody else writes."""
    for number in range(1, _MOST_NAMES):
        path = part_of(target if number == 1 else target.with_stem(f"{target.stem}-{number}"))
        try:
            # Unbuffered: what has been written is the system's, and a kill of this process does not take it.
            file = path.open("xb", buffering=0)
        except FileExistsError:
            refuse_leftover(path)
            continue
        # Who looks whether it is a leftover has the lock for a moment.
        locks(file, waits=True)
        return file
    raise FileExistsError(errno.EEXIST, f"{_MOST_NAMES - 1} recordings of that name are being made")


def _next_record(file: IO[bytes]) -> tuple[bytes, bytes] | None:
    """Read a record; None at the end, and where one is not whole."""
    start = file.read(_RECORD.size)
    if len(start) < _RECORD.size:
        return None
    kind, length, checksum = _RECORD.unpack(start)
    payload = file.read(length) if length <= _MAX_PAYLOAD_BYTES else b""
    return (kind, payload) if len(payload) == length and zlib.crc32(kind + payload) == checksum else None


def _block(payload: bytes) -> Block:
    start_s, n_rows, has_labels = _ROWS.unpack_from(payload)
    values = np.frombuffer(payload, dtype="<f4", offset=_ROWS.size)
    emg, labels = values[: n_rows * N_CHANNELS], values[n_rows * N_CHANNELS :]
    return start_s, emg.reshape(n_rows, N_CHANNELS), labels.reshape(n_rows, N_JOINTS) if has_labels else None


def _object(payload: bytes) -> dict[str, Any]:
    values = json.loads(payload)
    if not isinstance(values, dict):
        raise TypeError(f"a record of type {type(values).__name__}")
    return values


def _json(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values).encode("utf-8")
