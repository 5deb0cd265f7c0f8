"""The loss: mean joint angle error plus weighted mean fingertip distance, over valid samples.

Sums and counts stay apart until the counts of the whole batch are known, over all its parts and processes. So the loss
and its gradients do not depend on how a batch is divided.

Source: Salter et al. 2024 (arXiv 2412.02725); the mix of two tasks is that of Hadidi et al. (arXiv 2603.08212).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from emgpose.config import LossConfig
from emgpose.hand import FINGERTIPS, N_JOINTS
from emgpose.kinematics import HandModel, forward_kinematics
from emgpose.models import EmgModel, PoseModel, Task

Batch = Mapping[str, Tensor]


class PoseObjective:
    """The loss of one model, for each task that it has.

    Parameters
    ----------
    config : LossConfig
    hand : HandModel
        For the fingertips; one hand for both sides.
    model : pose model
        Its tasks and left context; its weights are not kept.
    """

    def __init__(self, config: LossConfig, hand: HandModel, model: EmgModel) -> None:
        self.tasks: tuple[Task, ...] = model.tasks
        self.left_context = model.left_context
        self._hand = hand
        self._every = config.fingertip_every_samples
        shares = {"tracking": config.tracking_share, "regression": 1 - config.tracking_share}
        share = torch.tensor([shares[task] if len(self.tasks) > 1 else 1.0 for task in self.tasks], dtype=torch.float64)
        self._weights = share[:, None] * torch.tensor([config.angle_weight, config.fingertip_weight])

    def masks(self, batch: Batch) -> list[Tensor]:
        """Give which samples after the context count, (window, time) for each task.

        A tracking window whose initial sample is not valid has no pose to start from, so none of it counts.
        """
        scored = batch["valid"][:, self.left_context :]
        return [scored & scored[:, :1] if task == "tracking" else scored for task in self.tasks]

    def counts(self, batch: Batch) -> Tensor:
        """Count what the loss of a batch is an average over.

        Returns
        -------
        float64 Tensor, shape (task, term=2)
            Joint angles, and fingertips.
        """
        rows = [
            torch.stack((mask.sum() * N_JOINTS, mask[:, :: self._every].sum() * len(FINGERTIPS)))
            for mask in self.masks(batch)
        ]
        return torch.stack(rows).double()

    def sums(self, model: EmgModel, batch: Batch) -> Tensor:
        """Predict a batch with every task and sum the errors; differentiable.

        Returns
        -------
        Tensor, shape (window, task, term=2)
            Absolute angle errors [rad], fingertip distances [mm].
        """
        target = batch["joint_angles"][..., self.left_context :]
        predictions = predict_tasks(model, batch["emg"], target[..., 0])
        with torch.autocast(target.device.type, enabled=False):
            tasks = [
                self._task_sums(prediction.float(), target, mask)
                for prediction, mask in zip(predictions, self.masks(batch), strict=True)
            ]
        return torch.stack(tasks, dim=1)

    def loss(self, sums: Tensor, counts: Tensor) -> Tensor:
        """Give the loss [rad, with the fingertip weight per mm] from sums and counts, (task, term=2) each."""
        return (self._weights.to(sums) * sums / counts.clamp(min=1).to(sums)).sum()

    def _task_sums(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Sum both terms over each window: (window, joint, time) twice and (window, time) -> (window, term)."""
        # A product with the mask rather than a masked copy: the errors are the largest arrays of the loss.
        angle = torch.matmul((prediction - target).abs(), mask.to(prediction).unsqueeze(-1)).sum((1, 2))
        scored = mask[:, :: self._every]
        with torch.no_grad():
            recorded = self._fingertips(target)
        distance = torch.linalg.vector_norm(self._fingertips(prediction) - recorded, dim=-1)
        return torch.stack((angle, (distance.sum(-1) * scored).sum(1)), dim=1)

    def _fingertips(self, joint_angles: Tensor) -> Tensor:
        """Place the fingertips of every so-many-th pose: (window, joint, time) -> (window, pose, tip=5, xyz) [mm]."""
        poses = joint_angles[..., :: self._every].transpose(-1, -2)
        return forward_kinematics(poses, self._hand)[..., list(FINGERTIPS), :]


def predict_tasks(model: EmgModel, emg: Tensor, initial_pose: Tensor) -> list[Tensor]:
    """Predict with every task that a model has, in the order of `model.tasks`.

    Parameters
    ----------
    model : pose model
        One of several tasks is left at its first.
    emg : Tensor, shape (window, channel, time)
    initial_pose : Tensor, shape (window, joint=20) [rad]
        For tracking; regression starts from what the model has.

    Returns
    -------
    list of Tensor, shape (window, joint=20, time - left_context) [rad]
    """
    if len(model.tasks) == 1 or not isinstance(model, PoseModel):
        return [model.rollout(emg, initial_pose)]
    model.check_window(emg)
    features, _ = model.featurize(emg)
    n_windows = len(emg)
    # To a pose model the tasks differ in the first pose alone: one rollout of twice as many windows serves both.
    model.set_task("tracking")
    starts = {"tracking": initial_pose, "regression": model.start_pose(None, n_windows)}
    first = torch.cat([starts[task] for task in model.tasks])
    both = model.roll_out(features.repeat(len(model.tasks), 1, 1), emg.shape[-1], first)
    return list(both.split(n_windows))
