"""What a model remembers between two calls of a stream."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from emgpose.errors import StreamError
from emgpose.hand import N_JOINTS

_EXPECTED: Final = "what StreamState.to_tensors gave"


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
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "StreamState":
        """Make the state again from what `to_tensors` gave.

        Raises
        ------
        StreamError : an entry is missing, unknown, no tensor, or misshapen.
        """
        if not isinstance(tensors, Mapping):
            raise StreamError(f"the stream state is of type {type(tensors).__name__}; expected {_EXPECTED}")
        tails, decoder = (_numbered(tensors, prefix) for prefix in ("tails", "decoder"))
        known = {"pose", "features", "counters", *tails, *decoder}
        for name in tensors:
            if name not in known:
                raise StreamError(f"the stream state holds {name!r}; expected {_EXPECTED}")
        pose, features, counters = (_entry(tensors, name) for name in ("pose", "features", "counters"))
        if pose.ndim != 2 or pose.shape[1] != N_JOINTS:
            raise StreamError(f"the stream state's pose has shape {tuple(pose.shape)}, expected (batch, {N_JOINTS})")
        batched = tails | decoder | ({"features": features} if features.numel() else {})
        for name, tensor in batched.items():
            if tensor.ndim < 2 or len(tensor) != len(pose):
                raise StreamError(
                    f"the stream state's {name} has shape {tuple(tensor.shape)}, expected one row for each of its "
                    f"{len(pose)} streams"
                )
        n_samples, n_steps = _counters(counters)
        return cls(pose, tuple(tails.values()), tuple(decoder.values()), features, n_samples, n_steps)


def _entry(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    """Give one tensor of a saved state."""
    tensor = tensors.get(name)
    if not isinstance(tensor, Tensor):
        got = "it is missing" if tensor is None else f"got {type(tensor).__name__}"
        raise StreamError(f"the stream state's {name} must be a tensor, {got}; expected {_EXPECTED}")
    return tensor


def _numbered(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Give the tensors `prefix`.0, `prefix`.1, ... of a saved state, in that order."""
    count = sum(str(name).startswith(f"{prefix}.") for name in tensors)
    return {name: _entry(tensors, name) for name in (f"{prefix}.{index}" for index in range(count))}


def _counters(counters: Tensor) -> tuple[int, int]:
    """Read the samples taken and the frames given."""
    if counters.shape != (2,) or counters.is_floating_point() or counters.is_complex() or counters.min() < 0:
        raise StreamError(
            f"the stream state's counters are {counters.tolist()}, expected two whole numbers from 0 on: EMG samples "
            "taken and frames given"
        )
    n_samples, n_steps = counters.tolist()
    return int(n_samples), int(n_steps)
