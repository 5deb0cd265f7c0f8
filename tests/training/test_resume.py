"""A run that was stopped and gone on with is the run that was never stopped, bit for bit."""

import csv
import json
import multiprocessing
import os
import shutil
import signal
import subprocess

import pandas as pd
import pytest

from emgpose.errors import ConfigError, DataError
from emgpose.training import train
from emgpose.training.data import PoseData
from small_runs import after_batch, run_emgpose, same_weights, small_config, small_overrides

CHANGING = ("optim.ema_decay=0.9", "data.skip_invalid=false", "augment.aggressor_probability=0.5", "optim.lr=3e-3")


def learning_curve(folder):
    """All that metrics.csv says but the speed."""
    with (folder / "metrics.csv").open(newline="") as file:
        return [{key: value for key, value in row.items() if key != "windows_per_s"} for row in csv.DictReader(file)]


def record(folder):
    return json.loads((folder / "run.json").read_text())


def interrupted(config, folder, n_batches):
    with pytest.raises(KeyboardInterrupt), after_batch(n_batches, lambda: signal.raise_signal(signal.SIGINT)):
        train(config, folder)


# Dropout and batch norm, two tasks, a learned initial pose: all that a model keeps or draws.
@pytest.mark.parametrize("experiment", ["regression_neuropose", "emgpose50"])
def test_after_ctrl_c_anywhere_a_run_goes_on_as_if_nothing_had_been(experiment, recordings, tmp_path):
    whole = train(small_config(recordings, experiment, *CHANGING), tmp_path / "whole")
    assert whole.epochs == 2
    n_batches = whole.steps // 2
    for stop in (n_batches, n_batches + 1):
        folder = tmp_path / f"stopped{stop}"
        interrupted(small_config(recordings, experiment, *CHANGING), folder, stop)
        assert record(folder)["status"] == "interrupted"
        assert record(folder)["steps"] == stop
        result = train(small_config(recordings, experiment, *CHANGING, "resume=true"), folder)
        assert (result.epochs, result.steps, result.stopped) == (2, whole.steps, "max_epochs")
        assert same_weights(whole.last, result.last)
        assert same_weights(whole.best, result.best)
        assert learning_curve(folder) == learning_curve(whole.folder)
        assert [entry["step"] for entry in record(folder)["resumed"]] == [stop]


def test_a_run_that_reached_its_steps_goes_on_when_it_gets_more(recordings, tmp_path):
    whole = train(small_config(recordings), tmp_path / "whole")
    first = train(small_config(recordings, "tracking_vemg2pose", "loop.max_steps=2"), tmp_path / "run")
    assert (first.stopped, first.steps, first.epochs) == ("max_steps", 2, 0)
    # What was learnt until then has been validated.
    assert first.best_val_loss is not None
    result = train(small_config(recordings, "tracking_vemg2pose", "resume=true"), tmp_path / "run")
    assert result.stopped == "max_epochs"
    assert same_weights(whole.last, result.last)
    assert learning_curve(result.folder) == learning_curve(whole.folder)


def test_the_number_of_workers_and_where_recordings_are_kept_change_nothing(recordings, tmp_path):
    whole = train(small_config(recordings), tmp_path / "whole")
    other = ("data.in_memory_gib=0", "loop.checkpoint_every_steps=1")
    interrupted(small_config(recordings), tmp_path / "run", 2)
    result = train(small_config(recordings, "tracking_vemg2pose", "resume=true", *other), tmp_path / "run")
    assert same_weights(whole.last, result.last)


def test_sigterm_to_all_processes_at_once_saves_and_stops_as_to_the_first_alone(recordings, tmp_path):
    told = []

    def tell_all():
        told.extend([os.getpid(), *(child.pid for child in multiprocessing.active_children())])
        # From a process of its own, as a supervisor does it.
        subprocess.run(["kill", "-TERM", *map(str, told)], check=True)

    config = small_config(recordings, "tracking_vemg2pose", "data.workers=1")
    with pytest.raises(KeyboardInterrupt), after_batch(2, tell_all):
        train(config, tmp_path / "run")
    assert len(told) == 2
    assert multiprocessing.active_children() == []
    assert (record(tmp_path / "run")["status"], record(tmp_path / "run")["steps"]) == ("interrupted", 2)
    whole = train(small_config(recordings), tmp_path / "whole")
    result = train(small_config(recordings, "tracking_vemg2pose", "resume=true"), tmp_path / "run")
    assert same_weights(whole.last, result.last)


def test_a_second_ctrl_c_stops_at_once_and_keeps_what_was_saved(recordings, tmp_path):
    def twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    config = small_config(recordings, "tracking_vemg2pose", "loop.checkpoint_every_steps=1")
    with pytest.raises(KeyboardInterrupt), after_batch(3, twice):
        train(config, tmp_path / "run")
    whole = train(small_config(recordings), tmp_path / "whole")
    result = train(small_config(recordings, "tracking_vemg2pose", "resume=true"), tmp_path / "run")
    assert same_weights(whole.last, result.last)


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_once_more_while_a_run_tidies_up_changes_nothing(recordings, tmp_path, monkeypatch, times):
    tidy_up = PoseData.teardown

    def pressed_again(data, stage=None):
        signal.raise_signal(signal.SIGINT)
        tidy_up(data, stage)

    def press():
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(PoseData, "teardown", pressed_again)
    config = small_config(recordings, "tracking_vemg2pose", "data.workers=1")
    with pytest.raises(KeyboardInterrupt), after_batch(2, press):
        train(config, tmp_path)
    assert record(tmp_path)["status"] == "interrupted"
    assert multiprocessing.active_children() == []


def test_going_on_with_other_settings_is_refused_with_all_that_differ(recordings, tmp_path):
    train(small_config(recordings, "tracking_vemg2pose", "loop.max_epochs=1"), tmp_path)
    other = small_config(recordings, "tracking_vemg2pose", "resume=true", "optim.lr=3e-4", "data.batch_size=5")
    with pytest.raises(ConfigError, match=r"data.batch_size was 6, is 5; optim.lr was 0.001, is 0.0003"):
        train(other, tmp_path)


def test_the_end_of_a_cosine_cannot_be_moved(recordings, tmp_path):
    cosine = ("optim.schedule=warmup_cosine", "optim.warmup_epochs=1")
    train(small_config(recordings, "tracking_vemg2pose", *cosine), tmp_path)
    with pytest.raises(ConfigError, match=r"loop.max_epochs was 2, is 5 \(the learning rate's cosine ends with it\)"):
        train(small_config(recordings, "tracking_vemg2pose", *cosine, "loop.max_epochs=5", "resume=true"), tmp_path)


def test_going_on_with_a_run_that_has_ended_says_so_and_changes_nothing(recordings, tmp_path, caplog):
    first = train(small_config(recordings), tmp_path)
    before = (tmp_path / "run.json").read_bytes()
    again = train(small_config(recordings, "tracking_vemg2pose", "resume=true"), tmp_path)
    assert again == first
    assert "has reached its end already (max_epochs)" in caplog.text
    assert (tmp_path / "run.json").read_bytes() == before
    fewer = small_config(recordings, "tracking_vemg2pose", "resume=true", "loop.max_epochs=1")
    assert train(fewer, tmp_path).stopped == "max_epochs"


def test_patience_may_be_given_to_a_run_that_had_none(recordings, tmp_path):
    patient = small_config(recordings, "tracking_vemg2pose", "loop.patience_epochs=null", "loop.max_epochs=1")
    train(patient, tmp_path)
    result = train(small_config(recordings, "tracking_vemg2pose", "loop.patience_epochs=5", "resume=true"), tmp_path)
    assert (result.epochs, result.stopped) == (2, "max_epochs")


def test_going_on_with_other_validation_recordings_is_refused(recordings, tmp_path):
    train(small_config(recordings, "tracking_vemg2pose", "loop.max_epochs=1"), tmp_path / "run")
    root = shutil.copytree(recordings, tmp_path / "set")
    table = pd.read_csv(root / "metadata.csv")
    table.drop(table.index[table["split"] == "val"][0]).to_csv(root / "metadata.csv", index=False)
    with pytest.raises(ConfigError, match=r"the validation recordings in .* are not those it began with"):
        train(small_config(root, "tracking_vemg2pose", "resume=true"), tmp_path / "run")


@pytest.mark.parametrize("resume", ["true", "false"])
def test_a_run_without_its_record_is_neither_gone_on_with_nor_written_over(recordings, tmp_path, resume):
    train(small_config(recordings, "tracking_vemg2pose", "loop.max_steps=1"), tmp_path)
    (tmp_path / "run.json").unlink()
    with pytest.raises((ConfigError, DataError), match=r"a training run is there already|but not its run\.json"):
        train(small_config(recordings, "tracking_vemg2pose", f"resume={resume}", "optim.lr=0.1"), tmp_path)


def test_a_learning_curve_that_is_none_is_one_message(recordings, tmp_path):
    train(small_config(recordings, "tracking_vemg2pose", "loop.max_epochs=1"), tmp_path)
    (tmp_path / "metrics.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"metrics\.csv: expected a row per epoch"):
        train(small_config(recordings, "tracking_vemg2pose", "resume=true"), tmp_path)


def test_resume_begins_a_run_where_there_is_none(recordings, tmp_path):
    result = train(small_config(recordings, "tracking_vemg2pose", "resume=true", "loop.max_steps=1"), tmp_path)
    assert result.steps == 1


KILL = """
import os, signal
from small_runs import after_batch
kill = after_batch({}, lambda: os.kill(os.getpid(), signal.SIGKILL))
kill.__enter__()
"""


@pytest.mark.slow
@pytest.mark.parametrize("kills", [(2,), (1, 4, 3)])
def test_kill_9_of_emgpose_train_in_mid_epoch_loses_nothing_that_was_saved(recordings, tmp_path, kills):
    overrides = small_overrides(recordings, "emgpose50", *CHANGING, "loop.checkpoint_every_steps=1")
    done = run_emgpose(tmp_path, "train", "experiment=emgpose50", *overrides, f"out={tmp_path / 'whole'}")
    assert done.returncode == 0, done.stderr
    command = ("train", "experiment=emgpose50", *overrides, "resume=true", f"out={tmp_path / 'run'}")
    for n_batches in kills:
        killed = run_emgpose(tmp_path, *command, before=KILL.format(n_batches))
        assert killed.returncode == -signal.SIGKILL
        assert record(tmp_path / "run")["status"] == "running"
    done = run_emgpose(tmp_path, *command)
    assert done.returncode == 0, done.stderr
    assert same_weights(tmp_path / "whole" / "last", tmp_path / "run" / "last")
    assert same_weights(tmp_path / "whole" / "best", tmp_path / "run" / "best")
    assert learning_curve(tmp_path / "run") == learning_curve(tmp_path / "whole")
