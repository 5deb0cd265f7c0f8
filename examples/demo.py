"""What `make demo` runs: a generated recording through a model with untrained weights, ending in a page to look at.

The EMG is noise shaped by made-up movements and the weights are random, so the pose means nothing yet; what it shows is
that this machine runs the whole path from a recording to joint angles, landmarks and a page.
"""

from pathlib import Path

import numpy as np
import torch

from emgpose.checkpoints import save_model
from emgpose.cli import main
from emgpose.hand import N_JOINTS
from emgpose.models import build_model
from emgpose.recording import write_emg2pose_hdf5

FOLDER = Path("demo")
SECONDS = 30
RATE_HZ = 2000


def generate_recording(path: Path, seed: int = 0) -> None:
    """Write an emg2pose file: fingers that bend in turn, and EMG whose strength follows their speed."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(SECONDS * RATE_HZ) / RATE_HZ
    phase = np.repeat(rng.uniform(0, 2 * np.pi, 5), 4)
    reach_rad = np.tile([0.1, 0.9, 1.1, 0.7], 5)
    joint_angles = reach_rad * (0.5 - 0.5 * np.cos(2 * np.pi * 0.3 * time_s[:, None] + phase))
    speed = np.abs(np.gradient(joint_angles, 1 / RATE_HZ, axis=0))
    strength = 1 + 20 * speed @ np.abs(rng.standard_normal((N_JOINTS, 16))) / N_JOINTS
    emg = strength * rng.standard_normal(strength.shape)
    write_emg2pose_hdf5(
        path,
        emg.astype(np.float32),
        joint_angles.astype(np.float32),
        sample_rate_hz=RATE_HZ,
        user="generated",
        stage="generated",
        side="right",
    )


if __name__ == "__main__":
    import sys

    FOLDER.mkdir(exist_ok=True)
    generate_recording(FOLDER / "recording.hdf5")
    torch.manual_seed(0)
    save_model(build_model("tracking_vemg2pose"), FOLDER / "untrained")
    sys.argv = ["emgpose", "predict", "demo/recording.hdf5", "--checkpoint", "demo/untrained"]
    sys.argv += ["--out", "demo/poses.csv", "--landmarks", "--html", "demo/view.html"]
    main()
