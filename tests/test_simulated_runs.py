"""What the benchmarks' training runs on simulated data are scored as."""

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

FILE = Path(__file__).parents[1] / "benchmarks" / "simulated_runs.py"


@pytest.fixture(scope="module")
def by_training():
    spec = importlib.util.spec_from_file_location("simulated_runs", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.by_training


def windows(*rows):
    return pd.DataFrame(rows, columns=["user", "stage", "condition"])


def test_users_of_the_training_split_that_a_run_left_out_are_unknown_to_it(by_training):
    scored = windows(
        ("u0", "fist", "seen"), ("u1", "fist", "seen"), ("u9", "fist", "user"),
        ("u0", "new", "stage"), ("u1", "new", "stage"), ("u9", "new", "user_stage"),
    )  # fmt: skip
    named = by_training(scored, ["u0"], ())
    assert list(named["condition"]) == ["seen", "user", "user", "stage", "user_stage", "user_stage"]


def test_training_stages_that_a_run_left_out_are_unknown_and_held_out_ones_are_not_scored(by_training):
    scored = windows(
        ("u0", "fist", "seen"), ("u0", "pinch", "seen"), ("u9", "fist", "user"), ("u9", "pinch", "user"),
        ("u0", "new", "stage"), ("u9", "new", "user_stage"),
    )  # fmt: skip
    named = by_training(scored, ["u0"], ("fist",))
    assert list(named["condition"]) == ["seen", "stage", "user", "user_stage"]
    assert list(named["stage"]) == ["fist", "pinch", "fist", "pinch"]
