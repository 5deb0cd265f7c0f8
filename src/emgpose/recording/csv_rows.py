"""The rows of a CSV file with columns of any name, for a mapping to choose from."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import SessionFormatError
from emgpose.recording.file_version import file_version, require_same_version
from emgpose.recording.spool import Spool
from emgpose.recording.tables import line_blocks, parse_lines, read_header


class CsvRows:
    """The rows of a CSV file (comma, semicolon or tab; decimal point; names in the first line).

    The file is read once from front to back, and the columns wanted are kept beside as binary rows.

    Parameters
    ----------
    path : Path
    columns : sequence of str
        Columns to keep; those that are not there are found out by whoever asks for them.

    Raises
    ------
    SessionFormatError : the table cannot be read; the message names the row.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._path = Path(path)
        self._version = file_version([self._path])
        names, self._delimiter = read_header(self._path)
        self._names = tuple(names)
        self._kept = sorted(self._names.index(column) for column in set(columns) if column in self._names)
        self._spool: Spool | None = None
        self._process = 0
        self._n_rows = self._fill() if self._kept else 0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_spool": None}

    @property
    def names(self) -> tuple[str, ...]:
        """All columns, in file order."""
        return self._names

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self._n_rows

    def read(self, start: int, stop: int, columns: Sequence[str]) -> NDArray[np.float64]:
        """Read rows [start, stop) of some columns, shape (row, column); an empty cell is NaN.

        Raises
        ------
        SessionFormatError : the file was replaced since it was opened.
        """
        # A forked process would share the file position of its parent.
        if self._spool is None or self._process != os.getpid():
            require_same_version(self._path, self._version, file_version([self._path]))
            self._fill()
        if self._spool is None:
            raise SessionFormatError(f"{self._path}: expected rows, found none")
        rows = self._spool.read("rows", start, stop)
        return np.asarray(rows[:, [self._kept.index(self._names.index(column)) for column in columns]])

    def close(self) -> None:
        """Throw the binary rows away."""
        if self._spool is not None and self._process == os.getpid():
            self._spool.close()
        self._spool = None

    def _fill(self) -> int:
        spool = Spool({"rows": (np.dtype(np.float64), len(self._kept))})
        n_rows = 0
        try:
            for block in line_blocks(self._path):
                rows = parse_lines(block, n_rows, self._kept, len(self._names), self._delimiter, str(self._path))
                spool.append("rows", rows)
                n_rows += len(rows)
            if not n_rows:
                raise SessionFormatError(f"{self._path}: expected rows of numbers below the header, found none")
        except BaseException:
            spool.close()
            raise
        self._spool, self._process = spool, os.getpid()
        return n_rows
