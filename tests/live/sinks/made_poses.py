"""Poses, hellos and EMG made by rule, and a clock that only tests move."""

import numpy as np

from emgpose.hand import N_JOINTS, N_LANDMARKS
from emgpose.live.chunk import EmgChunk, SourceFacts
from emgpose.live.pose_frame import Hello, PoseFrame
from emgpose.preprocessing import EMG2POSE_PREPROCESSING

CHANNELS = tuple(f"emg{channel}" for channel in range(16))
HELLO = Hello(
    model="emgpose50",
    task="tracking",
    source="replay:rec.hdf5",
    hand="generic",
    rate_hz=50.0,
    sample_rate_hz=2000.0,
    channel_names=CHANNELS,
    delay_s=0.02,
    side="right",
    trained_on="simulated",
    is_simulated=True,
)
SCALED = SourceFacts(
    name="lsl:Band",
    sample_rate_hz=2000.0,
    channel_names=CHANNELS,
    preprocessing=EMG2POSE_PREPROCESSING,
    emg_unit="noise_floor",
    side="right",
    is_simulated=True,
)


class FakeClock:
    """A clock that only tests move."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def made_frame(index: int, *, stale: bool = False, truth: bool = False) -> PoseFrame:
    """A pose whose numbers depend on its index."""
    rng = np.random.default_rng(index)
    return PoseFrame(
        index=index,
        sample=1790 + 40 * index,
        time_s=1_700_000_000.123456 + index / 50,
        joint_angles=rng.uniform(-1.5, 1.5, N_JOINTS).astype(np.float32),
        landmarks=rng.uniform(-150, 150, (N_LANDMARKS, 3)).astype(np.float32),
        quality=np.linspace(0, 1, 16, dtype=np.float32),
        stale=stale,
        reason="gap" if stale else "",
        truth=rng.uniform(-1, 1, N_JOINTS).astype(np.float32) if truth else None,
    )


def made_chunks(
    n_samples: int, *, chunk_samples: int = 20, n_channels: int = 16, rate_hz: float = 2000.0, seed: int = 0
) -> list[EmgChunk]:
    """Noise of SD 1 with a truth that moves slowly, in chunks."""
    rng = np.random.default_rng(seed)
    emg = rng.standard_normal((n_samples, n_channels)).astype(np.float32)
    time_s = np.arange(n_samples) / rate_hz
    angles = (0.4 + 0.3 * np.sin(2 * np.pi * 0.7 * time_s[:, None] + np.arange(N_JOINTS))).astype(np.float32)
    return [
        EmgChunk(
            start,
            emg[start : start + chunk_samples],
            float(time_s[min(start + chunk_samples, n_samples) - 1]),
            angles[start : start + chunk_samples],
        )
        for start in range(0, n_samples, chunk_samples)
    ]
