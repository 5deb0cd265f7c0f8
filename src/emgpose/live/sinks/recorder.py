"""A recording of the live EMG in the emg2pose format, for training, scoring and replay.

The file holds the EMG on the published scale: 16 channels at 2 kHz, band-passed and scaled; what of that the source has
not done itself is done here. Time is uniform from the first sample on. Samples that were lost are filled with the last
one before them (before the filters), and have no label; the group `live` says how many and where. Joint angles are the
truth where the source knows it, and the zeros that mean "no label" elsewhere.

A thread of its own writes, so that a slow disk never holds the hand up. The file gets its name when it is closed; a
program that is killed before leaves a hidden folder beside it, and no file of that name.
"""

import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError, DataError, StreamError
from emgpose.hand import N_JOINTS
from emgpose.live.chunk import EmgChunk, SourceFacts
from emgpose.live.intake import Intake, Taken
from emgpose.live.sinks.recording import N_CHANNELS, RecordingPlan, RecordingSettings, plan_recording
from emgpose.live.sinks.unfinished import UnfinishedFile
from emgpose.recording.emg2pose_writer import Emg2PoseWriter
from emgpose.recording.session import label_is_valid
from emgpose.signals import Preprocessor
from emgpose.timing import EMG_RATE_HZ
from emgpose.version import __version__

SUFFIXES: Final = (".hdf5", ".h5")
# A source that steps back further than this counts anew.
_MAX_LATE_S: Final = 1.0
# Chunks that may wait for the disk: a minute of them at 10 ms each.
_MAX_WAITING: Final = 6000
_MAX_LISTED_GAPS: Final = 10_000
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
    ConfigError : the name does not end in .hdf5 or .h5, or the file exists.

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
        self._settings = settings or RecordingSettings()
        self._clock = clock
        self._worker: _Worker | None = None

    def open(self, source: SourceFacts) -> None:
        """Begin a file.

        Raises
        ------
        ConfigError : the source's EMG does not suit the format; see `plan_recording`.
        DataError : the folder cannot be written to.
        """
        plan = plan_recording(self.name, source, self._settings)
        rate_hz = source.sample_rate_hz
        self._columns = plan.columns
        self._rate_hz = rate_hz
        self._intake = Intake(N_CHANNELS, round(self._settings.max_gap_s * rate_hz), round(_MAX_LATE_S * rate_hz))
        self._has_begun = False
        self._ended = ""
        self._gaps: list[tuple[int, int]] = []
        pipeline = _Pipeline(plan, rate_hz)
        unfinished = UnfinishedFile(self._path)
        try:
            self._worker = _Worker(self._writer(unfinished.path, plan, source), pipeline, unfinished)
        except BaseException:
            unfinished.discard()
            raise

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
        n_filled = int(taken.is_filled.sum())
        if n_filled and len(self._gaps) < _MAX_LISTED_GAPS:
            self._gaps.append((self._n_taken, n_filled))
        if not self._worker.put(taken, _labels_of(chunk, taken)):
            self._end(f"the disk is {_MAX_WAITING} chunks behind; the recording ends here")

    def close(self) -> None:
        """Finish the file.

        Raises
        ------
        DataError : nothing was recorded, or writing failed; then there is no file.
        """
        worker, self._worker = self._worker, None
        if worker is None:
            return
        written = worker.finish(self._facts())
        if written != self._path:
            _log.warning("%s: the name was taken meanwhile, so the recording is %s", self.name, written)

    @property
    def _n_taken(self) -> int:
        """Samples handed on so far, at the source's rate."""
        return 0 if self._worker is None else self._worker.n_put

    def _end(self, reason: str) -> None:
        self._ended = reason
        raise StreamError(f"{self.name}: {reason}; start another recording for the rest")

    def _writer(self, path: Path, plan: RecordingPlan, source: SourceFacts) -> Emg2PoseWriter:
        stem = path.stem
        return Emg2PoseWriter(
            path,
            sample_rate_hz=float(EMG_RATE_HZ),
            user=self._settings.user,
            stage=self._settings.stage,
            side=plan.side,
            session=stem if stem.isprintable() else ascii(stem),
            n_channels=N_CHANNELS,
            attributes={
                "simulated": source.is_simulated,
                "recorded_by": f"emgpose {__version__}",
                "source": ascii(source.name)[1:-1][:200],
                "applied": plan.steps.describe(),
            },
        )

    def _facts(self) -> dict[str, Any]:
        """What the group `live` says; counts and places are at the source's own rate."""
        counts = self._intake.counts
        gaps = np.array(self._gaps, dtype=np.int64).reshape(-1, 2)
        return {
            "source_rate_hz": self._rate_hz,
            "filled_samples": counts["samples_filled"],
            "late_samples": counts["samples_late"],
            "held_values": counts["not_numbers"],
            "restarts": counts["restarts"],
            "ended": self._ended or "closed",
            "gap_start": gaps[:, 0],
            "gap_length": gaps[:, 1],
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

    def __init__(self, writer: Emg2PoseWriter, pipeline: _Pipeline, unfinished: UnfinishedFile) -> None:
        self._writer, self._pipeline, self._unfinished = writer, pipeline, unfinished
        self._waiting: queue.Queue[tuple[NDArray[np.float32], NDArray[np.float32]] | None] = queue.Queue()
        self._failure: BaseException | None = None
        self.start_s = 0.0
        self.n_put = 0
        # Here and not in the thread, so that a folder that cannot be written to is known at once.
        self._exit = contextlib.ExitStack()
        self._exit.enter_context(writer)
        self._thread = threading.Thread(target=self._run, name="emgpose-recorder", daemon=True)
        self._thread.start()

    def put(self, taken: Taken, labels: NDArray[np.float32]) -> bool:
        """Hand samples on; False where too many are waiting."""
        if self._waiting.qsize() >= _MAX_WAITING:
            return False
        # A copy: a source may use its own array again.
        self._waiting.put((taken.emg.copy(), labels))
        self.n_put += len(taken.emg)
        return True

    def raise_failure(self) -> None:
        """Raise what went wrong in the thread."""
        if self._failure is not None:
            raise self._failure

    def finish(self, facts: dict[str, Any]) -> Path:
        """Write what is waiting, close the file and give it its name, which is returned."""
        self._waiting.put(None)
        self._thread.join()
        try:
            with self._exit:
                self.raise_failure()
                self._append(*self._pipeline.flush())
                if not self._writer.n_samples:
                    raise DataError("nothing was recorded, so no file was made")
                self._writer.add_group("live", facts)
        except BaseException:
            self._unfinished.discard()
            raise
        return self._unfinished.publish()

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            if self._failure is None:
                try:
                    self._append(*self._pipeline.process(*item))
                except Exception as error:  # kept for the session's own thread, which raises it
                    self._failure = error

    def _append(self, emg: NDArray[np.float32], labels: NDArray[np.float32]) -> None:
        first = self._pipeline.n_out - len(emg)
        time_s = self.start_s + np.arange(first, first + len(emg)) / EMG_RATE_HZ
        try:
            # A recording in which no sample has a label says that it has none.
            self._writer.append(emg, labels if labels.any() else None, time_s=time_s)
        except OSError as error:
            raise DataError(
                f"writing the recording failed: {error.strerror or error}; make room and record again"
            ) from error
