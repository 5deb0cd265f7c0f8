"""`emgpose hub` and `--checkpoint hf:USER/NAME`."""

import dataclasses
import json

import pytest
import yaml

from emgpose.checkpoints import load_model, save_model
from emgpose.hub import fetch_model
from fake_hub import TOKEN, hub
from generated import generate_dataset, generate_session
from made_runs import made_evaluation
from small_models import small_model

__all__ = ["hub"]
NAME = "tester/hand"


@pytest.fixture
def checkpoint(tmp_path):
    return save_model(small_model("emgpose50"), tmp_path / "model")


@pytest.fixture
def logged_in(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def test_save_writes_what_push_would_upload_without_network(run, checkpoint, tmp_path, hub):
    code, out, err = run("hub", "save", checkpoint, "--out", tmp_path / "out", "--licence", "MIT", "--dataset", "a/b")
    assert (code, err) == (0, "")
    assert "README.md is the card" in out
    header = yaml.safe_load((tmp_path / "out" / "README.md").read_text().split("---")[1])
    assert (header["license"], header["datasets"]) == ("mit", ["a/b"])
    assert load_model(tmp_path / "out").card.licence == "MIT"
    assert hub.requests == []


def test_an_experiment_can_be_named_and_must_be_the_model_s(run, checkpoint, tmp_path):
    code, _, err = run("hub", "save", checkpoint, "--out", tmp_path / "out", "--experiment", "regression_emg2pose")
    assert code == 1
    assert "this model is emgpose50, not regression_emg2pose" in err
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_in_it_is_left_alone_without_force(run, checkpoint, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    code, _, err = run("hub", "save", checkpoint, "--out", tmp_path / "out")
    assert code == 2
    assert "not empty" in err
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["mine.txt"]
    code, _, _ = run("hub", "save", checkpoint, "--out", tmp_path / "out", "--force")
    assert code == 0
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"


@pytest.mark.slow
def test_push_takes_the_best_model_of_a_run_its_recipe_and_its_scores(run, tmp_path, hub, logged_in):
    folder = tmp_path / "run"
    save_model(small_model("emgpose50"), folder / "best")
    save_model(small_model("regression_emg2pose"), folder / "last")
    (folder / "run.json").write_text(json.dumps({"config": {"optim": {"lr": 0.5}, "data": {"root": "/home/anna"}}}))
    generate_dataset(tmp_path / "data", n_train_users=1, n_val_users=1, n_test_users=1, n_stages=2)
    evaluation = tmp_path / "evaluation"
    scoring = ("evaluate", "--data", tmp_path / "data", "--checkpoint", folder / "best", "--mode", "stream")
    assert run(*scoring, "--out", evaluation, "--task", "regression")[0] == 0
    code, out, err = run("hub", "push", folder, NAME, "--scores", evaluation)
    assert (code, "state no licence" in err) == (0, True)
    assert f"uploaded: {hub.endpoint}/{NAME}/commit/" in out
    assert hub.repositories[NAME].is_private
    card = hub.files(NAME)["README.md"].decode()
    assert json.loads(hub.files(NAME)["config.json"])["model"]["name"] == "emgpose50"
    assert "optim.lr=0.5" in card
    assert "On **recorded** EMG: `data`, split `test`" in card
    assert "| both not trained on (US) |" in card
    assert "/home/anna" not in card
    assert TOKEN not in out + err


def test_scores_of_another_model_and_another_licence_are_refused(run, checkpoint, tmp_path, hub, logged_in):
    evaluation = made_evaluation(tmp_path / "evaluation")
    code, _, err = run("hub", "push", checkpoint, NAME, "--scores", evaluation)
    assert code in (1, 2)
    assert str(evaluation) in err
    model = small_model()
    model.card = dataclasses.replace(model.card, licence="CC BY-NC-SA 4.0")
    code, _, err = run("hub", "push", save_model(model, tmp_path / "nc"), NAME, "--licence", "MIT")
    assert code == 2
    assert "the weights come with CC BY-NC-SA 4.0" in err
    assert hub.requests == []


def test_public_is_said_and_a_push_without_a_token_is_one_message(run, checkpoint, hub, monkeypatch):
    code, _, err = run("hub", "push", checkpoint, NAME)
    assert code == 1
    assert NAME in err
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert run("hub", "push", checkpoint, NAME, "--public")[0] == 0
    assert not hub.repositories[NAME].is_private


def test_fetch_writes_a_folder_that_loads_and_a_bad_model_writes_none(run, checkpoint, tmp_path, hub):
    files = {file.name: file.read_bytes() for file in checkpoint.iterdir()}
    hub.add(NAME, files)
    # What another program cached of the same model.
    (fetch_model(NAME) / "pytorch_model.bin").write_bytes(b"a pickle")
    code, out, err = run("hub", "fetch", NAME, "--out", tmp_path / "a" / "hand")
    assert (code, err) == (0, "")
    assert "emgpose50, tracking and regression, trained on: none" in out
    assert {file.name: file.read_bytes() for file in (tmp_path / "a" / "hand").iterdir()} == files
    assert not any(file.is_symlink() for file in (tmp_path / "a" / "hand").iterdir())
    hub.add(NAME, {"model.safetensors": b"other"})
    code, _, err = run("hub", "fetch", NAME, "--out", tmp_path / "b")
    assert code == 1
    assert "SHA-256" in err
    assert not (tmp_path / "b").exists()


def test_a_checkpoint_may_be_named_on_the_hub(run, checkpoint, tmp_path, hub):
    commit = hub.add(NAME, {file.name: file.read_bytes() for file in checkpoint.iterdir()})
    recording = tmp_path / "rec.hdf5"
    generate_session(recording, seconds=4.0, invalid_share=0.0)
    for number, name in enumerate((f"hf:{NAME}", f"hf://{NAME}@{commit}")):
        out = tmp_path / f"{number}.npz"
        code, _, err = run("predict", recording, "--checkpoint", name, "--out", out)
        assert code == 0, err
        assert out.exists()
        assert json.loads(run("info", name, "--json")[1])["experiment"] == "emgpose50"
    code, _, err = run("predict", recording, "--checkpoint", "hf:tester/none", "--out", tmp_path / "c.npz")
    assert code == 1
    assert "no such model" in err
    code, _, err = run("predict", recording, "--checkpoint", "hf:a/b/c", "--out", tmp_path / "c.npz")
    assert code == 2
    assert "expected USER/NAME" in err


def test_a_folder_that_is_neither_model_nor_run_is_named(run, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = run("hub", "save", tmp_path / "empty", "--out", tmp_path / "out")
    assert code == 1
    assert "expected a model folder" in err
    assert not (tmp_path / "out").exists()
