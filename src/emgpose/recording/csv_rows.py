"""The rows of a CSV file with columns of any name, for a mapping to choose from."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emgpose.recording.spool import Spool, SpooledFiles, filling
from emgpose.recording.tables import read_header, read_rows


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
        self._unpacked = SpooledFiles([self._path])
        names, self._delimiter = read_header(self._path)
        self._names = tuple(names)
        self._kept = sorted(self._names.index(column) for column in set(columns) if column in self._names)
        self._n_rows = 0
        if self._kept:
            self._unpacked.spool(self._unpack)

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
        rows = self._unpacked.spool(self._unpack).read("rows", start, stop)
        return np.asarray(rows[:, [self._kept.index(self._names.index(column)) for column in columns]])

    def close(self) -> None:
        """Throw the binary rows away."""
        self._unpacked.close()

    def _unpack(self) -> Spool:
        with filling({"rows": (np.dtype(np.float64), len(self._kept))}) as spool:
            for n_before, rows, _ in read_rows(self._path, self._kept, len(self._names), self._delimiter):
                spool.append("rows", rows)
                self._n_rows = n_before + len(rows)
        return spool
