"""How a stream is cut into calls of a graph whose shapes never change.

A call takes as many samples as make a whole number of feature frames and of poses. Calls end where a pose is complete,
so the newest pose of each call is not a sample late; zeros before the first sample bring a stream into that step.
"""

from dataclasses import dataclass
from math import lcm
from typing import Self

import torch

from emgpose.errors import ConfigError
from emgpose.models import EmgModel, PoseModel, StreamState
from emgpose.timing import ROLLOUT_STRIDE


@dataclass(frozen=True)
class StepPlan:
    """Sizes and numbers of the calls; all in samples at the model's rate unless named otherwise.

    Parameters
    ----------
    chunk_samples : int
        Samples that each call takes.
    frame_stride : int
        Samples between frames.
    first_frame_sample : int
        The last sample (0-based) that frame 0 uses.
    """

    chunk_samples: int
    frame_stride: int
    first_frame_sample: int

    @classmethod
    def of(cls, model: EmgModel) -> Self:
        """Plan the calls of a model.

        Raises
        ------
        ConfigError : the model is not causal.
        """
        if "stream" not in model.modes:
            raise ConfigError(
                f"{model.name} cannot be exported as a step of a stream: {model.why_not_causal}; "
                "choose a model that streams (`emgpose models` lists them)"
            )
        feature_stride = model.feature_grid.stride if isinstance(model, PoseModel) else 1
        chunk_samples = lcm(ROLLOUT_STRIDE, model.stride, feature_stride)
        return cls(chunk_samples, model.stride, model.frame_grid.left_context)

    @property
    def frames_per_call(self) -> int:
        """Frames that each call gives; the last one is new with the call's last sample."""
        return self.chunk_samples // self.frame_stride

    @property
    def pad_samples(self) -> int:
        """Zeros to put before the first sample, so that a call ends with the last sample of frame 0."""
        return -(self.first_frame_sample + 1) % self.chunk_samples

    @property
    def warm_up_calls(self) -> int:
        """Calls before the one that gives frame 0."""
        return (self.first_frame_sample + self.pad_samples) // self.chunk_samples

    @property
    def first_number(self) -> int:
        """Number of the first frame of the first call; negative, as frames before frame 0 do not count."""
        return 1 - self.frames_per_call * (self.warm_up_calls + 1)

    @torch.inference_mode()
    def steady_state(self, model: EmgModel) -> StreamState:
        """Give the state after frame 0 of a stream of zeros: its shapes are those after every call from there on."""
        emg = torch.zeros((1, model.n_channels, self.first_frame_sample + 1))
        _, state = model(emg, model.initial_state())
        return state
