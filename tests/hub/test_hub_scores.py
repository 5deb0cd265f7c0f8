"""Scores and recipe for the card, from the folders of evaluations and trainings."""

import json
import math

import pandas as pd
import pytest

from emgpose.errors import ConfigError, DataError
from emgpose.hub import read_recipe, read_scores


@pytest.fixture
def evaluation(tmp_path):
    """What `emgpose evaluate --out` writes, as far as the card needs it."""
    rows = [
        {
            "condition": name,
            "metric": metric,
            "reduction": reduction,
            "mean": mean,
            "sd": 0.02,
            "n_users": 4,
            "n_windows": 9,
        }
        for name in ("user", "all")
        for metric, mean in (("mae", 0.2), ("static_mae", 0.3), ("landmark_distance", 16.0))
        for reduction in ("per_user", "pooled")
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "summary.csv", index=False)
    document = {
        "model": {"task": "regression"},
        "primary_mode": "stream",
        "modes": {"stream": "causal"},
        "hand": {"name": "emgpose generic hand"},
        "static_hand": {"label": "static_zero"},
        "config": {"where": "user == 'anna'"},
        "left_out": [{"path": "x.hdf5", "reason": "truncated"}],
        "checkpoint": {"sha256": "aa" * 32},
        "data": {"root": "/home/anna/data/sim", "split": "test", "simulated": True, "fingerprint": "ff"},
    }
    (tmp_path / "run.json").write_text(json.dumps(document))
    return tmp_path


def test_scores_come_in_degrees_with_the_data_named_and_without_its_path(evaluation):
    scores = read_scores(evaluation, "aa" * 32)
    assert (scores.data, scores.split, scores.kind, scores.data_fingerprint) == ("sim", "test", "simulated", "ff")
    assert [score.condition for score in scores.conditions] == ["user", "all"]
    assert (scores.static_hand, scores.is_part, scores.n_left_out) == ("static_zero", True, 1)
    assert "anna" not in repr(scores)
    first = scores.conditions[0]
    assert first.mae_deg == pytest.approx(math.degrees(0.2))
    assert first.static_mae_deg == pytest.approx(math.degrees(0.3))
    assert (first.landmark_mm, first.n_users, first.n_windows) == (16.0, 4, 9)


def test_scores_of_another_model_are_refused(evaluation):
    with pytest.raises(ConfigError, match="scores of another model"):
        read_scores(evaluation, "bb" * 32)


def test_a_folder_without_an_evaluation_is_refused_in_one_message(evaluation, tmp_path):
    with pytest.raises(DataError, match=r"run\.json"):
        read_scores(tmp_path / "none")
    (evaluation / "summary.csv").write_text("condition,metric\nuser,mae\n")
    with pytest.raises(DataError, match="is missing"):
        read_scores(evaluation)
    (evaluation / "run.json").write_text("{}")
    with pytest.raises(DataError, match="expected what `emgpose evaluate --out` writes"):
        read_scores(evaluation)
    (evaluation / "run.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="not valid JSON"):
        read_scores(evaluation)


def test_a_recipe_tells_what_was_learnt_how_and_not_where(tmp_path):
    config = {
        "experiment": "emgpose50",
        "out": "/home/anna/runs",
        "data": {"root": "/home/anna/data", "batch_size": 64, "hours": None, "where": "user == 'anna'"},
        "init": {"checkpoint": "/home/anna/other"},
        "model": {"head_sizes": [128]},
        "loop": {"max_epochs": 24, "threads": 3},
        "loss": {"hand": "/home/anna/hand.json"},
    }
    (tmp_path / "run.json").write_text(json.dumps({"config": config, "epochs": 20, "steps": 100, "command": ["/home"]}))
    recipe = read_recipe(tmp_path)
    assert recipe == {
        "experiment": "emgpose50",
        "data.batch_size": "64",
        "model.head_sizes": "[128]",
        "loop.max_epochs": "24",
        "epochs": "20",
        "steps": "100",
    }


def test_a_folder_that_is_no_run_has_no_recipe_and_a_broken_record_is_named(tmp_path):
    assert read_recipe(tmp_path) == {}
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(DataError, match="no section config"):
        read_recipe(tmp_path)
