"""Two processes are one: the same weights, the same messages, the same end."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from small_runs import run_emgpose, same_weights, small_overrides, weights_of

pytestmark = pytest.mark.slow

# Windows with invalid labels, and 7 of them per batch: no two processes count the same.
UNEQUAL = ("data.skip_invalid=false", "data.batch_size=7", "data.stride_samples=1100")
# Adam divides by the size of a gradient, so where that is next to nothing it shows rounding and no more.
PLAIN_DESCENT = """
import torch
from emgpose.training import module
module.build_optimiser = lambda config, model: torch.optim.SGD(model.parameters(), lr=1)
"""
STOP = """
import os, signal
from small_runs import after_batch
if not os.environ.get("LOCAL_RANK"):
    stop = after_batch(3, lambda: signal.raise_signal(signal.SIGINT))
    stop.__enter__()
"""


def trained(recordings, folder, *overrides, experiment="tracking_vemg2pose", before=""):
    chosen = small_overrides(recordings, experiment, *UNEQUAL, *overrides)
    return run_emgpose(folder.parent, "train", f"experiment={experiment}", *chosen, f"out={folder}", before=before)


def furthest(one, two):
    first, second = weights_of(one / "last"), weights_of(two / "last")
    return max(float((first[name] - second[name]).abs().max()) for name in first)


@pytest.mark.parametrize("experiment", ["tracking_emg2pose", "improved_velocity_multitask"])
def test_two_gloo_processes_with_unequal_valid_counts_equal_one_process(experiment, recordings, tmp_path):
    steps = ("optim.lr=0.05", "optim.schedule=constant", "optim.micro_batch_size=3")
    for name, devices in (("one", 1), ("two", 2)):
        overrides = (*steps, f"loop.devices={devices}")
        done = trained(recordings, tmp_path / name, *overrides, experiment=experiment, before=PLAIN_DESCENT)
        assert done.returncode == 0, done.stderr
    assert done.stdout.count("best: ") == 1
    assert furthest(tmp_path / "one", tmp_path / "two") < 1e-6
    losses = [json.loads((tmp_path / name / "run.json").read_text())["best"]["val_loss"] for name in ("one", "two")]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_torchrun_starts_the_same_processes(recordings, tmp_path):
    assert trained(recordings, tmp_path / "one", "loop.max_epochs=1").returncode == 0
    overrides = small_overrides(recordings, "tracking_vemg2pose", *UNEQUAL, "loop.max_epochs=1", "loop.devices=2")
    folder = Path(sys.executable).parent
    command = [folder / "torchrun", "--nproc_per_node=2", folder / "emgpose", "train", "experiment=tracking_vemg2pose"]
    done = subprocess.run(
        [*map(str, command), *overrides, f"out={tmp_path / 'two'}"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert furthest(tmp_path / "one", tmp_path / "two") < 1e-5


def test_ctrl_c_to_one_process_stops_both_after_the_same_step_and_the_run_goes_on(recordings, tmp_path):
    assert trained(recordings, tmp_path / "whole", "loop.devices=2").returncode == 0
    stopped = trained(recordings, tmp_path / "run", "loop.devices=2", before=STOP)
    assert stopped.returncode == 130, stopped.stderr
    assert "Traceback" not in stopped.stderr
    told = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (told["status"], told["steps"]) == ("interrupted", 3)
    assert trained(recordings, tmp_path / "run", "loop.devices=2", "resume=true").returncode == 0
    assert same_weights(tmp_path / "whole" / "last", tmp_path / "run" / "last")


def test_a_loss_that_is_not_finite_is_told_once_for_all_processes(recordings, tmp_path):
    done = trained(recordings, tmp_path / "run", "loop.devices=2", "model.scale=1e38")
    assert done.returncode == 1
    assert done.stderr.count("is not finite, for 7 of 7 windows") == 1
    assert "Traceback" not in done.stderr
