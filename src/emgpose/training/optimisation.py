"""How weights move: the optimiser and its groups, the learning rate of each step, the clip, the moving average."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from emgpose.config import LoopConfig, OptimConfig


def build_optimiser(config: OptimConfig, model: nn.Module) -> Optimizer:
    """Make the optimiser over all weights that learn.

    Weight decay is for matrices and kernels alone: norms, biases and initial poses have one axis or none.
    """
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in learning if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in learning if p.ndim < 2], "weight_decay": 0.0},
    ]
    kind = {"adam": Adam, "adamw": AdamW}[config.name]
    # One pass over the weights instead of about ten.
    return kind([group for group in groups if group["params"]], lr=config.lr, fused=True)


def learning_rate(config: OptimConfig, step: int, steps_per_epoch: int, total_steps: int) -> float:
    """Give the learning rate of one step.

    Parameters
    ----------
    config : OptimConfig
    step : int
        Counted from 0 over all epochs.
    steps_per_epoch, total_steps : int
        The warm-up is `warmup_epochs` long; the cosine ends at `total_steps`.

    Source: Hadidi et al. (arXiv 2603.08212) for "warmup_cosine"; per step rather than per epoch is ours.
    """
    if config.schedule == "constant":
        return config.lr
    warmup_steps = config.warmup_epochs * steps_per_epoch
    if step < warmup_steps:
        return config.warmup_lr + (config.lr - config.warmup_lr) * step / warmup_steps
    share = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
    return config.final_lr + (config.lr - config.final_lr) * (1 + math.cos(math.pi * share)) / 2


def total_steps(loop: LoopConfig, steps_per_epoch: int) -> int:
    """Count the steps after which training ends at the latest."""
    steps = loop.max_epochs * steps_per_epoch
    return steps if loop.max_steps is None else min(steps, loop.max_steps)


def clip_gradients(parameters: Iterable[Tensor], max_norm: float | None) -> Tensor:
    """Scale the gradients down to a norm of at most `max_norm`, and give the norm that they had."""
    learning = [parameter for parameter in parameters if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in learning if parameter.grad is not None])
    if max_norm is not None:
        torch.nn.utils.clip_grads_with_norm_(learning, max_norm, norm)
    return norm


class WeightAverage:
    """Exponential moving average of the weights that learn.

    In the first steps the decay is lower, (1 + step) / (10 + step), so that the random start is soon forgotten. Running
    statistics of batch norms are not averaged.

    Parameters
    ----------
    model : Module
    decay : float
        Per step.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model = model
        self._decay = decay
        self._average = [weight.detach().clone() for weight in self._weights()]

    def _weights(self) -> list[Tensor]:
        return [parameter for parameter in self._model.parameters() if parameter.requires_grad]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step `step`, counted from 0."""
        weights = self._weights()
        # The model may have moved to another device since.
        self._average = [average.to(weight.device) for average, weight in zip(self._average, weights, strict=True)]
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._average, weights, 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the model's weights and the average."""
        for weight, average in zip(self._weights(), self._average, strict=True):
            held = weight.clone()
            weight.copy_(average)
            average.copy_(held)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the model have the average for a while."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def state(self) -> list[Tensor]:
        """Give the average, for a checkpoint."""
        return self._average

    def restore(self, state: list[Tensor]) -> None:
        """Take the average from a checkpoint."""
        self._average = [tensor.clone() for tensor in state]
