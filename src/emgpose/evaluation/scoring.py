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
from emgpose.kinematics import HandModel
from emgpose.models import EmgModel, Mode
from emgpose.models.emg_model import SCORED_SAMPLES
from emgpose.models.resampling import blend

# Networks over whole windows keep every layer near the EMG's rate: 32 at once take 2.4 GiB (NeuroPose) and 3.7 GiB
# (SensingDynamics), 4 take less than 1 GiB. A recurrent rollout is small, and faster the more windows step together.
WHOLE_WINDOWS_AT_ONCE: Final = 4
# Metrics compute in float64: 32 windows of 20 joints at once would take several hundred MiB.
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
        still = self.static.poses(initial_pose).unsqueeze(-1).expand_as(target)
        static_scores = self._static_scores(still, target, valid)
        static_scores |= self._recorded_smoothness(target, valid)
        still_errors = _StaticErrors(still, target, valid)
        for mode, angles in zip(self.modes, predictions, strict=True):
            finite = angles.isfinite().flatten(1).all(-1)
            # Windows that are not finite are left out later; zeros keep the sums of the others defined.
            prediction = torch.where(finite.reshape(-1, 1, 1), angles, 0.0)
            values = metrics.score_windows(
                prediction, target, valid, self.hand, sample_rate_hz=self.model.sample_rate_hz
            )
            columns = {name: _array(column) for name, column in (values | static_scores).items()}
            totals = _totals_of(prediction, target, valid, still_errors)
            yield [
                WindowScores(
                    mode,
                    bool(finite[i]),
                    int(totals[i].n_valid),
                    {name: float(column[i]) for name, column in columns.items()},
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

    def _static_scores(self, still: Tensor, target: Tensor, valid: Tensor) -> dict[str, Tensor]:
        scores = metrics.joint_means(*metrics.angle_error(still, target, valid))
        scores |= metrics.landmark_means(*metrics.landmark_error(still, target, valid, self.hand))
        return {f"static_{name}": scores[name] for name in STATIC_METRICS}

    def _recorded_smoothness(self, target: Tensor, valid: Tensor) -> dict[str, Tensor]:
        scores = metrics.smoothness(target, valid, self.model.sample_rate_hz)
        return {f"recorded_{name}": scores[name] for name in metrics.DERIVATIVES}


class _StaticErrors:
    """What the static hand adds to the totals of a batch of windows, whatever the mode."""

    def __init__(self, still: Tensor, target: Tensor, valid: Tensor) -> None:
        self.drift = _array(metrics.error_over_time(still, target, valid, DRIFT_BIN_SAMPLES)[0])
        self.histogram = _array(metrics.error_histogram(still, target, valid))


def _totals_of(prediction: Tensor, target: Tensor, valid: Tensor, still: _StaticErrors) -> list[Totals]:
    histogram = _array(metrics.error_histogram(prediction, target, valid))
    variance, n_valid = (_array(part) for part in metrics.variance_sums(prediction, target, valid))
    drift, drift_count = (
        _array(part) for part in metrics.error_over_time(prediction, target, valid, DRIFT_BIN_SAMPLES)
    )
    totals = []
    for i in range(len(prediction)):
        total = Totals(drift.shape[1], histogram[i], still.histogram[i], variance[i], n_valid[i])
        total.drift, total.static_drift, total.drift_count = drift[i], still.drift[i], drift_count[i]
        totals.append(total)
    return totals


def _array(tensor: Tensor) -> NDArray[np.generic]:
    return tensor.cpu().numpy()
