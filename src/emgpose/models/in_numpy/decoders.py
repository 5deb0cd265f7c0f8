"""Decoders and update rules of one row: the steps of a rollout, one vector at a time."""

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from emgpose.hand import N_JOINTS
from emgpose.models.decoders import LstmDecoder, MlpDecoder
from emgpose.models.in_numpy.layers import Rows, array_of, leaky_relu
from emgpose.models.update_rules import PositionUpdate, UpdateRule, VelocityUpdate

Vector = NDArray[np.float32]


class _NumpyLstm:
    """One LSTM layer; its gates lie in torch's order: input (here `update`), forget, candidate, output."""

    def __init__(self, decoder: LstmDecoder, layer: int) -> None:
        parameters = (getattr(decoder.lstm, f"{name}_l{layer}") for name in ("weight_ih", "weight_hh"))
        weight, self._hidden_weight = (array_of(parameter) for parameter in parameters)
        n_features = decoder.n_features if layer == 0 else 0
        self._for_features, self._for_input = weight[:, :n_features], weight[:, n_features:]
        self._biases = [array_of(getattr(decoder.lstm, f"{name}_l{layer}")) for name in ("bias_ih", "bias_hh")]
        n_hidden = self._n_hidden = self._hidden_weight.shape[1]
        # A sigmoid is half a hyperbolic tangent of half its input, so that one call serves all four gates.
        self._factor = np.full(4 * n_hidden, 0.5, dtype=np.float32)
        self._factor[2 * n_hidden : 3 * n_hidden] = 1
        self._offset = 1 - self._factor

    def begin(self, features: Rows) -> list[Vector]:
        """Give what each step adds to its product: projected features (step, feature), where it has them, and bias."""
        bias = self._biases[0] + self._biases[1]
        if not self._for_features.shape[1]:
            return [bias] * len(features)
        return list(features @ self._for_features.T + bias)

    def step(self, addend: Vector, x: Vector, hidden: Vector, cell: Vector) -> tuple[Vector, Vector]:
        """Give hidden and cell state after a step with input x."""
        n = self._n_hidden
        gates = np.dot(self._for_input, x)
        gates += np.dot(self._hidden_weight, hidden)
        gates += addend
        gates *= self._factor
        np.tanh(gates, out=gates)
        gates *= self._factor
        gates += self._offset
        new_cell = gates[n : 2 * n] * cell
        new_cell += gates[:n] * gates[2 * n : 3 * n]
        new_hidden = np.tanh(new_cell)
        new_hidden *= gates[3 * n :]
        return new_hidden, new_cell


class NumpyLstmDecoder:
    """An `LstmDecoder`."""

    def __init__(self, decoder: LstmDecoder) -> None:
        self._layers = [_NumpyLstm(decoder, layer) for layer in range(decoder.config.num_layers)]
        self._head = [(array_of(linear.weight), array_of(linear.bias)) for linear in decoder.head]
        self._out = (array_of(decoder.out.weight), array_of(decoder.out.bias))
        self._scale = np.float32(decoder.config.scale)

    def begin(self, features: Rows) -> Sequence[Sequence[Vector]]:
        """Prepare steps with features (step, feature): per step, what each layer adds."""
        return list(zip(*(layer.begin(features) for layer in self._layers), strict=True))

    def step(self, addends: Sequence[Vector], pose: Vector, state: Sequence[Vector]) -> tuple[Vector, list[Vector]]:
        """Give the output, and the state: hidden and cell state of each layer."""
        new_state: list[Vector] = []
        x = pose
        for number, (layer, addend) in enumerate(zip(self._layers, addends, strict=True)):
            x, cell = layer.step(addend, x, state[2 * number], state[2 * number + 1])
            new_state += (x, cell)
        for weight, bias in self._head:
            x = leaky_relu(np.dot(weight, x) + bias)
        if not self._head:
            x = leaky_relu(x)
        weight, bias = self._out
        return (np.dot(weight, x) + bias) * self._scale, new_state


class NumpyMlpDecoder:
    """An `MlpDecoder`; its norms, of a single row, are cheaper without `NumpyNorm`'s rows."""

    def __init__(self, decoder: MlpDecoder) -> None:
        first, *rest = [(array_of(linear.weight), array_of(linear.bias)) for linear in (*decoder.hidden, decoder.out)]
        self._for_features, self._for_pose = first[0][:, : decoder.n_features], first[0][:, decoder.n_features :]
        self._bias = first[1]
        norms = [
            (array_of(norm.weight), array_of(norm.bias), np.float32(cast(nn.LayerNorm, norm).eps))
            for norm in decoder.norms
        ]
        self._rest = list(zip(norms, rest, strict=True))
        self._scale = np.float32(decoder.config.scale)

    def begin(self, features: Rows) -> Sequence[Sequence[Vector]]:
        """Prepare steps with features (step, feature): per step, what the first layer adds."""
        return [(row,) for row in features @ self._for_features.T + self._bias]

    def step(self, addends: Sequence[Vector], pose: Vector, state: Sequence[Vector]) -> tuple[Vector, list[Vector]]:
        """Give the output, and the state: none."""
        x = np.dot(self._for_pose, pose)
        x += addends[0]
        for (norm_weight, norm_bias, eps), (weight, bias) in self._rest:
            x -= x.mean()
            x *= 1 / np.sqrt(np.dot(x, x) / np.float32(len(x)) + eps)
            x = np.dot(weight, leaky_relu(x * norm_weight + norm_bias))
            x += bias
        return x * self._scale, []


def moved(update: UpdateRule, step: int, output: Vector, pose: Vector) -> Vector:
    """Apply an update rule to single poses (joint,) [rad]."""
    if isinstance(update, VelocityUpdate):
        return pose + output
    if isinstance(update, PositionUpdate):
        return output
    return output[:N_JOINTS] if step < update.position_steps else pose + output[N_JOINTS:]
