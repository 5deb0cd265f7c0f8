"""A band on LSL, `emgpose live` and a program that uses its poses, each in a process of its own."""

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emgpose.hand import JOINTS
from emgpose.recording import open_session
from generated import generate_session

pytest.importorskip("pylsl", reason="needs pylsl (extra: live)")
pytest.importorskip("websockets", reason="needs websockets (extra: live)")
pytest.importorskip("msgpack", reason="needs msgpack (extra: live)")

PARTS = Path(__file__).with_name("lsl_parts.py")
EMGPOSE = "from emgpose.cli import main; main()"
# What a recording needs for one of the published test windows, and some more.
SECONDS = 7.0
N_POSES = 50
LIMIT_S = 120.0


@pytest.fixture
def process(tmp_path: Path) -> Any:
    """Start Python in a process that sees no LSL streams but the test's own; ended with the test."""
    config = tmp_path / "lsl_api.cfg"
    config.write_text(f"[multicast]\nResolveScope = machine\n[lab]\nSessionID = {uuid.uuid4().hex}\n")
    environment = {**os.environ, "LSLAPICFG": str(config), "OMP_NUM_THREADS": "1"}
    with ExitStack() as started:

        def start(*arguments: object) -> subprocess.Popen[str]:
            running = subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            started.enter_context(running)
            started.callback(running.kill)
            return running

        yield start


def received(
    process: Callable[..., subprocess.Popen[str]], recordings: list[Path], record: Path, *options: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Play recordings over LSL to `emgpose live`; give its report, and what a third process received."""
    band = process(PARTS, "band", "Band", *recordings)
    live = process(
        "-c", EMGPOSE, "live", "--source", "lsl:Band", "--seconds", SECONDS, "--json", *options,
        "--sink", "ws:0", "--sink", "lsl:Hand", "--sink", f"record:{record}",
    )  # fmt: skip
    said, url = [], None
    for line in live.stderr:
        said.append(line)
        url = re.search(r"ws://127\.0\.0\.1:\d+", line)
        if url:
            break
    assert url, "".join(said)
    program = process(PARTS, "program", "Hand", url.group(), N_POSES)
    heard, trouble = program.communicate(timeout=LIMIT_S)
    assert program.returncode == 0, trouble
    report, more = live.communicate(timeout=LIMIT_S)
    assert live.returncode == 0, more
    _, trouble = band.communicate("", timeout=LIMIT_S)
    assert band.returncode == 0, trouble
    return json.loads(report), json.loads(heard.splitlines()[-1])


def check_poses(heard: dict[str, Any]) -> None:
    """The same poses came over WebSocket and LSL, whole and in order."""
    assert tuple(heard["hello"]["joints"]) == JOINTS
    indices = [pose["index"] for pose in heard["poses"]]
    assert indices == sorted(set(indices))
    samples = np.array(heard["samples"], dtype=np.float32)
    poses = np.array([pose["joint_angles"] for pose in heard["poses"]], dtype=np.float32)
    assert (samples.shape[1], poses.shape) == (len(JOINTS) + 1, (N_POSES, len(JOINTS)))
    assert np.isfinite(samples).all()
    fresh = {row.tobytes() for row in np.ascontiguousarray(samples[samples[:, -1] == 0, :-1])}
    # The first one greets a new client and may be older than the LSL connection.
    assert all(row.tobytes() in fresh for row in np.ascontiguousarray(poses[1:]))
    # The hand follows the EMG.
    assert np.ptp(poses, axis=0).max() > 0.001


def check_recording(process: Callable[..., subprocess.Popen[str]], record: Path) -> None:
    """The recording has nothing that `emgpose check` finds fault with."""
    checked = process("-c", EMGPOSE, "check", record)
    said, _ = checked.communicate(timeout=LIMIT_S)
    assert checked.returncode == 0, said
    assert ": ok" in said


@pytest.mark.slow
def test_a_simulated_band_moves_the_hand_of_another_program_over_lsl(process, tmp_path: Path) -> None:
    generate_session(tmp_path / "rec.hdf5", seconds=10.0, invalid_share=0.0)
    report, heard = received(process, [tmp_path / "rec.hdf5"], tmp_path / "live.hdf5")
    assert (report["ended"], report["faults"]["samples_lost"]) == ("time over", 0)
    check_poses(heard)
    check_recording(process, tmp_path / "live.hdf5")
    with open_session(tmp_path / "live.hdf5") as again, open_session(tmp_path / "rec.hdf5") as first:
        assert again.n_samples == report["n_samples"] >= SECONDS * 2000
        np.testing.assert_array_equal(again.emg(), first.emg(0, again.n_samples))


@pytest.mark.slow
def test_real_wrist_emg_moves_the_hand_of_another_program_over_lsl(process, shared: Path, tmp_path: Path) -> None:
    trials = sorted((shared / "real" / "grabmyo").glob("*.hea"))[:2]
    report, heard = received(process, trials, tmp_path / "live.hdf5", "--resample", "--noise-floor", "8")
    assert (report["ended"], report["faults"]["samples_lost"]) == ("time over", 0)
    assert "is not to be trusted" in " ".join(report["warnings"])
    check_poses(heard)
    check_recording(process, tmp_path / "live.hdf5")
    with open_session(tmp_path / "live.hdf5") as recorded:
        assert (recorded.sample_rate_hz, recorded.side) == (2000.0, "right")
        assert recorded.n_samples / 2000 == pytest.approx(report["emg_s"], abs=0.01)
