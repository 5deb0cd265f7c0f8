"""Published checkpoints through the command line, and files that would run code."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from emgpose.recording import open_session
from generated import generate_session
from golden_weights import golden_facts, write_published_checkpoint


def emgpose(*arguments: object) -> subprocess.CompletedProcess[str]:
    program = "from emgpose.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=False
    )


class RunsCode:
    """Unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_a_checkpoint_built_like_the_published_ones_predicts_a_recording(tmp_path):
    generate_session(tmp_path / "a.hdf5", seconds=4.0, invalid_share=0.0)
    checkpoint = write_published_checkpoint(tmp_path / "regression_emg2pose.ckpt", "regression_emg2pose")
    done = emgpose(
        "predict", tmp_path / "a.hdf5", "--checkpoint", checkpoint, "--out", tmp_path / "a.npz", "--mode", "published"
    )
    assert done.returncode == 0, done.stderr
    assert "regression_emg2pose (regression), mode published, not causal" in done.stdout
    left_context = golden_facts("regression_emg2pose")["left_context"]
    with np.load(tmp_path / "a.npz") as poses, open_session(tmp_path / "a.hdf5") as session:
        assert poses["sample"][0] == left_context == 1790
        assert len(poses["joint_angles"]) == session.n_samples - left_context


@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_a_checkpoint_that_would_run_code_is_refused_in_one_line(tmp_path, kind):
    trap = tmp_path / "trap"
    content = {"state_dict": {}, "hyper_parameters": RunsCode(trap)}
    if kind == "torch":
        torch.save(content, tmp_path / "evil.ckpt")
    else:
        (tmp_path / "evil.ckpt").write_bytes(pickle.dumps(content))
    done = emgpose("info", tmp_path / "evil.ckpt")
    assert done.returncode == 1
    assert not trap.exists()
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert "evil.ckpt" in done.stderr
