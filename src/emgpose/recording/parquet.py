"""Tables of EMG or joint angles in Parquet, read in row groups as they are needed."""

import bisect
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import EmgPoseError, MissingExtraError, SessionFormatError
from emgpose.recording.columns import find_columns
from emgpose.recording.file_version import file_version, require_same_version
from emgpose.recording.mapped_table import MappedTableReader
from emgpose.recording.mapping_file import TableMapping

PARQUET_MAGIC: Final = b"PAR1"
# Rows are read group by group; one of more rows than this would not fit into the memory that a reader may take.
_MAX_GROUP_ROWS: Final = 1 << 22


class ParquetRows:
    """The rows of a Parquet file; of those columns that were asked for, one row group is held in memory.

    Parameters
    ----------
    path : Path

    Raises
    ------
    SessionFormatError : the file cannot be read, or is empty.
    MissingExtraError : pyarrow is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(path)
        self._file: Any = None
        self._process = 0
        # Of one row group: EMG, joint angles and the rest are asked for in turn, chunk by chunk.
        self._held: dict[tuple[str, ...], NDArray[np.float64]] = {}
        self._held_group = -1
        self._version = file_version([self._path])
        file = self._opened()
        try:
            schema, metadata = file.schema_arrow, file.metadata
            self._names = tuple(schema.names)
            self._is_number = {name: _is_number(kind) for name, kind in zip(schema.names, schema.types, strict=True)}
            sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        except Exception as error:  # pyarrow raises several types on a damaged footer
            raise self._unreadable(error) from None
        finally:
            self.close()
        if sum(sizes) < 1 or min(sizes) < 0:
            raise SessionFormatError(f"{path}: expected rows of numbers, the table is empty")
        if max(sizes) > _MAX_GROUP_ROWS:
            raise SessionFormatError(
                f"{path}: a row group has {max(sizes)} rows, expected {_MAX_GROUP_ROWS} at most; write the file again "
                "with row_group_size=1000000"
            )
        self._starts = [0, *np.cumsum(sizes).tolist()]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_held": {}}

    @property
    def names(self) -> tuple[str, ...]:
        """All columns, in file order."""
        return self._names

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self._starts[-1]

    def read(self, start: int, stop: int, columns: Sequence[str]) -> NDArray[np.float64]:
        """Read rows [start, stop) of some columns, shape (row, column); null is NaN.

        Raises
        ------
        SessionFormatError : a column holds no numbers, or the file is damaged or was replaced since it was opened.
        """
        for column in columns:
            if not self._is_number.get(column, False):
                raise SessionFormatError(
                    f"{self._path}: column {column[:80]!a}: expected numbers, it holds another type"
                )
        rows = np.empty((stop - start, len(columns)), dtype=np.float64)
        done = start
        while done < stop:
            group = bisect.bisect_right(self._starts, done) - 1
            first = self._starts[group]
            last = min(stop, self._starts[group + 1])
            rows[done - start : last - start] = self._group(group, tuple(columns))[done - first : last - first]
            done = last
        return rows

    def close(self) -> None:
        """Close the file."""
        if self._file is not None and self._process == os.getpid():
            self._file.close()
        self._file, self._held = None, {}

    def _group(self, group: int, columns: tuple[str, ...]) -> NDArray[np.float64]:
        if self._held_group != group or self._process != os.getpid():
            self._held = {}
        if columns not in self._held:
            file = self._opened()
            try:
                table = file.read_row_group(group, columns=list(columns), use_threads=False)
                values = np.column_stack([_floats(table.column(name)) for name in columns])
            except EmgPoseError:
                raise
            except Exception as error:  # pyarrow raises several types on damaged pages
                raise self._unreadable(error) from None
            if len(values) != self._starts[group + 1] - self._starts[group]:
                raise SessionFormatError(
                    f"{self._path}: row group {group} is shorter than its header says; fetch it again"
                )
            self._held[columns], self._held_group = values, group
        return self._held[columns]

    def _opened(self) -> Any:
        # A forked process must not share the file position of its parent.
        if self._file is None or self._process != os.getpid():
            try:
                import pyarrow.parquet
            except ImportError as error:
                raise MissingExtraError(
                    'Parquet files need the library pyarrow, which is not installed; run: pip install "emgpose[store]"'
                ) from error
            require_same_version(self._path, self._version, file_version([self._path]))
            try:
                self._file = pyarrow.parquet.ParquetFile(self._path, page_checksum_verification=True)
            except Exception as error:  # pyarrow raises several types on a damaged file
                raise self._unreadable(error) from None
            self._process, self._held = os.getpid(), {}
        return self._file

    def _unreadable(self, error: Exception) -> SessionFormatError:
        reason = " ".join(str(error).split())[:200].encode("ascii", "replace").decode() or type(error).__name__
        return SessionFormatError(
            f"{self._path}: cannot be read as Parquet: {reason}; the file is damaged or no Parquet file"
        )


def open_parquet(
    path: Path, rate_hz: float | None = None, channels: Sequence[str | int] | None = None
) -> MappedTableReader:
    """Open a Parquet table whose columns have our own names, as in a CSV table; see `CsvReader`.

    Raises
    ------
    SessionFormatError, DataError : the table cannot be read.
    ConfigError : a channel does not exist.
    MissingExtraError : pyarrow is not installed.
    """
    rows = ParquetRows(path)
    mapping = TableMapping.of_named_columns(find_columns(rows.names, str(path)), rows.names)
    return MappedTableReader(rows, mapping, path, "Parquet", rate_hz, channels)


def _is_number(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _floats(column: Any) -> NDArray[np.float64]:
    import pyarrow as pa

    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
