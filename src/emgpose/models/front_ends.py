"""Front ends: what of the EMG the featurizer sees, at the EMG's own rate, causal and with carried state.

A stream starts at rest: before its first sample the low-pass sees zeros.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import torch
from scipy import signal
from torch import Tensor, nn
from torch.nn import functional

from emgpose.errors import ConfigError
from emgpose.models.conv_block import join_tail
from emgpose.timing import EMG_RATE_HZ

# Above, the digital filter rings at the Nyquist frequency instead.
_MAX_CUTOFF_HZ: Final = EMG_RATE_HZ / 4
FrontEndState = tuple[Tensor, ...]


@dataclass(frozen=True)
class RawConfig:
    """The EMG as it comes."""

    kind: ClassVar[str] = "raw"


@dataclass(frozen=True)
class LowpassStackConfig:
    """The EMG and, as further channels, its Butterworth low-pass copy."""

    kind: ClassVar[str] = "lowpass_stack"
    cutoff_hz: float = 20.0
    order: int = 4

    def __post_init__(self) -> None:
        check_lowpass(self.cutoff_hz, self.order)


@dataclass(frozen=True)
class EnvelopeConfig:
    """The rectified EMG behind a Butterworth low-pass."""

    kind: ClassVar[str] = "envelope"
    cutoff_hz: float = 20.0
    order: int = 4

    def __post_init__(self) -> None:
        check_lowpass(self.cutoff_hz, self.order)


def check_lowpass(cutoff_hz: float, order: int) -> None:
    """Refuse low-passes whose impulse response would be as long as the recording, or that filter nothing."""
    if not 1 <= cutoff_hz <= _MAX_CUTOFF_HZ or not 1 <= order <= 8:
        raise ConfigError(
            f"a low-pass needs a cutoff_hz from 1 to {_MAX_CUTOFF_HZ:g} and an order from 1 to 8, "
            f"got {cutoff_hz:g} and {order}"
        )


class CausalLowpass(nn.Module):
    """Butterworth low-pass by its impulse response, cut where less than 0.01 % of it is left.

    A convolution, not a recursion, so that it runs on any device, has gradients, and exports.
    """

    taps: Tensor

    def __init__(self, cutoff_hz: float, order: int) -> None:
        super().__init__()
        sections = signal.butter(order, cutoff_hz, fs=EMG_RATE_HZ, output="sos")
        # Even order 8 rings for fewer than 20 periods of its cutoff.
        response = signal.sosfilt(sections, np.eye(1, round(20 * EMG_RATE_HZ / cutoff_hz))[0])
        remaining = np.cumsum(np.abs(response[::-1]))[::-1]
        response = response[: int(np.argmax(remaining < 1e-4 * remaining[0]))]
        # Made from the configuration, so not part of the weights.
        self.register_buffer("taps", torch.tensor(response[::-1].copy(), dtype=torch.float32), persistent=False)

    def initial_tail(self, batch_size: int, n_channels: int) -> Tensor:
        """Give the input before the first sample: zeros."""
        return self.taps.new_zeros((batch_size, n_channels, self.taps.shape[0] - 1))

    def forward(self, x: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
        """Filter (batch, channel, time); as many samples come out as went in."""
        n_channels = x.shape[1]
        x, n_samples, tail = join_tail(tail, x, self.taps.shape[0])
        if n_samples == 0:
            return x[..., :0], tail
        return functional.conv1d(x, self.taps.expand(n_channels, 1, -1), groups=n_channels), tail


class RawFrontEnd(nn.Module):
    """Passes the EMG on."""

    config_type = RawConfig

    def __init__(self, config: RawConfig, n_channels: int) -> None:
        super().__init__()
        self.config = config
        self.n_channels = n_channels

    def initial_state(self, batch_size: int) -> FrontEndState:
        """Give the state: none."""
        return ()

    def forward(self, emg: Tensor, state: FrontEndState) -> tuple[Tensor, FrontEndState]:
        """Give the planes that the featurizer sees, (batch, channel, time)."""
        return emg, state


class LowpassStackFrontEnd(nn.Module):
    """Stacks the EMG and its low-pass copy: raw channels first, then the filtered ones."""

    config_type = LowpassStackConfig

    def __init__(self, config: LowpassStackConfig, n_channels: int) -> None:
        super().__init__()
        self.config = config
        self.n_inputs, self.n_channels = n_channels, 2 * n_channels
        self.lowpass = CausalLowpass(config.cutoff_hz, config.order)

    def initial_state(self, batch_size: int) -> FrontEndState:
        """Give the filter's tail."""
        return (self.lowpass.initial_tail(batch_size, self.n_inputs),)

    def forward(self, emg: Tensor, state: FrontEndState) -> tuple[Tensor, FrontEndState]:
        """Give the planes that the featurizer sees, (batch, 2 x channel, time)."""
        low, tail = self.lowpass(emg, state[0])
        return torch.cat((emg, low), dim=1), (tail,)


class EnvelopeFrontEnd(nn.Module):
    """Gives the envelope of each channel."""

    config_type = EnvelopeConfig

    def __init__(self, config: EnvelopeConfig, n_channels: int) -> None:
        super().__init__()
        self.config = config
        self.n_channels = n_channels
        self.lowpass = CausalLowpass(config.cutoff_hz, config.order)

    def initial_state(self, batch_size: int) -> FrontEndState:
        """Give the filter's tail."""
        return (self.lowpass.initial_tail(batch_size, self.n_channels),)

    def forward(self, emg: Tensor, state: FrontEndState) -> tuple[Tensor, FrontEndState]:
        """Give the planes that the featurizer sees, (batch, channel, time)."""
        envelope, tail = self.lowpass(emg.abs(), state[0])
        return envelope, (tail,)


FrontEnd = RawFrontEnd | LowpassStackFrontEnd | EnvelopeFrontEnd
FrontEndConfig = RawConfig | LowpassStackConfig | EnvelopeConfig
FRONT_ENDS: Final[dict[str, Any]] = {
    "raw": RawFrontEnd,
    "lowpass_stack": LowpassStackFrontEnd,
    "envelope": EnvelopeFrontEnd,
}
