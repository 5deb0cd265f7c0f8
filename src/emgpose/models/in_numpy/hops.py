"""A stream of one band in numpy: between hops its state stays in arrays."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emgpose.models.hops import TorchHops
from emgpose.models.in_numpy.path import (
    NumpyFeaturizer,
    NumpyRollout,
    array_of_rows,
    no_overflow,
    tensor_of_rows,
)
from emgpose.models.resampling import blend_rows
from emgpose.models.stream_state import StreamState


class NumpyHops:
    """A stream of a `PoseModel` that was prepared for hops and has no tails in its front end.

    A hop with numbers beyond float32 is computed by torch.

    Parameters
    ----------
    model : PoseModel
    state : StreamState
        Of one stream; it is not changed.
    featurizer, rollout : what stands in for those of the model
    """

    def __init__(self, model: Any, state: StreamState, featurizer: NumpyFeaturizer, rollout: NumpyRollout) -> None:
        self._model, self._featurizer, self._rollout = model, featurizer, rollout
        self._take(state)

    def push(self, emg: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next samples (time, channel) and give the poses that are complete, (step, joint=20) [rad]."""
        try:
            with no_overflow():
                return self._push(emg)
        except FloatingPointError:
            in_torch = TorchHops(self._model, self.state())
            poses = in_torch.push(emg)
            self._take(in_torch.state())
            return poses

    def state(self) -> StreamState:
        """Give what the stream remembers now; later hops do not change it."""
        return StreamState(
            torch.from_numpy(self._pose[None].copy()),
            tuple(tensor_of_rows(tail) for tail in self._tails),
            tuple(torch.from_numpy(vector[None]) for vector in self._decoder),
            tensor_of_rows(self._features),
            self._n_samples,
            self._n_steps,
        )

    def _take(self, state: StreamState) -> None:
        self._pose = state.pose.detach().numpy()[0]
        self._tails = [array_of_rows(tail) for tail in state.tails]
        self._decoder = [tensor.detach().numpy()[0] for tensor in state.decoder]
        self._features = array_of_rows(state.features)
        self._n_samples, self._n_steps = state.n_samples, state.n_steps

    def _push(self, emg: NDArray[np.float32]) -> NDArray[np.float32]:
        """Do as `PoseModel.forward`; nothing is kept before all is computed."""
        new, tails = self._featurizer(emg, self._tails)
        features = np.concatenate((self._features, new))
        n_samples = self._n_samples + len(emg)
        used, first_frame, n_steps, n_done = self._model.steps_due(self._n_steps, n_samples, len(features))
        rows = blend_rows(features, used, first_frame)
        poses, decoder = self._rollout(self._model.update, rows, self._pose, self._decoder, self._n_steps)
        self._tails, self._decoder, self._features = tails, list(decoder), features[n_done:].copy()
        self._n_samples, self._n_steps = n_samples, n_steps
        if len(poses):
            # A copy: who gets the poses may change them.
            self._pose = poses[-1].copy()
        return poses
