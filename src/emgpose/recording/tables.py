"""Tables of EMG or joint angles in CSV: one row per sample, one named column per channel or joint.

The file is read once from front to back, checked row by row, and kept beside as binary rows, so that memory does not
grow with its length.
"""

import io
import os
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
from emgpose.recording.file_version import file_version, require_same_version
from emgpose.recording.session import CHUNK_SAMPLES
from emgpose.recording.spool import Spool

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
        header, self._delimiter = read_header(self._path)
        self._columns = find_columns(header, str(self._path))
        self._version = file_version([self._path])
        chosen = select_channels(self._columns.emg_names, channels, str(path)) if self._columns.emg else []
        self._emg = tuple(self._columns.emg[column] for column in chosen)
        self._spool: Spool | None = None
        self._process = 0
        n_samples = self._fill_spool()
        times = _SpooledTimes(self._spooled(), n_samples) if self._columns.time is not None else None
        rate_hz, start_s, notes = table_rate_hz(times, n_samples, rate_hz, str(path))
        self._facts = SessionFacts(
            format="CSV",
            sample_rate_hz=rate_hz,
            n_samples=n_samples,
            channel_names=tuple(self._columns.emg_names[column] for column in chosen),
            has_joint_angles=bool(self._columns.joints),
            session=self._path.stem,
            start_s=start_s,
            notes=(*notes, *note_on_ignored(self._columns.ignored), *self._notes_on_end),
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_spool": None}

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
        if self._spool is not None and self._process == os.getpid():
            self._spool.close()
        self._spool = None

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
        # A forked process would share the file position of its parent.
        if self._spool is None or self._process != os.getpid():
            require_same_version(self._path, self._version, file_version([self._path]))
            self._fill_spool()
        if self._spool is None:
            raise SessionFormatError(f"{self._path}: expected rows, found none")
        return self._spool

    def _fill_spool(self) -> int:
        spool = Spool(self._spool_columns())
        n_rows = 0
        self._notes_on_end: tuple[str, ...] = ()
        try:
            for block in line_blocks(self._path):
                rows = parse_lines(
                    block, n_rows, self._columns.used, self._columns.n_columns, self._delimiter, str(self._path)
                )
                self._append(spool, rows, n_rows)
                n_rows += len(rows)
                if not block.endswith((b"\n", b"\r")):
                    self._notes_on_end = ("the last row has no line end, so it may have been cut short",)
            if not n_rows:
                raise SessionFormatError(f"{self._path}: expected rows of numbers below the header, found none")
        except BaseException:
            spool.close()
            raise
        self._spool, self._process = spool, os.getpid()
        return n_rows

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


def line_blocks(path: Path) -> Iterator[bytes]:
    """Give whole lines below the header, some megabytes at a time; empty lines at the end of the file are left out.

    Raises
    ------
    SessionFormatError : the file cannot be read.
    """
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


def parse_lines(
    block: bytes, n_before: int, used: Sequence[int], n_columns: int, delimiter: str, where: str
) -> NDArray[np.float64]:
    """Turn lines into numbers, (row, used column).

    Parameters
    ----------
    block : bytes
    n_before : int
        Rows before these, for messages.
    used : sequence of int
        Columns to read, rising.
    n_columns : int
        In every row.
    delimiter, where : str

    Raises
    ------
    SessionFormatError : a cell is no number, or a row has another number of cells.
    """
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
