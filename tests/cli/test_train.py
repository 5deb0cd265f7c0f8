"""`emgpose train`: its arguments reach Hydra whole, and whatever goes wrong ends in one message and an exit code."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from emgpose.checkpoints import load_model
from emgpose.errors import DataError

TRACKING = ("experiment=tracking_vemg2pose", "data.root=set")
SMALL = (
    "model.channels=8",
    "model.tds_channels=2",
    "model.tds_pairs=1",
    "model.n_features=8",
    "model.hidden_size=8",
    "data.window_samples=3000",
    "data.val_window_samples=3000",
    "data.batch_size=8",
    "loop.max_epochs=2",
    "loop.accelerator=cpu",
    "loop.logger=none",
)


@pytest.fixture
def trained(monkeypatch, tmp_path):
    """Stand in for the training itself; the runs that were asked for, in order."""
    runs = []

    def train(config, folder: Path):
        runs.append((config, folder))
        if config.seed == 13:
            raise DataError("set/metadata.csv: no such file")
        if config.seed == 14:
            raise KeyboardInterrupt
        (folder / "run.json").write_text("{}")
        return SimpleNamespace(
            best=folder / "best",
            last=folder / "last",
            best_epoch=2,
            best_val_loss=0.25,
            epochs=3,
            steps=30,
            stopped="done",
        )

    monkeypatch.setattr("emgpose.training.train", train)
    monkeypatch.chdir(tmp_path)
    for name in ("WORLD_SIZE", "SLURM_NTASKS", "RANK", "SLURM_PROCID", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    return runs


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_run_gets_its_settings_and_its_own_folder_and_reports_where_the_models_are(run, trained, tmp_path):
    code, out, err = run("train", *TRACKING, "optim.lr=3e-4", "out=here", "data.where='side == \"left\"'")
    assert (code, err) == (0, "")
    [(config, folder)] = trained
    assert (config.optim.lr, config.data.where, config.loop.max_epochs) == (3e-4, 'side == "left"', 500)
    assert (folder, config.out) == (tmp_path / "here", str(tmp_path / "here"))
    assert everything_in(tmp_path) == ["here", "here/run.json"]
    assert "best epoch 2: validation loss 0.25" in out
    assert f"best: {folder / 'best'}" in out


def test_without_a_name_the_folder_is_runs_experiment_date(run, trained, tmp_path):
    assert run("train", *TRACKING)[0] == 0
    assert trained[0][1].parent == tmp_path / "runs" / "tracking_vemg2pose"


def test_the_command_line_is_whole_again_while_training_runs(run, trained, monkeypatch):
    seen = []
    monkeypatch.setattr("emgpose.training.train", lambda config, folder: seen.append(list(sys.argv)) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("train", *TRACKING)
    assert seen == [["emgpose", "train", *TRACKING]]


def test_help_and_the_configuration_are_printed_without_training(run, trained, tmp_path):
    code, out, _ = run("train", "--help")
    assert (code, out.startswith("Usage: emgpose train experiment=NAME data.root=DIR")) == (0, True)
    assert "improved_velocity_multitask" in out
    code, out, _ = run("train", "experiment=regression_emg2pose", "optim.lr=2", "--cfg", "job")
    assert (code, "window_samples: 5790" in out, "lr: 2.0" in out) == (0, True, True)
    assert (trained, everything_in(tmp_path)) == ([], [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "which experiment? give experiment=NAME, one of: emgpose50"),
        (("experiment=tracking_vemg2pose",), "data.root is missing"),
        (("experiment=tracking_vemgpose", "data.root=set"), "did you mean 'tracking_vemg2pose'?"),
        ((*TRACKING, "data.batchsize=3"), "did you mean 'data.batch_size'?"),
        ((*TRACKING, "data.batch_size=three"), "data.batch_size: Value 'three'"),
        ((*TRACKING, "seed=1,2"), "add --multirun"),
        ((*TRACKING, "seed=1,-2", "--multirun"), "seed: expected a whole number from 0 to 4294967295, got -2"),
        ((*TRACKING, "resume=true"), "give its folder with out=DIR"),
        ((*TRACKING, "--cfg", "jub"), "invalid choice: 'jub'"),
        ((*TRACKING, "--cfg", "job", "--multirun"), "expected one of --multirun and --cfg"),
        ((*TRACKING, "--resolve"), "--resolve goes with --cfg"),
        ((*TRACKING, "--config-name", "x"), "emgpose train has no --config-name"),
        ((*TRACKING, "--config-dir", "nowhere"), "--config-dir nowhere: no such folder"),
        ((*TRACKING, "--multirun", "seed=1,2"), "options such as --multirun come before or after"),
        ((*TRACKING, "--faster"), "unrecognized arguments: --faster"),
    ],
)
def test_wrong_arguments_end_in_one_message_and_no_folder(run, trained, tmp_path, arguments, message):
    code, out, err = run("train", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert (trained, everything_in(tmp_path)) == ([], [])


def test_a_run_that_fails_says_so_once_and_leaves_no_empty_folder(run, trained, tmp_path):
    assert run("train", *TRACKING, "seed=13", "out=here") == (1, "", "error: set/metadata.csv: no such file\n")
    assert everything_in(tmp_path) == []


def test_an_interrupted_run_says_how_to_go_on(run, trained, tmp_path):
    code, _, err = run("train", *TRACKING, "seed=14", "out=here")
    assert code == 130
    assert f"resume=true out={tmp_path / 'here'}" in err


def test_a_sweep_trains_each_value_in_a_numbered_folder_and_goes_on_after_a_failure(run, trained, tmp_path):
    code, out, err = run("train", "--multirun", *TRACKING, "seed=1,13,3", "out=sweep")
    assert code == 1
    assert [(config.seed, folder) for config, folder in trained] == [
        (1, tmp_path / "sweep/0"),
        (13, tmp_path / "sweep/1"),
        (3, tmp_path / "sweep/2"),
    ]
    assert out.count("best epoch 2") == 2
    assert "error: run 1 (data.root=set,experiment=tracking_vemg2pose,out=sweep,seed=13): set/metadata.csv" in err
    assert everything_in(tmp_path / "sweep") == ["0", "0/run.json", "2", "2/run.json", "multirun.yaml"]


def test_a_sweep_over_experiments_needs_no_name_either(run, trained):
    assert run("train", "-m", "experiment=emgpose50,tracking_vemg2pose", "data.root=set")[0] == 0
    assert [config.experiment for config, _ in trained] == ["emgpose50", "tracking_vemg2pose"]
    assert len({folder for _, folder in trained}) == 2


def test_runs_of_a_sweep_with_several_processes_are_refused_where_nothing_starts_them(run, trained):
    code, _, err = run("train", "-m", *TRACKING, "seed=1,2", "loop.devices=2")
    assert (code, "give each run one device" in err, trained) == (2, True, [])


def test_processes_that_train_together_need_a_folder_and_only_the_first_speaks(run, trained, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    code, _, err = run("train", *TRACKING)
    assert (code, "2 processes train together and need one folder: give out=DIR" in err) == (2, True)
    assert run("train", *TRACKING, "out=here") == (0, "", "")
    assert len(trained) == 1


@pytest.mark.parametrize(
    ("n_jobs", "n_runs", "threads"), [(2, 8, 4), (-1, 2, 4), (-1, 8, 1), (4, 3, 2), (-2, 7, 1), (16, 16, 1)]
)
def test_runs_that_go_on_at_once_share_the_cores(monkeypatch, n_jobs, n_runs, threads):
    from emgpose.cli.train import _share_machine
    from emgpose.experiments import compose_config

    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(8)), raising=False)
    config = compose_config("tracking_vemg2pose", "data.root=set")
    _share_machine(config, SimpleNamespace(launcher={"n_jobs": n_jobs}), n_runs)
    assert config.loop.threads == threads


@pytest.fixture(scope="module")
def data_set(tmp_path_factory) -> Path:
    """A data set of 3 users, 2 stages and 8 s recordings."""
    from emgpose.simulation.data_set import simulate_data_set

    root = tmp_path_factory.mktemp("data") / "set"
    simulate_data_set(root, users=3, stages=2, minutes=8 / 60, placements=1, repeats=2, seed=0)
    return root


@pytest.mark.slow
def test_a_small_model_trains_resumes_and_loads(run, data_set, tmp_path):
    folder = tmp_path / "run"
    arguments = ("train", "experiment=tracking_vemg2pose", f"data.root={data_set}", f"out={folder}", *SMALL)
    code, out, err = run(*arguments)
    assert code == 0
    assert f"best: {folder / 'best'}" in out
    assert ["epoch 1" in line or "epoch 2" in line for line in err.splitlines()] == [True, True]
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"
    assert load_model(folder / "best").card.experiment == "tracking_vemg2pose"
    code, _, err = run(*arguments)
    assert (code, "resume=true" in err) == (2, True)
    assert run(*arguments, "resume=true", "loop.max_epochs=3")[0] == 0
    assert run("evaluate", "--data", data_set, "--checkpoint", folder / "best", "--out", tmp_path / "scores")[0] == 0


@pytest.mark.slow
def test_two_runs_of_a_sweep_train_at_once_in_processes_of_their_own(run, data_set, tmp_path):
    arguments = ("experiment=tracking_vemg2pose", f"data.root={data_set}", f"out={tmp_path}", *SMALL, "seed=1,2")
    sweep = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "--multirun")
    assert run("train", *arguments, *sweep)[0] == 0
    runs = [json.loads((tmp_path / number / "run.json").read_text()) for number in "01"]
    assert [one["config"]["seed"] for one in runs] == [1, 2]
    assert {one["status"] for one in runs} == {"finished"}
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert {one["machine"]["threads"] for one in runs} == {max(1, n_cores // 2)}
