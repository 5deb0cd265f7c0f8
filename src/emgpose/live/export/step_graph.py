"""One call of a stream as a plain network of fixed shapes: chunk and state in, poses and state out.

The layers are the model's own. What differs from `model(emg, state)` is bookkeeping: tails are full from the start, and
until frame 0 poses and decoder stay as they began, which a counter in the state decides.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from emgpose.hand import N_JOINTS
from emgpose.live.export.step_plan import StepPlan
from emgpose.models import EmgModel, HybridUpdate, PoseModel, StreamState

FRAME_STATE = "frame"
POSE_STATE = "pose"


class StepGraph(nn.Module):
    """A step of any model that streams, for one stream; inputs are the chunk and then the states, in their order.

    Parameters
    ----------
    model : EmgModel
        In eval mode, float32, on the CPU; its task says from which pose a stream starts.
    plan : StepPlan

    Attributes
    ----------
    initial : dict of name to Tensor
        What the states hold before the first call, in the order of the graph's inputs.
    """

    def __init__(self, model: EmgModel, plan: StepPlan) -> None:
        super().__init__()
        self.model = model
        self.plan = plan
        steady = plan.steady_state(model)
        self._steady = steady
        tensors = {name: tensor for name, tensor in steady.to_tensors().items() if name not in ("counters", POSE_STATE)}
        self.initial = {
            POSE_STATE: model.initial_state().pose.detach().clone(),
            FRAME_STATE: torch.tensor([plan.first_number], dtype=torch.int64),
            **{name: torch.zeros(tensor.shape) for name, tensor in tensors.items() if tensor.numel()},
        }
        self.step = PoseStep(model, plan) if isinstance(model, PoseModel) else FrameStep(model)

    def forward(self, emg: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Take the next chunk.

        Parameters
        ----------
        emg : Tensor, shape (batch=1, channel, time=chunk_samples)
        *states : Tensor
            As named in `initial`.

        Returns
        -------
        (joint_angles (batch=1, joint=20, frame) [rad], frame numbers (frame,), *the states after it)
        """
        given = dict(zip(self.initial, states, strict=True))
        frame = given[FRAME_STATE]
        numbers = frame + torch.arange(self.plan.frames_per_call)
        poses, after = self.step(emg, self._state(given), numbers)
        held = dict(_tensors(after)) | {POSE_STATE: poses[..., -1]}
        held[FRAME_STATE] = frame + self.plan.frames_per_call
        return poses, numbers, *(held[name] for name in self.initial)

    def _state(self, given: Mapping[str, Tensor]) -> StreamState:
        """Name the states as the model does; those without a single number are no inputs."""
        steady = self._steady
        tails, decoder = (
            tuple(given.get(f"{kind}.{index}", empty) for index, empty in enumerate(tensors))
            for kind, tensors in (("tails", steady.tails), ("decoder", steady.decoder))
        )
        features = given.get("features", steady.features)
        return StreamState(given[POSE_STATE], tails, decoder, features, steady.n_samples, steady.n_steps)


class PoseStep(nn.Module):
    """The step of a `PoseModel`: features of the chunk, then its rollout steps one by one."""

    def __init__(self, model: PoseModel, plan: StepPlan) -> None:
        super().__init__()
        self.model = model
        # Which feature frames each step uses is the same in every call; it is read off the call after frame 0.
        n_frames = model.feature_grid.n_frames(plan.first_frame_sample + 1 + plan.chunk_samples)
        used = model.frames_of_steps(np.arange(1, 1 + plan.frames_per_call), n_frames)
        self._used = [
            (int(lower) - n_frames, int(upper) - n_frames, float(weight))
            for lower, upper, weight in zip(used.lower, used.upper, used.weight, strict=True)
        ]

    def forward(self, emg: Tensor, state: StreamState, numbers: Tensor) -> tuple[Tensor, StreamState]:
        """Give the poses (batch, joint, frame), held before frame 0, and the state after them."""
        model = self.model
        new, tails = model.featurize(emg, state.tails)
        features = torch.cat((state.features, new), dim=-1)
        used = torch.stack([_between(features, *place) for place in self._used], dim=-1)
        pose, decoder = state.pose, state.decoder
        poses = []
        for offset, projected in enumerate(model.decoder.project(used).unbind(0)):
            number = numbers[offset]
            output, decoder_after = model.decoder.step(projected, pose, decoder)
            pose = _once_due(number, self._moved(number, output, pose), pose)
            decoder = tuple(_once_due(number, *pair) for pair in zip(decoder_after, decoder, strict=True))
            poses.append(pose)
        kept = features[..., new.shape[-1] :].clone()
        return torch.stack(poses, dim=-1), StreamState(pose, tails, decoder, kept)

    def _moved(self, number: Tensor, output: Tensor, pose: Tensor) -> Tensor:
        """Apply the update rule; where it depends on the frame's number, both ways are computed."""
        update = self.model.update
        if isinstance(update, HybridUpdate):
            is_position = number < update.position_steps
            return torch.where(is_position, output[:, :N_JOINTS], pose + output[:, N_JOINTS:])
        return update(0, output, pose)


class FrameStep(nn.Module):
    """The step of a model whose frames do not depend on each other."""

    def __init__(self, model: EmgModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, emg: Tensor, state: StreamState, numbers: Tensor) -> tuple[Tensor, StreamState]:
        """Give the poses (batch, joint, frame), held before frame 0, and the state after them."""
        poses, after = self.model(emg, state)
        return _once_due(numbers, poses, state.pose[..., None]), after


def _between(features: Tensor, lower: int, upper: int, weight: float) -> Tensor:
    """Interpolate two frames of (batch, feature, frame), counted from the end; (batch, feature)."""
    if weight == 0:
        return features[..., lower]
    return features[..., lower] * (1 - weight) + features[..., upper] * weight


def _once_due(numbers: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Give the new values from frame 0 on, before it the old ones."""
    return torch.where(numbers >= 0, new, old)


def _tensors(state: StreamState) -> Iterator[tuple[str, Tensor]]:
    """Name what a state holds beside pose and counters."""
    yield "features", state.features
    for kind, tensors in (("tails", state.tails), ("decoder", state.decoder)):
        for index, tensor in enumerate(tensors):
            yield f"{kind}.{index}", tensor
