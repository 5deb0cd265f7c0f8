"""SensingDynamics, adapted to a band of 16 electrodes.

Pipeline: EMG and its 20 Hz low-pass copy as two planes (electrode, time); a strided convolution over time; circular
padding over the electrodes; a dilated convolution over both; a convolution over electrodes; three linear layers per
frame; linear interpolation to the samples after the context.
Timing: 167 samples give one frame, so left context 166; a frame every 8 samples. The low-pass is zero-phase over the
array given, so not causal; with `lowpass="causal"` the network streams.
Position output. 1,738,297 parameters at the published sizes.

Sources: Simpetru et al. 2022; reconstruction for the band as in docs/decisions/001-neuropose-and-sensingdynamics.md.
"""

from dataclasses import dataclass
from typing import ClassVar, Final, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import signal
from torch import Tensor, nn
from torch.nn import functional

from emgpose.errors import ConfigError
from emgpose.hand import N_JOINTS
from emgpose.models.conv_block import join_tail
from emgpose.models.emg_model import SCORED_SAMPLES, EmgModel
from emgpose.models.front_ends import CausalLowpass, check_lowpass
from emgpose.models.overlap import OverlapRollout
from emgpose.models.resampling import align_centres, blend
from emgpose.models.rollouts import Rollout
from emgpose.models.stream_state import StreamState
from emgpose.timing import EMG_RATE_HZ, FrameGrid

_TIME_KERNEL: Final = 31
_TIME_STRIDE: Final = 8
_ELECTRODE_PAD: Final = 4
_WIDE_KERNEL: Final = (8, 18)
_WIDE_DILATION: Final = (2, 1)
_LAST_KERNEL: Final = 3
# Electrodes that the valid convolutions and the padding take away.
_ELECTRODES_LOST: Final = (_WIDE_KERNEL[0] - 1) * _WIDE_DILATION[0] + _LAST_KERNEL - 1 - 2 * _ELECTRODE_PAD
_GRID: Final = FrameGrid(_TIME_KERNEL - 1, _TIME_STRIDE).then(FrameGrid(_WIDE_KERNEL[1] - 1))
# After so many periods (a second at 20 Hz), nothing is left of what the zero-phase filter did at the edge of a block.
_FILTER_CYCLES: Final = 20


@dataclass(frozen=True)
class SensingDynamicsConfig:
    """Names and numbers of a `SensingDynamics`; `lowpass` is "zero_phase" as published or "causal"."""

    kind: ClassVar[str] = "sensingdynamics"
    name: str
    task: Literal["regression"] = "regression"
    channels: tuple[int, int, int] = (256, 32, 64)
    hidden_size: int = 512
    lowpass: Literal["zero_phase", "causal"] = "zero_phase"
    cutoff_hz: float = 20.0
    order: int = 4
    n_channels: int = 16

    def __post_init__(self) -> None:
        if min(*self.channels, self.hidden_size) < 1 or len(self.channels) != 3:
            raise ConfigError(
                f"SensingDynamics needs three channels and a hidden_size, all at least 1, "
                f"got {self.channels} and {self.hidden_size}"
            )
        if self.lowpass not in ("zero_phase", "causal"):
            raise ConfigError(f"lowpass must be 'zero_phase' or 'causal', got {self.lowpass!r}")
        check_lowpass(self.cutoff_hz, self.order)
        if self.n_channels <= _ELECTRODES_LOST:
            raise ConfigError(
                f"SensingDynamics needs more than {_ELECTRODES_LOST} electrodes around the wrist, got {self.n_channels}"
            )


class SMU(nn.Module):
    """Smooth maximum unit with a fixed slope of 0.01 and a learned sharpness.

    Source: Biswas et al. 2022.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mu = nn.Parameter(torch.tensor(2.5))

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to each element."""
        slope = 0.01
        return ((1 + slope) * x + (1 - slope) * x * torch.erf(self.mu * (1 - slope) * x)) / 2


class SensingDynamics(EmgModel):
    """The network; see the module for pipeline and timing."""

    config: SensingDynamicsConfig
    why_not_causal = "its low-pass is zero-phase over the whole array (a model built with lowpass='causal' streams)"

    def __init__(self, config: SensingDynamicsConfig) -> None:
        super().__init__(config, _GRID.left_context, _GRID)
        self.unit = _GRID.stride
        # The published window is one sample longer than the context needs.
        self.test_window = SCORED_SAMPLES + _GRID.receptive_field
        first, wide, last = config.channels
        self.time_conv = nn.Conv2d(2, first, (1, _TIME_KERNEL), (1, _TIME_STRIDE))
        self.wide_conv = nn.Conv2d(first, wide, _WIDE_KERNEL, dilation=_WIDE_DILATION)
        self.last_conv = nn.Conv2d(wide, last, (_LAST_KERNEL, 1))
        self.norms = nn.ModuleList(nn.BatchNorm2d(size) for size in config.channels)
        self.activations = nn.ModuleList(SMU() for _ in range(3))
        hidden = config.hidden_size
        self.head = nn.Sequential(
            nn.Dropout(0.4),
            nn.Linear(last * (config.n_channels - _ELECTRODES_LOST), hidden),
            SMU(),
            nn.Linear(hidden, hidden),
            SMU(),
            nn.Linear(hidden, N_JOINTS),
        )
        self.causal_lowpass = CausalLowpass(config.cutoff_hz, config.order) if config.lowpass == "causal" else None
        if self.causal_lowpass is None:
            self.modes = ("published",)
            self._sections = signal.butter(config.order, config.cutoff_hz, fs=EMG_RATE_HZ, output="sos")
            edge = round(_FILTER_CYCLES * EMG_RATE_HZ / config.cutoff_hz)
        else:
            edge = self.causal_lowpass.taps.shape[0]
        self.margin = edge + _GRID.receptive_field

    # --- the network, the same offline and live

    def _network(self, planes: Tensor, tails: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Map planes (batch, plane=2, electrode, time) to frames (batch, joint, frame) and the new tails."""
        norm_1, norm_2, norm_3 = self.norms
        act_1, act_2, act_3 = self.activations
        x, n_frames, first_tail = join_tail(tails[0], planes, _TIME_KERNEL, _TIME_STRIDE)
        if n_frames == 0:
            return planes.new_zeros((len(planes), N_JOINTS, 0)), (first_tail, tails[1])
        x = functional.dropout2d(act_1(norm_1(self.time_conv(x))), 0.25, self.training)
        x, n_frames, wide_tail = join_tail(tails[1], x, _WIDE_KERNEL[1])
        if n_frames == 0:
            return planes.new_zeros((len(planes), N_JOINTS, 0)), (first_tail, wide_tail)
        # The band is a ring: the electrodes before the first are the last ones.
        x = functional.pad(x, (0, 0, _ELECTRODE_PAD, _ELECTRODE_PAD), mode="circular")
        x = act_2(norm_2(self.wide_conv(x)))
        x = act_3(norm_3(self.last_conv(x)))
        angles: Tensor = self.head(x.flatten(1, 2).transpose(1, 2))
        return angles.transpose(1, 2), (first_tail, wide_tail)

    def _empty_tails(self, batch_size: int) -> tuple[Tensor, Tensor]:
        weight, electrodes = self.time_conv.weight, self.n_channels
        return (
            weight.new_zeros((batch_size, 2, electrodes, 0)),
            weight.new_zeros((batch_size, self.config.channels[0], electrodes, 0)),
        )

    def _low(self, emg: Tensor) -> Tensor:
        """Low-pass the whole array (batch, channel, time)."""
        if self.causal_lowpass is not None:
            low: Tensor = self.causal_lowpass(emg, self.causal_lowpass.initial_tail(*emg.shape[:2]))[0]
            return low
        filtered = signal.sosfiltfilt(self._sections, emg.detach().cpu().numpy(), axis=-1)
        return torch.from_numpy(np.ascontiguousarray(filtered)).to(emg)

    def frames(self, emg: Tensor) -> Tensor:
        """Predict (batch, joint, frame) [rad], a frame every 8 samples."""
        planes = torch.stack((emg, self._low(emg)), dim=1)
        return self._network(planes, self._empty_tails(len(emg)))[0]

    # --- published

    def rollout(self, emg: Tensor, initial_pose: Tensor | None = None) -> Tensor:  # noqa: D102 - as in EmgModel
        self.check_window(emg)
        frames, n_rows = self.frames(emg), emg.shape[-1] - self.left_context
        return blend(frames, align_centres(np.arange(n_rows), frames.shape[-1], n_rows))

    def begin_published(self, initial_pose: ArrayLike | None = None) -> Rollout:  # noqa: D102 - as in EmgModel
        return OverlapRollout(self)

    def published_look_ahead(self, n_samples: int) -> int:
        """Count the samples from the first prediction to the end for the zero-phase filter, which sees them all."""
        if self.causal_lowpass is None:
            return n_samples - self.receptive_field
        rows = np.arange(n_samples - self.left_context)
        frames = align_centres(rows, self.frame_grid.n_frames(n_samples), len(rows))
        newest = np.where(frames.weight > 0, frames.upper, frames.lower)
        return max(0, int((newest * self.stride - rows).max()))

    # --- stream

    def initial_state(self, initial_pose: Tensor | None = None, batch_size: int = 1) -> StreamState:
        """Begin a stream; regression uses no initial pose, but a given one says the batch size."""
        if self.causal_lowpass is None:
            return super().initial_state(initial_pose, batch_size)
        pose = self.start_pose(None, batch_size if initial_pose is None else len(initial_pose))
        lowpass_tail = self.causal_lowpass.initial_tail(len(pose), self.n_channels)
        return StreamState(pose, (lowpass_tail, *self._empty_tails(len(pose))))

    def forward(self, emg: Tensor, state: StreamState) -> tuple[Tensor, StreamState]:  # noqa: D102 - as in EmgModel
        if self.causal_lowpass is None:
            return super().forward(emg, state)
        self.check_stream(emg, state)
        low, lowpass_tail = self.causal_lowpass(emg, state.tails[0])
        poses, tails = self._network(torch.stack((emg, low), dim=1), (state.tails[1], state.tails[2]))
        pose = poses[..., -1] if poses.shape[-1] else state.pose
        n_steps = state.n_steps + poses.shape[-1]
        return poses, StreamState(
            pose, (lowpass_tail, *tails), n_samples=state.n_samples + emg.shape[-1], n_steps=n_steps
        )
