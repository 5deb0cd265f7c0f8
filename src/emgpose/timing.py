"""Which sample belongs to which frame: rates and frame grids.

A network that consumes `left_context` samples before its first output and then gives one output every `stride`
samples lives on a `FrameGrid`. Grids compose, so that derived numbers (1,790 samples of context) are computed from the
layers and never typed.
"""

from dataclasses import dataclass
from typing import Final

from emgpose.errors import ConfigError

EMG_RATE_HZ: Final = 2000
ROLLOUT_RATE_HZ: Final = 50
ROLLOUT_STRIDE: Final = EMG_RATE_HZ // ROLLOUT_RATE_HZ
if ROLLOUT_STRIDE * ROLLOUT_RATE_HZ != EMG_RATE_HZ:
    raise ConfigError(f"the rollout rate {ROLLOUT_RATE_HZ} Hz must divide the EMG rate {EMG_RATE_HZ} Hz")


@dataclass(frozen=True)
class FrameGrid:
    """Output frames of a causal network on the samples of its input.

    Parameters
    ----------
    left_context : int
        Samples before the first frame's own sample; receptive field minus one.
    stride : int
        Samples between frames.
    """

    left_context: int = 0
    stride: int = 1

    def __post_init__(self) -> None:
        if self.left_context < 0 or self.stride < 1:
            raise ConfigError(
                f"a frame grid needs left_context >= 0 and stride >= 1, got {self.left_context} and {self.stride}"
            )

    @property
    def receptive_field(self) -> int:
        """Samples that one frame sees."""
        return self.left_context + 1

    def n_frames(self, n_samples: int) -> int:
        """Frames that are complete once `n_samples` samples have arrived."""
        return max(0, (n_samples - self.left_context - 1) // self.stride + 1)

    def sample_of(self, frame: int) -> int:
        """The last sample (0-based) that frame number `frame` uses."""
        return self.left_context + frame * self.stride

    def then(self, following: "FrameGrid") -> "FrameGrid":
        """The grid of this network followed by another on its frames."""
        return FrameGrid(self.left_context + following.left_context * self.stride, self.stride * following.stride)
