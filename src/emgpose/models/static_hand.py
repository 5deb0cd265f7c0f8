"""The static hand: a pose that never moves, the baseline beside every model.

Tracking holds the initial pose; regression holds the median pose of the training samples, which the card carries
(zeros, the rest pose, where it has none).
Timing: no context; a frame every 40 samples, causal. No parameters.

Source: Salter et al. 2024, the "static" rows of their tables.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from emgpose.hand import N_JOINTS
from emgpose.models.card import TASKS, Task, check_n_channels, check_task
from emgpose.models.emg_model import EmgModel
from emgpose.models.rollouts import Rollout, StreamRollout
from emgpose.models.stream_state import StreamState
from emgpose.timing import ROLLOUT_STRIDE, FrameGrid


@dataclass(frozen=True)
class StaticHandConfig:
    """Names and numbers of a `StaticHand`."""

    kind: ClassVar[str] = "static"
    name: str
    task: Task
    n_channels: int = 16

    def __post_init__(self) -> None:
        check_task(self.task, TASKS)
        check_n_channels(self.n_channels)


class StaticHand(EmgModel):
    """Holds one pose."""

    config: StaticHandConfig
    rest_pose: Tensor

    def __init__(self, config: StaticHandConfig) -> None:
        super().__init__(config, 0, FrameGrid(0, ROLLOUT_STRIDE))
        self.register_buffer("rest_pose", torch.zeros(N_JOINTS), persistent=False)

    def start_pose(self, initial_pose: Tensor | None, batch_size: int) -> Tensor:
        """Give the pose (batch, joint) that is held."""
        if self.task == "regression" and self.card.median_pose is not None:
            return self.rest_pose.new_tensor(self.card.median_pose).expand(batch_size, -1)
        return super().start_pose(initial_pose, batch_size)

    def rollout(self, emg: Tensor, initial_pose: Tensor | None = None) -> Tensor:  # noqa: D102 - as in EmgModel
        self.check_window(emg)
        return self.start_pose(initial_pose, len(emg))[..., None].expand(-1, -1, emg.shape[-1])

    def begin_published(self, initial_pose: ArrayLike | None = None) -> Rollout:
        """Begin a recording; the pose is the same in both modes."""
        return StreamRollout(self, initial_pose)

    def published_look_ahead(self, n_samples: int) -> int:
        """Count none."""
        return 0

    def initial_state(self, initial_pose: Tensor | None = None, batch_size: int = 1) -> StreamState:
        """Begin a stream; the initial pose, if given, says the batch size."""
        return StreamState(self.start_pose(initial_pose, batch_size if initial_pose is None else len(initial_pose)))

    def forward(self, emg: Tensor, state: StreamState) -> tuple[Tensor, StreamState]:  # noqa: D102 - as in EmgModel
        self.check_stream(emg, state)
        n_samples = state.n_samples + emg.shape[-1]
        n_steps = self.frame_grid.n_frames(n_samples)
        poses = state.pose[..., None].repeat(1, 1, n_steps - state.n_steps)
        return poses, StreamState(state.pose, n_samples=n_samples, n_steps=n_steps)
