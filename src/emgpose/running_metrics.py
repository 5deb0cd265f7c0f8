"""Scores that run over batches and processes: torchmetrics classes over the sums of `emgpose.metrics`.

Each keeps one sum (float64) and one count, which add up over batches and, under DDP, over processes; `compute` divides
them. So the score is that of all valid samples together, however they were batched. With no valid sample at all it is
NaN. All take the same three arguments, so that they can stand in one `torchmetrics.MetricCollection`.

Needs torchmetrics, which is in the extra `train`.
"""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from emgpose import metrics
from emgpose.hand import N_JOINTS, N_LANDMARKS
from emgpose.kinematics import HandModel


class _RunningMean(Metric):
    """A sum of some shape and a count of what was summed.

    Parameters
    ----------
    summed : str
        What is summed; it names the states. A MetricCollection lets metrics share their states when these have the same
        names and, after the first batch, the same values, which all zeros of a batch without a valid sample have.
    *shape : int
        Of the sum.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    def __init__(self, summed: str, *shape: int, **options: Any) -> None:
        super().__init__(**options)
        self._total, self._count = f"{summed}_total", f"{summed}_count"
        self.add_state(self._total, torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state(self._count, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    @property
    def sums(self) -> metrics.Sums:
        """The sum and the count so far."""
        return getattr(self, self._total), getattr(self, self._count)

    def _add(self, sums: metrics.Sums) -> None:
        """Add the sums of the windows of a batch."""
        # Not in place: a state that was reset in inference mode could not be changed outside of it.
        for name, part in zip((self._total, self._count), (sums[0].sum(0), sums[1].sum()), strict=True):
            setattr(self, name, getattr(self, name) + part)


class AngleError(_RunningMean):
    """Mean absolute joint-angle error over valid samples and joints [rad]; `metrics.angle_error`."""

    def __init__(self, **options: Any) -> None:
        super().__init__("angles", N_JOINTS, **options)

    def update(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add a batch: prediction and target (window, joint=20, time) [rad], valid bool (window, time)."""
        self._add(metrics.angle_error(prediction, target, valid))

    def compute(self) -> Tensor:
        """Give the mean [rad], shape ()."""
        return metrics.joint_means(*self.sums)["mae"]


class LandmarkDistance(_RunningMean):
    """Mean distance of the 17 landmarks that the published figure counts, at every 40th sample [mm].

    Parameters
    ----------
    hand : HandModel
        The generic hand by default; published figures need the UmeTrack hand.
    """

    score = "landmark_distance"

    def __init__(self, hand: HandModel | None = None, **options: Any) -> None:
        hand = HandModel.generic() if hand is None else hand
        super().__init__(f"landmarks_{hand.fingerprint()}", N_LANDMARKS, **options)
        self.hand = hand

    def update(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add a batch: prediction and target (window, joint=20, time) [rad], valid bool (window, time)."""
        self._add(metrics.landmark_error(prediction, target, valid, self.hand))

    def compute(self) -> Tensor:
        """Give the mean [mm], shape ()."""
        return metrics.landmark_means(*self.sums)[self.score]


class FingertipDistance(LandmarkDistance):
    """Mean distance of the 5 fingertips, at every 40th sample [mm]."""

    score = "fingertip_distance"


class PublishedDerivative(_RunningMean):
    """Mean size of the prediction's n-th difference x 2000, as the published code gives it.

    Parameters
    ----------
    order : int
        1 for velocity, 2 for acceleration, 3 for jerk; see `metrics.differences` and `metrics.METRIC_UNITS`.
    """

    def __init__(self, order: int, **options: Any) -> None:
        super().__init__(f"differences_{order}", N_JOINTS, **options)
        self.order = order

    def update(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add a batch: prediction (window, joint=20, time) [rad], valid bool (window, time); the target is not used."""
        self._add(metrics.differences(prediction, valid, self.order))

    def compute(self) -> Tensor:
        """Give the mean, shape ()."""
        return metrics.mean(*self.sums).mean() * metrics.PUBLISHED_DERIVATIVE_FACTOR
