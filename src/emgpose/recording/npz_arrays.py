"""Arrays of EMG or joint angles in NPZ: `emg`, `joint_angles`, `valid`, `sample_rate_hz`, `time_s`.

The archive is unpacked once into temporary rows, so that memory does not grow with its length and its checksums are
checked before a number is used.
"""

import math
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import EmgPoseError, SessionFormatError
from emgpose.hand import N_JOINTS
from emgpose.recording.channels import select_channels
from emgpose.recording.columns import note_on_ignored, require_radians, table_rate_hz
from emgpose.recording.facts import SessionFacts, checked_rate_hz
from emgpose.recording.session import CHUNK_SAMPLES
from emgpose.recording.spool import Spool, SpooledFiles, filling

_FLOATS: Final = ("float16", "float32", "float64")
_DTYPES: Final = {
    "emg": (*_FLOATS, "int16"),
    "joint_angles": _FLOATS,
    "time_s": ("float64",),
    "valid": ("bool",),
}
_RATE: Final = "sample_rate_hz"
_MAX_CHANNELS: Final = 1024
_BLOCK_BYTES: Final = 1 << 22
_COMPRESSIONS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# Deflate cannot pack better than about 1,032 to 1; an archive that claims more lies about its size.
_MAX_RATIO: Final = 1100


class NpzReader:
    """Reads `emg` (time, channel), `joint_angles` (time, joint=20) [rad] and `valid` (time,) from an NPZ archive.

    Parameters
    ----------
    path : Path
    rate_hz : float, optional
        Sample rate, for an archive without `sample_rate_hz` and without `time_s`.
    channels : sequence of str or int, optional
        EMG channels by name (`emg0` ...) or number; all by default.

    Raises
    ------
    SessionFormatError, DataError : the archive cannot be read; the message names the array.
    ConfigError : a channel does not exist.
    """

    def __init__(self, path: Path, rate_hz: float | None = None, channels: Sequence[str | int] | None = None) -> None:
        self._path = Path(path)
        self._unpacked = SpooledFiles([self._path])
        self._unpacked.spool(self._unpack)
        n_samples = self._n_samples
        names = tuple(f"emg{number}" for number in range(self._n_channels))
        self._chosen = select_channels(names, channels, str(path)) if names else []
        try:
            rate_hz, start_s, notes = self._rate_hz(rate_hz)
            for start in range(0, n_samples if "joint_angles" in self._arrays else 0, CHUNK_SAMPLES):
                stop = min(start + CHUNK_SAMPLES, n_samples)
                require_radians(self._rows("joint_angles", start, stop), start, f"{path}: joint_angles")
        except BaseException:
            self.close()
            raise
        self._facts = SessionFacts(
            format="NPZ",
            sample_rate_hz=rate_hz,
            n_samples=n_samples,
            channel_names=tuple(names[column] for column in self._chosen),
            has_joint_angles="joint_angles" in self._arrays,
            session=self._path.stem,
            start_s=start_s,
            notes=(*notes, *note_on_ignored(self._ignored)),
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
        values = {name: self._rows(name, start, stop) for name in self._arrays if name in fields}
        with np.errstate(over="ignore", invalid="ignore"):
            if "emg" in values:
                values["emg"] = np.ascontiguousarray(values["emg"][:, self._chosen], dtype=np.float32)
            if "joint_angles" in values:
                values["joint_angles"] = np.ascontiguousarray(values["joint_angles"], dtype=np.float32)
        return values

    def close(self) -> None:
        """Throw the unpacked rows away."""
        self._unpacked.close()

    def _rate_hz(self, given_hz: float | None) -> tuple[float, float | None, tuple[str, ...]]:
        where = str(self._path)
        stated_hz = self._stated_hz
        if stated_hz is not None and given_hz is not None and not math.isclose(stated_hz, given_hz, rel_tol=1e-6):
            raise SessionFormatError(
                f"{where}: {_RATE} is {stated_hz:g} Hz, the rate given is {given_hz:g} Hz; leave the wrong one out"
            )
        times = _Times(self) if "time_s" in self._arrays else None
        return table_rate_hz(times, self._n_samples, stated_hz if given_hz is None else given_hz, where)

    def _rows(self, name: str, start: int, stop: int) -> NDArray[Any]:
        spool = self._unpacked.spool(self._unpack)
        shape, _, fortran = self._arrays[name]
        if not fortran:
            return spool.read(name, start, stop)
        # Column after column in the file: row r of column c is element c * n + r.
        n, width = shape
        columns = [spool.read(name, column * n + start, column * n + stop) for column in range(width)]
        return np.stack(columns, axis=1)

    def _unpack(self) -> Spool:
        try:
            with zipfile.ZipFile(self._path) as archive:
                return self._unpack_members(archive)
        except EmgPoseError:
            raise
        except Exception as error:  # zipfile and NumPy's header parser raise almost any type on a damaged archive
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> SessionFormatError:
        reason = " ".join(str(error).split())[:200].encode("ascii", "replace").decode() or type(error).__name__
        return SessionFormatError(
            f"{self._path}: cannot be read as NPZ: {reason}; the file is damaged or no NPZ archive"
        )

    def _unpack_members(self, archive: zipfile.ZipFile) -> Spool:
        names = archive.namelist()
        if len(set(names)) != len(names):
            raise SessionFormatError(f"{self._path}: an array stands twice in the archive")
        known = [name for name in (*_DTYPES, _RATE) if f"{name}.npy" in names]
        self._ignored = tuple(name.removesuffix(".npy") for name in names if name.removesuffix(".npy") not in known)
        self._stated_hz = self._read_rate(archive) if _RATE in known else None
        self._arrays: dict[str, tuple[tuple[int, ...], str, bool]] = {}
        for name in known:
            if name != _RATE:
                with archive.open(f"{name}.npy") as member:
                    self._arrays[name] = self._read_header(name, member, archive.getinfo(f"{name}.npy"))
        self._check_shapes()
        columns = {
            name: (np.dtype(dtype), None if fortran or len(shape) == 1 else shape[1])
            for name, (shape, dtype, fortran) in self._arrays.items()
        }
        with filling(columns) as spool:
            for name in self._arrays:
                with archive.open(f"{name}.npy") as member:
                    self._read_header(name, member, archive.getinfo(f"{name}.npy"))
                    while data := member.read(_BLOCK_BYTES):
                        spool.append_bytes(name, data)
        return spool

    def _read_header(self, name: str, member: IO[bytes], info: zipfile.ZipInfo) -> tuple[tuple[int, ...], str, bool]:
        """Read shape, type and order of an array, leaving the member at its first element."""
        where = f"{self._path}: {name}"
        if info.compress_type not in _COMPRESSIONS or info.file_size > _MAX_RATIO * max(info.compress_size, 1):
            raise SessionFormatError(f"{where}: expected an array as numpy.savez or savez_compressed stores it")
        version = np.lib.format.read_magic(member)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(member)
        else:
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(member)
        if dtype.hasobject or dtype.name not in _DTYPES.get(name, ("float64",)):
            raise SessionFormatError(f"{where}: expected dtype {' or '.join(_DTYPES[name])}, got {dtype}; convert it")
        if member.tell() + math.prod(shape) * dtype.itemsize != info.file_size:
            raise SessionFormatError(f"{where}: shape {shape} does not fit the {info.file_size} bytes stored")
        return shape, dtype.str, fortran and len(shape) > 1

    def _read_rate(self, archive: zipfile.ZipFile) -> float:
        where = f"{self._path}: {_RATE}"
        if archive.getinfo(f"{_RATE}.npy").file_size > 4096:
            raise SessionFormatError(f"{where}: expected one number")
        with archive.open(f"{_RATE}.npy") as member:
            value = np.lib.format.read_array(member, allow_pickle=False)
        if value.size != 1:
            raise SessionFormatError(f"{where}: expected one number, got shape {value.shape}")
        return checked_rate_hz(value.reshape(()).item(), where)

    def _check_shapes(self) -> None:
        shapes = {name: shape for name, (shape, _, _) in self._arrays.items()}
        if "emg" not in shapes and "joint_angles" not in shapes:
            raise SessionFormatError(
                f"{self._path}: expected an array emg (time, channel) or joint_angles (time, {N_JOINTS}), "
                f"found {note_on_ignored(self._ignored)[0] if self._ignored else 'none'}"
            )
        emg = shapes.get("emg", (1, 0))
        if len(emg) != 2 or emg[1] > _MAX_CHANNELS or (emg[0] < emg[1]) or ("emg" in shapes and emg[1] < 1):
            raise SessionFormatError(
                f"{self._path}: emg: expected shape (time, channel), got {emg}; transpose it if needed"
            )
        joints = shapes.get("joint_angles", (1, N_JOINTS))
        if len(joints) != 2 or joints[1] != N_JOINTS:
            raise SessionFormatError(f"{self._path}: joint_angles: expected shape (time, {N_JOINTS}), got {joints}")
        n_samples = shapes["emg" if "emg" in shapes else "joint_angles"][0]
        for name, shape in shapes.items():
            if shape[:1] != (n_samples,) or (name in ("valid", "time_s") and len(shape) != 1):
                raise SessionFormatError(
                    f"{self._path}: {name}: expected {n_samples} samples along its first axis, got {shape}"
                )
        if not n_samples:
            raise SessionFormatError(f"{self._path}: expected samples, the arrays are empty")
        self._n_samples, self._n_channels = n_samples, emg[1]


class _Times:
    """The time stamps, block by block, as often as wanted."""

    def __init__(self, reader: NpzReader) -> None:
        self._reader = reader

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.float64]]]:
        n_samples = self._reader._n_samples
        for start in range(0, n_samples, CHUNK_SAMPLES):
            yield start, self._reader._rows("time_s", start, min(start + CHUNK_SAMPLES, n_samples))
