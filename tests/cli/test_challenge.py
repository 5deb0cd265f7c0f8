"""`emgpose challenge-pack`: from a run to a ZIP, rehearsed."""

import json
import zipfile

import pytest

from emgpose.checkpoints import save_model
from exported_models import narrow_model
from generated import generate_dataset


@pytest.fixture(scope="module")
def training_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    save_model(narrow_model("one convolution"), folder / "best")
    return folder


@pytest.mark.slow
def test_a_run_becomes_a_submission_that_was_rehearsed(run, training_run, tmp_path):
    code, out, err = run("challenge-pack", training_run, "--out", tmp_path / "s.zip", "--json", "--name", "hand 1")
    assert code == 0, err
    document = json.loads(out)
    assert document["dry_run"]["name"] == "hand 1"
    assert document["n_bytes"] == (tmp_path / "s.zip").stat().st_size
    assert set(document["dry_run"]["batch_s"]) == {"1", "8", "32"}
    assert "warning: the EMG of the challenge is recorded" in err


def test_without_a_rehearsal_a_zip_is_written_and_another_stays_without_force(run, training_run, tmp_path):
    arguments = ("challenge-pack", training_run, "--out", tmp_path / "s.zip", "--no-dry-run")
    code, out, err = run(*arguments)
    assert (code, "written: " in out) == (0, True)
    assert "warning: the EMG of the challenge is recorded" in err
    assert zipfile.is_zipfile(tmp_path / "s.zip")
    code, _, err = run(*arguments)
    assert code == 2
    assert "--force" in err
    assert run(*arguments, "--force")[0] == 0


@pytest.mark.slow
def test_the_table_names_what_was_looked_at(run, training_run, tmp_path):
    code, out, _ = run("challenge-pack", training_run / "best", "--out", tmp_path / "s.zip")
    assert code == 0
    for said in ("shape (window, joint, time)", "(8, 20, 10000)", "largest angle [rad]", "ms for 32", "written:"):
        assert said in out


def test_wrong_input_ends_in_one_message_and_writes_nothing(run, training_run, tmp_path):
    out = tmp_path / "s.zip"
    data = tmp_path / "data"
    generate_dataset(data, n_train_users=1, n_val_users=1, n_test_users=1, n_stages=2, seconds=1.0)
    tracking = save_model(narrow_model("tracking_emg2pose"), tmp_path / "tracking")
    for arguments, code_wanted, said in (
        ((tracking,), 2, "runs tracking only"),
        ((tmp_path / "none",), 1, "there is no such file or folder"),
        ((training_run, "--name", "a/b"), 2, "--name"),
        ((training_run, "--no-dry-run", "--data-root", tmp_path), 2, "part of the dry run"),
        ((training_run, "--data-root", tmp_path / "none"), 1, "no such folder"),
        ((training_run, "--data-root", data, "--split", "tset"), 1, "split 'tset'"),
        ((training_run, "--start", "wrap"), 2, "wrap"),
    ):
        code, _, err = run("challenge-pack", *arguments, "--out", out)
        assert (code, said in err) == (code_wanted, True), err
        assert not out.exists()
