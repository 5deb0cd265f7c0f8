"""A stream of one band, hop by hop, arrays in and arrays out: what a live engine runs."""

from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from emgpose.models.stream_state import StreamState

if TYPE_CHECKING:
    from emgpose.models.emg_model import EmgModel


class Hops(Protocol):
    """A stream under way; made by `EmgModel.hops`."""

    def push(self, emg: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next samples (time, channel) and give the poses that are complete, (step, joint=20) [rad]."""

    def state(self) -> StreamState:
        """Give what the stream remembers now; later hops do not change it."""


class TorchHops:
    """A stream of any causal model, on its device.

    Parameters
    ----------
    model : EmgModel
    state : StreamState
        Of one stream.
    """

    def __init__(self, model: "EmgModel", state: StreamState) -> None:
        self._model, self._state = model, state
        # Found by a walk through all weights, so not at every hop.
        self._device, self._dtype = model.device, model.dtype

    @torch.no_grad()
    def push(self, emg: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next samples; see `Hops`."""
        samples = torch.from_numpy(np.ascontiguousarray(emg.T)[None]).to(self._device, self._dtype)
        poses, self._state = self._model(samples, self._state)
        rows: NDArray[np.float32] = poses[0].T.float().cpu().numpy()
        return rows

    def state(self) -> StreamState:
        """Give what the stream remembers now."""
        return self._state
