"""What a model remembers between two calls of a stream."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class StreamState:
    """Explicit state of one batch of streams; made by `model.initial_state`, passed in and out of `model(emg, state)`.

    Parameters
    ----------
    pose : Tensor, shape (batch, joint=20) [rad]
        The last pose given, or the initial one.
    tails : tuple of Tensor, each (batch, channel, time)
        Per convolution: the input that its next frame needs.
    decoder : tuple of Tensor
        The decoder's own state.
    features : Tensor, shape (batch, feature, frame)
        Feature frames that coming rollout steps still use.
    n_samples, n_steps : int
        EMG samples taken and frames given since the stream began.
    """

    pose: Tensor
    tails: tuple[Tensor, ...] = ()
    decoder: tuple[Tensor, ...] = ()
    features: Tensor = field(default_factory=lambda: torch.zeros(0))
    n_samples: int = 0
    n_steps: int = 0

    def copy(self) -> "StreamState":
        """Give an independent copy."""
        return StreamState.from_tensors({name: tensor.clone() for name, tensor in self.to_tensors().items()})

    def to_tensors(self) -> dict[str, Tensor]:
        """Give everything as named tensors, for a file or another process."""
        tensors = {"pose": self.pose, "features": self.features}
        tensors |= {f"tails.{index}": tensor for index, tensor in enumerate(self.tails)}
        tensors |= {f"decoder.{index}": tensor for index, tensor in enumerate(self.decoder)}
        return tensors | {"counters": torch.tensor([self.n_samples, self.n_steps], dtype=torch.int64)}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "StreamState":
        """Make the state again from what `to_tensors` gave."""

        def numbered(prefix: str) -> tuple[Tensor, ...]:
            count = sum(name.startswith(f"{prefix}.") for name in tensors)
            return tuple(tensors[f"{prefix}.{index}"] for index in range(count))

        n_samples, n_steps = tensors["counters"].tolist()
        return cls(
            tensors["pose"], numbered("tails"), numbered("decoder"), tensors["features"], int(n_samples), int(n_steps)
        )
