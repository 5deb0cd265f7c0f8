"""A recording read through filters, in order and with constant memory."""

from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import DataError
from emgpose.hand import N_JOINTS
from emgpose.recording.session import CHUNK_SAMPLES, Session, SessionFacts
from emgpose.signals import Preprocessing, Preprocessor, Scale, resampled_length

# What a reader keeps of the prepared EMG for reads that go back a little: overlapping windows, blocks read twice.
_CACHE_SAMPLES: Final = 65_536
# A resampled position this close to a recorded sample is that sample.
_SNAP: Final = 1e-6


class PreparedReader:
    """Reads a recording through a `Preprocessor`, in order and with constant memory.

    Parameters
    ----------
    session : Session
        The recording as it was opened; this reader reads it in chunks, and closes it.
    steps : Preprocessing
        What to apply.
    noise_floor : array, shape (channel,), or None
        For the Scale step.
    """

    def __init__(self, session: Session, steps: Preprocessing, noise_floor: NDArray[np.float64] | None) -> None:
        self._session = session
        self._steps = steps
        self._noise_floor = noise_floor
        self._restart()
        self.delay_samples = self._preprocessor.delay_samples
        self._facts = _prepared_facts(session.facts, steps, self._preprocessor.output_rate_hz)

    @property
    def facts(self) -> SessionFacts:
        """What the prepared recording is."""
        return self._facts

    def close(self) -> None:
        """Close the recording's own reader, and forget the filters' state."""
        self._session.close()
        self._restart()

    def __getstate__(self) -> dict[str, Any]:
        return {"session": self._session, "steps": self._steps, "noise_floor": self._noise_floor}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def read(self, start: int, stop: int, fields: frozenset[str]) -> dict[str, NDArray[Any]]:
        """Read prepared samples [start, stop); see `SessionReader`."""
        others = fields - {"emg"}
        values = self._labels(start, stop, others) if others else {}
        if "emg" in fields:
            values["emg"] = self._emg(start, stop)
        return values

    def _restart(self) -> None:
        self._preprocessor = Preprocessor(
            self._steps, self._session.sample_rate_hz, self._session.n_channels, self._noise_floor
        )
        self._n_in = 0
        # The newest prepared samples; the last of them is number `_n_out` - 1.
        self._cache = np.empty((0, self._session.n_channels), dtype=np.float32)
        self._n_out = 0

    def _emg(self, start: int, stop: int) -> NDArray[np.float32]:
        if start < self._n_out - len(self._cache):
            self._restart()
        emg = np.empty((stop - start, self._session.n_channels), dtype=np.float32)
        done = start
        while True:
            first = self._n_out - len(self._cache)
            until = min(stop, self._n_out)
            if done < until:
                emg[done - start : until - start] = self._cache[done - first : until - first]
                done = until
            if done >= stop:
                return emg
            self._advance()

    def _advance(self) -> None:
        """Prepare one more chunk."""
        start = self._n_in
        if start >= self._session.n_samples:
            raise DataError(
                f"session {self._session.name}: preparing gave {self._n_out} samples, expected {self._facts.n_samples}"
            )
        self._n_in = min(start + CHUNK_SAMPLES, self._session.n_samples)
        try:
            prepared = self._preprocessor.process(self._session.emg(start, self._n_in))
        except DataError as error:
            self._restart()
            raise type(error)(f"session {self._session.name}: {error}") from error
        if self._n_in == self._session.n_samples:
            prepared = np.concatenate([prepared, self._preprocessor.flush()])
        self._cache = np.concatenate([self._cache[-_CACHE_SAMPLES:], prepared])
        self._n_out += len(prepared)

    def _labels(self, start: int, stop: int, fields: frozenset[str]) -> dict[str, NDArray[Any]]:
        """Carry joint angles, validity and times along, between the two recorded samples around each."""
        session = self._session
        if session.sample_rate_hz == self._facts.sample_rate_hz:
            return session.reader.read(start, stop, fields)
        position = np.arange(start, stop) * (session.sample_rate_hz / self._facts.sample_rate_hz)
        nearest = np.round(position)
        position = np.where(np.abs(position - nearest) < _SNAP, nearest, position)
        left = np.minimum(np.floor(position).astype(np.int64), session.n_samples - 1)
        right = np.minimum(np.ceil(position).astype(np.int64), session.n_samples - 1)
        if start == stop:
            return _empty_labels(fields)
        first, last = int(left[0]), int(right[-1]) + 1
        left, right, share = left - first, right - first, position - left
        values: dict[str, NDArray[Any]] = {}
        if "joint_angles" in fields and session.has_joint_angles:
            angles = session.joint_angles(first, last).astype(np.float64)
            blend = angles[left] + share[:, None] * (angles[right] - angles[left])
            # A neighbour of weight 0 may be NaN and must not count.
            values["joint_angles"] = np.where(share[:, None] == 0, angles[left], blend).astype(np.float32)
        if "valid" in fields and session.has_joint_angles:
            valid = session.valid(first, last)
            values["valid"] = valid[left] & valid[right]
        if "time_s" in fields:
            time_s = session.time_s(first, last)
            after_last = (right == left) * share / session.sample_rate_hz
            values["time_s"] = time_s[left] + share * (time_s[right] - time_s[left]) + after_last
        return values


def _empty_labels(fields: frozenset[str]) -> dict[str, NDArray[Any]]:
    empty: dict[str, NDArray[Any]] = {
        "joint_angles": np.empty((0, N_JOINTS), dtype=np.float32),
        "valid": np.empty(0, dtype=np.bool_),
        "time_s": np.empty(0),
    }
    return {name: empty[name] for name in fields}


def _prepared_facts(facts: SessionFacts, steps: Preprocessing, rate_hz: float) -> SessionFacts:
    resamples = rate_hz != facts.sample_rate_hz
    scales = any(isinstance(step, Scale) for step in steps)
    return replace(
        facts,
        sample_rate_hz=rate_hz,
        n_samples=resampled_length(facts.n_samples, facts.sample_rate_hz, rate_hz) if resamples else facts.n_samples,
        emg_unit="noise_floor" if scales else facts.emg_unit,
        preprocessing=Preprocessing((*facts.preprocessing.steps, *steps.steps)),
    )
