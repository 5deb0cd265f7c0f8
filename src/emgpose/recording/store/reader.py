"""Read recordings from a store: one read of the disk per window, no file held open, every checksum looked at."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import SessionFormatError
from emgpose.hand import N_JOINTS
from emgpose.recording.channels import select_channels
from emgpose.recording.facts import SessionFacts
from emgpose.recording.session import Session
from emgpose.recording.store.emg_steps import fill_from_counts
from emgpose.recording.store.fetching import Frame, expect, fetch, scratch
from emgpose.recording.store.frames import CHUNK_SAMPLES, unpack
from emgpose.recording.store.index import FIELDS, StoreIndex, read_index
from emgpose.recording.store.layout import (
    INDEX_FILE,
    SESSION_SUFFIX,
    STORE_FILE,
    crc32c,
    is_store,
    read_store_file,
    require_intact,
    shard_name,
)

# Stores that this process has read from, by folder.
_open_stores: dict[str, "Store"] = {}


class Store:
    """A prepared store: its index in memory, its shards on disk. `open_store` gives one.

    Parameters
    ----------
    root : Path

    Raises
    ------
    DataError : the folder is no store, or its index is damaged.
    MissingExtraError : a library of the extra `store` is not installed.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.version = _version(self.root)
        self.facts = read_store_file(self.root)
        require_intact(self.root / INDEX_FILE, self.facts["files"].get(INDEX_FILE))
        self.index: StoreIndex = read_index(self.root / INDEX_FILE)

    def __len__(self) -> int:
        return len(self.index)

    def __contains__(self, name: object) -> bool:
        return name in self.index

    def session(self, name: str, channels: Sequence[str | int] | None = None, *, path: Path | None = None) -> Session:
        """Give a recording by its name in the metadata table.

        Parameters
        ----------
        name : str
        channels : sequence of str or int, optional
            EMG channels by name or number; all by default.
        path : Path, optional
            What the recording is to be called in messages, if that is known already.

        Raises
        ------
        SessionFormatError : the store holds none of that name.
        ConfigError : a channel does not exist.
        """
        return Session(StoreReader(self, name, channels), path or self.root / f"{name}{SESSION_SUFFIX}")


def open_store(root: Path | str) -> Store:
    """Open a store, or give the one that this process has open; it is read again once it has changed.

    Raises
    ------
    DataError : the folder is no complete store, or its index is damaged.
    MissingExtraError : a library of the extra `store` is not installed.
    """
    key = os.fspath(root)
    if not Path(root).is_absolute() or ".." in key:
        key = os.path.abspath(key)  # noqa: PTH100 - Path.absolute would leave `..` in
    store = _open_stores.get(key)
    if store is None or store.version != _version(store.root):
        store = _open_stores[key] = Store(Path(root))
    return store


def _version(root: Path) -> tuple[int, ...]:
    try:
        status = os.stat(os.path.join(root, STORE_FILE))  # noqa: PTH116, PTH118 - asked for every window
    except OSError:
        return ()
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def stored_session_at(path: Path) -> tuple[Path, str] | None:
    """Tell which store and which recording of it a path means.

    Parameters
    ----------
    path : Path
        `STORE/<filename>.hdf5`, or without the ending. A file that exists is never one of a store.

    Returns
    -------
    (store's folder, name of the recording), or None where no folder above is a store.
    """
    if ".." in path.parts or path.exists():
        return None
    for root in path.parents:
        if is_store(root):
            name = path.relative_to(root).as_posix()
            return root, name.removesuffix(SESSION_SUFFIX)
    return None


def is_in_store(path: Path) -> bool:
    """Whether a path means a recording that a store holds.

    Raises
    ------
    DataError : it lies in a store that is damaged or unfinished.
    """
    found = stored_session_at(Path(path))
    return found is not None and found[1] in open_store(found[0])


class StoreReader:
    """Reads one recording of a store; a `SessionReader`.

    Pickling keeps the names only, so a worker process reads the index itself, once.

    Parameters
    ----------
    store : Store
    name : str
        In the metadata table.
    channels : sequence of str or int, optional
        EMG channels by name or number; all by default.

    Raises
    ------
    SessionFormatError : the store holds no such recording.
    ConfigError : a channel does not exist.
    """

    def __init__(self, store: Store, name: str, channels: Sequence[str | int] | None = None) -> None:
        if name not in store:
            raise SessionFormatError(
                f"{store.root}: the store has no recording {name!a}; it holds {len(store)}, which its metadata.csv "
                "names, and left_out.json names those that could not be taken in"
            )
        self._store = store
        self._name = name
        self._channels = None if channels is None else tuple(channels)
        self._number = store.index.number(name)
        self._columns: list[int] | None = None
        if channels is not None:
            where = str(store.root / f"{name}{SESSION_SUFFIX}")
            self._columns = select_channels(self._all_facts.channel_names, channels, where)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _reader_of, (self._store.root, self._store.version, self._name, self._channels)

    @cached_property
    def _all_facts(self) -> SessionFacts:
        return self._store.index.facts(self._number)

    @cached_property
    def facts(self) -> SessionFacts:
        """What the recording is."""
        if self._columns is None:
            return self._all_facts
        names = tuple(self._all_facts.channel_names[column] for column in self._columns)
        return dataclasses.replace(self._all_facts, channel_names=names)

    def known_valid_runs(self) -> list[tuple[int, int]]:
        """Runs of samples with a usable label, from the index."""
        return self._store.index.valid_runs(self._number)

    def read(self, start: int, stop: int, fields: frozenset[str]) -> dict[str, NDArray[Any]]:
        """Read samples [start, stop); see `SessionReader`.

        Raises
        ------
        SessionFormatError : a chunk there is damaged; the message names it.
        """
        wanted = [name for name in FIELDS if name in fields and self._has(name)]
        values = {name: array.T for name, array in self._read(start, stop, wanted).items()}
        if "valid" in fields and self.facts.has_joint_angles:
            values["valid"] = self.valid(start, stop)
        return values

    def read_planar(
        self, start: int, stop: int, out: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Read EMG and joint angles as they are stored: the samples of each channel and joint in one piece.

        Parameters
        ----------
        start, stop : int
            Samples [start, stop), a range inside the recording.
        out : (emg, joint_angles), optional
            Arrays of the shapes below to fill and give back.

        Returns
        -------
        emg : array, shape (channel, time), float32
        joint_angles : array, shape (joint=20, time), float32 [rad]

        Raises
        ------
        SessionFormatError : a chunk there is damaged; the message names it. Or the recording lacks one of the two.
        """
        if not (self._has("emg") and self._has("joint_angles")):
            raise SessionFormatError(f"{self._where()}: expected EMG and joint angles, the recording has only one")
        room = None if out is None else dict(zip(("emg", "joint_angles"), out, strict=True))
        values = self._read(start, stop, ["emg", "joint_angles"], room)
        return values["emg"], values["joint_angles"]

    def expect(self, start: int, stop: int) -> None:
        """Have the disk read samples [start, stop) meanwhile, for a `read_planar` to come."""
        if stop <= start or not (self._has("emg") and self._has("joint_angles")):
            return
        first, last = start // CHUNK_SAMPLES, (stop - 1) // CHUNK_SAMPLES
        # EMG and angles of a chunk lie beside each other, in this order.
        begin, final = self._places["emg"]["offset"][first], self._places["joint_angles"]
        expect(self._shard, int(begin), int(final["offset"][last] + final["bytes"][last] - begin))

    def valid(self, start: int, stop: int, out: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """Tell which samples [start, stop) have a usable label, from the index; `out` is filled and given back."""
        valid = np.empty(stop - start, dtype=np.bool_) if out is None else out
        valid.fill(False)
        for run_start, run_stop in self._store.index.valid_run_array(self._number).tolist():
            if run_start < stop and run_stop > start:
                valid[max(run_start - start, 0) : run_stop - start] = True
        return valid

    @property
    def emg_is_finite(self) -> bool:
        """Whether EMG cannot but be finite: whole multiples of finite steps are."""
        return self._has("emg") and self._holds_counts and bool(np.isfinite(self._steps).all())

    def close(self) -> None:
        """Nothing is open between reads."""

    def _has(self, name: str) -> bool:
        return len(self._places[name]["offset"]) > 0

    @cached_property
    def _shard(self) -> str:
        return os.path.join(self._store.root, shard_name(int(self._store.index.shard[self._number])))  # noqa: PTH118

    @cached_property
    def _places(self) -> dict[str, dict[str, NDArray[Any]]]:
        return {name: self._store.index.places(self._number, name) for name in FIELDS}

    def _where(self) -> str:
        return f"{self._shard}: recording {self._name}"

    def _read(
        self, start: int, stop: int, names: Sequence[str], room: dict[str, NDArray[Any]] | None = None
    ) -> dict[str, NDArray[Any]]:
        values = self._room(names, stop - start) if room is None else room
        if stop <= start or not names:
            return values
        first, last = start // CHUNK_SAMPLES, (stop - 1) // CHUNK_SAMPLES + 1
        places = [
            (name, *(self._places[name][key][first:last].tolist() for key in ("offset", "bytes", "crc32c")))
            for name in names
        ]
        frames = iter(
            self._fetch([place for _, offsets, sizes, _ in places for place in zip(offsets, sizes, strict=True)])
        )
        for name, _, _, checksums in places:
            dtype = self._emg_dtype if name == "emg" else _DTYPE[name]
            samples = scratch("samples", self._shape(name, min(CHUNK_SAMPLES, self._n_samples)), dtype)
            for chunk, checksum in enumerate(checksums, start=first):
                frame = next(frames)
                if crc32c(frame) != checksum:
                    raise self._damage(name, chunk)
                unpack(frame, samples)
                # What lies behind the recording's end in its last chunk is no sample, and nobody asks for it.
                begin = chunk * CHUNK_SAMPLES
                inside = samples[..., max(start - begin, 0) : stop - begin]
                at = max(begin - start, 0)
                self._fill(name, values[name][..., at : at + inside.shape[-1]], inside)
        return values

    def _room(self, names: Sequence[str], n: int) -> dict[str, NDArray[Any]]:
        shapes = {name: self._shape(name, n) for name in names}
        if self._columns is not None and "emg" in shapes:
            shapes["emg"] = (len(self._columns), n)
        return {name: np.empty(shape, dtype=_DTYPE[name]) for name, shape in shapes.items()}

    def _fill(self, name: str, target: NDArray[Any], samples: NDArray[Any]) -> None:
        if name == "emg" and self._columns is not None:
            samples = samples[self._columns]
        if name == "emg" and self._holds_counts:
            fill_from_counts(samples, self._steps, target, self._negative_zero)
        else:
            target[...] = samples

    @cached_property
    def _steps(self) -> NDArray[np.float32]:
        steps = self._store.index.emg_steps(self._number)
        return (steps if self._columns is None else steps[self._columns])[:, None]

    @cached_property
    def _negative_zero(self) -> int | None:
        return self._store.index.emg_negative_zero(self._number)

    @cached_property
    def _n_samples(self) -> int:
        return int(self._store.index.n_samples[self._number])

    @cached_property
    def _n_stored_channels(self) -> int:
        # Not from the facts: they are a text, and opening a recording for one window need not read it.
        return int(self._store.index.n_channels[self._number])

    def _shape(self, name: str, n: int) -> tuple[int, ...]:
        """Shape of so many samples of a field as they are stored."""
        return {"emg": (self._n_stored_channels, n), "joint_angles": (N_JOINTS, n), "time_s": (n,)}[name]

    def _damage(self, name: str, chunk: int) -> SessionFormatError:
        self._require_same_store()
        return SessionFormatError(
            f"{self._where()}: {name}, chunk {chunk} (samples from {chunk * CHUNK_SAMPLES} on): its checksum is wrong "
            "and no sample of it was used; delete this shard and run `emgpose prepare` again"
        )

    @cached_property
    def _emg_dtype(self) -> np.dtype[Any]:
        return np.dtype(self._store.index.emg_dtype(self._number))

    @cached_property
    def _holds_counts(self) -> bool:
        return bool(self._emg_dtype == np.int16)

    def _fetch(self, ranges: Sequence[tuple[int, int]]) -> list[Frame]:
        try:
            return fetch(self._shard, ranges)
        except OSError as error:
            self._require_same_store()
            raise SessionFormatError(
                f"{self._where()}: the shard cannot be read: {error.strerror}; see to the disk, or run `emgpose "
                "prepare` again"
            ) from None

    def _require_same_store(self) -> None:
        """Say that a store was prepared anew, rather than blame a shard that is another one now."""
        if _version(self._store.root) != self._store.version:
            raise SessionFormatError(
                f"{self._store.root}: the store was prepared anew since its recording was opened; open it again"
            )


_DTYPE: Final[dict[str, np.dtype[Any]]] = {
    "emg": np.dtype(np.float32),
    "joint_angles": np.dtype(np.float32),
    "time_s": np.dtype(np.float64),
}


def _reader_of(root: Path, version: tuple[int, ...], name: str, channels: Sequence[str | int] | None) -> StoreReader:
    store = open_store(root)
    if store.version != version:
        raise SessionFormatError(f"{root}: the store was prepared anew since its recording was opened; open it again")
    return StoreReader(store, name, channels)
