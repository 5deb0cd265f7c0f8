"""Write the emg2pose HDF5 format, at once or while a recording grows; an interrupted write leaves nothing."""

import contextlib
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from emgpose.atomic import FailureKeepingFile, atomic_file
from emgpose.errors import ConfigError, DataError, ShapeError
from emgpose.hand import N_JOINTS, SIDES
from emgpose.recording.emg2pose_layout import GROUP, N_CHANNELS
from emgpose.recording.facts import checked_rate_hz

# Small enough for HDF5's chunk cache (1 MiB) with float64 angles, large enough that chunks cost nothing.
_CHUNK_ROWS: Final = 4096


class Emg2PoseWriter:
    """Writes one emg2pose HDF5 file, block by block; a context manager.

    The file takes its name when the block ends without an error, and not before. Where no block had joint angles, the
    attribute `has_joint_angles` says so.

    Parameters
    ----------
    path : Path
        Target; what stood there is replaced.
    sample_rate_hz : float
    user, stage : str
    side : str
        `left` or `right`.
    session : str, optional
        Identifier of the recording session; the file's stem by default.
    start_s : float
        Unix time of the first sample [s], used where blocks bring no time stamps.
    n_channels : int
    angles_dtype : `f4` or `f8`
        How joint angles are stored.
    attributes : dict, optional
        Further attributes, numbers or text.

    Raises
    ------
    ConfigError : an argument is impossible.
    DataError : the folder cannot be written to, or the disk is full.

    Source: emg2pose data set (Salter et al. 2024).
    """

    def __init__(
        self,
        path: Path,
        *,
        sample_rate_hz: float,
        user: str,
        stage: str,
        side: str,
        session: str | None = None,
        start_s: float = 0.0,
        n_channels: int = N_CHANNELS,
        angles_dtype: Literal["f4", "f8"] = "f4",
        attributes: dict[str, Any] | None = None,
    ) -> None:
        if side not in SIDES:
            raise ConfigError(f"{path}: expected side {' or '.join(SIDES)}, got {side!r}")
        if angles_dtype not in ("f4", "f8"):
            raise ConfigError(f"{path}: expected angles_dtype f4 or f8, got {angles_dtype!r}")
        if not math.isfinite(start_s):
            raise ConfigError(f"{path}: expected a finite start time, got {start_s!r}")
        self._path = Path(path)
        self._start_s = start_s
        self._rate_hz = checked_rate_hz(sample_rate_hz, f"{path}: sample_rate_hz")
        self._n_channels = n_channels
        self._dtype = np.dtype(
            [("time", "<f8"), ("joint_angles", f"<{angles_dtype}", (N_JOINTS,)), ("emg", "<f4", (n_channels,))]
        )
        self._attributes: dict[str, Any] = {
            **(attributes or {}),
            "session": session or self._path.stem,
            "user": user,
            "stage": stage,
            "side": side,
            "filename": self._path.stem,
            "sample_rate": self._rate_hz,
            "num_channels": n_channels,
        }
        self._closing = contextlib.ExitStack()
        self._dataset: h5py.Dataset | None = None
        self._pending = np.empty(0, dtype=self._dtype)
        self._n_samples = 0
        self._has_joint_angles = False
        self._span_s = (start_s, start_s)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opening:
            unfinished = opening.enter_context(atomic_file(self._path))
            self._disk = opening.enter_context(contextlib.closing(FailureKeepingFile(unfinished)))
            # Asked after HDF5 has closed its file, which writes what it still holds.
            opening.callback(self._disk.raise_failure)
            file = opening.enter_context(h5py.File(self._disk, "w"))
            # The checksum lets a reader notice a flipped bit instead of handing out a wrong number.
            self._dataset = file.create_group(GROUP).create_dataset(
                "timeseries", (0,), self._dtype, maxshape=(None,), chunks=(_CHUNK_ROWS,), fletcher32=True
            )
            self._closing = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except BaseException as failure:
            self._closing.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._closing.__exit__(kind, error, traceback)

    @property
    def n_samples(self) -> int:
        """Samples taken so far."""
        return self._n_samples

    def append(
        self,
        emg: ArrayLike,
        joint_angles: ArrayLike | None = None,
        *,
        valid: ArrayLike | None = None,
        time_s: ArrayLike | None = None,
    ) -> None:
        """Take the next samples.

        The format has no mask: a sample without a label is one whose angles are all zero. So rows that are not valid
        become zero, and a valid pose of exactly zero everywhere would read as no label.

        Parameters
        ----------
        emg : array, shape (time, channel)
            Noise floor SD 1.
        joint_angles : array, shape (time, joint=20) [rad], optional
            No labels where left out.
        valid : array, shape (time,), bool, optional
            All True by default.
        time_s : array, shape (time,), optional
            Unix time of each sample; start and rate decide by default.

        Raises
        ------
        ShapeError : lengths or axes do not agree.
        DataError : the disk is full.
        """
        if self._dataset is None:
            raise ConfigError(f"{self._path}: append is for use inside `with Emg2PoseWriter(...)`")
        rows = self._rows(emg, joint_angles, valid, time_s)
        if not len(rows):
            return
        first_s = self._span_s[0] if self._n_samples else float(rows["time"][0])
        self._span_s = (first_s, float(rows["time"][-1]))
        self._n_samples += len(rows)
        self._has_joint_angles |= joint_angles is not None
        # Whole storage chunks only: rewriting a part of one means checking and summing it again.
        pending = np.concatenate([self._pending, rows])
        n_whole = len(pending) - len(pending) % _CHUNK_ROWS
        self._store(pending[:n_whole])
        self._disk.raise_failure()
        self._pending = pending[n_whole:].copy()

    def add_group(self, name: str, values: Mapping[str, Any]) -> None:
        """Store further facts beside the recording, such as the truth behind a simulated one; readers pass over them.

        Parameters
        ----------
        name : str
            Of the HDF5 group, other than that of the recording.
        values : mapping
            Numbers become attributes; texts and arrays become datasets, since attributes are limited to 64 KiB.

        Raises
        ------
        ConfigError : the group exists, or nothing is being written.
        DataError : the disk is full.
        """
        if self._dataset is None or name in self._dataset.file:
            raise ConfigError(f"{self._path}: group {name}: expected a new name, inside `with Emg2PoseWriter(...)`")
        group = self._dataset.file.create_group(name)
        for key, value in values.items():
            if isinstance(value, str):
                # Of fixed length: variable texts lie in a heap whose layout is not ours to know.
                encoded = value.encode("utf-8")
                kind = h5py.string_dtype("utf-8", max(1, len(encoded)))
                group.create_dataset(key, data=np.array(encoded, dtype=kind))
            elif isinstance(value, np.ndarray):
                group.create_dataset(key, data=value)
            else:
                group.attrs[key] = value

    def _rows(
        self, emg: ArrayLike, joint_angles: ArrayLike | None, valid: ArrayLike | None, time_s: ArrayLike | None
    ) -> NDArray[Any]:
        emg_block = np.asarray(emg)
        n = len(emg_block) if emg_block.ndim else 0
        rows = np.zeros(n, dtype=self._dtype)
        rows["emg"] = self._checked("emg", emg_block, (n, self._n_channels))
        if joint_angles is not None:
            rows["joint_angles"] = self._checked("joint_angles", joint_angles, (n, N_JOINTS))
        if valid is not None:
            rows["joint_angles"][~self._checked("valid", valid, (n,)).astype(np.bool_)] = 0.0
        if time_s is None:
            rows["time"] = self._start_s + np.arange(self._n_samples, self._n_samples + n) / self._rate_hz
        else:
            rows["time"] = self._checked("time_s", time_s, (n,))
        return rows

    def _checked(self, name: str, values: ArrayLike, shape: tuple[int, ...]) -> NDArray[Any]:
        array = np.asarray(values)
        if array.shape != shape:
            raise ShapeError(f"{self._path}: {name}: expected shape {shape}, got {array.shape}")
        if array.dtype.kind not in "fiub":
            raise DataError(f"{self._path}: {name}: expected numbers, got dtype {array.dtype}")
        return array

    def _store(self, rows: NDArray[Any]) -> None:
        if self._dataset is None or not len(rows):
            return
        stored = len(self._dataset)
        self._dataset.resize(stored + len(rows), axis=0)
        self._dataset[stored:] = rows

    def _finish(self) -> None:
        if self._dataset is None or not self._n_samples:
            raise DataError(f"{self._path}: expected at least one sample, none was written; no file was made")
        self._store(self._pending)
        start_s, end_s = self._span_s
        # Zeros alone would read as labels that are all invalid.
        if not self._has_joint_angles:
            self._attributes["has_joint_angles"] = False
        for name, value in {**self._attributes, "start": start_s, "end": end_s}.items():
            self._dataset.parent.attrs[name] = value
        self._dataset = None


def write_emg2pose_hdf5(
    path: Path,
    emg: ArrayLike,
    joint_angles: ArrayLike | None = None,
    *,
    sample_rate_hz: float,
    user: str,
    stage: str,
    side: str,
    session: str | None = None,
    valid: ArrayLike | None = None,
    time_s: ArrayLike | None = None,
    start_s: float = 0.0,
    angles_dtype: Literal["f4", "f8"] = "f4",
    attributes: dict[str, Any] | None = None,
) -> None:
    """Write a whole recording as one emg2pose HDF5 file.

    Parameters are those of `Emg2PoseWriter` and of its `append`.

    Raises
    ------
    ConfigError, ShapeError : an argument is impossible.
    DataError : the recording is empty, the folder cannot be written to, or the disk is full.
    """
    emg = np.asarray(emg)
    if emg.ndim != 2:
        raise ShapeError(f"{path}: emg: expected (time, channel), got shape {emg.shape}")
    with Emg2PoseWriter(
        path,
        sample_rate_hz=sample_rate_hz,
        user=user,
        stage=stage,
        side=side,
        session=session,
        start_s=start_s,
        n_channels=emg.shape[1],
        angles_dtype=angles_dtype,
        attributes=attributes,
    ) as writer:
        writer.append(emg, joint_angles, valid=valid, time_s=time_s)
