"""How a band of 8 electrodes is best given to a model of 16: each electrode twice, or neighbours averaged between.

Every second channel of simulated recordings is the band of 8. `emgpose predict` with the shipped model (regression)
takes all 16 channels, and each way of filling up; the error is its mean joint-angle error over the recording.

    python benchmarks/eight_electrodes.py
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emgpose.noise_floor import estimate_noise_floor
from emgpose.recording import open_session, read_metadata, session_path, write_emg2pose_hdf5
from emgpose.recording.channel_map import PRESETS
from emgpose.simulation.data_set import simulate_data_set

RATE_HZ = 2000
EMGPOSE = Path(sys.executable).with_name("emgpose")


def between(emg: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put the mean of two neighbours round the ring between them."""
    filled = np.repeat(emg, 2, axis=1)
    filled[:, 1::2] = (emg + np.roll(emg, -1, axis=1)) / 2
    return filled


def scaled(emg: NDArray[np.float32], floor: float) -> NDArray[np.float32]:
    """Bring every channel to one noise floor, as a conversion does."""
    return (emg / estimate_noise_floor([emg], RATE_HZ) * floor).astype(np.float32)


def error_deg(path: Path) -> float:
    """Ask `emgpose predict` for the mean error [deg]."""
    command = [EMGPOSE, "predict", path, "--out", path.with_suffix(".npz"), "--task", "regression", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(np.degrees(json.loads(done.stdout)["mae_rad"]))


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "data"
        simulate_data_set(root, users=3, stages=3, minutes=0.25, placements=1, repeats=2, seed=5)
        rows = read_metadata(root).to_dict("records")[::3]
        errors: dict[str, list[float]] = {"all 16": [], "each twice": [], "means between": []}
        for row in rows:
            with open_session(session_path(root, row)) as session:
                part = session.read()
            eight = part.emg[:, ::2]
            floor = float(estimate_noise_floor([part.emg], RATE_HZ).mean())
            twice = eight[:, list(PRESETS["8to16"])]
            variants = (part.emg, scaled(twice, floor), scaled(between(eight), floor))
            for kind, emg in zip(errors, variants, strict=True):
                path = Path(name) / "variant.hdf5"
                who = {"user": row["user"], "stage": row["stage"], "side": row["side"]}
                write_emg2pose_hdf5(path, emg, part.joint_angles, valid=part.valid, sample_rate_hz=RATE_HZ, **who)
                errors[kind].append(error_deg(path))
        print(f"{len(rows)} simulated recordings of 15 s, shipped model, regression")
        for kind, values in errors.items():
            print(f"{kind:<14} {np.mean(values):6.2f} deg, worst recording {np.max(values):6.2f} deg")
        better = np.mean(np.array(errors["each twice"]) < np.array(errors["means between"]))
        print(f"each twice is the better of the two ways in {better:.0%} of the recordings")


if __name__ == "__main__":
    main()
