"""A model that reads the hand off the EMG in a known way, for tests of what depends on how good a model is."""

from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from emgpose.timing import FrameGrid

N_CHANNELS = 16
GESTURES = {"open": 1, "fist": 5, "point": 8, "pinch": 12}
HOP = 40


class MadeDecoder:
    """Joint j is the RMS of channel j over the newest hop, so each roll of the electrodes gives other poses."""

    name, task, sample_rate_hz, n_channels = "made", "regression", 2000, N_CHANNELS
    device, dtype = torch.device("cpu"), torch.float32
    frame_grid = FrameGrid(HOP - 1, HOP)

    def check_mode(self, mode: str) -> None:
        """Every mode is there."""

    def eval(self) -> "MadeDecoder":
        return self

    def initial_state(self, pose: Tensor | None = None, batch_size: int = 1) -> SimpleNamespace:
        return SimpleNamespace(tail=torch.zeros((batch_size, N_CHANNELS, 0)))

    def __call__(self, emg: Tensor, state: SimpleNamespace) -> tuple[Tensor, SimpleNamespace]:
        emg = torch.cat((state.tail, emg), dim=-1)
        n_hops = emg.shape[-1] // HOP
        hops = emg[..., : n_hops * HOP].unflatten(-1, (n_hops, HOP))
        levels = hops.square().mean(dim=-1).sqrt()
        angles = torch.nn.functional.pad(0.1 * levels, (0, 0, 0, 20 - N_CHANNELS))
        return angles, SimpleNamespace(tail=emg[..., n_hops * HOP :])


def levels_of(gesture: str) -> np.ndarray:
    """How loud each channel is, (channel,): loudest about one of them, and 1 far from it."""
    apart = (np.arange(N_CHANNELS) - GESTURES[gesture] + 8) % 16 - 8
    return 1 + 9 * np.exp(-0.5 * (apart / 1.5) ** 2)


def gesture_emg(gesture: str | None, n_samples: int = 5000, *, turn: int = 0, seed: int = 0) -> np.ndarray:
    """EMG (time, channel) of a gesture, of rest where it is None, with the band turned by so many electrodes."""
    rng = np.random.default_rng([seed, 0 if gesture is None else GESTURES[gesture]])
    levels = np.ones(N_CHANNELS) if gesture is None else levels_of(gesture)
    # Turned by one, channel k lies where channel k + 1 was.
    return (rng.standard_normal((n_samples, N_CHANNELS)) * np.roll(levels, -turn)).astype(np.float32)


def pose_of(gesture: str) -> np.ndarray:
    """What the decoder gives for it with the band in its place, (joint,)."""
    return np.pad(0.1 * levels_of(gesture), (0, 20 - N_CHANNELS)).astype(np.float32)
