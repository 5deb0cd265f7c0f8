"""Pose files written row block by row block: CSV, NPZ and HDF5, never half-written.

An interrupted run leaves nothing, or the file that was there before.
"""

import contextlib
import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emgpose.atomic import FailureKeepingFile, atomic_file
from emgpose.errors import ConfigError
from emgpose.hand import JOINTS, LANDMARKS

LANDMARK_COLUMNS = tuple(f"{name}_{axis}_mm" for name in LANDMARKS for axis in "xyz")


class PoseWriter(Protocol):
    """Takes blocks of rows in order."""

    def write(self, rows: Mapping[str, NDArray[Any]]) -> None:
        """Append rows.

        Parameters
        ----------
        rows : mapping
            `sample` (row,) int64, `time_s` (row,) float64 [s], `joint_angles` (row, joint=20) [rad] and, if
            landmarks were asked for, `landmarks` (row, landmark=21, xyz=3) [mm].
        """


@contextlib.contextmanager
def open_pose_writer(path: Path, facts: Mapping[str, Any]) -> Iterator[PoseWriter]:
    """Open the writer that the file's ending asks for; the file appears when the block ends without an error.

    Parameters
    ----------
    path : Path
        Ends in .csv, .npz, .h5 or .hdf5.
    facts : mapping
        What made the poses; stored in NPZ (`facts`, JSON) and HDF5 (attributes). A CSV holds rows only.

    Raises
    ------
    ConfigError : another ending.
    DataError : the folder cannot be written to, or the disk is full.
    """
    if path.suffix not in WRITERS:
        raise ConfigError(f"--out {path}: expected a name ending in {', '.join(WRITERS)}, got '{path.suffix}'")
    with atomic_file(path) as unfinished:
        writer = WRITERS[path.suffix](unfinished, facts)
        try:
            yield writer
            writer.finish()
        finally:
            writer.close()


class _CsvWriter:
    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        del facts  # rows only, so that any program reads the file
        self._file = path.open("w", encoding="utf-8", newline="\n")
        self._header_written = False

    def write(self, rows: Mapping[str, NDArray[Any]]) -> None:
        if not self._header_written:
            landmarks = LANDMARK_COLUMNS if "landmarks" in rows else ()
            self._file.write(",".join(("sample", "time_s", *JOINTS, *landmarks)) + "\n")
            self._header_written = True
        values = rows["joint_angles"].astype(np.float64)
        formats = ["%d", "%.6f"] + ["%.6f"] * len(JOINTS)
        if "landmarks" in rows:
            values = np.hstack([values, rows["landmarks"].reshape(len(values), -1)])
            formats += ["%.4f"] * len(LANDMARK_COLUMNS)
        table = np.column_stack([rows["sample"].astype(np.float64), rows["time_s"], values])
        np.savetxt(self._file, table, fmt=formats, delimiter=",")

    def finish(self) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()


class _NpzWriter:
    """Arrays grow in files of their own and are packed at the end, so that memory stays constant."""

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        self._path = path
        self._facts = json.dumps(facts, default=str)
        self._parts: dict[str, tuple[Any, np.dtype[Any], tuple[int, ...]]] = {}
        self._n_rows = 0

    def write(self, rows: Mapping[str, NDArray[Any]]) -> None:
        for name, values in rows.items():
            if name not in self._parts:
                file = self._path.with_name(f"{name}.raw").open("wb")
                self._parts[name] = (file, values.dtype, values.shape[1:])
            file, dtype, _ = self._parts[name]
            file.write(np.ascontiguousarray(values, dtype=dtype).data)
        self._n_rows += len(rows["sample"])

    def finish(self) -> None:
        self.close()
        with zipfile.ZipFile(self._path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for name, (file, dtype, shape) in self._parts.items():
                header = {"descr": dtype.str, "fortran_order": False, "shape": (self._n_rows, *shape)}
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member, Path(file.name).open("rb") as raw:
                    np.lib.format.write_array_header_2_0(member, header)
                    shutil.copyfileobj(raw, member, 1 << 20)
                Path(file.name).unlink()
            with archive.open("facts.npy", "w") as member:
                np.lib.format.write_array(member, np.array(self._facts))

    def close(self) -> None:
        for file, _, _ in self._parts.values():
            file.close()


class _Hdf5Writer:
    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        import h5py

        self._disk = FailureKeepingFile(path)
        self._file = h5py.File(self._disk, "w")
        self._file.attrs["facts"] = json.dumps(facts, default=str)
        self._file.attrs["joints"] = list(JOINTS)

    def write(self, rows: Mapping[str, NDArray[Any]]) -> None:
        for name, values in rows.items():
            if name not in self._file:
                chunk = (max(1, min(16_384, len(values))), *values.shape[1:])
                self._file.create_dataset(
                    name,
                    shape=(0, *values.shape[1:]),
                    maxshape=(None, *values.shape[1:]),
                    dtype=values.dtype,
                    chunks=chunk,
                )
            dataset = self._file[name]
            start = dataset.shape[0]
            dataset.resize(start + len(values), axis=0)
            dataset[start:] = values
            self._disk.raise_failure()

    def finish(self) -> None:
        self._file.close()
        self._disk.raise_failure()

    def close(self) -> None:
        self._file.close()
        self._disk.close()


WRITERS: dict[str, type[_CsvWriter] | type[_NpzWriter] | type[_Hdf5Writer]] = {
    ".csv": _CsvWriter,
    ".npz": _NpzWriter,
    ".h5": _Hdf5Writer,
    ".hdf5": _Hdf5Writer,
}
