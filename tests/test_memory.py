"""Memory does not grow with the length of a recording: 60 minutes against 10, each in a process of its own."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emgpose.checkpoints import save_model
from emgpose.models import build_model
from emgpose.recording import Emg2PoseWriter
from small_models import small_model

RATE_HZ = 2000
MOST_GROWTH = 1.2
MOST_BYTES = 1.5 * 2**30
MEASURED = """
import resource, sys
from emgpose.cli import main
sys.argv = ["emgpose", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def write_recording(path: Path, minutes: int) -> None:
    rng = np.random.default_rng(minutes)
    n_samples = 10 * RATE_HZ
    time_s = np.arange(n_samples) / RATE_HZ
    joint_angles = np.tile(0.4 - 0.3 * np.cos(2 * np.pi * 0.5 * time_s)[:, None], (1, 20)).astype(np.float32)
    emg = rng.standard_normal((n_samples, 16)).astype(np.float32)
    with Emg2PoseWriter(path, sample_rate_hz=RATE_HZ, user="u", stage="s", side="right", session=path.stem) as writer:
        for _ in range(6 * minutes):
            writer.append(emg, joint_angles)


def peak_bytes(*arguments: object) -> float:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout.rsplit("peak", 1)[1])


@pytest.fixture(scope="module")
def data_sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("long")
    save_model(small_model(), folder / "small")
    save_model(build_model("tracking_vemg2pose"), folder / "full")
    for minutes in (10, 60):
        root = folder / str(minutes)
        root.mkdir()
        write_recording(root / "a.hdf5", minutes)
        row = {
            "filename": "a", "session": "a", "user": "u", "stage": "s", "side": "right", "moving_hand": "right",
            "held_out_user": True, "held_out_stage": False, "split": "test", "generalization": "user",
            "start": 0.0, "end": 60.0 * minutes,
        }  # fmt: skip
        with (root / "metadata.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, list(row))
            table.writeheader()
            table.writerow(row)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "mode", "out"),
    [("small", "stream", "a.npz"), ("small", "published", "a.csv"), ("full", "stream", "a.csv")],
)
def test_predict_needs_no_more_memory_for_an_hour(data_sets, size, mode, out):
    peaks = [
        peak_bytes(
            "predict", data_sets / minutes / "a.hdf5", "--checkpoint", data_sets / size, "--mode", mode,
            "--out", data_sets / out, "--html", data_sets / "a.html", "--landmarks",
        )
        for minutes in ("10", "60")
    ]  # fmt: skip
    print(f"predict {size} {mode} {out}: 10 min {peaks[0] / 2**20:.0f} MiB, 60 min {peaks[1] / 2**20:.0f} MiB")
    assert peaks[1] <= MOST_GROWTH * peaks[0]
    assert peaks[1] < MOST_BYTES


@pytest.mark.slow
@pytest.mark.parametrize("size", ["small", "full"])
def test_evaluate_needs_no_more_memory_for_an_hour(data_sets, size):
    peaks = [
        peak_bytes(
            "evaluate", "--data", data_sets / minutes, "--checkpoint", data_sets / size, "--out", data_sets / "e"
        )
        for minutes in ("10", "60")
    ]
    print(f"evaluate {size}: 10 min {peaks[0] / 2**20:.0f} MiB, 60 min {peaks[1] / 2**20:.0f} MiB")
    assert peaks[1] <= MOST_GROWTH * peaks[0]
    assert peaks[1] < MOST_BYTES
