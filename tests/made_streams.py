"""Streams of made-up EMG for tests of the live hand: no device, no clock."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from emgpose.live.chunk import EmgChunk, SourceFacts
from emgpose.live.engine import Engine
from emgpose.live.engine_settings import EngineSettings
from emgpose.live.pose_frame import PoseFrame
from emgpose.preprocessing import EMG2POSE_PREPROCESSING, Preprocessing

RATE_HZ = 2000.0
PLAIN = EngineSettings(smoothing=None, joint_limits=False)
# For `raw_facts`.
RAW_SETTINGS = EngineSettings(noise_floor=(2e-6,), resample=True)


def facts(**changes: Any) -> SourceFacts:
    """A source that suits every model: 16 channels at 2 kHz, filtered and scaled."""
    values: dict[str, Any] = {
        "name": "made",
        "sample_rate_hz": RATE_HZ,
        "channel_names": tuple(f"ch{number}" for number in range(16)),
        "preprocessing": EMG2POSE_PREPROCESSING,
        "emg_unit": "noise_floor",
    }
    return SourceFacts(**(values | changes))


def raw_facts() -> SourceFacts:
    """A source whose EMG needs everything: another rate, filters and scaling."""
    return facts(preprocessing=Preprocessing(), emg_unit="V", sample_rate_hz=2048.0)


def made_emg(n_samples: int, n_channels: int = 16, seed: int = 0) -> np.ndarray:
    """Noise whose strength comes and goes, (time, channel)."""
    rng = np.random.default_rng(seed)
    strength = 1 + 2 * np.sin(np.arange(n_samples) / 700.0 + seed)[:, None] ** 2
    return (rng.standard_normal((n_samples, n_channels)) * strength).astype(np.float32)


def chunk(emg: np.ndarray, start: int, stop: int, truth: np.ndarray | None = None) -> EmgChunk:
    """Samples [start, stop) of an array, as a source whose clock begins at 100 s gives them."""
    beside = None if truth is None else truth[start:stop]
    return EmgChunk(start, emg[start:stop], 100.0 + (stop - 1) / RATE_HZ, beside)


def chunks(emg: np.ndarray, size: int = 20) -> list[EmgChunk]:
    """The whole array in chunks of one size."""
    return [chunk(emg, start, min(start + size, len(emg))) for start in range(0, len(emg), size)]


def cut(emg: np.ndarray, cuts: Sequence[int]) -> list[EmgChunk]:
    """The whole array, divided at the samples named."""
    edges = [0, *sorted(cuts), len(emg)]
    return [chunk(emg, start, stop) for start, stop in itertools.pairwise(edges)]


def pushed(engine: Engine, stream: Iterable[EmgChunk]) -> list[PoseFrame]:
    """Every frame that the chunks give."""
    return [frame for part in stream for frame in engine.push(part)]


def angles(frames: Iterable[PoseFrame]) -> np.ndarray:
    """Their joint angles, (frame, joint)."""
    return np.array([frame.joint_angles for frame in frames])
