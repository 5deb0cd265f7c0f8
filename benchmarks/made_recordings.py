"""Recordings of noise with smoothly moving joint angles, for measurements that ask for files and not for realism."""

import csv
from pathlib import Path

import numpy as np

from emgpose.hand import N_JOINTS
from emgpose.recording import write_emg2pose_hdf5

RATE_HZ = 2000
N_CHANNELS = 16
# As in the published data.
INVALID_SHARE = 0.127


def make_recordings(root: Path, *, users: int, recordings_each: int, seconds: float) -> None:
    """Write a data set whose recordings are all of the test split, each user held out, labels missing at the start."""
    root.mkdir(parents=True)
    rows = []
    for user in range(users):
        for number in range(recordings_each):
            name = f"user{user:03d}-{number}"
            _write_recording(root / f"{name}.hdf5", f"user{user:03d}", seconds, seed=len(rows))
            rows.append(
                {"filename": name, "session": name, "user": f"user{user:03d}", "stage": "FingerFreeform"}
                | {"side": "right", "moving_hand": "both", "held_out_user": True, "held_out_stage": False}
                | {"split": "test", "generalization": "user", "start": 0.0, "end": seconds}
            )
    with (root / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def noise_emg(n_samples: int, seed: int = 0) -> np.ndarray:
    """White noise of SD 1, float32 (time, channel)."""
    return np.random.default_rng(seed).standard_normal((n_samples, N_CHANNELS), dtype=np.float32)


def _write_recording(path: Path, user: str, seconds: float, seed: int) -> None:
    rng = np.random.default_rng([seed, 1])
    n_samples = round(seconds * RATE_HZ)
    time_s = np.arange(n_samples) / RATE_HZ
    waves = np.sin(time_s[:, None] * rng.uniform(1, 6, N_JOINTS) + rng.uniform(0, 6, N_JOINTS))
    valid = np.arange(n_samples) >= round(INVALID_SHARE * n_samples)
    write_emg2pose_hdf5(
        path,
        noise_emg(n_samples, seed),
        (0.4 + 0.3 * waves).astype(np.float32),
        sample_rate_hz=RATE_HZ,
        user=user,
        stage="FingerFreeform",
        side="right",
        valid=valid,
    )
