"""The emg2pose HDF5 format: one hand, one stage, EMG and joint angles at 2 kHz.

Group `emg2pose` holds the compound dataset `timeseries` (fields `time`, `joint_angles`, `emg`) and the facts as
attributes. The index of a sample is the clock; its time stamp jitters.

Source: emg2pose data set (Salter et al. 2024).
"""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from emgpose.errors import SessionFormatError
from emgpose.hand import N_JOINTS, SIDES
from emgpose.preprocessing import EMG2POSE_PREPROCESSING
from emgpose.recording.channels import select_channels
from emgpose.recording.emg2pose_layout import GROUP, N_CHANNELS, TIMESERIES, check_layout, clear_errors, linked
from emgpose.recording.facts import SessionFacts, checked_rate_hz, note_on_missing_joints
from emgpose.recording.file_version import file_version, require_same_version
from emgpose.recording.hdf5_text import check_text_attributes

_MAX_ATTRIBUTES: Final = 256
_MAX_TEXT: Final = 512
# Text, integers, floats and booleans; anything else is left unread.
_PLAIN_TYPES: Final = (h5py.h5t.TypeStringID, h5py.h5t.TypeIntegerID, h5py.h5t.TypeFloatID, h5py.h5t.TypeEnumID)
_BLOCK_ROWS: Final = 65_536
# Time stamps jitter, so the rate that they imply is only a check of the stated one.
_NOTED_RATE_ERROR: Final = 0.002
_REFUSED_RATE_FACTOR: Final = 2.0


class Emg2PoseReader:
    """Reads one emg2pose HDF5 file.

    The file is checked and closed again on construction, and opened when it is first read, once per process.

    Parameters
    ----------
    path : Path
    channels : sequence of str or int, optional
        EMG channels by name (`emg0` ...) or number; all by default.

    Raises
    ------
    SessionFormatError : the file is damaged, or not in this format.
    ConfigError : a channel does not exist.
    """

    def __init__(self, path: Path, channels: Sequence[str | int] | None = None) -> None:
        self._path = Path(path)
        self._file: h5py.File | None = None
        self._process = 0
        with clear_errors(self._path, TIMESERIES), _open(self._path) as file:
            self._version = file_version([file.id.get_vfd_handle()])
            self._facts = _read_facts(self._path, file)
        names = self._facts.channel_names
        self._columns = select_channels(names, channels, str(self._path))
        if channels is not None:
            chosen = tuple(names[column] for column in self._columns)
            self._facts = dataclasses.replace(self._facts, channel_names=chosen)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None}

    @property
    def facts(self) -> SessionFacts:
        """What the recording is."""
        return self._facts

    def read(self, start: int, stop: int, fields: frozenset[str]) -> dict[str, NDArray[Any]]:
        """Read samples [start, stop) of `emg`, `joint_angles` or `time_s`.

        Raises
        ------
        SessionFormatError : the file is damaged there, or was replaced since it was opened.
        """
        names = [name for name in ("time", "joint_angles", "emg") if _OUR_NAME[name] in fields]
        values = {name: np.empty((stop - start, *self._shape(name)), dtype=_OUR_DTYPE[name]) for name in names}
        with clear_errors(self._path, f"{TIMESERIES}, samples {start} to {stop}"):
            dataset = self._dataset()
            for first in range(start, stop, _BLOCK_ROWS) if names else ():
                last = min(first + _BLOCK_ROWS, stop)
                block = dataset.fields(names)[first:last]
                for name in names:
                    self._copy(block[name], values[name][first - start : last - start], name)
        return {_OUR_NAME[name]: array for name, array in values.items()}

    def close(self) -> None:
        """Close the file."""
        if self._file is not None and self._process == os.getpid():
            self._file.close()
        self._file = None

    def _shape(self, name: str) -> tuple[int, ...]:
        return {"time": (), "joint_angles": (N_JOINTS,), "emg": (len(self._columns),)}[name]

    def _copy(self, block: NDArray[Any], target: NDArray[Any], name: str) -> None:
        # A float64 angle beyond float32 becomes Inf, which is no valid label.
        with np.errstate(over="ignore", invalid="ignore"):
            target[...] = block[:, self._columns] if name == "emg" else block

    def _dataset(self) -> h5py.Dataset:
        # A forked process must not share the handle of its parent.
        if self._file is None or self._process != os.getpid():
            self._file = _open(self._path)
            self._process = os.getpid()
        # Asked at every read: HDF5 gives zeros, without a word, where a file was cut short under an open handle.
        now = file_version([self._file.id.get_vfd_handle()])
        if now != self._version:
            self.close()
        require_same_version(self._path, self._version, now)
        return self._file[TIMESERIES]


_OUR_NAME: Final = {"time": "time_s", "joint_angles": "joint_angles", "emg": "emg"}
_OUR_DTYPE: Final = {"time": np.float64, "joint_angles": np.float32, "emg": np.float32}


def _open(path: Path) -> h5py.File:
    # Recordings are only read, and locks fail on read-only and network disks.
    return h5py.File(path, "r", locking=False)


def _read_facts(path: Path, file: h5py.File) -> SessionFacts:
    linked(path, file, GROUP, h5py.Group)
    dataset = linked(path, file, TIMESERIES, h5py.Dataset)
    n_channels = check_layout(path, dataset)
    attributes = _attributes(path, file)
    if "sample_rate" not in attributes:
        raise SessionFormatError(f"{path}: {GROUP} has no attribute sample_rate; expected the rate in Hz, such as 2000")
    rate_hz = checked_rate_hz(attributes["sample_rate"], f"{path}: {GROUP} attribute sample_rate")
    _check_n_channels(path, attributes.get("num_channels"), n_channels)
    first_s, last_s = (float(dataset.fields("time")[row]) for row in (0, len(dataset) - 1))
    facts = SessionFacts(
        format="emg2pose HDF5",
        sample_rate_hz=rate_hz,
        n_samples=len(dataset),
        channel_names=tuple(f"emg{channel}" for channel in range(n_channels)),
        # Ours: a recording made without a camera says so, since the format has the field in any case.
        has_joint_angles=attributes.get("has_joint_angles", True) is not False,
        session=_text(path, attributes, "session") or path.stem,
        user=_text(path, attributes, "user"),
        stage=_text(path, attributes, "stage"),
        side=_side(path, attributes),
        emg_unit="noise_floor",
        preprocessing=EMG2POSE_PREPROCESSING,
        start_s=first_s if math.isfinite(first_s) else None,
        notes=(*_notes_on_clock(path, first_s, last_s, len(dataset), rate_hz), *_notes_on_missing(attributes)),
        attributes=attributes,
    )
    return dataclasses.replace(facts, notes=(*facts.notes, *note_on_missing_joints(facts.missing_joints)))


def _attributes(path: Path, file: h5py.File) -> dict[str, Any]:
    """Read the group's attributes as plain numbers, text and small arrays."""
    if file.id.get_create_plist().get_sizes() != (8, 8):
        raise SessionFormatError(f"{path}: expected an HDF5 file with 8-byte addresses; repack it")
    group = file[GROUP]
    check_text_attributes(path, h5py.h5o.get_info(group.id).addr, file.userblock_size)
    names = list(group.attrs)
    if len(names) > _MAX_ATTRIBUTES:
        raise SessionFormatError(f"{path}: {GROUP} has {len(names)} attributes, expected about ten")
    attributes = {}
    for name in names:
        with clear_errors(path, f"{GROUP} attribute {name!a}"):
            attribute = group.attrs.get_id(name)
            if isinstance(attribute.get_type(), _PLAIN_TYPES) and math.prod(attribute.shape or ()) <= _MAX_TEXT:
                attributes[name] = _plain(group.attrs[name])
    return {name: value for name, value in attributes.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, h5py.Empty):
        return None
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(()).item()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    return value


def _text(path: Path, attributes: Mapping[str, Any], name: str) -> str | None:
    value = attributes.get(name)
    if value is None or (isinstance(value, str) and not value):
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.isprintable() or len(value) > _MAX_TEXT:
        raise SessionFormatError(f"{path}: {GROUP} attribute {name}: expected a short text, got {_short(value)}")
    return value


def _side(path: Path, attributes: Mapping[str, Any]) -> str | None:
    side = _text(path, attributes, "side")
    if side is not None and side not in SIDES:
        raise SessionFormatError(f"{path}: {GROUP} attribute side: expected {' or '.join(SIDES)}, got {_short(side)}")
    return side


def _check_n_channels(path: Path, stated: Any, n_channels: int) -> None:
    if stated is None:
        stated = N_CHANNELS
    if isinstance(stated, bool) or not isinstance(stated, int | float) or stated != n_channels:
        raise SessionFormatError(
            f"{path}: {GROUP} attribute num_channels: expected {n_channels} as in field emg, got {_short(stated)}"
        )


def _short(value: Any) -> str:
    # ascii() keeps control characters and broken text off the terminal.
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _notes_on_clock(path: Path, first_s: float, last_s: float, n_samples: int, rate_hz: float) -> tuple[str, ...]:
    """Compare the stated rate with the time stamps."""
    duration_s = last_s - first_s
    if n_samples < 2:
        return ()
    if not (math.isfinite(duration_s) and duration_s > 0):
        raise SessionFormatError(
            f"{path}: {TIMESERIES} field time: expected Unix seconds that increase, got {first_s!r} to {last_s!r} s; "
            "the file is damaged, or its writer left time stamps out"
        )
    ratio = (n_samples - 1) / duration_s / rate_hz
    if not 1 / _REFUSED_RATE_FACTOR <= ratio <= _REFUSED_RATE_FACTOR:
        raise SessionFormatError(
            f"{path}: {GROUP} attribute sample_rate is {rate_hz:g} Hz, but {n_samples} samples in {duration_s:g} s of "
            f"{TIMESERIES} field time are {ratio * rate_hz:g} Hz; correct whichever is wrong"
        )
    if abs(ratio - 1) > _NOTED_RATE_ERROR:
        return (f"the time stamps imply {ratio * rate_hz:.6g} Hz, the stated {rate_hz:g} Hz are used",)
    return ()


def _notes_on_missing(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    missing = [
        name for name in ("session", "user", "stage", "side") if name not in attributes or attributes[name] == ""
    ]
    return (f"not stated: {', '.join(missing)}",) if missing else ()
