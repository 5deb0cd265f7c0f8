"""A layer without memory over all steps of a rollout: forward and backward as in `rollout_lstm`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor
from torch.nn import functional

from emgpose.models.products import Extent, StepGradients, StepWeight

_LEAKY_SLOPE: Final = 0.01
_NORM_EPS: Final = 1e-5


class DenseForward:
    """Layer norm and leaky ReLU, each if the layer has one, then a linear layer."""

    def __init__(self, layer: "DenseLayer", tensors: Sequence[Tensor], features: Tensor | None, extent: Extent) -> None:
        weight = StepWeight(tensors[:1], tensors[1], features, layer.scale)
        self._is_leaky, self._norm = layer.is_leaky, tensors[2:]
        self._product = weight.product(extent)
        self._addends = weight.addends(extent)
        shape = (extent.n_kept, extent.batch_size)
        inputs = weight.for_input.new_empty((*shape, weight.for_input.shape[1]))
        self.history = [inputs]
        if self._norm and extent.keep:
            self.history += [torch.empty_like(inputs), inputs.new_empty((*shape, 1)), inputs.new_empty((*shape, 1))]
        self._inputs, *self._norm_history = (extent.views(x) for x in self.history)

    def step(self, step: int, x: Tensor) -> Tensor:
        """Give the output (batch, output) of a step with input x (batch, input)."""
        if self._norm:
            norm_weight, norm_bias = self._norm
            normed = torch.native_layer_norm(x, x.shape[1:], norm_weight, norm_bias, _NORM_EPS)
            if self._norm_history:
                for history, value in zip(self._norm_history, (x, *normed[1:]), strict=True):
                    history[step].copy_(value)
            x = normed[0]
        inputs = self._inputs[step].copy_(x)
        if self._is_leaky:
            functional.leaky_relu(inputs, _LEAKY_SLOPE, inplace=True)
        return self._product(inputs, next(self._addends))

    def state(self) -> tuple[Tensor, ...]:
        """Give what it remembers: nothing."""
        return ()


class DenseBackward:
    """The gradients of `DenseForward`."""

    def __init__(
        self, layer: "DenseLayer", tensors: Sequence[Tensor], features: Tensor | None, history: Sequence[Tensor]
    ) -> None:
        self._is_leaky, self._norm = layer.is_leaky, tensors[2:]
        self.gradients = StepGradients(StepWeight(tensors[:1], tensors[1], features, layer.scale), history[0].shape[1])
        self._n_outputs = len(tensors[1])
        self._history = history
        self._norm_gradients = [torch.zeros_like(x) for x in self._norm]

    def begin(self, steps: slice) -> None:
        """Prepare a block."""
        inputs = self._history[0][steps]
        outputs_gradient = inputs.new_empty((*inputs.shape[:2], self._n_outputs))
        self._block = (outputs_gradient, inputs, steps)
        self._output_gradients = outputs_gradient.unbind(0)
        if self._is_leaky:
            self._slopes = torch.ones_like(inputs).masked_fill_(inputs <= 0, _LEAKY_SLOPE).unbind(0)
        if self._norm:
            self._normed_gradient = torch.empty_like(inputs)
            self._norm_history = [x[steps] for x in self._history[1:]]
            self._norm_steps = list(
                zip(*(x.unbind(0) for x in (self._normed_gradient, *self._norm_history)), strict=True)
            )

    def step(self, step: int, gradient: Tensor) -> Tensor:
        """Turn the gradient of the output (batch, output) of a step of the block into that of its input."""
        gradient = self.gradients.to_input(self._output_gradients[step].copy_(gradient))
        if self._is_leaky:
            gradient *= self._slopes[step]
        if self._norm:
            normed_gradient, *history = self._norm_steps[step]
            normed_gradient.copy_(gradient)
            gradient = self._norm_backward(gradient, history, (True, False, False))[0]
        return gradient

    def end(self) -> None:
        """Add the block's weight gradients."""
        self.gradients.add(*self._block)
        if self._norm:
            gradients = self._norm_backward(self._normed_gradient, self._norm_history, (False, True, True))[1:]
            for total, gradient in zip(self._norm_gradients, gradients, strict=True):
                total += gradient

    def _norm_backward(self, gradient: Tensor, history: Sequence[Tensor], wanted: tuple[bool, ...]) -> Sequence[Tensor]:
        before, mean, inverse_sd = history
        gradients: Sequence[Tensor] = torch.ops.aten.native_layer_norm_backward(
            gradient, before, before.shape[-1:], mean, inverse_sd, *self._norm, wanted
        )
        return gradients

    def tensor_gradients(self) -> list[Tensor]:
        """Give the gradients in the order of the layer's tensors."""
        return [*self.gradients.totals(), *self._norm_gradients]

    def state_gradients(self) -> tuple[Tensor, ...]:
        """Give the gradients of its state: it has none."""
        return ()


@dataclass(frozen=True)
class DenseLayer:
    """What a rollout is told of a dense layer; its tensors are weight and bias, and those of the norm if it has one."""

    is_leaky: bool = False
    scale: float = 1.0
    n_states: ClassVar[int] = 0

    def forward(
        self, tensors: Sequence[Tensor], features: Tensor | None, state: Sequence[Tensor], extent: Extent
    ) -> DenseForward:
        """Begin the steps."""
        return DenseForward(self, tensors, features, extent)

    def backward(
        self,
        tensors: Sequence[Tensor],
        features: Tensor | None,
        state_gradients: Sequence[Tensor],
        history: Sequence[Tensor],
    ) -> DenseBackward:
        """Begin the steps back."""
        return DenseBackward(self, tensors, features, history)
