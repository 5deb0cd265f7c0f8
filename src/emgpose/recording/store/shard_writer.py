"""Write one shard: some recordings in one HDF5 file, chunk by chunk, and where each chunk lies.

A group per recording, named by its number in the shard, holds `emg` (channel, time), `joint_angles` (joint, time) [rad]
and `time_s` (time,), in chunks of 4096 samples. EMG and angles of the same samples lie beside each other, so that a
window of both is one read. The bytes depend on the recordings alone.
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from emgpose.atomic import FailureKeepingFile, atomic_file
from emgpose.errors import DataError, EmgPoseError, MissingExtraError
from emgpose.hand import N_JOINTS
from emgpose.recording.session import Session
from emgpose.recording.store.emg_steps import to_counts
from emgpose.recording.store.facts_text import facts_from_text, facts_to_text, stored_facts
from emgpose.recording.store.frames import CHUNK_SAMPLES, HDF5_FILTER, filter_options, pack, unpack
from emgpose.recording.store.index import FIELDS
from emgpose.recording.store.layout import crc32c
from emgpose.recording.store.pieces import Piece, pieces_of
from emgpose.recording.store.survey import survey

# Recordings up to about four minutes are read once and held; longer ones are read three times.
_HELD_SAMPLES: Final = 500_000


class SourceError(Exception):
    """A recording cannot be read, or cannot be used; the text says why."""


class ShardWriter:
    """Writes one shard; a context manager. The file takes its name when the block ends without an error.

    Parameters
    ----------
    path : Path
    float16 : bool
        Round EMG to float16.

    Raises
    ------
    DataError : the folder cannot be written to, or the disk is full.
    """

    def __init__(self, path: Path, *, float16: bool = False) -> None:
        self._path = Path(path)
        self._float16 = float16
        self._closing = contextlib.ExitStack()
        self._n_sessions = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opening:
            unfinished = opening.enter_context(atomic_file(self._path))
            self._disk = opening.enter_context(contextlib.closing(FailureKeepingFile(unfinished)))
            # Asked after HDF5 has closed its file, which writes what it still holds.
            opening.callback(self._disk.raise_failure)
            self._file = opening.enter_context(h5py.File(self._disk, "w"))
            self._closing = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.__exit__(kind, error, traceback)

    def add(self, filename: str, session: Session) -> dict[str, Any]:
        """Store a recording.

        Parameters
        ----------
        filename : str
            Its name in the metadata table.
        session : Session

        Returns
        -------
        dict
            Its row of the index, plain values; see `StoreIndex`.

        Raises
        ------
        SourceError : the recording cannot be used. The shard is then of no use either: write it again without.
        DataError : the disk is full.
        """
        with blamed_on_source():
            held = list(pieces_of(session)) if session.n_samples <= _HELD_SAMPLES else None
            found = survey(session, lambda: held or pieces_of(session), float16=self._float16)
            facts = facts_to_text(stored_facts(session.facts, float16=self._float16))
            facts_from_text(facts)
        group = self._file.create_group(f"{self._n_sessions:05d}")
        self._n_sessions += 1
        row = {
            "filename": filename,
            "facts": facts,
            "n_samples": session.n_samples,
            "emg_dtype": found.emg_dtype,
            "emg_steps": list(found.emg_steps),
            "emg_negative_zero": found.emg_negative_zero,
            "valid_runs": [number for run in found.valid_runs for number in run],
            "n_valid": found.n_valid,
            "angle_sum": found.angle_sum.tolist(),
            "samples_digest": found.digest,
            "middle_digest": found.middle_digest,
        }
        names = [name for name in FIELDS if _has(session, name, found.has_time)]
        fields = {name: _Field(group, name, session, row) for name in names}
        time_frames: list[bytes] = []
        for piece in held or _blamed_pieces(session):
            for start in range(0, len(piece.valid), CHUNK_SAMPLES):
                self._add_chunk(piece, start, fields, row, time_frames)
        for frame in time_frames:
            fields["time_s"].write(frame)
        self._disk.raise_failure()
        text = np.array(facts.encode(), dtype=h5py.string_dtype("utf-8", len(facts.encode())))
        group.create_dataset("facts", data=text)
        name_bytes = filename.encode("utf-8", "surrogateescape")
        group.attrs["filename"] = np.array(name_bytes, dtype=h5py.string_dtype("utf-8", len(name_bytes)))
        group.attrs["emg_steps"] = np.array(found.emg_steps, dtype="<f4")
        if found.emg_negative_zero is not None:
            group.attrs["emg_negative_zero"] = found.emg_negative_zero
        return row | {name: fields[name].places if name in fields else _no_places() for name in FIELDS}

    def _add_chunk(
        self, piece: Piece, start: int, fields: dict[str, "_Field"], row: dict[str, Any], time_frames: list[bytes]
    ) -> None:
        for name, field in fields.items():
            values = piece.fields[name][start : start + CHUNK_SAMPLES]
            if name == "emg":
                values = _as_stored(values, row)
            frame = field.packed(values)
            # Time stamps are seldom read: they go behind the rest.
            if name == "time_s":
                time_frames.append(frame)
            else:
                field.write(frame)


class _Field:
    """One data set of a shard."""

    def __init__(self, group: h5py.Group, name: str, session: Session, row: dict[str, Any]) -> None:
        self.places = _no_places()
        n_rows = {"emg": session.n_channels, "joint_angles": N_JOINTS}.get(name)
        dtype = {"emg": row["emg_dtype"], "joint_angles": "float32", "time_s": "float64"}[name]
        self._dtype = np.dtype(dtype).newbyteorder("<")
        n_chunk = min(CHUNK_SAMPLES, session.n_samples)
        self._chunk_shape = (n_chunk,) if n_rows is None else (n_rows, n_chunk)
        shape = (session.n_samples,) if n_rows is None else (n_rows, session.n_samples)
        chunk_bytes = self._dtype.itemsize * int(np.prod(self._chunk_shape))
        self._dataset = group.create_dataset(
            name,
            shape,
            self._dtype,
            chunks=self._chunk_shape,
            compression=HDF5_FILTER,
            compression_opts=filter_options(chunk_bytes, self._dtype.itemsize),
            allow_unknown_filter=True,
        )

    def packed(self, values: NDArray[Any]) -> bytes:
        """Pack a chunk of (time, ...), and see that it comes back."""
        chunk = np.zeros(self._chunk_shape, dtype=self._dtype)
        chunk[..., : len(values)] = values.T
        frame = pack(chunk)
        returned = np.empty_like(chunk)
        unpack(frame, returned)
        if returned.tobytes() != chunk.tobytes():
            raise DataError(f"{self._dataset.name}: the compressor did not give back what it was given; report this")
        return frame

    def write(self, frame: bytes) -> None:
        """Write the next chunk and note where it lies."""
        start = len(self.places["offset"]) * self._chunk_shape[-1]
        coordinates = (start,) if len(self._chunk_shape) == 1 else (0, start)
        self._dataset.id.write_direct_chunk(coordinates, frame)
        self.places["offset"].append(self._dataset.id.get_chunk_info_by_coord(coordinates).byte_offset)
        self.places["bytes"].append(len(frame))
        self.places["crc32c"].append(crc32c(frame))


def _no_places() -> dict[str, list[int]]:
    return {"offset": [], "bytes": [], "crc32c": []}


def _has(session: Session, name: str, has_time: bool) -> bool:
    return {"emg": session.has_emg, "joint_angles": session.has_joint_angles, "time_s": has_time}[name]


def _as_stored(emg: NDArray[np.float32], row: dict[str, Any]) -> NDArray[Any]:
    if row["emg_dtype"] != "int16":
        return emg.astype(row["emg_dtype"])
    counts = to_counts(emg, np.array(row["emg_steps"], dtype=np.float32), row["emg_negative_zero"])
    if counts is None:
        raise SourceError("its EMG changed while it was read; see what writes to it")
    return counts


def _blamed_pieces(session: Session) -> Iterable[Piece]:
    with blamed_on_source():
        yield from pieces_of(session)


@contextlib.contextmanager
def blamed_on_source() -> Iterator[None]:
    """Turn whatever a broken file does into a `SourceError`: it must not stop the rest."""
    try:
        yield
    except (MissingExtraError, MemoryError, SourceError, GeneratorExit):
        raise
    except (EmgPoseError, OSError) as error:
        raise SourceError(" ".join(str(error).split())) from error
    except Exception as error:
        raise SourceError(f"reading failed unexpectedly with {type(error).__name__}: {error}") from error
