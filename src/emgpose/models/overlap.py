"""The published mode of networks that look ahead, over a recording of any length.

The recording is cut into overlapping blocks, of which only the core counts.
"""

from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from emgpose.hand import N_JOINTS
from emgpose.models.resampling import align_centres
from emgpose.models.rollouts import FrameStore, PoseTrack, check_samples, rows_of, too_short

# Samples of a block that count; with less, the margins would cost more than the core.
_CORE_SAMPLES: Final = 20_480


class BlockModel(Protocol):
    """What a model says about its blocks.

    `unit` samples are one step of its coarsest grid; a frame comes every `stride` samples and depends on nothing
    farther than `margin` samples from its own.
    """

    name: str
    n_channels: int
    left_context: int
    min_samples: int
    unit: int
    margin: int

    @property
    def stride(self) -> int: ...  # noqa: D102

    @property
    def device(self) -> torch.device: ...  # noqa: D102

    @property
    def dtype(self) -> torch.dtype: ...  # noqa: D102

    def frames(self, emg: Tensor) -> Tensor: ...  # noqa: D102


class OverlapRollout:
    """Runs a network block by block; equal to one run over everything but for rounding."""

    def __init__(self, model: BlockModel) -> None:
        self._model = model
        self._core = model.unit * max(1, _CORE_SAMPLES // model.unit)
        self._margin = model.unit * -(-model.margin // model.unit)
        self._buffer = np.empty((0, model.n_channels), dtype=np.float32)
        # Sample numbers of the buffer's first row, of the next core's first sample, and of what comes next.
        self._first = self._next_core = self._n_samples = 0
        self._frames = FrameStore(N_JOINTS)

    def feed(self, emg: ArrayLike) -> None:
        """Take the next samples, (time, channel)."""
        array = check_samples(emg, self._model.n_channels, self._n_samples)
        self._n_samples += len(array)
        self._buffer = np.concatenate((self._buffer, array))
        while self._n_samples >= self._next_core + self._core + self._margin:
            self._run(self._next_core + self._core)

    def finish(self) -> PoseTrack:
        """Run what is left and give the poses; they are laid on the samples when read."""
        model, n_samples = self._model, self._n_samples
        if n_samples < model.min_samples:
            raise too_short(n_samples, model.name, model.min_samples)
        self._run(None)
        n_rows, n_frames = n_samples - model.left_context, self._frames.n_rows
        return PoseTrack(
            model.left_context, n_rows, self._frames, lambda rows: align_centres(rows, n_in=n_frames, n_out=n_rows)
        )

    @torch.inference_mode()
    def _run(self, core_stop: int | None) -> None:
        """Keep the frames of the next core, up to sample `core_stop` (None: to the end)."""
        stop = self._n_samples if core_stop is None else core_stop + self._margin
        samples = self._buffer[: stop - self._first].T[None]
        block = torch.tensor(samples, device=self._model.device, dtype=self._model.dtype)
        if block.shape[-1] < self._model.min_samples:
            return
        frames = rows_of(self._model.frames(block))
        stride = self._model.stride
        last = None if core_stop is None else (core_stop - self._first) // stride
        self._frames.append(frames[(self._next_core - self._first) // stride : last])
        if core_stop is not None:
            self._next_core = core_stop
            first = max(0, core_stop - self._margin)
            self._buffer, self._first = self._buffer[first - self._first :], first
