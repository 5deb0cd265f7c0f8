"""The pose model: front end x featurizer x decoder x update rule, each chosen by name.

Pipeline: EMG at 2 kHz -> front end -> features (25 Hz at the published sizes) -> rollout at 50 Hz, in which each step
sees the features and the previous pose -> joint angles.
Timing: the context follows from the featurizer (1,790 samples as published). Two ways to run:
"published" (alignment "published") resamples the features to the rollout's steps and the poses to the samples over the
whole array, so it depends on the array's length and looks ahead; "stream" uses a fixed grid and the past only. With
alignment "grid" both are the fixed grid.
Output scale, recipe and sizes: see `MODELS`.

Sources: Salter et al. 2024 (arXiv 2412.02725); Hadidi et al. (arXiv 2603.08212) for learned initial poses.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from math import gcd
from typing import Any, ClassVar, Final, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional

from emgpose.errors import ConfigError
from emgpose.hand import N_JOINTS
from emgpose.models.card import ModelTask, check_n_channels, check_task
from emgpose.models.config_json import read_dataclass, read_kind
from emgpose.models.convnet import ConvNetConfig, ConvNetFeaturizer
from emgpose.models.decoders import DECODERS, Decoder, DecoderConfig, DecoderState, LstmConfig
from emgpose.models.emg_model import EmgModel
from emgpose.models.front_ends import FRONT_ENDS, FrontEnd, FrontEndConfig, RawConfig
from emgpose.models.hops import Hops, TorchHops
from emgpose.models.in_numpy import (
    NumpyHops,
    NumpyRollout,
    array_of_rows,
    has_one_thread,
    may_run_in_numpy,
    no_overflow,
    prepare_for_hops,
    prepared_for,
    rollout_of,
    tensor_of_rows,
)
from emgpose.models.plain_layers import are_layers_plain
from emgpose.models.resampling import Between, StreamPlacing, align_centres, align_corners, blend
from emgpose.models.rollout_gradient import can_run_at_once, roll_out_steps
from emgpose.models.rollouts import ChunkedEmg, FrameStore, PoseTrack, Rollout, StreamRollout, batch_of_one, rows_of
from emgpose.models.stream_state import StreamState
from emgpose.models.tds import TdsConfig, TdsFeaturizer
from emgpose.models.update_rules import UPDATE_RULES, UpdateRule, VelocityUpdate
from emgpose.timing import EMG_RATE_HZ, ROLLOUT_RATE_HZ, ROLLOUT_STRIDE, FrameGrid

Featurizer = TdsFeaturizer | ConvNetFeaturizer
FeaturizerConfig = TdsConfig | ConvNetConfig
FEATURIZERS: Final[dict[str, Any]] = {"tds": TdsFeaturizer, "convnet": ConvNetFeaturizer}
# Rollout steps that a long recording projects at a time.
_STEPS_AT_ONCE: Final = 512
_WINDOWS_AT_ONCE: Final = 4


@dataclass(frozen=True)
class PoseModelConfig:
    """Names and numbers of a `PoseModel`.

    Parameters
    ----------
    name : str
    task : "tracking", "regression" or "multitask"
        "multitask" runs both with the same weights, so it needs a learned initial pose.
    front_end, featurizer, decoder, update : configuration of the part
    alignment : "published" or "grid"
        How `rollout` lays steps on samples; "grid" is the stream's way.
    between : "hold" or "linear"
        How a stream fills in between feature frames and between poses; "linear" comes later (by 40 ms where features
        come at 25 Hz).
    learned_initial_pose : bool
        Whether the pose that a rollout starts from when none is given is a weight; else zeros.
    n_channels : int
    """

    kind: ClassVar[str] = "pose"
    name: str
    task: ModelTask
    front_end: FrontEndConfig = field(default_factory=RawConfig)
    featurizer: FeaturizerConfig = field(default_factory=TdsConfig)
    decoder: DecoderConfig = field(default_factory=LstmConfig)
    update: UpdateRule = field(default_factory=VelocityUpdate)
    alignment: Literal["published", "grid"] = "published"
    between: Literal["hold", "linear"] = "hold"
    learned_initial_pose: bool = False
    n_channels: int = 16

    def __post_init__(self) -> None:
        check_task(self.task)
        if self.alignment not in ("published", "grid") or self.between not in ("hold", "linear"):
            raise ConfigError(
                f"alignment must be 'published' or 'grid' and between 'hold' or 'linear', "
                f"got {self.alignment!r} and {self.between!r}"
            )
        if self.task == "multitask" and not self.learned_initial_pose:
            raise ConfigError(
                "a multitask model needs learned_initial_pose: without it, regression would have to start from the "
                "pose of all zeros that tracking never sees; set it to true, or choose one task"
            )
        check_n_channels(self.n_channels)

    @classmethod
    def from_config(cls, values: Mapping[str, Any], where: str) -> "PoseModelConfig":
        """Read JSON values; every part is checked.

        Raises
        ------
        ConfigError
        """
        given = {}
        for part, kinds in PART_CONFIGS.items():
            if part in values:
                part_where = f"{where}.{part}"
                kind = read_kind(kinds, values[part], part_where)
                given[part] = read_dataclass(kind, values[part], part_where)
        config: PoseModelConfig = read_dataclass(cls, values, where, given)
        return config


PART_CONFIGS: Final[dict[str, dict[str, type]]] = {
    "front_end": {name: part.config_type for name, part in FRONT_ENDS.items()},
    "featurizer": {name: part.config_type for name, part in FEATURIZERS.items()},
    "decoder": {name: part.config_type for name, part in DECODERS.items()},
    "update": dict(UPDATE_RULES),
}


class PoseModel(EmgModel):
    """A rollout of poses over features of the EMG; see the module for pipeline and timing."""

    config: PoseModelConfig
    initial_pose: nn.Parameter | None

    def __init__(self, config: PoseModelConfig) -> None:
        front_end: FrontEnd = FRONT_ENDS[config.front_end.kind](config.front_end, config.n_channels)
        featurizer: Featurizer = FEATURIZERS[config.featurizer.kind](config.featurizer, front_end.n_channels)
        is_linear = config.between == "linear"
        grid = featurizer.grid
        # With "linear", a step waits for the feature frame after it.
        wait = grid.stride - gcd(grid.stride, ROLLOUT_STRIDE) if is_linear else 0
        super().__init__(config, grid.left_context, FrameGrid(grid.left_context + wait, ROLLOUT_STRIDE))
        self.stream_placing = StreamPlacing(ROLLOUT_STRIDE, wait, is_linear)
        self.feature_grid = grid
        self.front_end = front_end
        self._n_front_tails = len(front_end.initial_state(1))
        self.featurizer = featurizer
        n_outputs = config.update.outputs_per_joint * N_JOINTS
        self.decoder: Decoder = DECODERS[config.decoder.kind](config.decoder, featurizer.n_features, n_outputs)
        self.update = config.update
        self.initial_pose = nn.Parameter(torch.zeros(N_JOINTS)) if config.learned_initial_pose else None

    def start_pose(self, initial_pose: Tensor | None, batch_size: int) -> Tensor:
        """Give the first pose (batch, joint): the one given to tracking, else the learned one, else zeros."""
        if self.initial_pose is not None and (initial_pose is None or self.task == "regression"):
            return self.initial_pose.expand(batch_size, -1)
        return super().start_pose(initial_pose, batch_size)

    def prepare_for_hops(self) -> None:  # noqa: D102 - as in EmgModel
        prepare_for_hops((self.featurizer, self.decoder))

    # --- features

    def tails(self, batch_size: int) -> tuple[Tensor, ...]:
        """Give the state of front end and featurizer before the first sample."""
        return (*self.front_end.initial_state(batch_size), *self.featurizer.initial_state(batch_size))

    def featurize(self, emg: Tensor, tails: tuple[Tensor, ...] | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Give the feature frames (batch, feature, frame) that are complete, and the new tails."""
        if tails is None:
            tails = self.tails(emg.shape[0])
        n_front = self._n_front_tails
        planes, front_state = self.front_end(emg, tails[:n_front])
        features, featurizer_state = self.featurizer(planes, tails[n_front:])
        return features, (*front_state, *featurizer_state)

    # --- steps

    def steps(
        self, features: Tensor, pose: Tensor, state: DecoderState, first: int
    ) -> tuple[Tensor, Tensor, DecoderState]:
        """Roll out one step per feature frame (batch, feature, step); the first is step number `first`.

        Returns
        -------
        (poses (batch, joint, step), the last pose, the decoder's state)
        """
        # With several threads, torch's and numpy's would keep each other from working.
        if features.shape[-1] and may_run_in_numpy(features) and has_one_thread():
            rollout = rollout_of(self.decoder)
            if rollout is not None:
                with suppress(FloatingPointError), no_overflow():
                    return self._steps_in_numpy(rollout, features, pose, state, first)
        if can_run_at_once(features) and are_layers_plain(self.decoder):
            rows, state = roll_out_steps(self.decoder.rollout_layers(), self.update, features, pose, state, first)
            return rows.permute(1, 2, 0), rows[-1].clone(), state
        by_step: list[Tensor] = []
        for offset, projected in enumerate(self.decoder.project(features).unbind(0)):
            output, state = self.decoder.step(projected, pose, state)
            pose = self.update(first + offset, output, pose)
            by_step.append(pose)
        stacked = torch.stack(by_step, dim=-1) if by_step else pose.new_zeros((*pose.shape, 0))
        return stacked, pose, state

    def _steps_in_numpy(
        self, rollout: NumpyRollout, features: Tensor, pose: Tensor, state: DecoderState, first: int
    ) -> tuple[Tensor, Tensor, DecoderState]:
        of_decoder = [tensor.detach().numpy()[0] for tensor in state]
        poses, new = rollout(self.update, array_of_rows(features), pose.detach().numpy()[0], of_decoder, first)
        last = torch.from_numpy(poses[-1:].copy())
        return tensor_of_rows(poses), last, tuple(torch.from_numpy(vector[None]) for vector in new)

    def published_steps(self, n_rows: int) -> int:
        """Count the rollout steps over `n_rows` samples after the context: rounded half to even, at least one."""
        return max(1, round(n_rows / EMG_RATE_HZ * ROLLOUT_RATE_HZ))

    def frames_of_steps(self, steps: NDArray[np.int64], n_frames: int) -> Between:
        """Give the feature frames that each step of a stream uses."""
        # The last step never needs more than the last frame, so `n_frames` only bounds the index.
        # Whole numbers: a product with a rounded ratio would now and then fall just below a frame.
        if not self.stream_placing.is_linear:
            lower = np.minimum(steps * ROLLOUT_STRIDE // self.feature_grid.stride, n_frames - 1)
            return Between(lower, lower, np.zeros(len(steps), dtype=np.float32))
        lower, rest = np.divmod(steps * ROLLOUT_STRIDE, self.feature_grid.stride)
        lower = np.minimum(lower, n_frames - 1)
        weight = (rest / self.feature_grid.stride).astype(np.float32)
        return Between(lower, np.minimum(lower + 1, n_frames - 1), weight)

    # --- published

    def rollout(self, emg: Tensor, initial_pose: Tensor | None = None) -> Tensor:  # noqa: D102 - as in EmgModel
        self.check_window(emg)
        # Early layers are large: without gradients, which keep them all, a few windows at a time.
        parts = (emg,) if torch.is_grad_enabled() else emg.split(_WINDOWS_AT_ONCE)
        features = torch.cat([self.featurize(part)[0] for part in parts])
        return self.roll_out(features, emg.shape[-1], initial_pose)

    def roll_out(self, features: Tensor, n_samples: int, initial_pose: Tensor | None = None) -> Tensor:
        """Predict from the features (batch, feature, frame) of `n_samples` of EMG; the second half of `rollout`."""
        batch_size, _, n_frames = features.shape
        n_rows = n_samples - self.left_context
        pose, state = self.start_pose(initial_pose, batch_size), self.decoder.initial_state(batch_size)
        if self.config.alignment == "grid":
            used = self.frames_of_steps(np.arange(self.frame_grid.n_frames(n_samples)), n_frames)
            poses, _, _ = self.steps(blend(features, used), pose, state, 0)
            return blend(torch.cat((pose[..., None], poses), dim=-1), self.stream_placing(np.arange(n_rows)))
        features = functional.interpolate(features, self.published_steps(n_rows), mode="linear", align_corners=True)
        poses, _, _ = self.steps(features, pose, state, 0)
        return functional.interpolate(poses, n_rows, mode="linear", align_corners=False)

    def published_look_ahead(self, n_samples: int) -> int:
        """Count it exactly, from the frames and steps that each sample uses."""
        if self.config.alignment == "grid":
            return 0
        n_rows, n_frames = n_samples - self.left_context, self.feature_grid.n_frames(n_samples)
        n_steps = self.published_steps(n_rows)
        rows = np.arange(n_rows)
        steps = align_centres(rows, n_steps, n_rows)
        newest_step = np.where(steps.weight > 0, steps.upper, steps.lower)
        frames = align_corners(newest_step, n_frames, n_steps)
        newest_frame = np.where(frames.weight > 0, frames.upper, frames.lower)
        return max(0, int((newest_frame * self.feature_grid.stride - rows).max()))

    # --- stream

    def initial_state(self, initial_pose: Tensor | None = None, batch_size: int = 1) -> StreamState:
        """Begin a stream.

        Parameters
        ----------
        initial_pose : Tensor, shape (batch, joint=20) [rad], or None
            Used by tracking; it also says the batch size.
        batch_size : int
        """
        batch_size = batch_size if initial_pose is None else len(initial_pose)
        pose = self.start_pose(initial_pose, batch_size)
        features = pose.new_zeros((batch_size, self.featurizer.n_features, 0))
        return StreamState(pose, self.tails(batch_size), self.decoder.initial_state(batch_size), features)

    def forward(self, emg: Tensor, state: StreamState) -> tuple[Tensor, StreamState]:  # noqa: D102 - as in EmgModel
        self.check_stream(emg, state)
        new, tails = self.featurize(emg, state.tails)
        features = torch.cat((state.features, new), dim=-1)
        n_samples = state.n_samples + emg.shape[-1]
        used, first_frame, n_steps, n_done = self.steps_due(state.n_steps, n_samples, features.shape[-1])
        poses, pose, decoder = self.steps(blend(features, used, first_frame), state.pose, state.decoder, state.n_steps)
        return poses, StreamState(pose, tails, decoder, features[..., n_done:].clone(), n_samples, n_steps)

    def hops(self, state: StreamState) -> Hops:  # noqa: D102 - as in EmgModel
        featurizer, rollout = prepared_for(self.featurizer), prepared_for(self.decoder)
        is_for_numpy = featurizer and rollout and len(state.pose) == 1 and not self._n_front_tails
        return NumpyHops(self, state, featurizer, rollout) if is_for_numpy else TorchHops(self, state)

    def steps_due(self, n_steps_before: int, n_samples: int, n_waiting: int) -> tuple[Between, int, int, int]:
        """Say which steps of a stream are due after `n_samples`, with `n_waiting` feature frames at hand.

        Returns
        -------
        (the frames that they use, number of the first frame at hand, steps in all, how many frames are done with)
        """
        n_frames, n_steps = self.feature_grid.n_frames(n_samples), self.frame_grid.n_frames(n_samples)
        first_frame = n_frames - n_waiting
        used = self.frames_of_steps(np.arange(n_steps_before, n_steps), n_frames)
        still_needed = n_steps * ROLLOUT_STRIDE // self.feature_grid.stride
        return used, first_frame, n_steps, max(0, still_needed - first_frame)

    def begin_published(self, initial_pose: ArrayLike | None = None) -> Rollout:  # noqa: D102 - as in EmgModel
        return (PublishedRollout if self.config.alignment == "published" else StreamRollout)(self, initial_pose)


class PublishedRollout:
    """The published mode over a recording of any length: features as chunks come, steps once the length is known."""

    def __init__(self, model: PoseModel, initial_pose: ArrayLike | None = None) -> None:
        self._model = model
        self._emg = ChunkedEmg(model)
        self._pose = model.start_pose(batch_of_one(model, initial_pose), 1)
        self._tails = model.tails(1)
        self._features = FrameStore(model.featurizer.n_features)

    @torch.inference_mode()
    def feed(self, emg: ArrayLike) -> None:
        """Take the next samples, (time, channel)."""
        features, self._tails = self._model.featurize(self._emg.take(emg), self._tails)
        self._features.append(rows_of(features))

    @torch.inference_mode()
    def finish(self) -> PoseTrack:
        """Roll out and give the poses; they are laid on the samples when read."""
        model = self._model
        n_rows = self._emg.end()
        n_steps, n_frames = model.published_steps(n_rows), self._features.n_rows
        poses = FrameStore(N_JOINTS)
        pose, state = self._pose, model.decoder.initial_state(1)
        for first in range(0, n_steps, _STEPS_AT_ONCE):
            steps = np.arange(first, min(first + _STEPS_AT_ONCE, n_steps))
            used = align_corners(steps, n_frames, n_steps)
            rows = self._features.read(used.span.start, used.span.stop)
            features = torch.tensor(rows.T[None], device=model.device, dtype=model.dtype)
            block, pose, state = model.steps(blend(features, used, used.span.start), pose, state, first)
            poses.append(rows_of(block))
        return PoseTrack(
            model.left_context, n_rows, poses, lambda rows: align_centres(rows, n_in=n_steps, n_out=n_rows)
        )
