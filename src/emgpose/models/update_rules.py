"""How a decoder's output moves the pose: velocity, position, or position first and velocity after."""

from dataclasses import dataclass
from typing import ClassVar, Final

from torch import Tensor
from torch.nn import functional

from emgpose.errors import ConfigError
from emgpose.hand import N_JOINTS
from emgpose.timing import EMG_RATE_HZ, ROLLOUT_RATE_HZ


@dataclass(frozen=True)
class VelocityUpdate:
    """The output is added to the previous pose."""

    kind: ClassVar[str] = "velocity"
    outputs_per_joint: ClassVar[int] = 1

    def __call__(self, step: int, output: Tensor, pose: Tensor) -> Tensor:
        """Give the pose (batch, joint) [rad] of rollout step `step`."""
        return pose + output

    def backward(self, step: int, gradient: Tensor) -> tuple[Tensor, Tensor | None]:
        """Turn the gradient of the new pose into those of the output and of the previous pose (None: no influence)."""
        return gradient, gradient


@dataclass(frozen=True)
class PositionUpdate:
    """The output is the pose."""

    kind: ClassVar[str] = "position"
    outputs_per_joint: ClassVar[int] = 1

    def __call__(self, step: int, output: Tensor, pose: Tensor) -> Tensor:
        """Give the pose (batch, joint) [rad] of rollout step `step`."""
        return output

    def backward(self, step: int, gradient: Tensor) -> tuple[Tensor, Tensor | None]:
        """Turn the gradient of the new pose into those of the output and of the previous pose (None: no influence)."""
        return gradient, None


@dataclass(frozen=True)
class HybridUpdate:
    """The first outputs per joint are the pose for a while, the second ones its change after that.

    Parameters
    ----------
    position_samples : int
        For how many EMG samples after the context the position output holds; steps are counted from the start of
        the rollout, so in a stream from its first sample.
    """

    kind: ClassVar[str] = "hybrid"
    outputs_per_joint: ClassVar[int] = 2
    position_samples: int = 500

    def __post_init__(self) -> None:
        if self.position_samples < 1:
            raise ConfigError(f"position_samples must be at least 1, got {self.position_samples}")

    @property
    def position_steps(self) -> int:
        """Rollout steps that use the position output; 12 for 500 samples (half to even)."""
        return round(self.position_samples * ROLLOUT_RATE_HZ / EMG_RATE_HZ)

    def __call__(self, step: int, output: Tensor, pose: Tensor) -> Tensor:
        """Give the pose (batch, joint) [rad] of rollout step `step`."""
        if step < self.position_steps:
            return output[:, :N_JOINTS]
        return pose + output[:, N_JOINTS:]

    def backward(self, step: int, gradient: Tensor) -> tuple[Tensor, Tensor | None]:
        """Turn the gradient of the new pose into those of the output and of the previous pose (None: no influence)."""
        if step < self.position_steps:
            return functional.pad(gradient, (0, N_JOINTS)), None
        return functional.pad(gradient, (N_JOINTS, 0)), gradient


UpdateRule = VelocityUpdate | PositionUpdate | HybridUpdate
UPDATE_RULES: Final = {"velocity": VelocityUpdate, "position": PositionUpdate, "hybrid": HybridUpdate}
