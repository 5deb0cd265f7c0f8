"""NeuroPose: a U-shaped convolutional network over time and electrodes.

Pipeline: three conv groups with max pooling, residual blocks, three conv groups with nearest upsampling, a linear layer
per time step, linear interpolation to the EMG's length.
Timing: no context (its convolutions are padded); at least one pooled step of 320 samples; not causal.
Position output. 6,354,903 parameters at the published sizes.

Sources: Liu et al. 2021 (NeuroPose); sizes as used by Salter et al. 2024.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import ClassVar, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional

from emgpose.errors import ConfigError
from emgpose.hand import N_JOINTS
from emgpose.models.config_json import check_layers
from emgpose.models.emg_model import EmgModel
from emgpose.models.overlap import OverlapRollout
from emgpose.models.resampling import align_centres, blend
from emgpose.models.rollouts import Rollout
from emgpose.timing import FrameGrid

_CONVS_PER_BLOCK: Final = 3
# A pooled step of ten seconds is longer than any use of one.
_MAX_UNIT_SAMPLES: Final = 20_000


@dataclass(frozen=True)
class NeuroPoseConfig:
    """Names and numbers of a `NeuroPose`; pools and upsamples are (time, electrode)."""

    kind: ClassVar[str] = "neuropose"
    name: str
    task: Literal["regression"] = "regression"
    channels: tuple[int, ...] = (32, 128, 256)
    pools: tuple[tuple[int, int], ...] = ((10, 2), (8, 2), (4, 4))
    upsamples: tuple[tuple[int, int], ...] = ((10, 4), (8, 4), (4, 2))
    residual_blocks: int = 5
    dropout: float = 0.05
    n_channels: int = 16

    def __post_init__(self) -> None:
        if not len(self.channels) == len(self.pools) == len(self.upsamples) > 0 or min(self.channels) < 1:
            raise ConfigError(
                f"NeuroPose needs as many pools and upsamples as channels, "
                f"got {self.channels}, {self.pools}, {self.upsamples}"
            )
        check_layers("residual_blocks", self.residual_blocks, least=0)
        if min(map(min, (*self.pools, *self.upsamples))) < 1 or not 0 <= self.dropout < 1:
            raise ConfigError("NeuroPose needs pools and upsamples of at least 1 and a dropout in [0, 1)")
        unit = prod(time for time, _ in self.pools)
        if unit != prod(time for time, _ in self.upsamples) or unit > _MAX_UNIT_SAMPLES:
            raise ConfigError(
                f"NeuroPose must upsample time as it pools it, by at most {_MAX_UNIT_SAMPLES} samples in all, "
                f"got {self.pools} and {self.upsamples}"
            )
        if self.n_channels < prod(electrodes for _, electrodes in self.pools):
            raise ConfigError(f"NeuroPose pools more electrodes than {self.n_channels}: {self.pools}")


class ConvGroup(nn.Module):
    """Convolution that keeps (time, electrode), batch norm, ReLU, dropout."""

    def __init__(self, n_in: int, n_out: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, (3, 2))
        self.norm = nn.BatchNorm2d(n_out)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channel, time, electrode)."""
        # One step before and after; the even electrode kernel pads at the high end.
        x = self.conv(functional.pad(x, (0, 1, 1, 1)))
        y: Tensor = self.dropout(functional.relu(self.norm(x)))
        return y


class NeuroPose(EmgModel):
    """The network; see the module for pipeline and timing."""

    config: NeuroPoseConfig
    modes = ("published",)
    why_not_causal = "its padded convolutions and pooling look ahead"

    def __init__(self, config: NeuroPoseConfig) -> None:
        self.unit = prod(time for time, _ in config.pools)
        super().__init__(config, 0, FrameGrid(0, 1), min_samples=self.unit)
        sizes = (1, *config.channels)
        self.encoder = nn.ModuleList(ConvGroup(a, b, config.dropout) for a, b in pairwise(sizes))
        width = config.channels[-1]
        self.residual = nn.ModuleList(
            nn.Sequential(*(ConvGroup(width, width, config.dropout) for _ in range(_CONVS_PER_BLOCK)))
            for _ in range(config.residual_blocks)
        )
        back = sizes[::-1]
        self.decoder = nn.ModuleList(ConvGroup(a, b, config.dropout) for a, b in pairwise(back))
        electrodes = config.n_channels
        for _, pool in config.pools:
            electrodes //= pool
        self.out = nn.Linear(electrodes * prod(up for _, up in config.upsamples), N_JOINTS)
        # The newest sample that any frame of one pooled step uses, beyond its own.
        frames = np.arange(self.unit)
        self.margin = int((self._newest_sample(frames) - frames).max()) + self.unit

    def frames(self, emg: Tensor) -> Tensor:
        """Predict (batch, joint, frame) [rad]: one frame per sample of all whole pooled steps."""
        x = emg.transpose(1, 2)[:, None]
        for group, pool in zip(self.encoder, self.config.pools, strict=True):
            x = functional.max_pool2d(group(x), pool)
        for block in self.residual:
            x = x + block(x)
        for group, factor in zip(self.decoder, self.config.upsamples, strict=True):
            # Repeating is nearest upsampling by whole factors.
            x = group(x).repeat_interleave(factor[0], dim=2).repeat_interleave(factor[1], dim=3)
        angles: Tensor = self.out(x.transpose(1, 2).flatten(2))
        return angles.transpose(1, 2)

    def rollout(self, emg: Tensor, initial_pose: Tensor | None = None) -> Tensor:  # noqa: D102 - as in EmgModel
        self.check_window(emg)
        frames, n_samples = self.frames(emg), emg.shape[-1]
        if frames.shape[-1] == n_samples:
            return frames
        return blend(frames, align_centres(np.arange(n_samples), frames.shape[-1], n_samples))

    def begin_published(self, initial_pose: ArrayLike | None = None) -> Rollout:  # noqa: D102 - as in EmgModel
        return OverlapRollout(self)

    def published_look_ahead(self, n_samples: int) -> int:
        """Count it exactly, layer by layer."""
        rows = np.arange(n_samples)
        frames = align_centres(rows, n_samples // self.unit * self.unit, n_samples)
        newest = self._newest_sample(np.where(frames.weight > 0, frames.upper, frames.lower))
        return int((np.minimum(newest, n_samples - 1) - rows).max())

    def _newest_sample(self, frames: NDArray[np.int64]) -> NDArray[np.int64]:
        """Follow frames back to the newest sample that they use."""
        newest = frames
        for factor, _ in reversed(self.config.upsamples):
            newest = newest // factor + 1
        newest = newest + _CONVS_PER_BLOCK * self.config.residual_blocks
        for pool, _ in reversed(self.config.pools):
            newest = newest * pool + pool - 1 + 1
        return newest
