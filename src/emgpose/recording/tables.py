"""Tables of EMG or joint angles in CSV: one row per sample, one named column per channel or joint.

The file is read once from front to back, checked row by row, and kept beside as binary rows, so that memory does not
grow with its length.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import SessionFormatError
from emgpose.hand import N_JOINTS
from emgpose.recording.channels import select_channels
from emgpose.recording.columns import find_columns, note_on_ignored, require_radians, table_rate_hz
from emgpose.recording.facts import SessionFacts
from emgpose.recording.session import CHUNK_SAMPLES
from emgpose.recording.spool import Spool, SpooledFiles, filling

_DELIMITERS: Final = (",", ";", "\t")
_BLOCK_BYTES: Final = 1 << 22
# A line longer than this is no row of numbers.
_MAX_LINE_BYTES: Final = 1 << 18


class CsvReader:
    """Reads a CSV table (comma, semicolon or tab; decimal point) whose first line names the columns.

    EMG: `emg0`, `emg_0`, `ch0` or `EMG1` and so on. Joint angles [rad]: the joints' names, or `joint_0` to `joint_19`,
    or `gt_joint_0` to `gt_joint_19`. `time_s` [s] gives the rate, `valid` (1 or 0) marks usable
    labels; an empty cell is NaN.

    Parameters
    ----------
    path : Path
    rate_hz : float, optional
        Sample rate, for a file without `time_s`.
    channels : sequence of str or int, optional
        EMG channels by name or number; all by default.

    Raises
    ------
    SessionFormatError, DataError : the table cannot be read; the message names row and column.
    ConfigError : a channel does not exist.
    """

    def __init__(self, path: Path, rate_hz: float | None = None, channels: Sequence[str | int] | None = None) -> None:
        self._path = Path(path)
        self._unpacked = SpooledFiles([self._path])
        header, self._delimiter = read_header(self._path)
        self._columns = find_columns(header, str(self._path))
        chosen = select_channels(self._columns.emg_names, channels, str(path)) if self._columns.emg else []
        self._emg = tuple(self._columns.emg[column] for column in chosen)
        spool = self._spooled()
        times = _SpooledTimes(spool, self._n_samples) if self._columns.time is not None else None
        rate_hz, start_s, notes = table_rate_hz(times, self._n_samples, rate_hz, str(path))
        self._facts = SessionFacts(
            format="CSV",
            sample_rate_hz=rate_hz,
            n_samples=self._n_samples,
            channel_names=tuple(self._columns.emg_names[column] for column in chosen),
            has_joint_angles=bool(self._columns.joints),
            session=self._path.stem,
            start_s=start_s,
            notes=(*notes, *note_on_ignored(self._columns.ignored), *self._notes_on_end),
        )

    @property
    def facts(self) -> SessionFacts:
        """What the recording is."""
        return self._facts

    def read(self, start: int, stop: int, fields: frozenset[str]) -> dict[str, NDArray[Any]]:
        """Read samples [start, stop).

        Raises
        ------
        SessionFormatError : the file was replaced since it was opened.
        """
        spool = self._spooled()
        return {name: spool.read(name, start, stop) for name in self._spool_columns() if name in fields}

    def close(self) -> None:
        """Throw the binary rows away."""
        self._unpacked.close()

    def _spool_columns(self) -> dict[str, tuple[np.dtype[Any], int | None]]:
        float32 = np.dtype(np.float32)
        columns: dict[str, tuple[np.dtype[Any], int | None]] = {}
        if self._emg:
            columns["emg"] = (float32, len(self._emg))
        if self._columns.joints:
            columns["joint_angles"] = (float32, N_JOINTS)
        if self._columns.time is not None:
            columns["time_s"] = (np.dtype(np.float64), None)
        if self._columns.valid is not None:
            columns["valid"] = (np.dtype(np.bool_), None)
        return columns

    def _spooled(self) -> Spool:
        return self._unpacked.spool(self._unpack)

    def _unpack(self) -> Spool:
        with filling(self._spool_columns()) as spool:
            columns = self._columns
            for n_before, rows, has_end in read_rows(self._path, columns.used, columns.n_columns, self._delimiter):
                self._append(spool, rows, n_before)
                self._n_samples = n_before + len(rows)
                cut_off = () if has_end else ("the last row has no line end, so it may have been cut short",)
                self._notes_on_end: tuple[str, ...] = cut_off
        return spool

    def _append(self, spool: Spool, rows: NDArray[np.float64], n_before: int) -> None:
        place = {column: number for number, column in enumerate(self._columns.used)}
        if self._emg:
            spool.append("emg", rows[:, [place[column] for column in self._emg]])
        if self._columns.joints:
            joint_angles = rows[:, [place[column] for column in self._columns.joints]]
            require_radians(joint_angles, n_before, str(self._path))
            spool.append("joint_angles", joint_angles)
        if self._columns.time is not None:
            spool.append("time_s", rows[:, place[self._columns.time]])
        if self._columns.valid is not None:
            valid = rows[:, place[self._columns.valid]]
            odd = np.flatnonzero((valid != 0) & (valid != 1))
            if len(odd):
                raise SessionFormatError(
                    f"{self._path}: column valid is {valid[odd[0]]:g} at sample {n_before + odd[0]}, expected 1 or 0"
                )
            spool.append("valid", valid)


class _SpooledTimes:
    """The time column, block by block, as often as wanted."""

    def __init__(self, spool: Spool, n_samples: int) -> None:
        self._spool, self._n_samples = spool, n_samples

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.float64]]]:
        for start in range(0, self._n_samples, CHUNK_SAMPLES):
            yield start, self._spool.read("time_s", start, min(start + CHUNK_SAMPLES, self._n_samples))


def read_header(path: Path) -> tuple[list[str], str]:
    """Read the names of the columns, and what divides the cells.

    Raises
    ------
    SessionFormatError : the first line cannot be a header.
    """
    try:
        with path.open("rb") as file:
            line = file.readline(_MAX_LINE_BYTES)
    except OSError as error:
        raise SessionFormatError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        text = line.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise SessionFormatError(
            f"{path}: the first line is no UTF-8 text; expected column names as in a CSV file"
        ) from None
    delimiter = max(_DELIMITERS, key=text.count)
    header = [name.strip().strip('"') for name in text.split(delimiter)]
    if not text.isprintable() and delimiter != "\t":
        raise SessionFormatError(
            f"{path}: the first line holds control characters; expected column names as in a CSV file"
        )
    return header, delimiter


def read_rows(
    path: Path, used: Sequence[int], n_columns: int, delimiter: str
) -> Iterator[tuple[int, NDArray[np.float64], bool]]:
    """Read the rows below the header, some megabytes at a time.

    Parameters
    ----------
    path : Path
    used : sequence of int
        Columns to read, rising.
    n_columns : int
        In every row.
    delimiter : str

    Yields
    ------
    n_before : int
        Rows before these.
    rows : float64 array, shape (row, used column)
    has_end : bool
        Whether the last of them ends its line, as every row should.

    Raises
    ------
    SessionFormatError : the file cannot be read, has no rows, or a row is not as it should be.
    """
    n_rows = 0
    for block in _line_blocks(path):
        rows = _parse_lines(block, n_rows, used, n_columns, delimiter, str(path))
        yield n_rows, rows, block.endswith((b"\n", b"\r"))
        n_rows += len(rows)
    if not n_rows:
        raise SessionFormatError(f"{path}: expected rows of numbers below the header, found none")


def _line_blocks(path: Path) -> Iterator[bytes]:
    """Give whole lines below the header; empty lines at the end of the file are left out."""
    try:
        with path.open("rb") as file:
            file.readline(_MAX_LINE_BYTES)
            rest = b""
            while data := file.read(_BLOCK_BYTES):
                lines, newline, rest = (rest + data).rpartition(b"\n")
                if len(rest) > _MAX_LINE_BYTES:
                    raise SessionFormatError(
                        f"{path}: a line is longer than {_MAX_LINE_BYTES} bytes; expected rows of numbers"
                    )
                if newline and lines.strip():
                    yield lines + newline
                elif newline:
                    rest = lines + newline + rest
            if rest.strip():
                yield rest
    except OSError as error:
        raise SessionFormatError(f"{path}: cannot be read: {error.strerror or error}") from None


def _parse_lines(
    block: bytes, n_before: int, used: Sequence[int], n_columns: int, delimiter: str, where: str
) -> NDArray[np.float64]:
    """Turn lines into numbers, (row, used column)."""
    import pandas as pd

    stripped = block.rstrip(b"\r\n \t" if delimiter != "\t" else b"\r\n")
    _require_whole_rows(stripped, n_before, n_columns, delimiter, where)
    try:
        table = pd.read_csv(
            io.BytesIO(stripped + b"\n"),
            header=None,
            sep=delimiter,
            usecols=list(used),
            dtype=np.float64,
            quoting=3,  # csv.QUOTE_NONE: an open quotation mark must not swallow the rest of the file
            skip_blank_lines=False,
            encoding="utf-8",
        )
    except (ValueError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200].encode("ascii", "replace").decode()
        raise SessionFormatError(
            f"{where}: expected numbers (decimal point), could not read the rows from sample {n_before} on: {reason}"
        ) from None
    return table.to_numpy(dtype=np.float64)


def _require_whole_rows(lines: bytes, n_before: int, n_columns: int, delimiter: str, where: str) -> None:
    """Every row must have as many cells as the header: pandas would fill up a cut row with NaN without a word."""
    characters = np.frombuffer(lines + b"\n", dtype=np.uint8)
    ends = np.flatnonzero(characters == ord("\n"))
    n_delimiters = np.diff(np.cumsum(characters == ord(delimiter))[ends], prepend=0)
    uneven = np.flatnonzero(n_delimiters != n_columns - 1)
    if len(uneven):
        row = int(uneven[0])
        raise SessionFormatError(
            f"{where}: expected {n_columns} cells in every row as in the header, got {n_delimiters[row] + 1} at sample "
            f"{n_before + row}; the file may be cut off there"
        )
    returns = np.flatnonzero(characters == ord("\r"))
    if (characters[returns + 1] != ord("\n")).any() or (characters == 0).any():
        raise SessionFormatError(
            f"{where}: a stray control character after sample {n_before}; expected rows of numbers"
        )
