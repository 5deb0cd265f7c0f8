"""Decoders and update rules of one row: the steps of a rollout, one vector at a time."""

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from emgpose.hand import N_JOINTS
from emgpose.models.decoders import LstmDecoder, MlpDecoder
from emgpose.models.in_numpy.layers import NumpyNorm, Rows, array_of, leaky_relu, number
from emgpose.models.update_rules import PositionUpdate, UpdateRule, VelocityUpdate

Vector = NDArray[np.float32]


def _projected(features: Rows, weight: Rows, bias: Vector) -> Sequence[Vector]:
    """Multiply features (step, feature) with a weight (output, feature) and add a bias, per step."""
    if len(features) != 1:
        return list(features @ weight.T + bias)
    projected = weight.dot(features[0])
    np.add(projected, bias, projected)
    return [projected]


class _NumpyLstm:
    """One LSTM layer; its gates lie in torch's order: input (here `update`), forget, candidate, output."""

    def __init__(self, decoder: LstmDecoder, layer: int) -> None:
        parameters = (getattr(decoder.lstm, f"{name}_l{layer}") for name in ("weight_ih", "weight_hh"))
        weight, self._hidden_weight = (array_of(parameter) for parameter in parameters)
        n_features = decoder.n_features if layer == 0 else 0
        self._for_features, self._for_input = weight[:, :n_features], weight[:, n_features:]
        self._biases = [array_of(getattr(decoder.lstm, f"{name}_l{layer}")) for name in ("bias_ih", "bias_hh")]
        n_hidden = self._hidden_weight.shape[1]
        # A sigmoid is half a hyperbolic tangent of half its input, so that one call serves all four gates.
        self._factor = np.full(4 * n_hidden, 0.5, dtype=np.float32)
        self._factor[2 * n_hidden : 3 * n_hidden] = 1
        self._offset = 1 - self._factor
        self._gates, self._from_hidden = np.empty_like(self._factor), np.empty_like(self._factor)
        self._update, self._forget, self._candidate, self._output = self._gates.reshape(4, n_hidden)

    def begin(self, features: Rows) -> Sequence[Vector]:
        """Give what each step adds to its product: projected features (step, feature), where it has them, and bias."""
        bias = self._biases[0] + self._biases[1]
        if not self._for_features.shape[1]:
            return [bias] * len(features)
        return _projected(features, self._for_features, bias)

    def step(self, addend: Vector, x: Vector, hidden: Vector, cell: Vector) -> tuple[Vector, Vector]:
        """Give hidden and cell state after a step with input x."""
        gates = self._gates
        self._for_input.dot(x, gates)
        self._hidden_weight.dot(hidden, self._from_hidden)
        np.add(gates, self._from_hidden, gates)
        np.add(gates, addend, gates)
        np.multiply(gates, self._factor, gates)
        np.tanh(gates, gates)
        np.multiply(gates, self._factor, gates)
        np.add(gates, self._offset, gates)
        new_cell = np.multiply(self._forget, cell)
        np.multiply(self._update, self._candidate, self._update)
        np.add(new_cell, self._update, new_cell)
        new_hidden = np.tanh(new_cell)
        np.multiply(new_hidden, self._output, new_hidden)
        return new_hidden, new_cell


class NumpyLstmDecoder:
    """An `LstmDecoder`."""

    def __init__(self, decoder: LstmDecoder) -> None:
        self._layers = [_NumpyLstm(decoder, layer) for layer in range(decoder.config.num_layers)]
        self._head = [(array_of(linear.weight), array_of(linear.bias)) for linear in decoder.head]
        self._out = (array_of(decoder.out.weight), array_of(decoder.out.bias))
        self._scale = number(decoder.config.scale)

    def begin(self, features: Rows) -> Sequence[Sequence[Vector]]:
        """Prepare steps with features (step, feature): per step, what each layer adds."""
        return list(zip(*(layer.begin(features) for layer in self._layers), strict=True))

    def step(self, addends: Sequence[Vector], pose: Vector, state: Sequence[Vector]) -> tuple[Vector, list[Vector]]:
        """Give the output, and the state: hidden and cell state of each layer."""
        new_state: list[Vector] = []
        x = pose
        for place, (layer, addend) in enumerate(zip(self._layers, addends, strict=True)):
            x, cell = layer.step(addend, x, state[2 * place], state[2 * place + 1])
            new_state += (x, cell)
        for weight, bias in self._head:
            x = weight.dot(x)
            np.add(x, bias, x)
            x = leaky_relu(x)
        if not self._head:
            x = leaky_relu(x)
        weight, bias = self._out
        output = weight.dot(x)
        np.add(output, bias, output)
        np.multiply(output, self._scale, output)
        return output, new_state


class NumpyMlpDecoder:
    """An `MlpDecoder`."""

    def __init__(self, decoder: MlpDecoder) -> None:
        first, *rest = [(array_of(linear.weight), array_of(linear.bias)) for linear in (*decoder.hidden, decoder.out)]
        self._for_features, self._for_pose = first[0][:, : decoder.n_features], first[0][:, decoder.n_features :]
        self._bias = first[1]
        norms = [NumpyNorm(cast(nn.LayerNorm, norm)) for norm in decoder.norms]
        self._rest = list(zip(norms, rest, strict=True))
        self._scale = number(decoder.config.scale)

    def begin(self, features: Rows) -> Sequence[Sequence[Vector]]:
        """Prepare steps with features (step, feature): per step, what the first layer adds."""
        return [(addend,) for addend in _projected(features, self._for_features, self._bias)]

    def step(self, addends: Sequence[Vector], pose: Vector, state: Sequence[Vector]) -> tuple[Vector, list[Vector]]:
        """Give the output, and the state: none."""
        x = self._for_pose.dot(pose)
        np.add(x, addends[0], x)
        for norm, (weight, bias) in self._rest:
            norm(x)
            x = weight.dot(leaky_relu(x))
            np.add(x, bias, x)
        np.multiply(x, self._scale, x)
        return x, []


def moved(update: UpdateRule, step: int, output: Vector, pose: Vector) -> Vector:
    """Apply an update rule to single poses (joint,) [rad]."""
    if isinstance(update, VelocityUpdate):
        return pose + output
    if isinstance(update, PositionUpdate):
        return output
    return output[:N_JOINTS] if step < update.position_steps else pose + output[N_JOINTS:]
