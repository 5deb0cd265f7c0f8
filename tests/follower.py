"""A model that is quick to run and easy to check: each joint follows the mean of the channels at that sample."""

from dataclasses import dataclass

import torch

from emgpose.hand import N_JOINTS
from emgpose.models.emg_model import EmgModel
from emgpose.models.stream_state import StreamState
from emgpose.timing import FrameGrid

LEFT_CONTEXT = 500


@dataclass(frozen=True)
class FollowerConfig:
    name: str
    task: str
    n_channels: int = 16


def predict_alone(model, emg, initial_pose, mode="published"):
    """Predict one window (time, channel) by itself, without the evaluation's own code; (time - left_context, joint)."""
    if mode == "stream":
        return model.predict(emg, initial_pose, mode="stream")
    with torch.no_grad():
        return model.rollout(torch.tensor(emg.T)[None], torch.tensor(initial_pose)[None])[0].T.numpy()


class Follower(EmgModel):
    def __init__(self, task="tracking", name="follower"):
        super().__init__(FollowerConfig(name, task), LEFT_CONTEXT, FrameGrid(LEFT_CONTEXT, 40))
        self.gain = torch.nn.Parameter(torch.full((N_JOINTS,), 0.01))

    def _follow(self, emg, pose):
        return pose.unsqueeze(-1) + self.gain.reshape(1, -1, 1) * emg.mean(1, keepdim=True)

    def rollout(self, emg, initial_pose=None):
        pose = self.start_pose(initial_pose, len(emg))
        return self._follow(emg, pose)[..., self.left_context :]

    def published_look_ahead(self, n_samples):
        return 60

    def begin_published(self, initial_pose=None):
        raise AssertionError("the evaluation predicts windows, not recordings")

    def initial_state(self, initial_pose=None, batch_size=1):
        return StreamState(self.start_pose(initial_pose, batch_size))

    def forward(self, emg, state):
        n_samples = state.n_samples + emg.shape[-1]
        n_steps = self.frame_grid.n_frames(n_samples)
        steps = torch.arange(state.n_steps, n_steps)
        poses = self._follow(emg, state.pose)[..., self.left_context + 40 * steps - state.n_samples]
        return poses, StreamState(state.pose, n_samples=n_samples, n_steps=n_steps)
