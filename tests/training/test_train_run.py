"""A run's folder, its record and models, and one message for whatever goes wrong."""

import csv
import io
import json
import resource
import shutil
import subprocess
import sys

import pytest
import torch
from rich.console import Console

from emgpose.checkpoints import load_model
from emgpose.errors import CheckpointError, ConfigError, DataError, MissingExtraError
from emgpose.training import train
from emgpose.training.progress import TrainingProgress
from emgpose.training.run_folder import RunFolder
from generated import generate_dataset
from small_runs import after_batch, same_weights, small_config, weights_of


def record(folder):
    return json.loads((folder / "run.json").read_text())


def everything_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_run_leaves_models_learning_curve_checkpoint_and_record(recordings, tmp_path):
    config = small_config(recordings, "improved_velocity_multitask", "loop.logger=tensorboard")
    result = train(config, tmp_path)
    files = everything_in(tmp_path)
    model_files = [
        f"{name}/{file}" for name in ("best", "last") for file in ("README.md", "config.json", "model.safetensors")
    ]
    assert {*model_files, ".lock", "last.ckpt", "metrics.csv", "run.json"} <= set(files)
    assert sum(name.startswith("tensorboard/events") for name in files) == 1
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(float(row["val_regression_mae_deg"]) > float(row["val_tracking_mae_deg"]) > 0 for row in rows)
    assert float(rows[result.best_epoch - 1]["val_loss"]) == result.best_val_loss

    told = record(tmp_path)
    assert (told["status"], told["stopped"], told["epochs"], told["steps"]) == (
        "finished",
        "max_epochs",
        2,
        result.steps,
    )
    assert told["config"]["data"]["root"] == str(recordings)
    assert told["data"]["subset"]["users"] == ["user00", "user01"]
    assert {"emgpose", "torch", "lightning"} <= told["versions"].keys()

    card = load_model(result.best).card
    assert (card.experiment, card.task, card.trained_on) == ("improved_velocity_multitask", "multitask", "recorded")
    assert card.data_fingerprint == told["data"]["fingerprint"]
    assert len(card.median_pose) == 20
    assert f"epoch {result.best_epoch}, step" in card.notes


def test_best_is_the_model_of_the_lowest_validation_loss_and_patience_ends_the_run(recordings, tmp_path):
    # Far too large steps: the first epoch stays the best.
    config = small_config(
        recordings, "tracking_vemg2pose", "optim.lr=1.0", "loop.max_epochs=9", "loop.patience_epochs=1"
    )
    result = train(config, tmp_path)
    with (tmp_path / "metrics.csv").open(newline="") as file:
        losses = [float(row["val_loss"]) for row in csv.DictReader(file)]
    assert (result.stopped, result.epochs) == ("patience", result.best_epoch + 1)
    assert losses.index(min(losses)) + 1 == result.best_epoch
    assert not same_weights(result.best, result.last)


def test_without_validation_recordings_best_is_last(recordings, tmp_path, caplog):
    config = small_config(recordings, "tracking_vemg2pose", "data.where='split != \"val\"'", "loop.max_steps=1")
    result = train(config, tmp_path)
    assert (result.best, result.best_epoch, result.best_val_loss) == (tmp_path / "last", None, None)
    assert "no recording to validate on" in caplog.text


def test_a_warm_up_that_outlasts_the_training_is_said(recordings, tmp_path, caplog):
    train(small_config(recordings, "improved_velocity_tracking", "loop.max_steps=1"), tmp_path)
    assert "it never reaches optim.lr; lower optim.warmup_epochs or train longer" in caplog.text


def test_the_time_allowed_ends_a_run_that_can_be_gone_on_with(recordings, tmp_path):
    result = train(small_config(recordings, "tracking_vemg2pose", "loop.max_minutes=1e-9"), tmp_path)
    assert (result.stopped, result.steps) == ("max_minutes", 1)
    assert result.best_val_loss is not None
    result = train(small_config(recordings, "tracking_vemg2pose", "resume=true"), tmp_path)
    assert (result.stopped, result.epochs) == ("max_epochs", 2)


def test_the_average_of_the_weights_is_what_is_validated_and_saved(recordings, tmp_path):
    overrides = ("loop.max_epochs=1", "optim.lr=3e-3")
    plain = train(small_config(recordings, "tracking_vemg2pose", *overrides), tmp_path / "plain")
    averaged = train(
        small_config(recordings, "tracking_vemg2pose", *overrides, "optim.ema_decay=0.99"), tmp_path / "averaged"
    )
    checkpoints = [torch.load(run.folder / "last.ckpt", weights_only=True)["state_dict"] for run in (plain, averaged)]
    assert all(torch.equal(tensor, checkpoints[1][name]) for name, tensor in checkpoints[0].items())
    assert not same_weights(plain.last, averaged.last)
    assert plain.best_val_loss != averaged.best_val_loss


def test_bfloat16_trains_and_weights_stay_float32(recordings, tmp_path):
    result = train(
        small_config(recordings, "improved_velocity_multitask", "loop.precision=bf16", "loop.max_steps=2"), tmp_path
    )
    assert result.best_val_loss < 5
    assert {tensor.dtype for tensor in weights_of(result.last).values()} == {torch.float32}


# --- fine-tuning


def test_fine_tuning_moves_the_named_parts_alone_and_the_card_says_where_they_come_from(recordings, tmp_path):
    start = train(small_config(recordings, "tracking_vemg2pose", "loop.max_steps=1"), tmp_path / "start").last
    config = small_config(recordings, "tracking_vemg2pose", "loop.max_steps=2", "init.train_only=[decoder.out]")
    config.model.__dict__.update(dict.fromkeys(config.model.sizes()))
    config.init.checkpoint = str(start)
    result = train(config, tmp_path / "tuned")
    before, after = weights_of(start), weights_of(result.last)
    assert {name for name in before if not torch.equal(before[name], after[name])} == {
        "decoder.out.weight",
        "decoder.out.bias",
    }
    assert f"Fine-tuned from {start}" in load_model(result.last).card.notes
    assert record(tmp_path / "tuned")["model"]["n_learning"] == sum(
        after[f"decoder.out.{n}"].numel() for n in ("weight", "bias")
    )


def test_a_fine_tuned_run_goes_on_without_the_checkpoint_that_it_began_from(recordings, tmp_path):
    start = train(small_config(recordings, "tracking_vemg2pose", "loop.max_steps=1"), tmp_path / "start").last

    def config(*overrides):
        chosen = small_config(recordings, "tracking_vemg2pose", "init.train_only=[decoder]", *overrides)
        chosen.model.__dict__.update(dict.fromkeys(chosen.model.sizes()))
        chosen.init.checkpoint = str(start)
        return chosen

    whole = train(config(), tmp_path / "whole")
    train(config("loop.max_steps=1"), tmp_path / "run")
    shutil.rmtree(start)
    result = train(config("resume=true"), tmp_path / "run")
    assert (result.epochs, result.stopped) == (2, "max_epochs")
    assert same_weights(whole.last, result.last)
    cards = [load_model(folder).card for folder in (whole.last, result.last)]
    assert cards[0] == cards[1]
    assert f"Fine-tuned from {start}" in cards[1].notes
    assert record(tmp_path / "run")["init"] == record(tmp_path / "whole")["init"]
    # Without its own weights a run needs those that it began from.
    (tmp_path / "run" / "last.ckpt").unlink()
    with pytest.raises(CheckpointError, match="there is no such file or folder"):
        train(config("resume=true", "loop.max_epochs=3"), tmp_path / "run")


# --- what goes wrong


def test_a_run_whose_checkpoint_is_gone_says_that_it_begins_again(recordings, tmp_path, caplog):
    first = train(small_config(recordings, "tracking_vemg2pose", "loop.max_epochs=1"), tmp_path)
    (tmp_path / "last.ckpt").unlink()
    result = train(small_config(recordings, "tracking_vemg2pose", "resume=true"), tmp_path)
    assert "last.ckpt is not there, so this run begins again with its first step" in caplog.text
    assert (result.steps, result.epochs) == (2 * first.steps, 2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"config": 1, "model": {}, "best": null, "epochs": 0, "steps": 0}',
        '{"config": {}, "model": {}, "best": 3, "epochs": 0, "steps": 0}',
        '{"config": {}, "model": {}, "best": {"epoch": 1, "val_loss": "x"}, "epochs": 0, "steps": 0}',
        '{"config": {}, "model": {}, "best": null, "epochs": null, "steps": 0}',
    ],
)
def test_a_record_that_is_none_is_one_message(recordings, tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    (tmp_path / "last.ckpt").write_bytes(b"")
    with pytest.raises(DataError, match=r"run\.json: (cannot be read|this is not the record)"):
        train(small_config(recordings, "tracking_vemg2pose", "resume=true"), tmp_path)


def test_a_folder_with_a_run_is_not_written_over(recordings, tmp_path):
    train(small_config(recordings, "tracking_vemg2pose", "loop.max_steps=1"), tmp_path)
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(ConfigError, match="a training run is there already; go on with it with resume=true"):
        train(small_config(recordings), tmp_path)
    assert (tmp_path / "run.json").read_bytes() == before


# What a run does to the file, without the seconds that its libraries take to import.
HOLD = """
import fcntl, os, sys
with open(sys.argv[1], "a+") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    print(os.getpid(), file=file, flush=True)
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_into_the_same_folder_is_refused_while_the_first_lives(recordings, tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / ".lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(DataError, match=f"another run is writing here .process {other.pid}."):
            train(small_config(recordings), tmp_path)
        # However it ends, its lock ends with it.
        other.kill()
        other.wait()
    assert train(small_config(recordings, "tracking_vemg2pose", "loop.max_steps=1"), tmp_path).steps == 1


def test_a_full_disk_ends_the_run_with_one_message_and_the_checkpoint_before_it(recordings, tmp_path):
    whole = train(small_config(recordings), tmp_path / "whole")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Files may be shorter than a checkpoint from now on: a write fails half-way, as on a full disk.
    fill = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # noqa: E731
    try:
        with after_batch(whole.steps // 2 + 1, fill), pytest.raises((DataError, CheckpointError)) as stop:
            train(small_config(recordings), tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "File too large" in str(stop.value)
    assert f"{tmp_path / 'run' / 'last.ckpt'} is whole: go on with resume=true" in str(stop.value)
    assert record(tmp_path / "run")["status"] == "failed"
    assert not [name for name in everything_in(tmp_path / "run") if "/." in name or name.endswith(".new")]
    load_model(tmp_path / "run" / "best")
    result = train(small_config(recordings, "tracking_vemg2pose", "resume=true"), tmp_path / "run")
    assert same_weights(whole.last, result.last)


def test_a_recording_that_vanishes_stops_the_run_with_its_name(tmp_path):
    root = tmp_path / "set"
    # More recordings than are held open at once.
    generate_dataset(root, n_train_users=5, n_val_users=1, n_test_users=1, n_stages=2, seconds=2.0)
    config = small_config(root, "tracking_vemg2pose", "data.in_memory_gib=0", "loop.max_epochs=50")
    paths = sorted(root.glob("*user0[0-4]-FingerWiggling*.hdf5"))

    def remove():
        for path in paths:
            path.unlink()

    with after_batch(3, remove), pytest.raises(DataError) as stop:
        train(config, tmp_path / "run")
    assert any(str(path) in str(stop.value) for path in paths)
    assert "go on with resume=true" in str(stop.value)
    assert record(tmp_path / "run")["status"] == "failed"


def test_a_run_that_failed_before_it_learnt_anything_leaves_the_folder_free(recordings, tmp_path):
    with pytest.raises(DataError, match="nothing had been saved yet"):
        train(small_config(recordings, "tracking_vemg2pose", "model.scale=1e38"), tmp_path)
    assert train(small_config(recordings, "tracking_vemg2pose", "loop.max_steps=1"), tmp_path).steps == 1


def test_a_damaged_checkpoint_is_said_to_be_one(recordings, tmp_path):
    train(small_config(recordings, "tracking_vemg2pose", "loop.max_epochs=1"), tmp_path)
    (tmp_path / "last.ckpt").write_bytes((tmp_path / "last.ckpt").read_bytes()[:3000])
    with pytest.raises(CheckpointError, match=r"last.ckpt: cannot go on from this checkpoint") as error:
        train(small_config(recordings, "tracking_vemg2pose", "resume=true"), tmp_path)
    assert "is whole" not in str(error.value)


def test_a_best_model_that_was_taken_away_is_replaced_by_the_best_from_there_on(recordings, tmp_path):
    first = train(small_config(recordings, "tracking_vemg2pose", "loop.max_epochs=1"), tmp_path)
    best = json.loads((tmp_path / "run.json").read_text())["best"]
    # No later model is as good as this one.
    text = (tmp_path / "run.json").read_text()
    (tmp_path / "run.json").write_text(text.replace(str(best["val_loss"]), "0.0"))
    shutil.rmtree(first.best)
    result = train(small_config(recordings, "tracking_vemg2pose", "resume=true"), tmp_path)
    assert result.best_epoch == 2
    load_model(result.best)


@pytest.mark.parametrize(
    "missing", ["pytorch-lightning_version", "state_dict", "loops", "callbacks", "optimizer_states"]
)
def test_a_checkpoint_that_no_run_wrote_is_said_to_be_one(recordings, tmp_path, missing):
    train(small_config(recordings, "tracking_vemg2pose", "loop.max_steps=1"), tmp_path)
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    torch.save({**checkpoint, missing: None}, tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match=rf"last\.ckpt: is no checkpoint that a run wrote.* no {missing}"):
        train(small_config(recordings, "tracking_vemg2pose", "resume=true"), tmp_path)


def test_a_checkpoint_of_another_model_is_one_message(recordings, tmp_path):
    train(small_config(recordings, "tracking_vemg2pose", "loop.max_steps=1"), tmp_path / "run")
    train(small_config(recordings, "regression_emg2pose", "loop.max_steps=1"), tmp_path / "other")
    shutil.copy(tmp_path / "other" / "last.ckpt", tmp_path / "run" / "last.ckpt")
    with pytest.raises(CheckpointError, match="holds the weights of another model than this run's"):
        train(small_config(recordings, "tracking_vemg2pose", "resume=true"), tmp_path / "run")


def test_a_model_that_a_kill_caught_between_two_renames_is_put_back(recordings, tmp_path):
    result = train(small_config(recordings, "tracking_vemg2pose", "loop.max_steps=1"), tmp_path)
    result.best.rename(tmp_path / ".best.old")
    for name in (".last.new", ".last.ckpt.x7_k2abc", ".run.json.abcdefgh"):
        (tmp_path / name).mkdir()
    RunFolder(tmp_path).mend()
    load_model(result.best)
    assert not [path for path in tmp_path.glob(".*") if path.is_dir()]


def test_a_run_that_could_not_begin_leaves_nothing_behind(tmp_path):
    with pytest.raises(DataError):
        train(small_config(tmp_path / "nothing"), tmp_path / "runs" / "first")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_could_not_begin_leaves_a_folder_that_was_there(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(DataError):
        train(small_config(tmp_path / "nothing"), tmp_path / "run")
    assert list(tmp_path.rglob("*")) == [tmp_path / "run"]


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("loop.logger=wandb", MissingExtraError, "pip install wandb"),
        ("init.train_only=[decodr]", ConfigError, "did you mean 'decoder'?"),
        ("loss.hand=nowhere.json", DataError, "nowhere.json"),
    ],
)
def test_what_cannot_be_is_refused_before_training(recordings, tmp_path, override, error, message):
    with pytest.raises(error, match=message.replace("?", "[?]")):
        train(small_config(recordings, "tracking_vemg2pose", override), tmp_path)
    assert not (tmp_path / "last.ckpt").exists()


def test_a_learning_curve_that_no_library_can_write_is_refused_before_training(recordings, tmp_path, monkeypatch):
    monkeypatch.setattr("emgpose.training.machine.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"needs the library tensorboard, .* or give loop\.logger=none"):
        train(small_config(recordings, "tracking_vemg2pose", "loop.logger=tensorboard"), tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_not_replaced_by_the_cpu(recordings, tmp_path):
    with pytest.raises(ConfigError, match="this machine has 0 usable CUDA GPUs"):
        train(small_config(recordings, "tracking_vemg2pose", "loop.accelerator=cuda"), tmp_path)


def test_other_processes_than_asked_for_are_refused(recordings, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(
        ConfigError, match=r"2 processes were started for this run, but loop\.devices x loop\.num_nodes is 1"
    ):
        train(small_config(recordings), tmp_path)


def test_the_bar_shows_loss_rate_throughput_and_when_the_run_will_have_ended(recordings, tmp_path, monkeypatch):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=200)
    monkeypatch.setattr("emgpose.training.run.TrainingProgress", lambda loop: TrainingProgress(loop, console))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    train(small_config(recordings, "tracking_vemg2pose", "loop.max_epochs=1"), tmp_path)
    shown = screen.getvalue()
    for piece in ("epoch 1/1", "loss ", "lr 0.001", "windows/s", "ends in 0:00:0"):
        assert piece in shown
