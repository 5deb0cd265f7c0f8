"""A stream of one band in numpy: between hops its state stays in arrays."""

from collections.abc import Sequence
from contextvars import copy_context
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from emgpose.models.hops import TorchHops
from emgpose.models.in_numpy.layers import Rows
from emgpose.models.in_numpy.path import WITHOUT_OVERFLOW, NumpyFeaturizer, NumpyRollout, array_of_rows, tensor_of_rows
from emgpose.models.stream_state import StreamState
from emgpose.timing import ROLLOUT_STRIDE

# Numpy goes frame by frame: up to 0.3 s of EMG (the shipped model) or 1 s (tracking_vemg2pose) that is faster.
LONGEST_IN_NUMPY_SAMPLES: Final = 1000


class NumpyHops:
    """A stream of a `PoseModel` that was prepared for hops and has no tails in its front end.

    Chunks much longer than a hop are computed by torch, and so are those with numbers beyond float32.

    Parameters
    ----------
    model : PoseModel
    state : StreamState
        Of one stream; it is not changed.
    featurizer, rollout : what stands in for those of the model, for this stream alone
    """

    def __init__(self, model: Any, state: StreamState, featurizer: NumpyFeaturizer, rollout: NumpyRollout) -> None:
        self._model, self._featurizer, self._rollout = model, featurizer, rollout
        self._n_features: int = model.featurizer.n_features
        # Entering numpy's `errstate` at every hop would cost more than a layer.
        self._without_overflow = copy_context()
        self._without_overflow.run(lambda: np.seterr(**WITHOUT_OVERFLOW))
        self._take(state)

    def push(self, emg: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next samples (time, channel) and give the poses that are complete, (step, joint=20) [rad]."""
        if len(emg) > LONGEST_IN_NUMPY_SAMPLES:
            return self._push_in_torch(emg)
        try:
            return self._without_overflow.run(self._push, emg)
        except FloatingPointError:
            return self._push_in_torch(emg)

    def state(self) -> StreamState:
        """Give what the stream remembers now; later hops do not change it."""
        return StreamState(
            torch.from_numpy(self._pose[None].copy()),
            tuple(tensor_of_rows(tail.copy()) for tail in self._tails),
            tuple(torch.from_numpy(vector[None].copy()) for vector in self._decoder),
            tensor_of_rows(np.array(self._features, dtype=np.float32).reshape(-1, self._n_features)),
            self._n_samples,
            self._n_steps,
        )

    def _push_in_torch(self, emg: NDArray[np.float32]) -> NDArray[np.float32]:
        in_torch = TorchHops(self._model, self.state())
        poses = in_torch.push(emg)
        self._take(in_torch.state())
        return poses

    def _take(self, state: StreamState) -> None:
        self._pose = state.pose.detach().numpy()[0]
        self._tails = [array_of_rows(tail) for tail in state.tails]
        self._decoder: Sequence[NDArray[np.float32]] = [tensor.detach().numpy()[0] for tensor in state.decoder]
        # Of each frame that coming steps still use.
        self._features = list(array_of_rows(state.features))
        self._n_samples, self._n_steps = state.n_samples, state.n_steps

    def _push(self, emg: NDArray[np.float32]) -> NDArray[np.float32]:
        """Do as `PoseModel.forward`; nothing is kept before all is computed."""
        model = self._model
        new, tails = self._featurizer(emg, self._tails)
        features = self._features + new
        n_samples = self._n_samples + len(emg)
        n_steps = model.frame_grid.n_frames(n_samples)
        first_frame = model.feature_grid.n_frames(n_samples) - len(features)
        rows = self._blended(features, first_frame, n_steps)
        poses, decoder = self._rollout(model.update, rows, self._pose, self._decoder, self._n_steps)
        n_done = max(0, n_steps * ROLLOUT_STRIDE // model.feature_grid.stride - first_frame)
        self._tails, self._decoder, self._features = tails, decoder, features[n_done:]
        self._n_samples, self._n_steps = n_samples, n_steps
        if len(poses):
            # A copy: who gets the poses may change them.
            self._pose = poses[-1].copy()
        return poses

    def _blended(self, features: list[NDArray[np.float32]], first_frame: int, n_steps: int) -> Rows:
        """Give the features of each step that is due, (step, feature); as `PoseModel.steps_due`, in plain numbers."""
        stride, is_linear = self._model.feature_grid.stride, self._model.stream_placing.is_linear
        rows = np.empty((n_steps - self._n_steps, self._n_features), dtype=np.float32)
        last = len(features) - 1
        for place in range(len(rows)):
            frame, rest = divmod((self._n_steps + place) * ROLLOUT_STRIDE, stride)
            lower = min(frame - first_frame, last)
            rows[place] = features[lower]
            if is_linear and rest:
                weight = np.float32(rest / stride)
                rows[place] = features[lower] * (1 - weight) + features[min(lower + 1, last)] * weight
        return rows
