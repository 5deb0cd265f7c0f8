"""One pose of the live hand, as sinks and the viewer get it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

PROTOCOL_VERSION: Final = 1
"""Of the messages that sinks send; raised when a field changes its meaning."""


@dataclass(frozen=True)
class PoseFrame:
    """A pose with what a receiver must know to trust it.

    Parameters
    ----------
    index : int
        Number of this frame since the engine began; it never goes back, and rises by one for each frame.
    sample : int
        Number of the last EMG sample that the pose used, in the source's own count; -1 before the first.
    time_s : float
        The source's clock at that sample [s].
    joint_angles : array, shape (joint=20,) [rad]
    landmarks : array, shape (landmark=21, 3) [mm]
    quality : array, shape (channel,)
        From 0 (of no use) to 1 (good), one per channel of the model, in the order of `Hello.channel_names`: where
        EMG comes in, before a calibration turns the band.
    stale : bool
        The pose is old or not to be relied on: before the first frame, after a gap, while the source is away.
    reason : str
        Why it is stale; empty where it is not.
    truth : array, shape (joint=20,) [rad], or None
        The recorded or simulated pose at `sample`, where it is known and valid.
    """

    index: int
    sample: int
    time_s: float
    joint_angles: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    quality: NDArray[np.float32]
    stale: bool
    reason: str = ""
    truth: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Hello:
    """What a receiver is told once, before the first frame.

    Parameters
    ----------
    model, task, source, hand : str
        Names.
    rate_hz : float
        Poses per second while EMG flows.
    sample_rate_hz : float
        Of the samples that `PoseFrame.sample` counts.
    channel_names : tuple of str
        What `PoseFrame.quality` is about.
    delay_s : float
        Algorithmic delay of a pose behind the newest sample that it used, filters left aside [s].
    side : str
        "left", "right", or "unknown", which is drawn as a right hand.
    trained_on : str
        As on the model's card: "none", "simulated", "recorded" or "unknown".
    is_simulated : bool
        Whether the EMG is.
    """

    model: str
    task: str
    source: str
    hand: str
    rate_hz: float
    sample_rate_hz: float
    channel_names: tuple[str, ...]
    delay_s: float
    side: str
    trained_on: str
    is_simulated: bool
