"""The recordings of a training run that reads a prepared store: all that a run must know of them stands in its index.

No shard is opened before a window is drawn, and nothing is kept per recording but a few numbers, so that a run over
25,000 recordings begins as fast as its table is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, overload

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import DataError, SessionFormatError
from emgpose.preprocessing import missing_steps
from emgpose.recording import Session, SessionFacts
from emgpose.recording.facts import KNOWN_JOINTS
from emgpose.recording.fingerprint import brief_digest, data_fingerprint
from emgpose.recording.store import Store, is_store, open_store
from emgpose.training.recordings import ModelNeeds, prepare_for_training
from emgpose.windows import WindowIndex

_SUFFIX: Final = ".hdf5"


@dataclass(frozen=True, eq=False)
class StoredPaths(Sequence[Path]):
    """Paths of some recordings of a store, each made when it is asked for; pickled as numbers.

    Parameters
    ----------
    root : Path
    version : tuple of int
        Of the store that the numbers are of.
    numbers : int64 array, shape (recording,)
        Rows of the store's index.
    """

    root: Path
    version: tuple[int, ...]
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, place: int) -> Path: ...
    @overload
    def __getitem__(self, place: slice) -> "StoredPaths": ...
    def __getitem__(self, place: int | slice) -> "Path | StoredPaths":
        if isinstance(place, slice):
            return StoredPaths(self.root, self.version, self.numbers[place])
        return self.root / f"{self._store().index.names[self.numbers[place]]}{_SUFFIX}"

    def names(self) -> list[str]:
        """Give the recordings' names in the metadata table."""
        index = self._store().index
        return [index.names[number] for number in self.numbers]

    def _store(self) -> Store:
        return open_same_store(self.root, self.version)


def open_same_store(root: Path, version: tuple[int, ...]) -> Store:
    """Give the store that a run began with, opened once in each process.

    Raises
    ------
    SessionFormatError : it was prepared anew meanwhile.
    """
    store = open_store(root)
    if store.version != version:
        raise SessionFormatError(
            f"{root}: the store was prepared anew since this run began, and its windows may lie elsewhere now; start "
            "again, with resume=true if the recordings are the same"
        )
    return store


@dataclass(frozen=True)
class OpenStored:
    """Opens a recording of a store by its path; small when pickled.

    Parameters
    ----------
    root : Path
    version : tuple of int
        Of the store that the run began with.
    """

    root: Path
    version: tuple[int, ...]

    def __call__(self, path: Path) -> Session:
        """Give the recording; nothing of it is read yet.

        Raises
        ------
        DataError : the store was prepared anew meanwhile.
        """
        # Cut from the text: for a window that is read in half a millisecond, pathlib's ways are long.
        name = str(path)[self._n_before_name :].removesuffix(_SUFFIX)
        return open_same_store(self.root, self.version).session(name, path=path)

    @cached_property
    def _n_before_name(self) -> int:
        return len(str(self.root / "x")) - 1


# What decides whether and how a model can take a recording.
_Kind = tuple[Any, ...]


class StoredRecordings:
    """Recordings of a store that a model can take as they are; `Recordings` is for all others.

    Parameters
    ----------
    store : Store
    names : sequence of str
        In the metadata table.
    needs : ModelNeeds

    Attributes
    ----------
    must_be_prepared : bool
        Whether the EMG of some has to go through filters first. Then this class is of no use for them.

    Raises
    ------
    DataError : the store lacks a recording, or one is not what the model needs.
    """

    in_memory: Final = False

    def __init__(self, store: Store, names: Sequence[str], needs: ModelNeeds) -> None:
        self._store = store
        # By row of the index; an object per recording would be one too many.
        self._simulated = np.zeros(len(store), dtype=np.bool_)
        self._digests = np.empty(len(store), dtype="U32")
        # How many recordings there are of each kind, and the first of them.
        kinds: dict[_Kind, list[int]] = {}
        for number in self.paths(names).numbers.tolist():
            facts = store.index.facts(number)
            kinds.setdefault(_kind(facts), [0, number])[0] += 1
            self._simulated[number] = facts.is_simulated
            runs = store.index.valid_runs(number) if facts.has_joint_angles else []
            self._digests[number] = brief_digest(facts, runs, store.index.middle_digest(number))
        self.must_be_prepared = False
        self._preparations: dict[str, int] = {}
        for count, number in kinds.values():
            self._take_kind(store.session(store.index.names[number]), count, needs)

    def paths(self, names: Sequence[str]) -> StoredPaths:
        """Give the paths of some of the recordings, for `index` and `fingerprint`."""
        missing = next((name for name in names if name not in self._store), None)
        if missing is not None:
            raise DataError(
                f"{self._store.root}: the metadata name {missing}, which the store does not hold; prepare it again"
            )
        numbers = np.array([self._store.index.number(name) for name in names], dtype=np.int64)
        return StoredPaths(self._store.root, self._store.version, numbers)

    @property
    def open(self) -> OpenStored:
        """What opens a recording by its path."""
        return OpenStored(self._store.root, self._store.version)

    def index(self, paths: StoredPaths, window: int, stride: int | None, skip_invalid: bool) -> WindowIndex:
        """Index the windows of some of the recordings, in order."""
        index = self._store.index
        runs = [index.valid_run_array(number) for number in paths.numbers] if skip_invalid else None
        return WindowIndex.of_runs(paths, index.n_samples[paths.numbers], runs, window, stride=stride)

    def fingerprint(self, paths: StoredPaths) -> str:
        """Fingerprint of some recordings: that of a folder with the same recordings, see `Recordings.fingerprint`."""
        return data_fingerprint(dict(zip(paths.names(), self._digests[paths.numbers].tolist(), strict=True)))

    def all_simulated(self, paths: StoredPaths) -> bool:
        """Whether every one of some recordings says of itself that it was simulated."""
        return bool(self._simulated[paths.numbers].all())

    def preparations(self) -> dict[str, int]:
        """Say what was done to the EMG, and to how many recordings."""
        return dict(self._preparations)

    def close(self) -> None:
        """Nothing is open between reads."""

    def _take_kind(self, session: Session, count: int, needs: ModelNeeds) -> None:
        """See that the model can take recordings like this one."""
        steps, _ = missing_steps(needs.preprocessing, session.preprocessing, session.sample_rate_hz)
        if steps.steps and session.has_emg:
            # Asked before anything is opened: to find a noise floor, the whole recording is read.
            self.must_be_prepared = True
            return
        how = prepare_for_training(session, needs).preparation.describe()
        self._preparations[how] = self._preparations.get(how, 0) + count


def _kind(facts: SessionFacts) -> _Kind:
    return (
        facts.sample_rate_hz,
        facts.channel_names,
        facts.has_joint_angles,
        facts.attributes.get(KNOWN_JOINTS),
        facts.emg_unit,
        facts.preprocessing,
    )


def store_at(root: Path) -> Store | None:
    """Open the store that a data root means: its folder, or the metadata table in it; None for any other data set.

    Raises
    ------
    DataError : the store is unfinished or damaged.
    """
    folder = root.parent if root.is_file() else root
    return open_store(folder) if is_store(folder) else None
