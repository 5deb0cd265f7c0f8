"""The ConvNet featurizer: plain strided causal convolutions, the simplest thing that works.

Pipeline: conv blocks (valid convolution, ReLU, layer norm), then a linear layer per step.
Timing at the default sizes: 2 kHz in, features at 50 Hz (stride 40); the context follows from the kernels.
"""

from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

from torch import Tensor, nn

from emgpose.errors import ConfigError
from emgpose.models.conv_block import ConvBlock, check_conv_sizes
from emgpose.timing import FrameGrid


@dataclass(frozen=True)
class ConvNetConfig:
    """Sizes of `ConvNetFeaturizer`: per layer the output channels, kernel and stride."""

    kind: ClassVar[str] = "convnet"
    n_features: int = 64
    channels: tuple[int, ...] = (64, 128, 256, 256)
    kernels: tuple[int, ...] = (21, 9, 9, 17)
    strides: tuple[int, ...] = (5, 4, 2, 1)

    def __post_init__(self) -> None:
        check_conv_sizes(self.kernels, self.strides)
        if len(self.channels) != len(self.kernels) or min(*self.channels, self.n_features) < 1:
            raise ConfigError(
                f"expected one number of channels per kernel and n_features, all at least 1, "
                f"got channels {self.channels}, kernels {self.kernels}, n_features {self.n_features}"
            )


class ConvNetFeaturizer(nn.Module):
    """EMG (batch, channel, time) to features (batch, feature, frame)."""

    config_type = ConvNetConfig

    def __init__(self, config: ConvNetConfig, n_channels: int) -> None:
        super().__init__()
        self.config = config
        sizes = zip((n_channels, *config.channels[:-1]), config.channels, config.kernels, config.strides, strict=True)
        self.layers = nn.ModuleList(ConvBlock(*size) for size in sizes)
        self.project = nn.Linear(config.channels[-1], config.n_features)
        self.n_features = config.n_features

    @property
    def grid(self) -> FrameGrid:
        """Where the features lie on the EMG, from the layers."""
        return reduce(FrameGrid.then, (layer.grid for layer in self._convolutions), FrameGrid())

    @property
    def _convolutions(self) -> list[ConvBlock]:
        return [layer for layer in self.layers if isinstance(layer, ConvBlock)]

    def initial_state(self, batch_size: int) -> tuple[Tensor, ...]:
        """Give one empty tail (batch, channel, 0) per convolution."""
        return tuple(self.project.weight.new_zeros((batch_size, layer.n_in, 0)) for layer in self._convolutions)

    def forward(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Give the features that are complete, (batch, feature, frame), and the new tails."""
        new_tails: list[Tensor] = []
        for layer, tail in zip(self.layers, state, strict=True):
            x, new_tail = layer(x, tail)
            new_tails.append(new_tail)
        return self.project(x.transpose(1, 2)).transpose(1, 2), tuple(new_tails)
