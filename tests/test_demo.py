"""The demo judges its models by goals that it states, and says plainly when one is missed."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from made_runs import made_evaluation, made_training, made_windows

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
USERS = tuple(f"user{i}" for i in range(8))


@pytest.fixture
def checks(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module("demo_checks")


@pytest.fixture
def demo(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.chdir(tmp_path)
    return importlib.import_module("demo")


def scores(errors, static=10.0, condition="user"):
    """One window of each user."""
    users = [f"user{i}" for i in range(len(errors))]
    return pd.DataFrame({"condition": condition, "user": users, "mae": np.asarray(errors), "static_mae": static})


def judged(checks, windows, *, condition="user", least=10, label="static_initial_pose", trained=()):
    return checks.judge(checks.Goal("tracking", condition, least), windows, label, trained)


def test_the_goals_are_those_that_the_demo_promises(checks):
    assert {(goal.task, goal.condition, goal.least_percent) for goal in checks.GOALS} == {
        ("tracking", "user", 10),
        ("tracking", "user_stage", 10),
        ("regression", "user", 5),
    }


def test_a_model_that_is_clearly_better_for_everybody_meets_the_goal(checks):
    verdict = judged(checks, scores([8.0, 7.5, 8.5, 8.2, 7.8, 8.0]))
    assert verdict.is_met
    assert verdict.below_percent[0] == pytest.approx(20.0)
    assert str(verdict).startswith(
        "met     tracking on U: 20.0 % below the held initial pose; asked: at least 10 % below"
    )
    assert "paired over 6 held-out users" in str(verdict)


def test_the_interval_is_that_of_the_improvement(checks):
    below, low, high = judged(checks, scores([8.0, 7.0, 9.0, 8.2, 7.8, 8.0])).below_percent
    assert 10 < low < below < high < 30


def test_a_model_that_is_better_by_less_than_asked_misses(checks):
    verdict = judged(checks, scores([9.1] * 8))
    assert verdict.faults == ["too little"]
    assert str(verdict).startswith("MISSED")


def test_a_model_that_helps_some_users_and_harms_others_misses(checks):
    verdict = judged(checks, scores([2.0, 2.0, 13.0, 12.0, 12.0, 12.0]))
    assert verdict.below_percent[0] > 10
    assert verdict.faults == ["no interval above 0"]


@pytest.mark.parametrize("n_users", [2, 5])
def test_too_few_users_prove_nothing(checks, n_users):
    assert judged(checks, scores([5.0] * n_users)).faults == ["fewer than 6 users"]


def test_a_single_user_or_none_gives_no_interval(checks):
    assert judged(checks, scores([5.0])).faults == ["no interval above 0", "fewer than 6 users"]
    nobody = judged(checks, scores([5.0] * 8), condition="user_stage")
    assert not nobody.is_met
    assert "no interval, paired over 0 held-out users" in str(nobody)


def test_a_worse_model_is_said_to_be_above(checks):
    assert "20.0 % above the held initial pose" in str(judged(checks, scores([12.0] * 8)))


def test_users_that_the_training_saw_are_not_held_out(checks):
    verdict = judged(checks, scores([5.0] * 8), trained=("user3", "somebody else"))
    assert verdict.faults == ["the training saw user3"]


def test_another_static_hand_than_the_one_promised_is_a_miss(checks):
    assert judged(checks, scores([5.0] * 8), label="static_zero").faults == ["compared with static_zero"]


def test_users_count_alike_however_many_windows_they_have(checks):
    many = pd.concat([scores([9.9])] * 100 + [scores([5.0] * 8)[1:]], ignore_index=True)
    assert judged(checks, many).below_percent[0] == pytest.approx(100 - (99 + 7 * 50) / 8)


def test_only_the_windows_of_the_condition_count(checks):
    both = pd.concat([scores([5.0] * 8), scores([20.0] * 8, condition="seen")])
    assert judged(checks, both).below_percent[0] == pytest.approx(50)


def test_the_table_has_degrees_and_a_dash_where_there_is_no_score(checks):
    windows = scores(np.radians([10.0, 20.0]), static=np.radians(30.0), condition="user_stage")
    assert checks.score_table({"regression": windows})[1:] == [
        ["regression model", "-", "-", "-", "15.0"],
        ["the median hand", "-", "-", "-", "30.0"],
    ]


def made_demo(tracking_deg, regression_deg):
    """Lay the folder out as the demo's commands do."""
    for task, error_deg, label in (
        ("tracking", tracking_deg, "static_initial_pose"),
        ("regression", regression_deg, "static_median_checkpoint"),
    ):
        made_training(Path("demo") / task)
        change_json(Path("demo") / task / "run.json", data={"subset": {"users": ["somebody else"]}})
        folder = made_evaluation(Path("demo") / task / "evaluate", made_windows(error_deg=error_deg), task=task)
        change_json(folder / "run.json", static_hand={"label": label})


def change_json(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def without_work(demo, monkeypatch):
    for step in ("simulate", "train", "evaluate"):
        monkeypatch.setattr(demo, step, lambda: None)
    monkeypatch.setattr(demo, "run_step", lambda *_: None)


def test_the_demo_succeeds_when_every_goal_is_met(demo, monkeypatch, capsys):
    made_demo(tracking_deg=12.0, regression_deg=14.0)
    without_work(demo, monkeypatch)
    assert demo.main() == 0
    said = capsys.readouterr().out
    assert said.count("met     ") == 3
    assert "demo/report/report.html" in said
    assert "FAILED" not in said


def test_one_missed_goal_fails_the_demo_and_is_named(demo, monkeypatch, capsys):
    made_demo(tracking_deg=12.0, regression_deg=14.9)
    without_work(demo, monkeypatch)
    assert demo.main() == 1
    said = capsys.readouterr().out
    assert "MISSED  regression on U" in said
    assert "The demo FAILED: 1 of 3 goals missed." in said


def test_a_step_that_fails_stops_the_demo_and_shows_what_it_said(demo, tmp_path, capsys):
    commands = {"bad": ["info", str(tmp_path / "nothing here")]}
    with pytest.raises(SystemExit, match=r"(?s)The demo FAILED: emgpose info ended with exit code 1 .*nothing here"):
        demo.run_step("A step", commands, tmp_path, lambda: "working")
    assert "$ emgpose info" in capsys.readouterr().out


def test_scores_of_other_weights_are_made_again(demo, monkeypatch):
    made_demo(tracking_deg=12.0, regression_deg=14.0)
    folder = Path("demo/tracking")
    change_json(folder / "evaluate" / "run.json", checkpoint={"sha256": "of these weights"})
    monkeypatch.setattr(demo, "checkpoint_fingerprint", lambda _: "of these weights")
    assert demo.is_scored(folder)
    monkeypatch.setattr(demo, "checkpoint_fingerprint", lambda _: "of other weights")
    assert not demo.is_scored(folder)
    assert not demo.is_scored(Path("demo/nothing"))


def test_progress_shows_the_epoch_and_the_last_validation_error(demo):
    assert demo.learnt("tracking") == f"tracking: epoch 0 of {demo.EPOCHS}"
    made_demo(tracking_deg=12.0, regression_deg=14.0)
    assert demo.learnt("tracking") == f"tracking: epoch 10 of {demo.EPOCHS}, error 2.0 deg on validation"


@pytest.mark.slow
def test_the_whole_demo_meets_its_goals_and_a_second_run_is_quick(tmp_path):
    command = [sys.executable, str(EXAMPLES / "demo.py")]
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stdout.count("met     ") == 3
    assert (tmp_path / "demo/report/report.html").stat().st_size > 100_000
    scores_before = (tmp_path / "demo/tracking/evaluate/windows.csv").stat().st_mtime_ns
    second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert second.returncode == 0, second.stdout + second.stderr
    assert (tmp_path / "demo/tracking/evaluate/windows.csv").stat().st_mtime_ns == scores_before
