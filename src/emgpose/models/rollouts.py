"""A model over a recording of any length, fed in chunks, in memory that does not grow with it.

Every rollout has `feed(chunk)` and `finish()`; what `finish` gives is a `PoseTrack`, from which joint angles can be
read in any part.
"""

import tempfile
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from emgpose.errors import DataError, ShapeError
from emgpose.hand import N_JOINTS
from emgpose.models.resampling import Between, blend_rows
from emgpose.timing import EMG_RATE_HZ

if TYPE_CHECKING:
    from emgpose.models.emg_model import EmgModel

CHUNK_SAMPLES: Final = 20_000
# Frames beyond this many bytes wait in a temporary file, not in memory.
_IN_MEMORY_BYTES: Final = 2**22


class FrameStore:
    """Rows of float32 that are appended once and read in any part; long ones lie in a temporary file.

    Several threads may read.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.n_rows = 0
        self._lock = threading.Lock()
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 - closed when collected
        weakref.finalize(self, self._file.close)

    def append(self, rows: NDArray[np.float32]) -> None:
        """Add rows (row, width)."""
        try:
            with self._lock:
                self._file.seek(0, 2)
                self._file.write(np.ascontiguousarray(rows, dtype=np.float32).tobytes())
        except OSError as error:
            raise DataError(
                f"cannot keep intermediate frames in {tempfile.gettempdir()}: {error.strerror}; free some disk space"
            ) from error
        self.n_rows += len(rows)

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Give the rows [start, stop)."""
        with self._lock:
            self._file.seek(start * self.width * 4)
            data = self._file.read((stop - start) * self.width * 4)
        return np.frombuffer(data, dtype=np.float32).reshape(-1, self.width)


def rows_of(frames: Tensor) -> NDArray[np.float32]:
    """Turn the frames of a batch of one, (1, width, frame), into rows for a `FrameStore`."""
    return frames[0].T.float().cpu().numpy()


class PoseTrack:
    """The joint angles of a whole recording, from the first sample after the context to the last.

    Parameters
    ----------
    left_context : int
        The recording's sample that row 0 stands for.
    n_rows : int
        Samples after the context.
    frames : FrameStore
        The poses that the model gave, (frame, joint=20) [rad].
    place : callable
        Rows to the frames between which they lie.
    """

    def __init__(
        self, left_context: int, n_rows: int, frames: FrameStore, place: Callable[[NDArray[np.int64]], Between]
    ) -> None:
        self.left_context = left_context
        self.n_rows = n_rows
        self._frames = frames
        self._place = place

    def joint_angles(self, start: int = 0, stop: int | None = None, step: int = 1) -> NDArray[np.float32]:
        """Give every `step`-th row of [start, stop), shape (row, joint=20) [rad]; row 0 is sample `left_context`.

        Raises
        ------
        ShapeError : the range lies outside the track.
        """
        stop = self.n_rows if stop is None else stop
        if not 0 <= start <= stop <= self.n_rows or step < 1:
            raise ShapeError(
                f"rows [{start}, {stop}) with step {step} are not in this track of {self.n_rows} rows after the context"
            )
        rows = np.arange(start, stop, step, dtype=np.int64)
        angles = np.empty((len(rows), N_JOINTS), dtype=np.float32)
        for first in range(0, len(rows), CHUNK_SAMPLES):
            between = self._place(rows[first : first + CHUNK_SAMPLES])
            span = between.span
            frames = self._frames.read(span.start, span.stop)
            angles[first : first + CHUNK_SAMPLES] = blend_rows(frames, between, span.start)
        return angles


class Rollout(Protocol):
    """A model under way over one recording."""

    def feed(self, emg: ArrayLike) -> None:
        """Take the next samples, (time, channel)."""

    def finish(self) -> PoseTrack:
        """End the recording and give its poses."""


def check_samples(emg: ArrayLike, n_channels: int, first_sample: int = 0) -> NDArray[np.float32]:
    """Check EMG (time, channel) that comes from outside.

    Raises
    ------
    ShapeError : not two axes, or another number of channels.
    DataError : not numbers, or NaN or infinite; the sample is named.
    """
    try:
        array = np.asarray(emg)
    except (TypeError, ValueError) as error:
        raise DataError(f"the EMG is not an array of numbers: {error}") from None
    if array.dtype.kind not in "biuf":
        raise DataError(f"the EMG is not an array of real numbers: its type is {array.dtype}")
    # What float32 cannot hold becomes infinite, and is refused below.
    with np.errstate(over="ignore"):
        array = array.astype(np.float32, copy=False)
    if array.ndim != 2 or array.shape[1] != n_channels:
        raise ShapeError(
            f"the EMG has shape {array.shape}, the model needs (time, channel={n_channels}); "
            "select or map channels, or transpose it"
        )
    finite = np.isfinite(array)
    if not finite.all():
        sample, channel = np.argwhere(~finite)[0]
        raise DataError(
            f"the EMG is NaN or infinite at sample {first_sample + sample}, channel {channel} "
            f"({np.count_nonzero(~finite)} values in this part); repair the recording or cut that span out"
        )
    return array


def too_short(n_samples: int, name: str, min_samples: int) -> ShapeError:
    """Say how much EMG a model needs at least."""
    return ShapeError(
        f"{n_samples} samples of EMG are too few: {name} needs at least {min_samples} "
        f"({min_samples / EMG_RATE_HZ:.3f} s at {EMG_RATE_HZ} Hz)"
    )


class ChunkedEmg:
    """What every rollout does with its input: checks it, counts it, brings it to the model's device."""

    def __init__(self, model: "EmgModel") -> None:
        self.model = model
        self.n_samples = 0

    def take(self, emg: ArrayLike) -> Tensor:
        """Turn (time, channel) into the model's (batch=1, channel, time)."""
        array = check_samples(emg, self.model.n_channels, self.n_samples)
        self.n_samples += len(array)
        return torch.tensor(array.T[None], device=self.model.device, dtype=self.model.dtype)

    def end(self) -> int:
        """Give the rows after the context, at least one."""
        if self.n_samples < self.model.min_samples:
            raise too_short(self.n_samples, self.model.name, self.model.min_samples)
        return self.n_samples - self.model.left_context


def batch_of_one(model: "EmgModel", initial_pose: ArrayLike | None) -> Tensor | None:
    """Check an initial pose (20,) [rad] and give it as a batch.

    Raises
    ------
    ShapeError, DataError : not 20 angles, or not finite.
    """
    if initial_pose is None:
        return None
    try:
        pose = np.asarray(initial_pose, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"the initial pose is not an array of numbers: {error}") from None
    if pose.shape != (N_JOINTS,):
        raise ShapeError(f"the initial pose has shape {pose.shape}, expected ({N_JOINTS},) joint angles [rad]")
    if not np.isfinite(pose).all():
        raise DataError("the initial pose holds NaN or infinite angles; use a recorded valid pose or the rest pose")
    return torch.tensor(pose[None], device=model.device, dtype=model.dtype)


class StreamRollout:
    """The causal mode: fixed grid, each pose from the past only."""

    def __init__(self, model: Any, initial_pose: ArrayLike | None = None) -> None:
        self._model = model
        self._emg = ChunkedEmg(model)
        self._poses = FrameStore(N_JOINTS)
        self._state = model.initial_state(batch_of_one(model, initial_pose))
        self._poses.append(rows_of(self._state.pose.detach()[..., None]))

    @torch.inference_mode()
    def feed(self, emg: ArrayLike) -> None:
        """Take the next samples, (time, channel)."""
        poses, self._state = self._model(self._emg.take(emg), self._state)
        self._poses.append(rows_of(poses))

    def finish(self) -> PoseTrack:
        """Give the poses, each held (or interpolated to) as in a live stream."""
        return PoseTrack(self._model.left_context, self._emg.end(), self._poses, self._model.stream_placing)
