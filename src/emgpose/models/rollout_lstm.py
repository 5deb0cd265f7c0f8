"""An LSTM layer over all steps of a rollout: forward and backward one step at a time, weight gradients at once.

`LstmForward` writes what the backward pass needs into buffers made beforehand, its history. `LstmBackward` turns the
gradient of a step's output into that of its input, keeps the gradients before the weights, and at the end of a block of
steps adds one matrix product per weight. Blocks bound the memory, and what they use stays in cache.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from emgpose.models.products import Extent, StepGradients, StepWeight


def _lstm_weight(tensors: Sequence[Tensor], features: Tensor | None) -> StepWeight:
    """Join the two weights of an LSTM layer, for input and hidden state."""
    weight, hidden_weight, bias, hidden_bias = tensors
    return StepWeight((weight, hidden_weight), bias + hidden_bias, features)


class LstmForward:
    """One LSTM layer; its gates lie in torch's order: input (here `update`), forget, candidate, output."""

    def __init__(
        self, tensors: Sequence[Tensor], features: Tensor | None, state: Sequence[Tensor], extent: Extent
    ) -> None:
        weight = _lstm_weight(tensors, features)
        n_hidden, n_joined = state[0].shape[1], weight.for_input.shape[1]
        # tanh(x) is 2 sigmoid(2 x) - 1, so that one sigmoid serves all gates.
        weight.double_rows(slice(2 * n_hidden, 3 * n_hidden))
        self._product = weight.product(extent)
        n_kept, n_after = extent.n_kept, int(extent.keep)
        new = weight.bias.new_empty
        if features is not None and extent.keep:
            # All are kept, so that projected features make room for the gates that come of them.
            gates = weight.project(features)
            self._addends: Iterator[Tensor | None] = iter(gates.unbind(0))
        else:
            gates = new((n_kept, extent.batch_size, 4 * n_hidden))
            self._addends = weight.addends(extent)
        self._minus_one = weight.bias.new_tensor(-1.0)
        inputs = new((n_kept + n_after, extent.batch_size, n_joined))
        cells = new((n_kept + n_after, extent.batch_size, n_hidden))
        squashed = new((n_kept, extent.batch_size, n_hidden))
        self.history = (inputs, gates, cells, squashed)
        below, hidden = inputs.split((n_joined - n_hidden, n_hidden), dim=2)
        hidden[0], cells[0] = state[0], state[1]
        views = extent.views
        self._hidden_after, self._cells_after = views(hidden[n_after:]), views(cells[n_after:])
        # Per step, in tuples, as looking each up in its own list would take as long as the small operations.
        self._before = list(zip(views(below[:n_kept]), views(inputs[:n_kept]), strict=True))
        activations = (gates, *gates.chunk(4, dim=2), cells[:n_kept], squashed)
        self._after = list(zip(*(views(x) for x in activations), self._cells_after, self._hidden_after, strict=True))

    def step(self, step: int, x: Tensor) -> Tensor:
        """Give the hidden state (batch, hidden) after a step with input x (batch, input)."""
        below, inputs = self._before[step]
        below.copy_(x)
        product = self._product(inputs, next(self._addends))
        gates, update, forget, candidate, output, cell, squashed, cell_after, hidden_after = self._after[step]
        torch.sigmoid(product, out=gates)
        torch.add(self._minus_one, candidate, alpha=2, out=candidate)
        torch.mul(forget, cell, out=cell_after).addcmul_(update, candidate)
        return torch.mul(output, torch.tanh(cell_after, out=squashed), out=hidden_after)

    def state(self) -> tuple[Tensor, Tensor]:
        """Give the hidden and cell state after the last step."""
        return self._hidden_after[-1].clone(), self._cells_after[-1].clone()


class LstmBackward:
    """The gradients of `LstmForward`; `state_gradients` are those of hidden and cell state between steps."""

    def __init__(
        self,
        tensors: Sequence[Tensor],
        features: Tensor | None,
        state_gradients: Sequence[Tensor],
        history: Sequence[Tensor],
    ) -> None:
        self._hidden_gradient, self._cell_gradient = state_gradients
        self._n_in = tensors[0].shape[1] - (0 if features is None else features.shape[-1])
        self.gradients = StepGradients(_lstm_weight(tensors, features), history[0].shape[1])
        self._history = history
        self._scratch: tuple[Tensor, ...] = ()

    def begin(self, steps: slice) -> None:
        """Prepare a block: what the gradients of hidden and cell state are multiplied by at each step."""
        inputs, gates, cells, squashed = (x[steps] for x in self._history)
        update, forget, candidate, output = gates.chunk(4, dim=2)
        n_steps, batch_size, n_hidden = squashed.shape
        if not self._scratch:
            # The first block is the longest, and what it is written to serves the others: fresh memory is slow.
            by_cell = squashed.new_empty((n_steps, batch_size, 3, n_hidden))
            self._scratch = (torch.empty_like(gates), by_cell, torch.empty_like(squashed), torch.empty_like(squashed))
        gradients, by_cell, by_output, to_cell = (x[:n_steps] for x in self._scratch)
        for place, (factor, gate) in enumerate(((candidate, update), (cells, forget))):
            torch.ops.aten.sigmoid_backward(factor, gate, grad_input=by_cell[:, :, place])
        torch.ops.aten.tanh_backward(update, candidate, grad_input=by_cell[:, :, 2])
        torch.ops.aten.sigmoid_backward(squashed, output, grad_input=by_output)
        torch.ops.aten.tanh_backward(output, squashed, grad_input=to_cell)
        cell_gate_gradients, output_gradients = gradients.view(n_steps, batch_size, 4, n_hidden).split((3, 1), dim=2)
        self._steps = list(
            zip(
                by_output.unbind(0),
                to_cell.unbind(0),
                by_cell.unbind(0),
                forget.unbind(0),
                output_gradients.squeeze(2).unbind(0),
                cell_gate_gradients.unbind(0),
                gradients.unbind(0),
                strict=True,
            )
        )
        self._block = (gradients, inputs, steps)

    def step(self, step: int, gradient: Tensor) -> Tensor:
        """Turn the gradient of the hidden state (batch, hidden) of a step of the block into that of its input."""
        by_output, to_cell, by_cell, forget, output_gradient, cell_gate_gradient, gate_gradients = self._steps[step]
        gradient = gradient + self._hidden_gradient
        torch.mul(gradient, by_output, out=output_gradient)
        cell_gradient = torch.addcmul(self._cell_gradient, gradient, to_cell)
        torch.mul(cell_gradient.unsqueeze(1), by_cell, out=cell_gate_gradient)
        self._cell_gradient = cell_gradient * forget
        joined = self.gradients.to_input(gate_gradients)
        self._hidden_gradient = joined[:, self._n_in :]
        return joined[:, : self._n_in]

    def end(self) -> None:
        """Add the block's weight gradients."""
        self.gradients.add(*self._block)

    def tensor_gradients(self) -> list[Tensor]:
        """Give the gradients in the order of the layer's tensors."""
        n_hidden = self._hidden_gradient.shape[1]
        joined, bias = self.gradients.totals()
        return [joined[:, :-n_hidden], joined[:, -n_hidden:], bias, bias.clone()]

    def state_gradients(self) -> tuple[Tensor, Tensor]:
        """Give the gradients of the state before the first step."""
        return self._hidden_gradient, self._cell_gradient


@dataclass(frozen=True)
class LstmLayer:
    """What a rollout is told of an LSTM layer; its tensors are those of `nn.LSTM`."""

    n_states: ClassVar[int] = 2

    def forward(
        self, tensors: Sequence[Tensor], features: Tensor | None, state: Sequence[Tensor], extent: Extent
    ) -> LstmForward:
        """Begin the steps."""
        return LstmForward(tensors, features, state, extent)

    def backward(
        self,
        tensors: Sequence[Tensor],
        features: Tensor | None,
        state_gradients: Sequence[Tensor],
        history: Sequence[Tensor],
    ) -> LstmBackward:
        """Begin the steps back."""
        return LstmBackward(tensors, features, state_gradients, history)
