"""A recording of the live EMG in the emg2pose format, for training, scoring and replay.

The file holds the EMG on the published scale: 16 channels at 2 kHz, band-passed and scaled; what of that the source has
not done itself is done here. Time is uniform from the first sample on. Samples that were lost are filled with the last
one before them (before the filters), and have no label; the group `live` says how many and where. Joint angles are the
truth where the source knows it, and the zeros that mean "no label" elsewhere.

A thread of its own writes, so that a slow disk never holds the hand up. Samples go into `NAME.part`, which is on the
disk once a second; the file is made of it when the recording is closed, or by `recover` where the program was killed.
"""

import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError, DataError, EmgPoseError, StreamError
from emgpose.hand import N_JOINTS
from emgpose.live.chunk import EmgChunk, SourceFacts
from emgpose.live.intake import Intake, Taken
from emgpose.live.sinks.finishing import SUFFIXES, finish
from emgpose.live.sinks.part_file import PartFile, part_of, refuse_leftover
from emgpose.live.sinks.recording import N_CHANNELS, RecordingPlan, RecordingSettings, plan_recording
from emgpose.recording.facts import LOOK_AHEAD
from emgpose.recording.session import label_is_valid
from emgpose.signals import Preprocessor
from emgpose.version import __version__

# A source that steps back further than this counts anew.
_MAX_LATE_S: Final = 1.0
# Chunks that may wait for the disk: a minute of them at 10 ms each.
_MAX_WAITING: Final = 6000
_MAX_LISTED_GAPS: Final = 10_000
# What a power cut takes at most, beside what waits for the disk.
_SYNC_EVERY_S: Final = 1.0
_log = logging.getLogger("emgpose.live.sinks")


class Recorder:
    """Records what comes from a source as one emg2pose HDF5 file.

    Parameters
    ----------
    path : Path
        Must not exist. Where it does when the recording ends, the recording gets the next free name (`NAME-2`).
    settings : RecordingSettings, optional
    clock : callable
        Unix time [s].

    Raises
    ------
    ConfigError : the name does not end in .hdf5 or .h5; the file exists, or what a killed recording left of it.

    Source: emg2pose data set (Salter et al. 2024), for the format.
    """

    def __init__(
        self, path: Path, settings: RecordingSettings | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = Path(path)
        self.name = f"record:{self._path}"
        if self._path.suffix not in SUFFIXES:
            raise ConfigError(f"{self.name}: expected a name ending in {' or '.join(SUFFIXES)}")
        # A link that leads nowhere is there too.
        if os.path.lexists(self._path):
            raise ConfigError(f"{self.name}: the file exists, and a recording replaces none; choose another name")
        refuse_leftover(part_of(self._path))
        self._settings = settings or RecordingSettings()
        self._clock = clock
        self._worker: _Worker | None = None

    def open(self, source: SourceFacts) -> None:
        """Begin a file.

        Raises
        ------
        ConfigError : the source's EMG does not suit the format; see `plan_recording`. A killed recording is there.
        DataError : the folder cannot be written to.
        """
        plan = plan_recording(self.name, source, self._settings)
        rate_hz = source.sample_rate_hz
        self._columns = plan.columns
        self._rate_hz = rate_hz
        self._intake = Intake(N_CHANNELS, round(self._settings.max_gap_s * rate_hz), round(_MAX_LATE_S * rate_hz))
        self._has_begun = False
        self._ended = ""
        self._n_gaps = 0
        self._noted: dict[str, int] = {}
        pipeline = _Pipeline(plan, rate_hz)
        self._worker = _Worker(PartFile(self._path, self._head(plan, pipeline, source)), pipeline)

    def record(self, chunk: EmgChunk) -> None:
        """Take samples; late ones are dropped, lost ones filled.

        Raises
        ------
        StreamError : too many samples were lost, or the disk cannot keep up; what came before is kept.
        DataError : writing failed, as on a full disk.
        """
        if self._worker is None or self._ended:
            return
        self._worker.raise_failure()
        if not self._has_begun and len(chunk.emg):
            self._worker.start_s = self._clock() - len(chunk.emg) / self._rate_hz
            self._has_begun = True
        n_long_gaps = self._intake.counts["gaps"]
        taken = self._intake.take(chunk.first_sample, chunk.emg[:, self._columns])
        if taken is None:
            return
        if self._intake.counts["gaps"] > n_long_gaps:
            self._end(f"the source lost more than {self._settings.max_gap_s:g} s; the recording ends before that")
        if not self._worker.put(taken, _labels_of(chunk, taken), self._news(taken)):
            self._end(f"the disk is {_MAX_WAITING} chunks behind; the recording ends here")

    def close(self) -> None:
        """Finish the file.

        Raises
        ------
        DataError : nothing was recorded; or the file could not be made, and what was written is where it was.
        """
        worker, self._worker = self._worker, None
        if worker is None:
            return
        written = worker.finish({**self._counts(), "ended": self._ended or "closed"})
        if written != self._path:
            _log.warning("%s: the name was taken meanwhile, so the recording is %s", self.name, written)

    def _end(self, reason: str) -> None:
        self._ended = reason
        raise StreamError(f"{self.name}: {reason}; start another recording for the rest")

    def _head(self, plan: RecordingPlan, pipeline: "_Pipeline", source: SourceFacts) -> dict[str, Any]:
        stem = self._path.stem
        ahead = [] if source.is_causal else ["the source's samples depended on later ones"]
        if pipeline.delay_s:
            ahead.append(f"resampling looked {1000 * pipeline.delay_s:.1f} ms ahead")
        return {
            "source_rate_hz": self._rate_hz,
            "user": self._settings.user,
            "stage": self._settings.stage,
            "side": plan.side,
            "session": stem if stem.isprintable() else ascii(stem),
            "attributes": {
                "simulated": source.is_simulated,
                "recorded_by": f"emgpose {__version__}",
                "source": ascii(source.name)[1:-1][:200],
                "recorded_rate_hz": self._rate_hz,
                "applied": plan.steps.describe(),
                **({LOOK_AHEAD: "; ".join(ahead)} if ahead else {}),
            },
        }

    def _news(self, taken: Taken) -> dict[str, Any]:
        """What the file must say beside these samples, which come next."""
        counts = self._counts()
        news: dict[str, Any] = {} if counts == self._noted else dict(counts)
        self._noted = counts
        n_filled = int(taken.is_filled.sum())
        if n_filled and self._worker is not None and self._n_gaps < _MAX_LISTED_GAPS:
            self._n_gaps += 1
            news["gaps"] = [(self._worker.n_put, n_filled)]
        return news

    def _counts(self) -> dict[str, int]:
        counts = self._intake.counts
        return {
            "filled_samples": counts["samples_filled"],
            "late_samples": counts["samples_late"],
            "held_values": counts["not_numbers"],
            "restarts": counts["restarts"],
        }


def _labels_of(chunk: EmgChunk, taken: Taken) -> NDArray[np.float32]:
    """Give the truth beside the samples taken, (time, joint=20); zeros where there is none."""
    labels = np.zeros((len(taken.emg), N_JOINTS), dtype=np.float32)
    n_new = int((~taken.is_filled).sum())
    if chunk.joint_angles is not None and n_new:
        newest = chunk.joint_angles[-n_new:]
        labels[-n_new:] = np.where(label_is_valid(newest)[:, None], newest, 0)
    return labels


class _Pipeline:
    """Filters and scales, and keeps labels beside the samples that come out."""

    def __init__(self, plan: RecordingPlan, rate_hz: float) -> None:
        self._preprocessor = Preprocessor(plan.steps, rate_hz, N_CHANNELS, plan.noise_floor)
        self._ratio = rate_hz / self._preprocessor.output_rate_hz
        self.delay_s = self._preprocessor.delay_samples / rate_hz
        self._labels = np.empty((0, N_JOINTS), dtype=np.float32)
        self._first_label = 0
        self.n_out = 0

    def process(self, emg: NDArray[np.float32], labels: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Take samples with labels, and give those that are complete: (time, channel) and (time, joint)."""
        self._labels = np.concatenate([self._labels, labels])
        return self._with_labels(self._preprocessor.process(emg))

    def flush(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Give what resampling still held back."""
        return self._with_labels(self._preprocessor.flush())

    def _with_labels(self, emg: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
        # Resampled EMG gets the label of the nearest sample, at most half a sample away.
        wanted = np.rint((self.n_out + np.arange(len(emg) + 1)) * self._ratio).astype(np.int64) - self._first_label
        labels = self._labels[np.minimum(wanted[:-1], len(self._labels) - 1)] if len(emg) else self._labels[:0]
        self.n_out += len(emg)
        n_past = min(int(wanted[-1]), len(self._labels))
        self._labels, self._first_label = self._labels[n_past:], self._first_label + n_past
        return emg, labels


class _Worker:
    """Writes in a thread of its own."""

    def __init__(self, part: PartFile, pipeline: _Pipeline) -> None:
        self._part, self._pipeline = part, pipeline
        self._waiting: queue.Queue[tuple[NDArray[np.float32], NDArray[np.float32], dict[str, Any]] | None]
        self._waiting = queue.Queue()
        self._failure: BaseException | None = None
        self._synced_s = time.monotonic()
        self.start_s = 0.0
        self.n_put = 0
        self._thread = threading.Thread(target=self._run, name="emgpose-recorder", daemon=True)
        self._thread.start()

    def put(self, taken: Taken, labels: NDArray[np.float32], news: dict[str, Any]) -> bool:
        """Hand samples on; False where too many are waiting."""
        if self._waiting.qsize() >= _MAX_WAITING:
            return False
        # A copy: a source may use its own array again.
        self._waiting.put((taken.emg.copy(), labels, news))
        self.n_put += len(taken.emg)
        return True

    def raise_failure(self) -> None:
        """Raise what went wrong in the thread."""
        if self._failure is not None:
            raise self._failure

    def finish(self, facts: dict[str, Any]) -> Path:
        """Write what is waiting and make the file, whose name is returned."""
        self._waiting.put(None)
        self._thread.join()
        try:
            self.raise_failure()
            self._append(*self._pipeline.flush())
            self._note(facts)
            made = finish(self._part.path)
        except BaseException as error:
            raise self._failed(error) from error
        if made.n_bytes_left:
            self._part.close()
            _log.error("%s: %d bytes cannot be read again, and are kept", self._part.path, made.n_bytes_left)
        else:
            self._part.delete()
        return made.path

    def _failed(self, error: BaseException) -> BaseException:
        """Keep what was written, and say where it is."""
        if not self._part.n_rows:
            self._part.delete()
            return error
        self._part.close()
        if isinstance(error, EmgPoseError):
            return error if error is self._failure else DataError(f"{error}; {self._what_is_kept()}")
        _log.error("%s", self._what_is_kept())
        return error

    def _what_is_kept(self) -> str:
        if not self._part.n_rows:
            return "nothing was recorded before"
        return f"what was recorded is kept: make a file of it with emgpose live --recover {self._part.path}"

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            if self._failure is None:
                try:
                    emg, labels, news = item
                    self._append(*self._pipeline.process(emg, labels))
                    self._note(news)
                except Exception as error:  # kept for the session's own thread, which raises it
                    self._failure = error

    def _append(self, emg: NDArray[np.float32], labels: NDArray[np.float32]) -> None:
        with self._disk_errors():
            if len(emg):
                self._part.append(self.start_s, emg, labels if labels.any() else None)
            if time.monotonic() - self._synced_s >= _SYNC_EVERY_S:
                self._part.sync()
                self._synced_s = time.monotonic()

    def _note(self, facts: dict[str, Any]) -> None:
        with self._disk_errors():
            if facts:
                self._part.note(facts)

    @contextlib.contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            what = f"writing the recording failed: {error.strerror or error}"
            raise DataError(f"{what}; make room; {self._what_is_kept()}") from error
