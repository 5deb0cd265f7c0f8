"""Read a table by a mapping: which columns are EMG, joint angles, time and validity, and in which units."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError, SessionFormatError
from emgpose.hand import JOINT_INDEX, JOINTS, N_JOINTS
from emgpose.recording.channels import select_channels
from emgpose.recording.columns import note_on_ignored, require_radians, table_rate_hz
from emgpose.recording.facts import KNOWN_JOINTS, SessionFacts, note_on_missing_joints
from emgpose.recording.mapping_file import TableMapping
from emgpose.recording.session import CHUNK_SAMPLES


class TableRows(Protocol):
    """The rows of a table file, read by range; picklable."""

    @property
    def names(self) -> tuple[str, ...]:
        """All columns, in file order."""
        ...

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        ...

    def read(self, start: int, stop: int, columns: Sequence[str]) -> NDArray[np.float64]:
        """Read rows [start, stop) of some columns, shape (row, column); an empty cell is NaN."""
        ...

    def close(self) -> None:
        """Give back the file."""
        ...


class MappedTableReader:
    """Reads a recording out of the rows of a table.

    Parameters
    ----------
    rows : TableRows
    mapping : TableMapping
        All its columns must be there.
    path : Path
    kind : str
        Name of the file format.
    rate_hz : float, optional
        Sample rate, where neither the mapping nor a time column gives it.
    channels : sequence of str or int, optional
        EMG channels among those of the mapping; all by default.

    Raises
    ------
    SessionFormatError, DataError : a column is missing, or its numbers cannot be what they should be.
    ConfigError : a channel does not exist, or the rate given is not that of the mapping.
    """

    def __init__(
        self,
        rows: TableRows,
        mapping: TableMapping,
        path: Path,
        kind: str,
        rate_hz: float | None = None,
        channels: Sequence[str | int] | None = None,
    ) -> None:
        self._rows, self._mapping, self._path = rows, mapping, Path(path)
        require_columns(rows.names, mapping, str(path))
        chosen = select_channels(mapping.emg, channels, str(path)) if mapping.emg else []
        self._emg = tuple(mapping.emg[column] for column in chosen)
        times = _Times(rows, mapping) if mapping.time_column is not None else None
        given_hz = _given_rate_hz(mapping, rate_hz, str(path))
        found_hz, start_s, notes = table_rate_hz(
            times, rows.n_rows, given_hz, str(path), column=mapping.time_column or "time_s"
        )
        missing = tuple(joint for joint in JOINTS if joint not in mapping.joints) if mapping.joints else ()
        ignored = [name for name in rows.names if name not in mapping.columns]
        self._facts = SessionFacts(
            format=kind,
            sample_rate_hz=found_hz,
            n_samples=rows.n_rows,
            channel_names=self._emg,
            has_joint_angles=bool(mapping.joints),
            session=mapping.session or self._path.stem,
            user=mapping.user,
            stage=mapping.stage,
            side=mapping.side,
            emg_unit=mapping.emg_unit if mapping.emg else "unknown",
            start_s=start_s,
            notes=(*notes, *note_on_missing_joints(missing), *note_on_ignored(ignored)),
            attributes={KNOWN_JOINTS: ",".join(j for j in JOINTS if j in mapping.joints)} if missing else {},
        )

    @property
    def facts(self) -> SessionFacts:
        """What the recording is."""
        return self._facts

    def close(self) -> None:
        """Give back the file."""
        self._rows.close()

    def read(self, start: int, stop: int, fields: frozenset[str]) -> dict[str, NDArray[Any]]:
        """Read samples [start, stop).

        Raises
        ------
        SessionFormatError, DataError : the rows cannot be read, or a number is impossible.
        """
        mapping = self._mapping
        values: dict[str, NDArray[Any]] = {}
        with np.errstate(over="ignore", invalid="ignore"):
            if "emg" in fields and self._emg:
                emg = self._rows.read(start, stop, self._emg) * mapping.emg_factor
                values["emg"] = np.ascontiguousarray(emg, dtype=np.float32)
            if "joint_angles" in fields and mapping.joints:
                values["joint_angles"] = self._joint_angles(start, stop)
            if "valid" in fields and mapping.valid_column is not None:
                values["valid"] = self._valid(start, stop, mapping.valid_column)
            if "time_s" in fields and mapping.time_column is not None:
                values["time_s"] = self._rows.read(start, stop, [mapping.time_column])[:, 0] * mapping.time_factor
        return values

    def _joint_angles(self, start: int, stop: int) -> NDArray[np.float32]:
        columns = [column for column, _ in self._mapping.joints.values()]
        read = self._rows.read(start, stop, columns)
        angles = np.full((stop - start, N_JOINTS), np.nan, dtype=np.float32)
        for number, (joint, (_, factor)) in enumerate(self._mapping.joints.items()):
            angles[:, JOINT_INDEX[joint]] = read[:, number] * factor
        require_radians(angles, start, str(self._path))
        if self._facts.missing_joints and self._mapping.valid_column is not None:
            # No sample counts as labelled where joints are missing, so that the mark would be lost.
            angles[~self._valid(start, stop, self._mapping.valid_column)] = np.nan
        return angles

    def _valid(self, start: int, stop: int, column: str) -> NDArray[np.bool_]:
        valid = self._rows.read(start, stop, [column])[:, 0]
        odd = np.flatnonzero((valid != 0) & (valid != 1))
        if len(odd):
            raise SessionFormatError(
                f"{self._path}: column {column} is {valid[odd[0]]:g} at sample {start + odd[0]}, expected 1 or 0"
            )
        return np.asarray(valid == 1)


def _given_rate_hz(mapping: TableMapping, rate_hz: float | None, where: str) -> float | None:
    if None not in (rate_hz, mapping.rate_hz) and rate_hz != mapping.rate_hz:
        raise ConfigError(
            f"{where}: the rate given is {rate_hz:g} Hz, its mapping says {mapping.rate_hz:g} Hz; leave one of them out"
        )
    return mapping.rate_hz if rate_hz is None else rate_hz


def require_columns(names: Sequence[str], mapping: TableMapping, where: str) -> None:
    """Refuse a table that lacks a column of its mapping, or has it twice.

    Raises
    ------
    SessionFormatError : the message names the column and those that there are.
    """
    for column in mapping.columns:
        if names.count(column) != 1:
            found = ", ".join(name[:40] for name in names[:12]).encode("ascii", "replace").decode()
            problem = "is missing" if column not in names else "stands twice in the header"
            raise SessionFormatError(
                f"{where}: column {column[:80]!a} of the mapping {problem}; the file has {len(names)} columns: {found}"
            )


class _Times:
    """The time stamps [s], block by block, as often as wanted."""

    def __init__(self, rows: TableRows, mapping: TableMapping) -> None:
        self._rows, self._column, self._factor = rows, mapping.time_column or "", mapping.time_factor

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.float64]]]:
        for start in range(0, self._rows.n_rows, CHUNK_SAMPLES):
            stop = min(start + CHUNK_SAMPLES, self._rows.n_rows)
            yield start, self._rows.read(start, stop, [self._column])[:, 0] * self._factor
