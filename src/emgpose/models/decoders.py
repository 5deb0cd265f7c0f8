"""Decoders: one rollout step from the features and the previous pose to an output per joint.

A decoder projects the features of all steps at once (`project`), because that half of its first layer does not wait for
the pose; the half that does is one small function (`step`).
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from emgpose.errors import ConfigError
from emgpose.hand import N_JOINTS
from emgpose.models.config_json import check_layers
from emgpose.models.rollout_dense import DenseLayer
from emgpose.models.rollout_gradient import RolloutLayers
from emgpose.models.rollout_lstm import LstmLayer

DecoderState = tuple[Tensor, ...]
_LSTM_TENSORS: Final = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def _weight_and_bias(layer: Any) -> list[Tensor]:
    """Give both by name: the replicas of `nn.DataParallel` have no `parameters()`."""
    return [layer.weight, layer.bias]


def check_scale(scale: float) -> None:
    """Refuse an output scalar that makes every pose NaN or infinite."""
    if not math.isfinite(scale):
        raise ConfigError(f"the output scalar `scale` must be finite, got {scale}")


@dataclass(frozen=True)
class LstmConfig:
    """Sizes of `LstmDecoder`; `scale` is the output scalar, `head_sizes` are those of hidden layers of the head."""

    kind: ClassVar[str] = "lstm"
    hidden_size: int = 512
    num_layers: int = 2
    scale: float = 0.01
    head_sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_layers("num_layers", self.num_layers)
        if self.hidden_size < 1:
            raise ConfigError(f"an LSTM decoder needs a hidden_size of at least 1, got {self.hidden_size}")
        if self.head_sizes and min(self.head_sizes) < 1:
            raise ConfigError(f"an LSTM decoder needs head_sizes of at least 1 each, got {self.head_sizes}")
        check_scale(self.scale)


class LstmDecoder(nn.Module):
    """Stacked LSTM, head, output scalar.

    The head is a leaky ReLU and a linear layer, or, with `head_sizes`, linear layers with a leaky ReLU between them.

    Sources: Salter et al. 2024 (vemg2pose); Hadidi et al. (arXiv 2603.08212) for linear - leaky ReLU - linear.
    """

    config_type = LstmConfig

    def __init__(self, config: LstmConfig, n_features: int, n_outputs: int) -> None:
        super().__init__()
        self.config = config
        self.n_features = n_features
        # Holds and initialises the weights; its own forward is not used, as it is slow one step at a time.
        self.lstm = nn.LSTM(n_features + N_JOINTS, config.hidden_size, config.num_layers)
        sizes = (config.hidden_size, *config.head_sizes)
        self.head = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.out = nn.Linear(sizes[-1], n_outputs)

    def initial_state(self, batch_size: int) -> DecoderState:
        """Give the hidden and cell state of each layer, (batch, hidden), all zero."""
        zero = self.out.weight.new_zeros((batch_size, self.config.hidden_size))
        return (zero,) * (2 * self.config.num_layers)

    def _layer(self, layer: int) -> tuple[Tensor, Tensor, Tensor]:
        """Give a layer's input weight, hidden weight and the sum of its two biases."""
        weight, hidden_weight, bias, hidden_bias = (getattr(self.lstm, f"{name}_l{layer}") for name in _LSTM_TENSORS)
        return weight, hidden_weight, bias + hidden_bias

    def project(self, features: Tensor) -> Tensor:
        """Apply the feature half of the first layer: (batch, feature, step) -> (step, batch, gate)."""
        weight, _, bias = self._layer(0)
        return functional.linear(features.permute(2, 0, 1), weight[:, : self.n_features], bias)

    def step(self, projected: Tensor, pose: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Advance one step: projected (batch, gate), pose (batch, joint) -> output (batch, n_outputs), new state."""
        new_state: list[Tensor] = []
        hidden = pose
        for layer in range(self.config.num_layers):
            weight, hidden_weight, bias = self._layer(layer)
            if layer == 0:
                gates = torch.addmm(projected, pose, weight[:, self.n_features :].t())
            else:
                gates = functional.linear(hidden, weight, bias)
            gates = torch.addmm(gates, state[2 * layer], hidden_weight.t())
            update, forget, candidate, output = gates.chunk(4, dim=1)
            cell = forget.sigmoid() * state[2 * layer + 1] + update.sigmoid() * candidate.tanh()
            hidden = output.sigmoid() * cell.tanh()
            new_state += [hidden, cell]
        for linear in self.head:
            hidden = functional.leaky_relu(linear(hidden))
        if not self.config.head_sizes:
            hidden = functional.leaky_relu(hidden)
        return self.out(hidden) * self.config.scale, tuple(new_state)

    def rollout_layers(self) -> RolloutLayers:
        """Describe `step` for `roll_out_steps`."""
        layers: list[tuple[LstmLayer | DenseLayer, list[Tensor]]] = [
            (LstmLayer(), [getattr(self.lstm, f"{name}_l{layer}") for name in _LSTM_TENSORS])
            for layer in range(self.config.num_layers)
        ]
        for index, linear in enumerate(self.head):
            layers.append((DenseLayer(is_leaky=index > 0), _weight_and_bias(linear)))
        layers.append((DenseLayer(is_leaky=True, scale=self.config.scale), _weight_and_bias(self.out)))
        return layers


@dataclass(frozen=True)
class MlpConfig:
    """Sizes of `MlpDecoder`; `scale` is the output scalar."""

    kind: ClassVar[str] = "mlp"
    layer_sizes: tuple[int, ...] = (512, 512)
    scale: float = 0.01

    def __post_init__(self) -> None:
        if not self.layer_sizes or min(self.layer_sizes) < 1:
            raise ConfigError(f"an MLP decoder needs layer_sizes of at least 1 each, got {self.layer_sizes}")
        check_scale(self.scale)


class MlpDecoder(nn.Module):
    """Hidden layers of linear, layer norm and leaky ReLU; a linear layer; the output scalar.

    Source: Salter et al. 2024 (emg2pose).
    """

    config_type = MlpConfig

    def __init__(self, config: MlpConfig, n_features: int, n_outputs: int) -> None:
        super().__init__()
        self.config = config
        self.n_features = n_features
        sizes = (n_features + N_JOINTS, *config.layer_sizes)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in config.layer_sizes)
        self.out = nn.Linear(sizes[-1], n_outputs)

    @property
    def _first(self) -> nn.Linear:
        return cast(nn.Linear, self.hidden[0])

    def initial_state(self, batch_size: int) -> DecoderState:
        """Give the state: none, the pose is all that it remembers."""
        return ()

    def project(self, features: Tensor) -> Tensor:
        """Apply the feature half of the first layer: (batch, feature, step) -> (step, batch, hidden)."""
        weight = self._first.weight[:, : self.n_features]
        return functional.linear(features.permute(2, 0, 1), weight, self._first.bias)

    def step(self, projected: Tensor, pose: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Advance one step: projected (batch, hidden), pose (batch, joint) -> output (batch, n_outputs), state."""
        x = torch.addmm(projected, pose, self._first.weight[:, self.n_features :].t())
        x = functional.leaky_relu(self.norms[0](x))
        for layer, norm in zip(self.hidden[1:], self.norms[1:], strict=True):
            x = functional.leaky_relu(norm(layer(x)))
        return self.out(x) * self.config.scale, state

    def rollout_layers(self) -> RolloutLayers:
        """Describe `step` for `roll_out_steps`."""
        layers: list[tuple[LstmLayer | DenseLayer, list[Tensor]]] = [(DenseLayer(), _weight_and_bias(self._first))]
        for linear, norm in zip((*self.hidden[1:], self.out), self.norms, strict=True):
            scale = self.config.scale if linear is self.out else 1.0
            tensors = [*_weight_and_bias(linear), *_weight_and_bias(norm)]
            layers.append((DenseLayer(is_leaky=True, scale=scale), tensors))
        return layers


Decoder = LstmDecoder | MlpDecoder
DecoderConfig = LstmConfig | MlpConfig
DECODERS: Final[dict[str, Any]] = {"lstm": LstmDecoder, "mlp": MlpDecoder}
