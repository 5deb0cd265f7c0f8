"""The recordings of a training run, prepared for its model: in memory when all of them fit, else read from their files.

Either way the same samples come out. Processes that are forked from this one share the memory; those that are not
(where the system cannot fork) read the files.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import DataError
from emgpose.hand import N_JOINTS
from emgpose.models import EmgModel
from emgpose.preprocessing import Preprocessing
from emgpose.recording import Session, SessionFacts, open_session, prepare_session
from emgpose.recording.fingerprint import SamplesDigest, brief_digest, data_fingerprint, middle_of
from emgpose.recording.opening import recording_exists
from emgpose.recording.store import StoreReader
from emgpose.windows import WindowIndex

GIB: Final = 2**30
# float32 angles of 20 joints, one byte for validity; EMG comes on top, 4 bytes per channel.
_LABEL_BYTES: Final = 81

# (recordings done, recordings in all)
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ModelNeeds:
    """What a model asks of a recording.

    Parameters
    ----------
    name : str
        Of the model, for messages.
    n_channels : int
    sample_rate_hz : float
    preprocessing : Preprocessing
    """

    name: str
    n_channels: int
    sample_rate_hz: float
    preprocessing: Preprocessing

    @classmethod
    def of(cls, model: EmgModel) -> "ModelNeeds":
        """Take them from a model and its card."""
        return cls(model.name, model.n_channels, model.sample_rate_hz, model.card.preprocessing)


class MemoryReader:
    """A recording held in memory, each channel and joint in one piece, as windows for models need them.

    Pickling gives the file in its place, so that no process is sent gigabytes.

    Parameters
    ----------
    session : Session
        Read to its end, and closed.

    Raises
    ------
    DataError : the file cannot be read, or its EMG is not finite.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        n_samples = session.n_samples
        self._emg = np.empty((session.n_channels, n_samples), dtype=np.float32)
        self._angles = np.empty((N_JOINTS, n_samples), dtype=np.float32)
        self._valid = np.empty(n_samples, dtype=np.bool_)
        for part in session.chunks():
            require_finite_emg(session, part.emg.T, part.start)
            inside = slice(part.start, part.stop)
            self._emg[:, inside], self._angles[:, inside] = part.emg.T, part.joint_angles.T
            self._valid[inside] = part.valid
        session.close()

    @property
    def facts(self) -> SessionFacts:
        """What the recording is."""
        return self._session.facts

    def read(self, start: int, stop: int, fields: frozenset[str]) -> dict[str, NDArray[Any]]:
        """Give samples [start, stop) as views; see `SessionReader`."""
        everything = {
            "emg": self._emg[:, start:stop].T,
            "joint_angles": self._angles[:, start:stop].T,
            "valid": self._valid[start:stop],
        }
        return {name: everything[name] for name in fields & everything.keys()}

    def close(self) -> None:
        """Keep the samples: there is no file to give back."""

    def __reduce__(self) -> tuple[Callable[[Session], Any], tuple[Session]]:
        return _reader_of, (self._session,)


def _reader_of(session: Session) -> Any:
    return session.reader


class Recordings:
    """The recordings of a training run, opened, checked and prepared for a model.

    Parameters
    ----------
    paths : sequence of Path
    needs : ModelNeeds
    memory_bytes : float
        All recordings are held in memory if they fit into this, else none.
    on_progress : callable, optional

    Raises
    ------
    DataError : a file is missing or damaged, lacks EMG or joint angles, or is not what the model needs.
    """

    def __init__(
        self, paths: Sequence[Path], needs: ModelNeeds, memory_bytes: float, on_progress: Progress | None = None
    ) -> None:
        _require_files(paths)
        opened = {path: open_for_training(path, needs) for path in paths}
        self.n_bytes = sum(session.n_samples * (4 * session.n_channels + _LABEL_BYTES) for session in opened.values())
        self.in_memory = self.n_bytes <= memory_bytes
        self.simulated = {path: session.facts.is_simulated for path, session in opened.items()}
        self._digests: dict[Path, str] = {}
        self._sessions: dict[Path, Session] = {}
        for number, (path, session) in enumerate(opened.items()):
            self._take_in(path, session)
            if on_progress is not None:
                on_progress(number + 1, len(opened))

    def open(self, path: Path) -> Session:
        """Give a recording; the same object every time, so that a file that was replaced is noticed."""
        return self._sessions[path]

    def index(self, paths: Iterable[Path], window: int, stride: int | None, skip_invalid: bool) -> WindowIndex:
        """Index the windows of some of the recordings, in order."""
        sessions = [self._sessions[path] for path in paths]
        return WindowIndex.of_sessions(sessions, window, stride=stride, skip_invalid=skip_invalid)

    def fingerprint(self, names: Mapping[Path, str]) -> str:
        """Fingerprint of some recordings: names, facts, runs of valid labels, and a second from the middle of each."""
        return data_fingerprint({name: self._digests[path] for path, name in names.items()})

    def all_simulated(self, paths: Iterable[Path]) -> bool:
        """Whether every one of some recordings says of itself that it was simulated."""
        return all(self.simulated[path] for path in paths)

    def preparations(self) -> dict[str, int]:
        """Say what was done to the EMG, and to how many recordings."""
        counts: dict[str, int] = {}
        for session in self._sessions.values():
            how = session.preparation.describe()
            counts[how] = counts.get(how, 0) + 1
        return counts

    def close(self) -> None:
        """Close every file."""
        for session in self._sessions.values():
            session.close()

    def _take_in(self, path: Path, session: Session) -> None:
        if self.in_memory:
            session = Session(MemoryReader(session), path, session.preparation)
        # Found once, while the recording is read anyway; the session keeps them.
        runs = session.valid_runs()
        self._digests[path] = _digest(session, runs)
        self._sessions[path] = session
        session.close()


def _require_files(paths: Sequence[Path]) -> None:
    missing = [path for path in paths if not recording_exists(path)]
    if missing:
        more = f" and {len(missing) - 1} more of {len(paths)} recordings" if len(missing) > 1 else ""
        raise DataError(
            f"{missing[0]}{more}: the metadata name this file, but it is missing; download it, remove its row, or "
            "leave it out with data.where"
        )


def open_for_training(path: Path, needs: ModelNeeds) -> Session:
    """Open a recording and prepare it for a model.

    Raises
    ------
    DataError : it cannot be trained on; the message names it.
    """
    return prepare_for_training(open_session(path), needs)


def prepare_for_training(session: Session, needs: ModelNeeds) -> Session:
    """Prepare a recording for a model; see `open_for_training`."""
    path = session.path or session.name
    if not session.has_emg or not session.has_joint_angles:
        has = "EMG" if session.has_emg else "joint angles"
        raise DataError(f"{path}: training needs EMG and joint angles, the recording has {has} only; remove its row")
    if session.facts.missing_joints:
        raise DataError(
            f"{path}: training needs the angles of all {N_JOINTS} joints, the recording has none of "
            f"{', '.join(session.facts.missing_joints)}; remove its row, or leave it out with data.where"
        )
    if session.n_channels != needs.n_channels:
        raise DataError(
            f"{path}: {needs.name} needs {needs.n_channels} EMG channels, the recording has {session.n_channels}"
        )
    prepared = prepare_session(session, needs.preprocessing, sample_rate_hz=needs.sample_rate_hz)
    # Preparing may have read it; of thousands of recordings, few may be open at a time.
    prepared.close()
    return prepared


def emg_is_known_finite(session: Session) -> bool:
    """Whether nothing that is read of a recording can be NaN or Inf, so that it need not be looked at again."""
    return isinstance(session.reader, StoreReader) and session.reader.emg_is_finite


def require_finite_emg(session: Session, emg: NDArray[np.float32], start: int) -> None:
    """Refuse EMG that would turn the whole model into NaN.

    Parameters
    ----------
    session : Session
        For the message.
    emg : array, shape (channel, time)
    start : int
        Number of the first sample in the recording.

    Raises
    ------
    DataError : a value is NaN or Inf; the message names file, channel and sample.
    """
    # NaN is passed on by both, and the two are the fastest question.
    if np.isfinite(emg.max()) and np.isfinite(emg.min()):
        return
    channel, sample = np.argwhere(~np.isfinite(emg))[0]
    raise DataError(
        f"{session.path or session.name}: EMG channel {session.channel_names[channel]} is {emg[channel, sample]} "
        f"at sample {start + sample}, expected finite values; emgpose check names every fault of the file, "
        "data.where leaves it out"
    )


def _digest(session: Session, runs: list[tuple[int, int]]) -> str:
    samples = SamplesDigest()
    samples.update(session.read(*middle_of(session.n_samples)))
    return brief_digest(session.facts, runs, samples.hexdigest())
