"""Ninapro recordings in MATLAB files: one subject, one exercise.

| database | EMG | rate of the file | glove |
|---|---|---|---|
| DB2 and DB3 (amputees) | 12 Delsys Trigno | 2 kHz | 22 sensors, uncalibrated |
| DB5 | 16: two Myo armbands of 8 | 200 Hz | 22 sensors, uncalibrated |
| DB8 | 16 Delsys Trigno in two rows of 8 | 2 kHz, upsampled from 1111 Hz as published | 18, on the other hand |

The files do not say their rate; the numbers of EMG and glove columns tell the database, and with it the rate. DB2 and
DB3 are told apart by the names of file and folders (see `which_of_two`), or by whoever opens them. Joint
angles are read from calibrated `angles` only (see `emgpose.recording.ninapro_glove`), which lie in the files of DB9: a
file of DB9 beside one of DB2 or DB5 is joined to it after a check that both hold the same glove samples.

Source: Atzori et al. 2014, Scientific Data 1:140053 (DB2, DB3); Pizzolato et al. 2017, PLoS ONE 12(10):e0186132 (DB5);
Krasoulis, Vijayakumar, Nazarpour 2019, Front. Neurosci. 13:891 (DB8); instructions of each at ninapro.hevs.ch.
"""

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError, DataError, SessionFormatError
from emgpose.hand import JOINTS, N_JOINTS
from emgpose.recording.channels import select_channels
from emgpose.recording.columns import require_radians
from emgpose.recording.facts import KNOWN_JOINTS, SessionFacts, checked_rate_hz, note_on_missing_joints
from emgpose.recording.mat_file import mat_numbers, mat_scalar, mat_shapes, mat_texts
from emgpose.recording.ninapro_databases import DATABASES, DB2, DB2_OR_DB3, Database, which_of_two
from emgpose.recording.ninapro_glove import angle_columns, joint_angles_of
from emgpose.recording.spool import Spool, SpooledFiles, filling

# Labels of movements that belong to each sample.
MOVEMENT_FIELDS: Final = ("stimulus", "restimulus", "repetition", "rerepetition")
_EMG, _ANGLES, _ORDER, _GLOVE = "emg", "angles", "order_of_angles", "glove"
# S1_E1_A1.mat (DB2, DB5, DB8, DB9) or S1_A1_E1.mat (DB1, DB3), perhaps with the database before it.
_FILE_NAME: Final = re.compile(
    r"(?:DB\d+[ _-])?S(?P<subject>\d{1,4})_(?:E(?P<e>\d)_A(?P<a>\d)|A(?P<a2>\d)_E(?P<e2>\d))", re.IGNORECASE
)
_MAX_CHANNELS: Final = 64
_BLOCK_ROWS: Final = 65_536


class NinaproReader:
    """Reads EMG, and joint angles where they are calibrated, from one Ninapro file.

    Parameters
    ----------
    path : Path
    rate_hz : float, optional
        For a file whose columns fit no known database.
    channels : sequence of str or int, optional
        EMG channels by name (`emg0` ...) or number; all by default.
    angles_path : Path, optional
        The file of DB9 for the same subject and exercise.
    database : `DB2` or `DB3`, optional
        For a file of one of the two whose name and folders do not tell which.

    Raises
    ------
    SessionFormatError : the file is damaged, or holds neither EMG nor calibrated angles.
    DataError : the rate given is not the database's, or the file of DB9 belongs to other samples.
    ConfigError : a channel does not exist, or the file is not of the database given.
    """

    def __init__(
        self,
        path: Path,
        rate_hz: float | None = None,
        channels: Sequence[str | int] | None = None,
        *,
        angles_path: Path | None = None,
        database: str | None = None,
    ) -> None:
        self._path, self._angles_path = Path(path), Path(angles_path) if angles_path is not None else None
        self._unpacked = SpooledFiles(self._files())
        self._shapes = mat_shapes(self._path)
        self._n_samples, self._n_emg = self._size()
        names = tuple(f"emg{number}" for number in range(self._n_emg))
        self._chosen = select_channels(names, channels, str(path)) if names else []
        self._columns = self._find_angles()
        if self._angles_path is not None:
            self._require_same_glove(self._angles_path)
        chosen = tuple(names[column] for column in self._chosen)
        self._facts = self._read_facts(self._database(database), rate_hz, chosen)

    @property
    def facts(self) -> SessionFacts:
        """What the recording is."""
        return self._facts

    def read(self, start: int, stop: int, fields: frozenset[str]) -> dict[str, NDArray[Any]]:
        """Read samples [start, stop) of `emg` or `joint_angles`.

        Raises
        ------
        SessionFormatError : the file is damaged, or was replaced since it was opened.
        """
        wanted = [name for name in self._spool_columns() if name in fields]
        if not wanted:
            return {}
        spool = self._spooled()
        return {name: spool.read(name, start, stop) for name in wanted}

    def close(self) -> None:
        """Throw the unpacked rows away."""
        self._unpacked.close()

    def movement_labels(self) -> dict[str, NDArray[np.int16]]:
        """Read which movement and repetition each sample belongs to, (time,) each: those fields that the file has.

        Raises
        ------
        SessionFormatError : the file is damaged, or a label is no whole number that fits into int16.
        """
        labels = {}
        for name in MOVEMENT_FIELDS:
            if self._shapes.get(name, ((), ""))[0] in ((self._n_samples, 1), (1, self._n_samples)):
                found = mat_numbers(self._path, name).reshape(-1)
                with np.errstate(invalid="ignore"):
                    labels[name] = found.astype(np.int16)
                odd = np.flatnonzero(labels[name] != found)
                if len(odd):
                    raise SessionFormatError(
                        f"{self._path}: {name} is {found[odd[0]]} at sample {odd[0]}, expected the number of a movement"
                    )
        return labels

    def _files(self) -> list[Path]:
        return [self._path] if self._angles_path is None else [self._path, self._angles_path]

    def _size(self) -> tuple[int, int]:
        """Samples, and EMG channels (0 in a file of angles only)."""
        name = _EMG if _EMG in self._shapes else _ANGLES
        shape, kind = self._shapes.get(name, ((), ""))
        if len(shape) != 2 or not 1 <= shape[1] <= _MAX_CHANNELS or shape[0] < max(2, shape[1]):
            found = f"{name} {kind} {shape}" if shape else ", ".join(sorted(self._shapes)[:8]) or "nothing"
            raise SessionFormatError(
                f"{self._path}: expected emg (time, channel) as Ninapro files have it, found {found[:200]!a}; other "
                "MATLAB files can be saved as CSV or NPZ"
            )
        return shape[0], shape[1] if name == _EMG else 0

    def _angles_source(self) -> tuple[Path, dict[str, tuple[tuple[int, ...], str]]]:
        if self._angles_path is not None:
            return self._angles_path, mat_shapes(self._angles_path)
        return self._path, self._shapes

    def _find_angles(self) -> dict[str, int]:
        """Columns of calibrated angles by joint; none where the file does not name them."""
        path, shapes = self._angles_source()
        if _ANGLES not in shapes or _ORDER not in shapes:
            if self._angles_path is not None or not self._n_emg:
                raise SessionFormatError(
                    f"{path}: expected calibrated joint angles, fields {_ANGLES} and {_ORDER} as in DB9"
                )
            return {}
        names = mat_texts(path, _ORDER)
        shape = shapes[_ANGLES][0]
        if shape != (self._n_samples, len(names)):
            raise SessionFormatError(
                f"{path}: {_ANGLES}: expected shape {(self._n_samples, len(names))}, as many samples as the EMG and "
                f"columns as {_ORDER}, got {shape}"
            )
        return angle_columns(names)

    def _require_same_glove(self, other: Path) -> None:
        """Two files belong together exactly if they hold the same glove samples."""
        ours, theirs = mat_numbers(self._path, _GLOVE), mat_numbers(other, _GLOVE)
        if ours.shape != theirs.shape or not np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f"):
            raise DataError(
                f"{other}: expected the calibrated angles of {self._path.name}, but field {_GLOVE} differs between the "
                "two; in DB9, subject 27 + n is subject n of DB2 and 67 + n is subject n of DB5"
            )

    def _read_facts(
        self, database: Database | None, rate_hz: float | None, channel_names: tuple[str, ...]
    ) -> SessionFacts:
        subject, exercise, acquisition = self._who()
        missing = note_on_missing_joints(tuple(joint for joint in JOINTS if joint not in self._columns))
        attributes: dict[str, Any] = {"subject": subject, "exercise": exercise, "acquisition": acquisition}
        attributes = {name: value for name, value in attributes.items() if value is not None}
        if self._columns:
            attributes[KNOWN_JOINTS] = ",".join(joint for joint in JOINTS if joint in self._columns)
        name = "ninapro" if database is None or database == DB2_OR_DB3 else database.name
        return SessionFacts(
            format=f"Ninapro {database.name}" if database is not None else "Ninapro",
            sample_rate_hz=self._rate_hz(database, rate_hz),
            n_samples=self._n_samples,
            channel_names=channel_names,
            has_joint_angles=bool(self._columns),
            session=f"{name}-{self._path.stem}",
            user=None if subject is None else f"{name}-S{subject}",
            stage=None if exercise is None else f"{name}-E{exercise}",
            side=database.side if database is not None else None,
            notes=(
                *(database.notes if database is not None else ()),
                *(missing if self._columns else ()),
                *self._notes_on_subject(subject),
            ),
            attributes=attributes,
        )

    def _database(self, stated: str | None) -> Database | None:
        found = self._database_by_layout()
        if found == DB2:
            has_db9 = self._angles_path is not None
            return which_of_two(self._path, self._who()[0], has_db9=has_db9, stated=stated)
        if stated is not None:
            layout = f"those of {found.name}" if found is not None else "of no database known here"
            raise ConfigError(f"{self._path}: its columns are {layout}, not of {stated}; leave the database out")
        return found

    def _database_by_layout(self) -> Database | None:
        glove = self._shapes.get(_GLOVE, ((0, 0), ""))[0]
        n_glove = glove[1] if len(glove) == 2 else 0
        for database in DATABASES:
            if (self._n_emg, n_glove) == (database.n_emg, database.n_glove):
                return database
        # The third exercise of DB2 has forces, with or without a glove.
        is_force = self._n_emg == DB2.n_emg and "force" in self._shapes
        return DB2 if is_force else None

    def _rate_hz(self, database: Database | None, given_hz: float | None) -> float:
        if database is None and given_hz is None:
            raise SessionFormatError(
                f"{self._path}: {self._n_emg} EMG columns and {self._shapes.get(_GLOVE, ((0, 0), ''))[0][-1]} of glove "
                "are those of no database known here (DB2, DB3, DB5, DB8), and the file does not say its rate; give it "
                "as rate_hz (--input-rate)"
            )
        if given_hz is not None:
            given_hz = checked_rate_hz(given_hz, f"{self._path}: rate_hz")
        if database is not None and given_hz is not None and not math.isclose(given_hz, database.rate_hz, rel_tol=1e-6):
            raise DataError(
                f"{self._path}: the rate given is {given_hz:g} Hz, files of {database.name} have {database.rate_hz:g} "
                "Hz; leave it out"
            )
        return given_hz if database is None and given_hz is not None else database.rate_hz  # type: ignore[union-attr]

    def _who(self) -> tuple[int | None, int | None, int | None]:
        """Subject, exercise and acquisition: of the file's name where it tells them, else of its fields."""
        match = _FILE_NAME.match(self._path.stem)
        if match:
            return int(match["subject"]), int(match["e"] or match["e2"]), int(match["a"] or match["a2"])
        fields = [mat_scalar(self._path, name, self._shapes) for name in ("subject", "exercise")]
        subject, exercise = (None if value is None else int(value) for value in fields)
        return subject, exercise, None

    def _notes_on_subject(self, subject: int | None) -> tuple[str, ...]:
        stated = mat_scalar(self._path, "subject", self._shapes)
        if stated is None or subject is None or int(stated) == subject:
            return ()
        return (f"field subject is {int(stated)}, the file's name says {subject}, which is used",)

    def _spool_columns(self) -> dict[str, tuple[np.dtype[Any], int | None]]:
        columns: dict[str, tuple[np.dtype[Any], int | None]] = {}
        if self._chosen:
            columns["emg"] = (np.dtype(np.float32), len(self._chosen))
        if self._columns:
            columns["joint_angles"] = (np.dtype(np.float32), N_JOINTS)
        return columns

    def _spooled(self) -> Spool:
        return self._unpacked.spool(self._unpack)

    def _unpack(self) -> Spool:
        with filling(self._spool_columns()) as spool:
            if self._chosen:
                for rows in _blocks(mat_numbers(self._path, _EMG)):
                    spool.append("emg", rows[:, self._chosen])
            if self._columns:
                path, _ = self._angles_source()
                for number, rows in enumerate(_blocks(mat_numbers(path, _ANGLES))):
                    joint_angles = joint_angles_of(rows, self._columns)
                    require_radians(joint_angles, number * _BLOCK_ROWS, f"{path}: {_ANGLES}")
                    spool.append("joint_angles", joint_angles)
        return spool


def _blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for start in range(0, len(array), _BLOCK_ROWS):
        yield array[start : start + _BLOCK_ROWS]
