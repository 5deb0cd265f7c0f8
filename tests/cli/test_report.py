"""`emgpose report` on what `emgpose evaluate` wrote."""

import json

import pandas as pd
import pytest

from emgpose.checkpoints import save_model
from generated import generate_dataset
from made_runs import made_evaluation, made_training
from small_models import small_model


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """A data set of 6 recordings and a model."""
    root = tmp_path_factory.mktemp("report")
    generate_dataset(root / "data", n_train_users=1, n_val_users=0, n_test_users=2, n_stages=1)
    save_model(small_model(), root / "model")
    return root


def test_two_evaluations_become_a_report_that_says_what_it_could_not_pair(run, evaluated, tmp_path):
    data, model = evaluated / "data", evaluated / "model"
    for name, options in {"all": (), "fewer": ("--where", "user != 'user02'")}.items():
        code, _, err = run(
            "evaluate", "--data", data, "--checkpoint", model, "--out", tmp_path / name, "--mode", "published", *options
        )
        assert code == 0, err
    code, out, err = run("report", tmp_path / "all", tmp_path / "fewer", "--out", tmp_path / "report", "--title", "Two")
    assert (code, err) == (0, "")
    assert "A: all" in out
    text = (tmp_path / "report" / "report.md").read_text()
    assert text.startswith("# Two\n")
    assert "only A has the users user02" in text
    # A model cannot differ from itself.
    differences = pd.read_csv(tmp_path / "report" / "differences.csv").query("comparison == 'B − A'")
    assert differences["difference_deg"].abs().max() < 1e-3
    examples = pd.read_csv(tmp_path / "report" / "examples.csv")
    assert examples["example"].tolist()[:3] == ["best", "median", "worst"]
    assert pd.read_csv(tmp_path / "report" / "costs.csv")["gflops_per_window"].min() > 0


def test_json_names_runs_and_files(run, tmp_path):
    made_evaluation(made_training(tmp_path / "run1") / "evaluate")
    code, out, _ = run("report", tmp_path / "run1", "--out", tmp_path / "report", "--json")
    document = json.loads(out)
    assert code == 0
    assert [item["run"] for item in document["runs"]] == ["A", "T1"]
    assert all((tmp_path / "report" / name).exists() for name in ("report.html", "report.md", "learning_curves.csv"))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--out", "x"), 2, "RUN"),
        (("nowhere", "--out", "x"), 1, "no such folder"),
        ((".", "--out", "x"), 1, "expected run.json"),
    ],
)
def test_wrong_usage_ends_in_one_message_and_no_folder(run, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    ended, _, err = run("report", *arguments)
    assert ended == code
    assert message in err
    assert not (tmp_path / "x").exists()
