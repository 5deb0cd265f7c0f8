"""What every model offers, whatever is inside."""

from abc import ABC, abstractmethod
from itertools import chain
from typing import Any, ClassVar, Final, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from emgpose.errors import ConfigError, ShapeError
from emgpose.hand import N_JOINTS
from emgpose.models.card import ModelCard, Task, tasks_of
from emgpose.models.config_json import nearest
from emgpose.models.hops import Hops, TorchHops
from emgpose.models.layout import lay_out_for_hops
from emgpose.models.resampling import StreamPlacing
from emgpose.models.rollouts import CHUNK_SAMPLES, Rollout, StreamRollout, check_samples, too_short
from emgpose.models.stream_state import StreamState
from emgpose.timing import EMG_RATE_HZ, FrameGrid
from emgpose.version import __version__

Mode = Literal["published", "stream"]
MODES: Final[tuple[Mode, ...]] = ("published", "stream")
# Samples that the published test protocol scores in each window.
SCORED_SAMPLES: Final = 10_000


class EmgModel(nn.Module, ABC):
    """EMG (batch, channel, time) at 2 kHz to joint angles (batch, joint=20, time) [rad].

    Attributes
    ----------
    name : str
    tasks : tuple of str
        What it can run: "tracking" starts from a given pose, "regression" does not use one. A multitask model has both.
    task : str
        Which of them it runs now, at first the first one; `set_task` changes it.
    left_context : int
        Samples consumed before the first prediction; predictions span [left_context, time).
    frame_grid : FrameGrid
        When the frames of a stream are complete.
    min_samples : int
        The least that a rollout needs.
    test_window : int
        Samples of one window of the published test protocol, context included.
    modes : tuple of str
        "published": one rollout over the array given. "stream": fixed grid, from the past only.
    card : ModelCard
    """

    sample_rate_hz: ClassVar[int] = EMG_RATE_HZ
    modes: tuple[Mode, ...] = MODES

    def __init__(self, config: Any, left_context: int, frame_grid: FrameGrid, min_samples: int | None = None) -> None:
        super().__init__()
        self.config = config
        self.name: str = config.name
        self.tasks: tuple[Task, ...] = tasks_of(config.task)
        self.task: Task = self.tasks[0]
        self.n_channels: int = config.n_channels
        self.left_context = left_context
        self.frame_grid = frame_grid
        self.min_samples = left_context + 1 if min_samples is None else min_samples
        self.test_window = SCORED_SAMPLES + left_context
        self.card = ModelCard(config.name, config.task, code_version=__version__)
        self.stream_placing = StreamPlacing(frame_grid.stride, frame_grid.left_context - left_context)

    @property
    def stride(self) -> int:
        """Samples between the frames of a stream."""
        return self.frame_grid.stride

    @property
    def receptive_field(self) -> int:
        """Samples that the first frame sees."""
        return self.left_context + 1

    @property
    def n_parameters(self) -> int:
        """Number of trainable weights."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next((tensor.device for tensor in chain(self.parameters(), self.buffers())), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are made of; inputs are brought to it."""
        numbers = (tensor.dtype for tensor in chain(self.parameters(), self.buffers()) if tensor.is_floating_point())
        return next(numbers, torch.float32)

    def set_task(self, task: str) -> None:
        """Choose which of its tasks the model runs from now on; the weights are the same.

        Raises
        ------
        ConfigError : a task that this model does not have.
        """
        for known in self.tasks:
            if task == known:
                self.task = known
                return
        raise ConfigError(
            f"{self.name} runs {' and '.join(self.tasks)}, not {task!r}; choose from these, or another model"
        )

    def is_causal(self, mode: Mode) -> bool:
        """Say whether no prediction of this mode uses samples after its own."""
        return self.look_ahead_samples(mode) == 0

    def look_ahead_samples(self, mode: Mode, n_samples: int | None = None) -> int:
        """Count how far past its own sample a prediction can look.

        Parameters
        ----------
        mode : "published" or "stream"
        n_samples : int
            Length of the array; the look-ahead of the published mode can depend on it. Default: the test window.
        """
        self.check_mode(mode)
        if mode == "stream":
            return 0
        return self.published_look_ahead(self.test_window if n_samples is None else n_samples)

    @abstractmethod
    def published_look_ahead(self, n_samples: int) -> int:
        """Count it for the published mode over `n_samples`."""

    def check_mode(self, mode: str) -> None:
        """Refuse a mode that this model does not have.

        Raises
        ------
        ConfigError : unknown, or "stream" for a model that needs the future.
        """
        if mode not in MODES:
            raise ConfigError(f"unknown mode {mode!r}; {nearest(str(mode), MODES)}")
        if mode not in self.modes:
            raise ConfigError(f"{self.name} cannot run in mode '{mode}': {self.why_not_causal}; use mode 'published'")

    why_not_causal: ClassVar[str] = "it is not causal"

    def prepare_for_hops(self) -> None:
        """Lay the weights out for live hops; values stay."""
        lay_out_for_hops(self)

    def check_batch(self, emg: Tensor) -> None:
        """Refuse EMG that is not (batch, channel, time).

        Raises
        ------
        ShapeError
        """
        if emg.ndim != 3 or emg.shape[1] != self.n_channels:
            raise ShapeError(
                f"the EMG has shape {tuple(emg.shape)}, {self.name} needs (batch, channel={self.n_channels}, time)"
            )

    def check_stream(self, emg: Tensor, state: StreamState) -> None:
        """Refuse EMG that is not (batch, channel, time), or of another number of streams than the state.

        Raises
        ------
        ShapeError
        """
        self.check_batch(emg)
        if len(emg) != len(state.pose):
            raise ShapeError(
                f"the EMG holds {len(emg)} streams, the state {len(state.pose)}; begin with "
                f"initial_state(batch_size={len(emg)})"
            )

    def check_window(self, emg: Tensor) -> None:
        """Refuse EMG that is not (batch, channel, time) or too short for one prediction.

        Raises
        ------
        ShapeError
        """
        self.check_batch(emg)
        if emg.shape[-1] < self.min_samples:
            raise too_short(emg.shape[-1], self.name, self.min_samples)

    def start_pose(self, initial_pose: Tensor | None, batch_size: int) -> Tensor:
        """Give the pose (batch, joint) from which a rollout starts: zeros, unless tracking is given one."""
        if initial_pose is None or self.task == "regression":
            return torch.zeros((batch_size, N_JOINTS), device=self.device, dtype=self.dtype)
        if initial_pose.shape != (batch_size, N_JOINTS):
            raise ShapeError(
                f"the initial pose has shape {tuple(initial_pose.shape)}, "
                f"expected (batch={batch_size}, joint={N_JOINTS})"
            )
        return initial_pose.to(self.dtype)

    @abstractmethod
    def rollout(self, emg: Tensor, initial_pose: Tensor | None = None) -> Tensor:
        """Predict each sample after the context, in published mode; differentiable.

        Parameters
        ----------
        emg : Tensor, shape (batch, channel, time)
        initial_pose : Tensor, shape (batch, joint=20) [rad], or None
            The pose at sample `left_context`; regression does not use it.

        Returns
        -------
        Tensor, shape (batch, joint=20, time - left_context) [rad]

        Raises
        ------
        ShapeError
        """

    def initial_state(self, initial_pose: Tensor | None = None, batch_size: int = 1) -> StreamState:
        """Begin a stream.

        Raises
        ------
        ConfigError : the model is not causal.
        """
        raise ConfigError(f"{self.name} cannot stream: {self.why_not_causal}")

    def forward(self, emg: Tensor, state: StreamState) -> tuple[Tensor, StreamState]:
        """Continue a stream.

        Parameters
        ----------
        emg : Tensor, shape (batch, channel, time)
            The next samples; any number, even none.
        state : StreamState

        Returns
        -------
        (joint_angles, state) : the frames that are complete now, (batch, joint=20, frame) [rad], on `frame_grid`.

        Raises
        ------
        ConfigError : the model is not causal.
        ShapeError
        """
        raise ConfigError(f"{self.name} cannot stream: {self.why_not_causal}")

    def hops(self, state: StreamState) -> Hops:
        """Continue one stream hop by hop, with arrays: the same poses as by `forward`, with less around them.

        Call `prepare_for_hops` first. Weights may change meanwhile, but layers must not be exchanged, nor hooks added.
        """
        return TorchHops(self, state)

    def begin(self, mode: Mode = "published", initial_pose: ArrayLike | None = None) -> Rollout:
        """Begin a recording that is fed in chunks; see `emgpose.models.rollouts`. Put the model in eval mode first."""
        self.check_mode(mode)
        return StreamRollout(self, initial_pose) if mode == "stream" else self.begin_published(initial_pose)

    @abstractmethod
    def begin_published(self, initial_pose: ArrayLike | None = None) -> Rollout:
        """Begin it in published mode: what `rollout` gives for the whole recording, in memory that does not grow."""

    def predict(
        self, emg: ArrayLike, initial_pose: ArrayLike | None = None, mode: Mode = "published"
    ) -> NDArray[np.float32]:
        """Predict the hand pose for one recording.

        Parameters
        ----------
        emg : array, shape (time, channel)
            At the model's rate, preprocessed as its card says.
        initial_pose : array, shape (joint=20,) [rad], or None
            The pose at sample `left_context`, for tracking; None is the model's own: the learned one, else the rest
            pose.
        mode : "published" or "stream"
            "published" depends on the array's length and may look ahead; "stream" is causal.

        Returns
        -------
        array, shape (time - left_context, joint=20) [rad]; row 0 is sample `left_context`.

        Raises
        ------
        ShapeError : too short, or another number of channels or joints.
        DataError : NaN or infinite values.
        ConfigError : a mode that this model does not have.
        """
        self.check_mode(mode)
        # The whole array is checked first, so that the message does not depend on the chunks.
        array = check_samples(emg, self.n_channels)
        if len(array) < self.min_samples:
            raise too_short(len(array), self.name, self.min_samples)
        were_training = [module for module in self.modules() if module.training]
        self.eval()
        try:
            rollout = self.begin(mode, initial_pose)
            for start in range(0, len(array), CHUNK_SAMPLES):
                rollout.feed(array[start : start + CHUNK_SAMPLES])
            return rollout.finish().joint_angles()
        finally:
            # Each by itself: fine-tuning may keep some of them in eval mode.
            for module in were_training:
                module.training = True
