"""The TDS featurizer: time-depth separable convolutions, from EMG to features at 25 Hz (or 50 Hz with other strides).

Pipeline: two strided conv blocks; then per TDS stage a strided conv block followed by pairs of a TDS convolution and a
TDS feed-forward layer; then a linear layer per step. All convolutions are valid, so that it is causal.
Timing at the published sizes: 2 kHz in, left context 1,790 samples, stride 80.

Source: Hannun et al. 2019 (TDS); sizes from Salter et al. 2024 (emg2pose).
"""

from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from emgpose.errors import ConfigError
from emgpose.models.config_json import check_layers
from emgpose.models.conv_block import ConvBlock, check_conv_sizes, join_tail, norm_channels
from emgpose.models.conv_gradient import feed_forward, is_written_out, linear
from emgpose.models.plain_layers import are_layers_plain
from emgpose.timing import FrameGrid


@dataclass(frozen=True)
class TdsConfig:
    """Sizes of `TdsFeaturizer`.

    Parameters
    ----------
    n_features : int
    channels : int
        Channels of every convolution.
    tds_channels : int
        Channels of the channel x width view in a TDS convolution; divides `channels`.
    kernels, strides : tuple of int
        Of the conv blocks, in order.
    tds_kernels : tuple of int
        Of the TDS stages; the last `len(tds_kernels)` conv blocks each begin one.
    tds_pairs : int
        Pairs of TDS convolution and feed-forward layer per stage.
    """

    kind: ClassVar[str] = "tds"
    n_features: int = 64
    channels: int = 256
    tds_channels: int = 16
    kernels: tuple[int, ...] = (11, 5, 17, 9)
    strides: tuple[int, ...] = (5, 2, 4, 2)
    tds_kernels: tuple[int, ...] = (9, 5)
    tds_pairs: int = 2

    def __post_init__(self) -> None:
        check_conv_sizes(self.kernels, self.strides)
        check_conv_sizes(self.tds_kernels, (1,) * len(self.tds_kernels))
        if len(self.tds_kernels) > len(self.kernels):
            raise ConfigError(
                f"each TDS stage begins with a conv block, got {len(self.tds_kernels)} tds_kernels "
                f"for {len(self.kernels)} kernels"
            )
        check_layers("tds_pairs", self.tds_pairs)
        if min(self.n_features, self.channels, self.tds_channels) < 1:
            raise ConfigError("n_features, channels and tds_channels must be at least 1")
        if self.channels % self.tds_channels:
            raise ConfigError(f"tds_channels must divide channels, got {self.tds_channels} and {self.channels}")


class TdsConv(nn.Module):
    """Convolution over time of the channel x width view, with the newest input added."""

    def __init__(self, channels: int, tds_channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(tds_channels, tds_channels, (1, kernel))
        self.norm = nn.LayerNorm(channels)
        self.n_in, self.tds_channels, self.kernel = channels, tds_channels, kernel

    @property
    def grid(self) -> FrameGrid:
        """Where its frames lie on its input."""
        return FrameGrid(self.kernel - 1)

    def forward(self, x: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
        """Give the frames that are complete, and the new tail."""
        x, n_frames, tail = join_tail(tail, x, self.kernel)
        if n_frames == 0:
            return x[..., :0], tail
        batch, channels, time = x.shape
        view = x.reshape(batch, self.tds_channels, channels // self.tds_channels, time)
        y = functional.relu(self.conv(view)).reshape(batch, channels, n_frames)
        return norm_channels(self.norm, y + x[..., -n_frames:]), tail


class TdsFeedForward(nn.Module):
    """Two linear layers per time step, with the input added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Linear(channels, channels)
        self.outer = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channel, time) to the same shape."""
        x = x.transpose(1, 2)
        weight = self.inner.weight
        is_out = is_written_out(x, weight, x.shape[0] * x.shape[1]) and are_layers_plain(self)
        if is_out and not torch.is_grad_enabled():
            y = feed_forward(x, self.inner, self.outer)
        elif is_out and weight.requires_grad:
            y = linear(functional.relu(linear(x, self.inner)), self.outer) + x
        else:
            y = self.outer(functional.relu(self.inner(x))) + x
        normed: Tensor = self.norm(y)
        return normed.transpose(1, 2)


class TdsFeaturizer(nn.Module):
    """EMG (batch, channel, time) to features (batch, feature, frame)."""

    config_type = TdsConfig

    def __init__(self, config: TdsConfig, n_channels: int) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        first_stage = len(config.kernels) - len(config.tds_kernels)
        n_in = n_channels
        for index, (kernel, stride) in enumerate(zip(config.kernels, config.strides, strict=True)):
            layers.append(ConvBlock(n_in, config.channels, kernel, stride))
            n_in = config.channels
            if index >= first_stage:
                for _ in range(config.tds_pairs):
                    tds_kernel = config.tds_kernels[index - first_stage]
                    layers += [
                        TdsConv(config.channels, config.tds_channels, tds_kernel),
                        TdsFeedForward(config.channels),
                    ]
        self.layers = nn.ModuleList(layers)
        self.project = nn.Linear(config.channels, config.n_features)
        self.n_features = config.n_features

    @property
    def grid(self) -> FrameGrid:
        """Where the features lie on the EMG, from the layers."""
        return reduce(FrameGrid.then, (layer.grid for layer in self._convolutions), FrameGrid())

    @property
    def _convolutions(self) -> list[ConvBlock | TdsConv]:
        return [layer for layer in self.layers if isinstance(layer, ConvBlock | TdsConv)]

    def initial_state(self, batch_size: int) -> tuple[Tensor, ...]:
        """Give one empty tail (batch, channel, 0) per convolution."""
        return tuple(self.project.weight.new_zeros((batch_size, layer.n_in, 0)) for layer in self._convolutions)

    def forward(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Give the features that are complete, (batch, feature, frame), and the new tails."""
        tails = iter(state)
        new_tails: list[Tensor] = []
        for layer in self.layers:
            if isinstance(layer, TdsFeedForward):
                x = layer(x)
            else:
                x, tail = layer(x, next(tails))
                new_tails.append(tail)
        return self.project(x.transpose(1, 2)).transpose(1, 2), tuple(new_tails)
