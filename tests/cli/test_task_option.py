"""Tasks of a multitask model through the command line, and options that would change nothing."""

import json

import numpy as np
import pytest
import torch

from emgpose.checkpoints import save_model
from generated import generate_dataset, generate_session
from small_models import small_model

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def multitask(tmp_path_factory):
    model = small_model("emgpose50", scale=0.1)
    torch.nn.init.constant_(model.initial_pose, 0.25)
    return save_model(model, tmp_path_factory.mktemp("models") / "multitask")


@pytest.fixture(scope="module")
def tracking(tmp_path_factory):
    return save_model(
        small_model("tracking_emg2pose", layer_sizes=(16,)), tmp_path_factory.mktemp("models") / "tracking"
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    generate_dataset(root, n_train_users=1, n_val_users=0, n_test_users=1, n_stages=2)
    return root


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("recordings") / "a.hdf5"
    generate_session(path, seconds=2.0, invalid_share=0.0)
    return path


def evaluated(run, data, checkpoint, out, *options):
    arguments = ("--data", data, "--checkpoint", checkpoint, "--out", out, "--mode", "stream", *options)
    code, printed, err = run("evaluate", *arguments)
    assert code == 0, err
    return printed, (out / "summary.md").read_text(), json.loads((out / "run.json").read_text())


@pytest.mark.parametrize(
    ("options", "task", "static", "published"),
    [
        ((), "tracking", "static_initial_pose", "Hadidi position, single task"),
        (("--task", "tracking"), "tracking", "static_initial_pose", "Hadidi position, single task"),
        (("--task", "regression"), "regression", "static_median_train", "NeuroPose"),
    ],
)
def test_evaluate_scores_one_task_beside_its_own_static_hand_and_published_rows(
    run, data, multitask, tmp_path, options, task, static, published
):
    printed, summary, document = evaluated(run, data, multitask, tmp_path, *options)
    other = "regression" if task == "tracking" else "tracking"
    assert f"Task: {task} (the model can also be scored with --task {other})." in printed
    assert f"| {published} | published, emg2pose test split |" in summary
    assert f"Task: {task}." in summary
    assert (document["model"]["task"], document["config"]["task"]) == (task, task)
    assert document["model"]["tasks"] == ["tracking", "regression"]
    assert document["static_hand"]["label"] == static


def test_evaluate_by_other_columns_shows_no_published_rows(run, data, tracking, tmp_path):
    printed, summary, _ = evaluated(run, data, tracking, tmp_path / "side", "--by", "side")
    assert "left" in printed
    assert "vemg2pose" not in printed
    assert "published, emg2pose" not in summary
    assert "Published rows" not in summary
    printed, summary, _ = evaluated(run, data, tracking, tmp_path / "usual", "--by", "generalization")
    assert "vemg2pose" in printed
    assert "Published rows" in summary


def test_a_task_that_the_model_does_not_have_is_wrong_usage(run, data, tracking, recording, tmp_path):
    asked = ("--task", "regression", "--out", tmp_path / "out.csv", "--checkpoint", tracking)
    for command in (("evaluate", "--data", data), ("predict", recording)):
        code, _, err = run(*command, *asked)
        assert code == 2
        assert "tracking_emg2pose runs tracking, not 'regression'" in err
    assert run("predict", recording, "--task", "racking", *asked[2:])[0] == 2


@pytest.mark.parametrize(
    ("kind", "options", "task", "said"),
    [
        ("labelled", (), "tracking", "because the recording holds the pose to start from; --task chooses"),
        ("labelled", ("--initial-pose", "rest"), "tracking", "because an initial pose is given"),
        ("labelled", ("--task", "regression"), "regression", "(regression), mode stream"),
        ("bare", (), "regression", "because the recording has no joint angles"),
        ("bare", ("--task", "tracking"), "tracking", "the model's own initial pose: the recording has no joint angles"),
    ],
)
def test_predict_says_which_task_it_runs_and_why(run, multitask, recording, tmp_path, kind, options, task, said):
    path = recording
    if kind == "bare":
        path = tmp_path / "bare.npz"
        emg = np.random.default_rng(0).standard_normal((4_000, 16)).astype(np.float32)
        np.savez(path, emg=emg, sample_rate_hz=2000.0)
    arguments = ("predict", path, "--checkpoint", multitask, "--out", tmp_path / "a.csv", *options)
    code, out, err = run(*arguments)
    assert code == 0, err
    assert f"emgpose50 ({task}" in out
    assert said in out
    assert json.loads(run(*arguments, "--json")[1])["task"] == task


def test_predict_in_regression_refuses_a_pose(run, multitask, recording, tmp_path):
    options = ("--task", "regression", "--initial-pose", "recorded")
    code, _, err = run("predict", recording, "--checkpoint", multitask, "--out", tmp_path / "a.csv", *options)
    assert code == 2
    assert "use --task tracking" in err
    assert list(tmp_path.iterdir()) == []


def test_info_and_models_name_the_tasks(run, multitask):
    facts = json.loads(run("info", multitask, "--json")[1])
    assert (facts["task"], facts["tasks"]) == ("multitask", ["tracking", "regression"])
    listed = {row["name"]: row for row in json.loads(run("models", "--json")[1])}
    assert listed["improved_velocity_multitask"]["task"] == "multitask"
    assert listed["improved_position_regression"]["tasks"] == ["regression"]
    assert "tracking + regression" in run("models")[1]


@pytest.mark.parametrize(
    ("what", "option", "value", "reason"),
    [
        ("recording", "--experiment", "tracking_emg2pose", "is no checkpoint; leave it out"),
        ("nothing", "--experiment", "tracking_emg2pose", "nothing is named; leave it out"),
        ("checkpoint", "--input-rate", "2000", "is a checkpoint; leave it out"),
        ("nothing", "--input-rate", "2000", "nothing is named; leave it out"),
    ],
)
def test_info_refuses_an_option_that_would_change_nothing(run, recording, tracking, what, option, value, reason):
    path = {"recording": [recording], "checkpoint": [tracking], "nothing": []}[what]
    code, out, err = run("info", *path, option, value)
    assert code == 2
    assert out == ""
    assert f"{option} {value}: " in err
    assert reason in err
