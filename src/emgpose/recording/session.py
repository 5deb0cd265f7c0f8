"""A recording as the rest of emgpose sees it: lazy, picklable, the same for every file format.

A `Session` stands on a `SessionReader`, which knows one format and reads any range of samples. Everything that does not
depend on the format (ranges, validity of labels, chunks, runs) lives here.
"""

import operator
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import DataError, ShapeError
from emgpose.hand import N_JOINTS
from emgpose.preprocessing import Preprocessing
from emgpose.recording.facts import SessionFacts, SessionReader
from emgpose.recording.session_slice import SessionSlice, label_is_valid

__all__ = ["CHUNK_SAMPLES", "Session", "SessionFacts", "SessionReader", "SessionSlice", "label_is_valid"]

CHUNK_SAMPLES: Final = 20_000


class Session:
    """A recording, read when asked and only as far as asked.

    Pickling keeps the path and facts, not the open file. Works as a context manager; after `close` it opens its file
    again when it is read. Whatever reads takes samples [start, stop), to the end by default, and raises ShapeError
    where these are not whole numbers inside the recording, and DataError where the file cannot be read.

    Parameters
    ----------
    reader : SessionReader
        Knows the format.
    path : Path, optional
        Where the recording came from; None for arrays and objects in memory.
    preparation : Preparation, optional
        What `prepare_session` did to the recording; None for a recording as it was found.
    """

    def __init__(self, reader: SessionReader, path: Path | None = None, preparation: Any = None) -> None:
        self.reader = reader
        self.path = path
        self.preparation = preparation
        self._valid_runs: list[tuple[int, int]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        facts = self.facts
        emg = f"{self.n_channels} channels" if self.has_emg else "no EMG"
        return f"<Session {self.name}: {facts.format}, {emg}, {facts.n_samples} samples at {facts.sample_rate_hz:g} Hz>"

    def __len__(self) -> int:
        return self.n_samples

    def close(self) -> None:
        """Give back the file; reading opens it again."""
        self.reader.close()

    @property
    def facts(self) -> SessionFacts:
        """What the recording is, known without reading its samples."""
        return self.reader.facts

    @property
    def name(self) -> str:
        """What to call the recording in messages: its file name, else its session."""
        return self.path.name if self.path is not None else self.facts.session

    @property
    def sample_rate_hz(self) -> float:
        """Rate of every field [Hz]."""
        return self.facts.sample_rate_hz

    @property
    def n_samples(self) -> int:
        """Length of the recording."""
        return self.facts.n_samples

    @property
    def duration_s(self) -> float:
        """Length of the recording [s]."""
        return self.facts.n_samples / self.facts.sample_rate_hz

    @property
    def channel_names(self) -> tuple[str, ...]:
        """EMG channels in order."""
        return self.facts.channel_names

    @property
    def n_channels(self) -> int:
        """Number of EMG channels, 0 where there is no EMG."""
        return len(self.facts.channel_names)

    @property
    def has_emg(self) -> bool:
        """Whether the recording holds EMG."""
        return bool(self.facts.channel_names)

    @property
    def has_joint_angles(self) -> bool:
        """Whether the recording holds labels, valid or not."""
        return self.facts.has_joint_angles

    @property
    def session(self) -> str:
        """Identifier of the recording session."""
        return self.facts.session

    @property
    def user(self) -> str | None:
        """Who was recorded, where known."""
        return self.facts.user

    @property
    def stage(self) -> str | None:
        """What the user was asked to do, where known."""
        return self.facts.stage

    @property
    def side(self) -> str | None:
        """Which hand, `left` or `right`, where known."""
        return self.facts.side

    @property
    def emg_unit(self) -> str:
        """Unit of the EMG: `noise_floor`, `uV` or `unknown`."""
        return self.facts.emg_unit

    @property
    def preprocessing(self) -> Preprocessing:
        """What the EMG has already been through."""
        return self.facts.preprocessing

    def emg(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Read EMG, shape (time, channel), float32, in `emg_unit`.

        Raises
        ------
        DataError : the recording has no EMG.
        """
        if not self.has_emg:
            raise DataError(f"session {self.name}: expected EMG, the recording holds joint angles only")
        return self._read(start, stop, "emg")["emg"]

    def joint_angles(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Read the recorded joint angles, valid or not, shape (time, joint=20), float32 [rad].

        Raises
        ------
        DataError : the recording has no joint angles.
        """
        if not self.has_joint_angles:
            raise DataError(f"session {self.name}: expected joint angles, the recording holds EMG only")
        return self._read(start, stop, "joint_angles")["joint_angles"]

    def valid(self, start: int = 0, stop: int | None = None) -> NDArray[np.bool_]:
        """Tell which samples have a usable label, shape (time,), bool; none where there are no joint angles."""
        start, stop = self._range(start, stop)
        if not self.has_joint_angles:
            return np.zeros(stop - start, dtype=np.bool_)
        if stop - start <= CHUNK_SAMPLES:
            return self._valid_of(self._read(start, stop, "joint_angles", "valid"))
        # Labels of a whole recording are large; their validity is not.
        parts = (self.valid(a, min(a + CHUNK_SAMPLES, stop)) for a in range(start, stop, CHUNK_SAMPLES))
        return np.concatenate(list(parts))

    def time_s(self, start: int = 0, stop: int | None = None) -> NDArray[np.float64]:
        """Read the time stamps of the file, shape (time,), float64 [s]; they jitter in emg2pose files.

        Where there are none, sample number over rate, from `start_s` (or 0) on. For intervals use sample numbers and
        `sample_rate_hz`.
        """
        start, stop = self._range(start, stop)
        values = self._read(start, stop, "time_s")
        if "time_s" in values:
            return values["time_s"]
        return np.arange(start, stop) / self.sample_rate_hz + (self.facts.start_s or 0.0)

    def read(self, start: int = 0, stop: int | None = None) -> SessionSlice:
        """Read EMG, joint angles and validity together.

        Where the recording has none, `emg` has no columns, and `joint_angles` are NaN.
        """
        start, stop = self._range(start, stop)
        wanted = [*(["emg"] if self.has_emg else []), *(["joint_angles", "valid"] if self.has_joint_angles else [])]
        values = self._read(start, stop, *wanted)
        n = stop - start
        if not self.has_emg:
            values["emg"] = np.empty((n, 0), dtype=np.float32)
        if not self.has_joint_angles:
            no_labels = np.full((n, N_JOINTS), np.nan, dtype=np.float32)
            return SessionSlice(start, values["emg"], no_labels, np.zeros(n, dtype=np.bool_))
        return SessionSlice(start, values["emg"], values["joint_angles"], self._valid_of(values))

    def chunks(self, n_samples: int = CHUNK_SAMPLES, start: int = 0, stop: int | None = None) -> Iterator[SessionSlice]:
        """Read the recording in order, so that memory does not grow with its length.

        Parameters
        ----------
        n_samples : int
            Length of each slice; the last may be shorter.

        Raises
        ------
        ShapeError : `n_samples` is below 1.
        """
        start, stop = self._range(start, stop)
        if n_samples < 1:
            raise ShapeError(f"session {self.name}: expected chunks of at least one sample, got {n_samples}")
        return (self.read(first, min(first + n_samples, stop)) for first in range(start, stop, n_samples))

    def valid_runs(self) -> list[tuple[int, int]]:
        """Find the runs of samples with a usable label.

        Returns
        -------
        list of (start, stop), half-open and in order. The first call reads all labels, chunk by chunk.
        """
        if self._valid_runs is None:
            # A prepared store knows them without reading a sample.
            known = getattr(self.reader, "known_valid_runs", self._find_valid_runs)
            self._valid_runs = known() if self.has_joint_angles else []
        return list(self._valid_runs)

    def _find_valid_runs(self) -> list[tuple[int, int]]:
        edges: list[int] = []
        was_valid = False
        for start in range(0, self.n_samples, CHUNK_SAMPLES):
            valid = self.valid(start, min(start + CHUNK_SAMPLES, self.n_samples))
            changes = np.flatnonzero(np.diff(valid, prepend=was_valid))
            edges.extend((changes + start).tolist())
            was_valid = bool(valid[-1])
        if was_valid:
            edges.append(self.n_samples)
        return list(zip(edges[::2], edges[1::2], strict=True))

    def _range(self, start: int, stop: int | None) -> tuple[int, int]:
        try:
            first = operator.index(start)
            last = self.n_samples if stop is None else operator.index(stop)
        except TypeError:
            raise ShapeError(f"session {self.name}: expected whole sample numbers, got [{start}, {stop})") from None
        if not 0 <= first <= last <= self.n_samples:
            raise ShapeError(
                f"session {self.name}: expected a range inside [0, {self.n_samples}), got [{start}, {stop}); "
                "samples are counted from 0 and negative numbers are not counted from the end"
            )
        return first, last

    def _read(self, start: int, stop: int | None, *fields: str) -> dict[str, NDArray[Any]]:
        first, last = self._range(start, stop)
        return self.reader.read(first, last, frozenset(fields))

    @staticmethod
    def _valid_of(values: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
        # A mark of the file can only take labels away: an all-zero or NaN label is never usable.
        valid = label_is_valid(values["joint_angles"])
        return valid & values["valid"] if "valid" in values else valid
