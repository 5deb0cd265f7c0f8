"""How an emg2pose HDF5 file must be laid out: group, fields, types, and samples that are really stored.

HDF5 hands out zeros for samples that were never stored, follows links into other files, and converts any number type
without a word; here such files are refused.

Source: emg2pose data set (Salter et al. 2024).
"""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import h5py

from emgpose.errors import EmgPoseError, SessionFormatError
from emgpose.hand import N_JOINTS

GROUP: Final = "emg2pose"
TIMESERIES: Final = f"{GROUP}/timeseries"
N_CHANNELS: Final = 16

# Bounds against files that would make us allocate more than any recording needs.
_MAX_CHANNELS: Final = 1024
_MAX_ROW_BYTES: Final = 1 << 16
_MAX_CHUNK_BYTES: Final = 1 << 28


@contextlib.contextmanager
def clear_errors(path: Path, key: str) -> Iterator[None]:
    """Turn whatever h5py raises on a damaged file (almost any type) into one clear error."""
    try:
        yield
    except EmgPoseError:
        raise
    except FileNotFoundError:
        raise SessionFormatError(f"{path}: no such file") from None
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SessionFormatError(
            f"{path}: {key} cannot be read: expected an intact emg2pose HDF5 file, got: {reason}; "
            "the file is damaged or incomplete: fetch it again"
        ) from error


def linked(path: Path, file: h5py.File, key: str, kind: type) -> Any:
    """Get an object that lies in the file itself: a link could lead to any other file of the machine."""
    link = file.get(key, getlink=True)
    if link is None:
        found = ", ".join(ascii(name) for name in list(file)[:8]) or "nothing"
        raise SessionFormatError(f"{path}: expected {key} as emg2pose files have it, found {found}")
    if not isinstance(link, h5py.HardLink):
        raise SessionFormatError(
            f"{path}: {key} is a link to elsewhere, expected it in the file itself; copy the data in"
        )
    found_object = file[key]
    if not isinstance(found_object, kind):
        raise SessionFormatError(
            f"{path}: expected {key} to be an HDF5 {kind.__name__.lower()}, got a {type(found_object).__name__.lower()}"
        )
    return found_object


def check_layout(path: Path, dataset: h5py.Dataset) -> int:
    """Check fields, types and storage of the time series; give the number of EMG channels."""
    if dataset.is_virtual or dataset.external:
        raise SessionFormatError(f"{path}: {TIMESERIES} keeps its samples in other files; copy them into this one")
    if dataset.ndim != 1 or dataset.shape[0] < 1:
        raise SessionFormatError(f"{path}: {TIMESERIES}: expected shape (time,) with samples, got {dataset.shape}")
    if not isinstance(dataset.id.get_type(), h5py.h5t.TypeCompoundID):
        raise SessionFormatError(
            f"{path}: {TIMESERIES}: expected fields time, joint_angles and emg, got {dataset.dtype}"
        )
    fields = _fields(path, dataset)
    if dataset.id.get_type().get_size() > _MAX_ROW_BYTES:
        raise SessionFormatError(f"{path}: {TIMESERIES}: a sample takes more than {_MAX_ROW_BYTES} bytes")
    float32, float64 = h5py.h5t.IEEE_F32LE, h5py.h5t.IEEE_F64LE
    _check_field(path, fields, "time", (), (float64,), "float64")
    _check_field(path, fields, "joint_angles", (N_JOINTS,), (float32, float64), "float32 or float64")
    n_channels = math.prod(fields["emg"][0]) if "emg" in fields else 0
    _check_field(path, fields, "emg", (n_channels,), (float32, float64), "float32")
    if not 1 <= n_channels <= _MAX_CHANNELS:
        raise SessionFormatError(f"{path}: {TIMESERIES} field emg: expected {N_CHANNELS} channels, got {n_channels}")
    _check_storage(path, dataset)
    return n_channels


def _fields(path: Path, dataset: h5py.Dataset) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Shape and element type of each field, as stored: the NumPy type would hide odd float formats."""
    row = dataset.id.get_type()
    end_of_previous = 0
    fields: dict[str, tuple[tuple[int, ...], Any]] = {}
    for number in range(row.get_nmembers()):
        member = row.get_member_type(number)
        if row.get_member_offset(number) < end_of_previous:
            raise SessionFormatError(f"{path}: {TIMESERIES}: its fields overlap; the file is damaged: fetch it again")
        end_of_previous = row.get_member_offset(number) + member.get_size()
        shape: tuple[int, ...] = ()
        if isinstance(member, h5py.h5t.TypeArrayID):
            shape, member = tuple(int(size) for size in member.get_array_dims()), member.get_super()
        fields[row.get_member_name(number).decode("utf-8", "replace")] = (shape, member)
    return fields


def _check_field(
    path: Path,
    fields: Mapping[str, tuple[tuple[int, ...], Any]],
    name: str,
    shape: tuple[int, ...],
    types: Sequence[Any],
    types_in_words: str,
) -> None:
    if name not in fields:
        raise SessionFormatError(f"{path}: {TIMESERIES} has no field {name}; its fields are {', '.join(fields)}")
    found_shape, found = fields[name]
    if found_shape != shape:
        raise SessionFormatError(f"{path}: {TIMESERIES} field {name}: expected shape {shape}, got {found_shape}")
    if not any(found.equal(wanted) for wanted in types):
        raise SessionFormatError(
            f"{path}: {TIMESERIES} field {name}: expected little-endian {types_in_words}, got {_type_in_words(found)}; "
            "convert the file"
        )


def _type_in_words(found: Any) -> str:
    try:
        return str(found.dtype)
    except (TypeError, ValueError):
        return f"an HDF5 type of {found.get_size()} bytes that NumPy does not know"


def _check_storage(path: Path, dataset: h5py.Dataset) -> None:
    """Refuse samples that were promised but never stored: HDF5 would hand out zeros for them."""
    where = f"{path}: {TIMESERIES}"
    stored, row_bytes = dataset.id.get_storage_size(), dataset.id.get_type().get_size()
    if dataset.chunks is None:
        offset = dataset.id.get_offset() or 0
        if stored != len(dataset) * row_bytes or offset + stored > path.stat().st_size:
            raise SessionFormatError(
                f"{where}: expected {len(dataset) * row_bytes} bytes of samples, found {stored}; the file is incomplete"
            )
        return
    if dataset.chunks[0] * row_bytes > _MAX_CHUNK_BYTES:
        raise SessionFormatError(
            f"{where}: one storage chunk holds {dataset.chunks[0]} samples, too many to read at once"
        )
    for start in range(0, len(dataset), dataset.chunks[0]):
        chunk = dataset.id.get_chunk_info_by_coord((start,))
        if not chunk.size or chunk.filter_mask or chunk.byte_offset + chunk.size > path.stat().st_size:
            raise SessionFormatError(
                f"{where}: the samples from {start} on are not stored; the file is damaged or incomplete"
            )
    filters = dataset.id.get_create_plist()
    for number in range(filters.get_nfilters()):
        code, _, _, name = filters.get_filter(number)
        if not h5py.h5z.filter_avail(code):
            raise SessionFormatError(
                f"{where}: stored with filter {code} ({name.decode('utf-8', 'replace')}), which is not installed here; "
                "repack the file with gzip"
            )
