"""Rows of a file that can only be read from front to back, kept on disk so that any range can be read."""

import math
import os
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.recording.file_version import file_version, require_same_version

# Small recordings stay in memory; a longer one goes to a temporary file that vanishes with its handle.
_IN_MEMORY_BYTES: Final = 1 << 25


class Spool:
    """Named arrays that grow along time and are read by range.

    Parameters
    ----------
    columns : mapping of name -> (dtype, number of columns or None for a plain series)
    """

    def __init__(self, columns: Mapping[str, tuple[np.dtype[Any], int | None]]) -> None:
        self._columns = dict(columns)
        # Held open for the life of the spool, so no with statement.
        self._files = {name: tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) for name in columns}  # noqa: SIM115
        # Sessions are often dropped without close; the rows go with them.
        self._closing = weakref.finalize(self, _close_all, list(self._files.values()))

    def append(self, name: str, rows: NDArray[Any]) -> None:
        """Add rows at the end of one array."""
        with np.errstate(over="ignore", invalid="ignore"):
            self._files[name].write(np.ascontiguousarray(rows, dtype=self._columns[name][0]).tobytes())

    def append_bytes(self, name: str, data: bytes) -> None:
        """Add rows at the end of one array, as they lie in memory."""
        self._files[name].write(data)

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Read rows [start, stop) of one array; a new array that may be written to."""
        dtype, width = self._columns[name]
        shape = (stop - start,) if width is None else (stop - start, width)
        row_bytes = dtype.itemsize * (1 if width is None else width)
        file = self._files[name]
        file.seek(start * row_bytes)
        return np.frombuffer(bytearray(file.read(math.prod(shape) * dtype.itemsize)), dtype=dtype).reshape(shape)

    def close(self) -> None:
        """Throw the rows away."""
        self._closing()


@contextmanager
def filling(columns: Mapping[str, tuple[np.dtype[Any], int | None]]) -> Iterator[Spool]:
    """Make a spool to be filled, and close it where that fails."""
    spool = Spool(columns)
    try:
        yield spool
    except BaseException:
        spool.close()
        raise


class SpooledFiles:
    """Files whose rows lie in a spool of this process: at first use, and again after `close`, a fork or unpickling.

    Parameters
    ----------
    files : sequence of Path
        The first one stands for all in messages.

    Raises
    ------
    SessionFormatError : a file is gone.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = tuple(files)
        self._version = file_version(self._files)
        self._spool: Spool | None = None
        self._process = 0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_spool": None}

    def spool(self, unpack: Callable[[], Spool]) -> Spool:
        """Give the rows, unpacking them where this process has none.

        Raises
        ------
        SessionFormatError : a file was replaced since this was made.
        """
        # A forked process would share the file position of its parent.
        if self._spool is None or self._process != os.getpid():
            require_same_version(self._files[0], self._version, file_version(self._files))
            self._spool, self._process = unpack(), os.getpid()
        return self._spool

    def close(self) -> None:
        """Throw the rows away."""
        if self._spool is not None and self._process == os.getpid():
            self._spool.close()
        self._spool = None


def _close_all(files: Iterable[IO[bytes]]) -> None:
    for file in files:
        file.close()
