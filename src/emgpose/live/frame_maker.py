"""From the model's poses to the frames that receivers get: when they come, smoothing, limits, landmarks, staleness."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import StreamError
from emgpose.hand import N_JOINTS
from emgpose.kinematics import HandModel
from emgpose.live.channel_quality import Judged
from emgpose.live.chunk import EmgChunk
from emgpose.live.emg_path import EmgPath
from emgpose.live.engine_settings import EngineSettings
from emgpose.live.intake import Taken
from emgpose.live.pose_frame import PoseFrame
from emgpose.live.smoothing import OneEuro, OneEuroFilter
from emgpose.timing import FrameGrid

WARMING_UP = "warming up"


class FrameMaker:
    """Makes `PoseFrame`s, one at every step of the model's grid, also before the model's first pose.

    Parameters
    ----------
    grid : FrameGrid
        When the model's poses come, in its own samples.
    model_rate_hz, source_rate_hz : float
    hand : HandModel
        For landmarks and limits.
    settings : EngineSettings
    path : EmgPath
        Which of the source's samples a model's sample needs.

    Attributes
    ----------
    settings, path
        May be exchanged.
    n_warm_up : int
        Frames of the grid that come before the model's first pose.
    """

    def __init__(
        self,
        grid: FrameGrid,
        model_rate_hz: float,
        source_rate_hz: float,
        hand: HandModel,
        settings: EngineSettings,
        path: EmgPath,
    ) -> None:
        self.settings, self.path = settings, path
        self._hand, self._source_rate_hz = hand, source_rate_hz
        self._lowest, self._highest = np.ascontiguousarray(hand.joint_limits_rad.cpu().numpy().T, dtype=np.float32)
        self.n_warm_up, phase = divmod(grid.left_context, grid.stride)
        self._grid = FrameGrid(phase, grid.stride)
        self._smoothing = OneEuroFilter(settings.smoothing or OneEuro(), model_rate_hz / grid.stride)
        self._n_frames = 0
        # The newest frame's pose, sample and quality.
        self._held = np.zeros(N_JOINTS, dtype=np.float32)
        self._sample = -1
        self._quality = np.zeros(len(path.is_used), dtype=np.float32)
        self.begin_again(WARMING_UP)

    def begin_again(self, reason: str) -> None:
        """Count from the next sample on; until the model gives a pose, frames hold the last one, stale for a reason."""
        self._reason = reason
        self._origin: int | None = None
        self._n_prepared = self._n_hops = 0

    def hold(self, joint_angles: NDArray[np.float32]) -> None:
        """Hold another pose (joint=20,) [rad] until the model gives one; smoothing begins anew."""
        self._held = self._within_limits(joint_angles)
        self._smoothing.reset()

    def make(
        self, taken: Taken, judged: Judged, chunk: EmgChunk, n_prepared: int, poses: NDArray[np.float32]
    ) -> list[PoseFrame]:
        """Make the frames that samples have completed.

        Parameters
        ----------
        taken, judged : Taken, Judged
            The samples.
        chunk : EmgChunk
            As they came, for time and truth.
        n_prepared : int
            How many samples the model got.
        poses : array, shape (step, joint=20) [rad]
            What it gave; no numbers where it broke.
        """
        if self._origin is None:
            self._origin = taken.first_sample
        self._n_prepared += n_prepared
        first, self._n_hops = self._n_hops, self._grid.n_frames(self._n_prepared)
        first_pose = max(first, self.n_warm_up)
        frames = []
        for hop in range(first, self._n_hops):
            sample = self._origin + self.path.source_sample(self._grid.sample_of(hop))
            row = min(max(sample - taken.first_sample, 0), len(taken.emg) - 1)
            if hop < self.n_warm_up:
                reason = self._reason
            else:
                reason = self._follow(poses[hop - first_pose]) or self._why_stale(taken, judged, row)
            self._sample, self._quality = sample, judged.quality[row] * self.path.is_used
            frames.append(self._frame(_time_s(chunk, sample, self._source_rate_hz), reason, _truth(chunk, sample)))
        return frames

    def again(self, now_s: float, reason: str) -> PoseFrame:
        """Give the newest pose again, stale."""
        return self._frame(now_s, reason, None)

    def _frame(self, time_s: float, reason: str, truth: NDArray[np.float32] | None) -> PoseFrame:
        index, self._n_frames = self._n_frames, self._n_frames + 1
        return PoseFrame(
            index=index,
            sample=self._sample,
            time_s=time_s,
            joint_angles=self._held.copy(),
            landmarks=self._hand.landmarks(self._held),
            quality=self._quality.astype(np.float32),
            stale=bool(reason),
            reason=reason,
            truth=truth,
        )

    def _follow(self, pose: NDArray[np.float32]) -> str:
        """Take the model's next pose; say why it cannot be taken, if so."""
        if not np.isfinite(pose).all():
            return "signal"
        smoothing = self.settings.smoothing
        if smoothing is None:
            self._smoothing.reset()
        else:
            self._smoothing.parameters = smoothing
            pose = self._smoothing(pose)
        self._held = self._within_limits(pose)
        return ""

    def _within_limits(self, joint_angles: NDArray[np.float32]) -> NDArray[np.float32]:
        if not self.settings.joint_limits:
            return joint_angles
        return np.minimum(np.maximum(joint_angles, self._lowest), self._highest)

    def _why_stale(self, taken: Taken, judged: Judged, row: int) -> str:
        if taken.is_filled[row]:
            return "gap"
        is_bad, is_used = judged.is_bad[row], self.path.is_used
        if not is_bad.any():
            return ""
        return "signal" if 2 * np.count_nonzero(is_bad & is_used) > np.count_nonzero(is_used) else ""

    def state(self) -> dict[str, NDArray[Any]]:
        """Give what it remembers."""
        known, origin = self._origin is not None, self._origin or 0
        counters = [self._n_frames, self._sample, known, origin, self._n_prepared, self._n_hops]
        smoothing = {f"smoothing.{name}": array for name, array in self._smoothing.state().items()}
        return smoothing | {
            "counters": np.array(counters, dtype=np.int64),
            "held": self._held.copy(),
            "quality": self._quality.copy(),
            "reason": np.array(self._reason),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up what `state` gave.

        Raises
        ------
        StreamError : it is no such state.
        """
        shapes = {"counters": (6,), "held": (N_JOINTS,), "quality": self._quality.shape, "reason": ()}
        for name, shape in shapes.items():
            if name not in state or state[name].shape != shape:
                got = state[name].shape if name in state else "nothing"
                raise StreamError(f"the state of the frames' {name} has shape {got}, expected {shape}")
        smoothing = {name.partition(".")[2]: array for name, array in state.items() if name.startswith("smoothing.")}
        self._smoothing.restore(smoothing)
        self._n_frames, self._sample, known, origin, self._n_prepared, self._n_hops = map(int, state["counters"])
        self._origin = origin if known else None
        self._held, self._quality = state["held"].astype(np.float32), state["quality"].astype(np.float32)
        self._reason = str(state["reason"])


def _time_s(chunk: EmgChunk, sample: int, rate_hz: float) -> float:
    return chunk.time_s - (chunk.first_sample + len(chunk.emg) - 1 - sample) / rate_hz


def _truth(chunk: EmgChunk, sample: int) -> NDArray[np.float32] | None:
    """Give the pose known at a sample, where it is valid."""
    row = sample - chunk.first_sample
    if chunk.joint_angles is None or not 0 <= row < len(chunk.joint_angles):
        return None
    truth = chunk.joint_angles[row]
    return truth.copy() if np.isfinite(truth).all() else None
