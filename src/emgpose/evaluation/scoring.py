"""Score a batch of windows: predict it in every mode, and measure model and static hand on the same samples."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emgpose import metrics
from emgpose.evaluation.static_hand import StaticHand
from emgpose.evaluation.totals import DRIFT_BIN_SAMPLES, Totals
from emgpose.kinematics import HandModel, forward_kinematics
from emgpose.models import EmgModel, Mode
from emgpose.models.emg_model import SCORED_SAMPLES
from emgpose.models.resampling import blend

# Networks over whole windows keep every layer near the EMG's rate: 32 at once take 2.4 GiB (NeuroPose) and 3.7 GiB
# (SensingDynamics), 4 take less than 1 GiB. A recurrent rollout is small, and faster the more windows step together.
WHOLE_WINDOWS_AT_ONCE: Final = 4
# What metrics make of few windows stays in the processor's cache: 4 at once took 4.2 ms a window, 1 took 5.9, 32 6.8.
WINDOWS_MEASURED_AT_ONCE: Final = 4
# Samples of a stream that go in together.
STREAM_CHUNK_SAMPLES: Final = 2_000
STATIC_METRICS: Final = ("mae", "landmark_distance", "fingertip_distance")
WINDOW_METRIC_UNITS: Final = {
    **metrics.METRIC_UNITS,
    **{f"static_{name}": metrics.METRIC_UNITS[name] for name in STATIC_METRICS},
    # How fast the recorded hand moved: a prediction's smoothness means little without it.
    **{f"recorded_{name}": metrics.METRIC_UNITS[name] for name in metrics.DERIVATIVES},
}


@dataclass(frozen=True)
class Window:
    """One window as read: which recording (by number), which samples, and its tensors."""

    recording: int
    start: int
    stop: int
    emg: Tensor
    joint_angles: Tensor
    valid: Tensor


@dataclass(frozen=True)
class WindowScores:
    """What one window scored in one mode; `finite` is False where the model gave NaN or Inf."""

    mode: str
    finite: bool
    n_valid: int
    values: dict[str, float]
    totals: Totals


def predict_windows(model: EmgModel, emg: Tensor, initial_pose: Tensor | None, mode: Mode) -> Tensor:
    """Predict a batch of windows, each alone.

    Parameters
    ----------
    model : pose model
    emg : Tensor, shape (window, channel, time)
    initial_pose : Tensor, shape (window, joint=20) [rad], or None
        None lets the model start from its own pose.
    mode : str
        "published": one rollout over each window. "stream": a stream that begins with the window, its poses placed on
        the samples as in a live stream.

    Returns
    -------
    Tensor, shape (window, joint=20, time - left_context) [rad]
    """
    if mode == "published":
        return model.rollout(emg, initial_pose)
    state = model.initial_state(initial_pose, batch_size=len(emg))
    poses = [state.pose.unsqueeze(-1)]
    for chunk in emg.split(STREAM_CHUNK_SAMPLES, dim=-1):
        frames, state = model(chunk, state)
        poses.append(frames)
    return blend(torch.cat(poses, dim=-1), model.stream_placing(np.arange(emg.shape[-1] - model.left_context)))


@dataclass(frozen=True)
class WindowScorer:
    """Scores batches of windows of one model.

    Parameters
    ----------
    model : pose model
    hand : HandModel
        For landmarks; both sides unmirrored.
    static : StaticHand
    modes : tuple of str
    device : str
    """

    model: EmgModel
    hand: HandModel
    static: StaticHand
    modes: tuple[Mode, ...]
    device: str

    @property
    def n_scored(self) -> int:
        """Samples of a window that are scored: its last ones.

        SensingDynamics gives 10,001 samples, of which the published alignment drops the first.
        """
        return min(SCORED_SAMPLES, self.model.test_window - self.model.left_context)

    @torch.inference_mode()
    def score(self, windows: list[Window]) -> list[list[WindowScores]]:
        """Score windows; the outer list is by mode, the inner by window."""
        emg = torch.stack([window.emg for window in windows]).to(self.device)
        context, task = self.model.left_context, self.model.task
        initial_pose = torch.stack([window.joint_angles[:, context] for window in windows]).to(self.device)
        given_pose = initial_pose if task == "tracking" else None
        predictions = [self._predict(emg, given_pose, mode)[:, :, -self.n_scored :] for mode in self.modes]
        scored: list[list[WindowScores]] = [[] for _ in self.modes]
        for first in range(0, len(windows), WINDOWS_MEASURED_AT_ONCE):
            part = slice(first, first + WINDOWS_MEASURED_AT_ONCE)
            measured = self._measure(windows[part], initial_pose[part], [angles[part] for angles in predictions])
            for of_mode, scores in zip(scored, measured, strict=True):
                of_mode.extend(scores)
        return scored

    def _measure(
        self, windows: list[Window], initial_pose: Tensor, predictions: list[Tensor]
    ) -> Iterator[list[WindowScores]]:
        """Give the scores of some windows, mode by mode."""
        target = torch.stack([window.joint_angles[:, -self.n_scored :] for window in windows]).to(self.device)
        valid = torch.stack([window.valid[-self.n_scored :] for window in windows]).to(self.device)
        recorded = _Recorded(self.hand, self.model.sample_rate_hz, target, valid, self.static.poses(initial_pose))
        for mode, angles in zip(self.modes, predictions, strict=True):
            finite = [metrics.all_finite(window) for window in angles]
            # Windows that are not finite are left out later; zeros keep the sums of the others defined.
            prediction = angles if all(finite) else torch.where(angles.isfinite(), angles, 0.0)
            values, totals = recorded.score(prediction)
            yield [
                WindowScores(
                    mode,
                    finite[i],
                    int(totals[i].n_valid),
                    {name: float(column[i]) for name, column in values.items()},
                    totals[i],
                )
                for i in range(len(windows))
            ]

    def _predict(self, emg: Tensor, initial_pose: Tensor | None, mode: Mode) -> Tensor:
        if "stream" in self.model.modes:
            return predict_windows(self.model, emg, initial_pose, mode)
        poses = [None] * len(emg) if initial_pose is None else initial_pose.split(WHOLE_WINDOWS_AT_ONCE)
        parts = zip(emg.split(WHOLE_WINDOWS_AT_ONCE), poses, strict=False)
        return torch.cat([predict_windows(self.model, part, pose, mode) for part, pose in parts])


class _Recorded:
    """The recorded side of a few windows: all that a score needs and no prediction changes, computed once.

    Errors are float32, since predictions and labels are; see `metrics.absolute_error`.
    """

    def __init__(
        self, hand: HandModel, sample_rate_hz: float, target: Tensor, valid: Tensor, static_pose: Tensor
    ) -> None:
        self.hand, self.sample_rate_hz = hand, sample_rate_hz
        self.target, self.valid = target, valid
        self.scored = valid[..., :: metrics.LANDMARK_STRIDE]
        self.landmarks = metrics.scored_landmarks(target, valid, hand)
        error = metrics.absolute_error(static_pose.unsqueeze(-1).expand_as(target), target, valid)
        # The static hand has one pose, whose landmarks stand against those of every sample.
        held = forward_kinematics(static_pose.double(), hand).unsqueeze(1)
        static = self._means(error, held)
        recorded = metrics.smoothness(target, valid, sample_rate_hz)
        self.columns = {f"static_{name}": _array(static[name]) for name in STATIC_METRICS}
        self.columns |= {f"recorded_{name}": _array(recorded[name]) for name in metrics.DERIVATIVES}
        self.static_histogram = _array(metrics.error_histogram(error, valid))
        self.static_drift = _array(metrics.error_over_time(error, valid, DRIFT_BIN_SAMPLES)[0])

    def score(self, prediction: Tensor) -> tuple[dict[str, NDArray[np.generic]], list[Totals]]:
        """Give every score by name, each of shape (window,), and the totals of each window."""
        error = metrics.absolute_error(prediction, self.target, self.valid)
        scores = self._means(error, metrics.scored_landmarks(prediction, self.valid, self.hand))
        scores |= metrics.smoothness(prediction, self.valid, self.sample_rate_hz)
        return {name: _array(column) for name, column in scores.items()} | self.columns, self._totals(error)

    def _means(self, error: Tensor, landmarks: Tensor) -> dict[str, Tensor]:
        return metrics.joint_means(*metrics.angle_sums(error, self.valid)) | metrics.landmark_means(
            *metrics.landmark_sums(landmarks, self.landmarks, self.scored)
        )

    def _totals(self, error: Tensor) -> list[Totals]:
        histogram = _array(metrics.error_histogram(error, self.valid))
        variance, n_valid = (_array(part) for part in metrics.variance_sums(error, self.target, self.valid))
        drift, drift_count = (_array(part) for part in metrics.error_over_time(error, self.valid, DRIFT_BIN_SAMPLES))
        totals = []
        for i in range(len(error)):
            total = Totals(drift.shape[1], histogram[i], self.static_histogram[i], variance[i], n_valid[i])
            total.drift, total.static_drift, total.drift_count = drift[i], self.static_drift[i], drift_count[i]
            totals.append(total)
        return totals


def _array(tensor: Tensor) -> NDArray[np.generic]:
    return tensor.cpu().numpy()
