"""All steps of a rollout as one function of features, initial pose, state and weights, with a backward of its own.

Recorded step by step, autograd would hold a graph of many small operations and add to every weight's gradient at every
step. Here the forward pass runs in preallocated buffers, the recurrence runs backward by hand, and each weight gets its
gradient from one matrix product over a block of steps. The numbers are those of the plain loop, rounding aside.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from emgpose.models.products import Extent, can_multiply_bfloat16, products_in_bfloat16
from emgpose.models.rollout_dense import DenseBackward, DenseForward, DenseLayer
from emgpose.models.rollout_lstm import LstmBackward, LstmForward, LstmLayer
from emgpose.models.update_rules import UpdateRule

# A layer and its tensors, in the order in which a step passes them; the first layer gets the features too.
RolloutLayers = Sequence[tuple[LstmLayer | DenseLayer, Sequence[Tensor]]]
# Below this many steps, preparing the weights takes longer than it saves.
MIN_STEPS: Final = 8
# Rows (step x batch) of a block of the backward pass: enough for a fast product, few enough for the cache; no power of
# two, whose columns all fall on the same few lines of the cache.
_BLOCK_ROWS: Final = 2000


def can_run_at_once(features: Tensor) -> bool:
    """Tell whether `roll_out_steps` may run the steps of these features.

    Not while a model is exported, nor in mixed precision except for bfloat16 on a CPU that multiplies it.
    """
    if features.shape[-1] < MIN_STEPS or torch.compiler.is_compiling():
        return False
    return not _is_mixed(features.device) or (
        can_multiply_bfloat16(features.device) and torch.get_autocast_dtype("cpu") == torch.bfloat16
    )


def _is_mixed(device: torch.device) -> bool:
    # The meta device knows no autocast, and its question is an error there.
    return torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)


def _in_full_precision(device: torch.device) -> AbstractContextManager[None]:
    """Switch autocast off."""
    return torch.autocast(device.type, enabled=False) if _is_mixed(device) else nullcontext()


def roll_out_steps(
    layers: RolloutLayers, update: UpdateRule, features: Tensor, pose: Tensor, state: tuple[Tensor, ...], first: int
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a decoder's layers and update rule over all steps.

    Under autocast the large products multiply bfloat16; state, gates, poses and sums of gradients stay float32.

    Parameters
    ----------
    layers : of the decoder
    update : UpdateRule
    features : Tensor, shape (batch, feature, step)
    pose : Tensor, shape (batch, joint) [rad]
    state : the decoder's
    first : int
        Number of the first step.

    Returns
    -------
    (poses (step, batch, joint), the state after the last step)
    """
    is_mixed = _is_mixed(features.device)
    layer_kinds, n_weights = tuple(layer for layer, _ in layers), tuple(len(of_layer) for _, of_layer in layers)
    plan = _Plan(layer_kinds, n_weights, update, first, is_mixed)
    tensors = (*state, *(tensor for _, of_layer in layers for tensor in of_layer))
    rows = features.permute(2, 0, 1)
    if not is_mixed:
        return _run(plan, rows, pose, tensors)
    with _in_full_precision(features.device):
        return _run(plan, rows.float(), pose.float(), [tensor.float() for tensor in tensors])


def _run(plan: "_Plan", features: Tensor, pose: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a plan, with a backward pass to come where anything needs one; features (step, batch, feature)."""
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (features, pose, *tensors)):
        poses, *new_state = _RolloutGradient.apply(plan, features, pose, *tensors)
    else:
        with products_in_bfloat16(plan.is_mixed):
            poses, new_state, _ = plan.forward(features.contiguous(), pose, tensors, keep=False)
    return poses, tuple(new_state)


@dataclass(frozen=True)
class _Plan:
    """The rollout but for its tensors, which come in one tuple: the state of each layer, then the weights of each."""

    layers: tuple[LstmLayer | DenseLayer, ...]
    n_weights: tuple[int, ...]
    update: UpdateRule
    first: int
    is_mixed: bool

    def split(self, tensors: Sequence[Tensor]) -> tuple[list[Sequence[Tensor]], list[Sequence[Tensor]]]:
        """Give the states and the weights of the layers."""
        rest = list(tensors)
        groups: list[Sequence[Tensor]] = [
            [rest.pop(0) for _ in range(size)] for size in (*(layer.n_states for layer in self.layers), *self.n_weights)
        ]
        return groups[: len(self.layers)], groups[len(self.layers) :]

    def forward(
        self, features: Tensor, pose: Tensor, tensors: Sequence[Tensor], *, keep: bool
    ) -> tuple[Tensor, list[Tensor], list[Sequence[Tensor]]]:
        """Run all steps; features (step, batch, feature). Give the poses, the new state and each layer's history."""
        states, weights = self.split(tensors)
        extent = Extent(features.shape[0], features.shape[1], keep)
        running: list[LstmForward | DenseForward] = [
            layer.forward(of_layer, features if index == 0 else None, state, extent)
            for index, (layer, of_layer, state) in enumerate(zip(self.layers, weights, states, strict=True))
        ]
        poses = []
        for step in range(extent.n_steps):
            x = pose
            for layer in running:
                x = layer.step(step, x)
            pose = self.update(self.first + step, x, pose)
            poses.append(pose)
        new_state = [tensor for layer in running for tensor in layer.state()]
        return torch.stack(poses), new_state, [layer.history for layer in running]

    def backward(
        self,
        features: Tensor,
        tensors: Sequence[Tensor],
        histories: Sequence[Sequence[Tensor]],
        gradients: Sequence[Tensor],
    ) -> tuple[Tensor | None, Tensor, list[Tensor]]:
        """Turn the gradients of the poses (step, batch, joint) and of the new state into those of the inputs."""
        poses_gradient, *state_gradients = gradients
        states, _ = self.split((*state_gradients, *tensors[len(state_gradients) :]))
        _, weights = self.split(tensors)
        running: list[LstmBackward | DenseBackward] = [
            layer.backward(of_layer, features if index == 0 else None, state, history)
            for index, (layer, of_layer, state, history) in enumerate(
                zip(self.layers, weights, states, histories, strict=True)
            )
        ]
        pose_gradient = torch.zeros_like(poses_gradient[0])
        n_steps, batch_size = features.shape[:2]
        block_steps = max(1, _BLOCK_ROWS // max(1, batch_size))
        for end in range(n_steps, 0, -block_steps):
            block = slice(max(0, end - block_steps), end)
            pose_gradient = self._block_backward(running, block, poses_gradient[block], pose_gradient)
        of_states = [tensor for layer in running for tensor in layer.state_gradients()]
        of_weights = [tensor for layer in running for tensor in layer.tensor_gradients()]
        return running[0].gradients.features, pose_gradient, [*of_states, *of_weights]

    def _block_backward(
        self,
        running: Sequence[LstmBackward | DenseBackward],
        block: slice,
        poses_gradient: Tensor,
        pose_gradient: Tensor,
    ) -> Tensor:
        """Run the steps of a block from last to first."""
        for layer in running:
            layer.begin(block)
        for step, own_gradient in reversed(list(enumerate(poses_gradient.unbind(0)))):
            output_gradient, kept = self.update.backward(self.first + block.start + step, pose_gradient + own_gradient)
            for layer in reversed(running):
                output_gradient = layer.step(step, output_gradient)
            pose_gradient = output_gradient if kept is None else output_gradient + kept
        for layer in running:
            layer.end()
        return pose_gradient


class _RolloutGradient(torch.autograd.Function):
    """`_Plan.forward` with `_Plan.backward` as its derivative."""

    @staticmethod
    def forward(ctx: Any, plan: _Plan, features: Tensor, pose: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        features = features.contiguous()
        with products_in_bfloat16(plan.is_mixed):
            poses, new_state, histories = plan.forward(features, pose, tensors, keep=True)
        ctx.plan, ctx.n_histories = plan, [len(history) for history in histories]
        # Saved, not merely kept: so that torch frees them with the graph and notices weights changed in between.
        ctx.save_for_backward(features, *tensors, *(x for history in histories for x in history))
        return poses, *new_state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        features, *saved = ctx.saved_tensors
        histories: list[Sequence[Tensor]] = []
        for size in reversed(ctx.n_histories):
            histories.insert(0, saved[-size:])
            del saved[-size:]
        # Should the backward pass be called under autocast, nothing but the large products may notice.
        with products_in_bfloat16(ctx.plan.is_mixed), _in_full_precision(features.device):
            of_features, of_pose, of_tensors = ctx.plan.backward(features, saved, histories, gradients)
        return None, of_features, of_pose, *of_tensors
