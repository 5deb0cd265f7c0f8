"""`emgpose export`: files for other runtimes from the command line."""

import json

import numpy as np
import pytest

from emgpose.checkpoints import save_model
from exported_models import narrow_model
from generated import generate_session


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_model(narrow_model("one convolution"), tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("recording") / "rec.hdf5"
    generate_session(path, seconds=4.0, invalid_share=0.0)
    return path


def test_it_writes_graph_and_contract_and_says_how_well_they_agree(run, checkpoint, recording, tmp_path):
    code, out, err = run(
        *("export", "--checkpoint", checkpoint, "--out", tmp_path / "a" / "b", "--int8", "--check-with", recording)
    )
    assert (code, err) == (0, "")
    assert {path.name for path in (tmp_path / "a" / "b").iterdir()} == {
        "model.onnx",
        "model.int8.onnx",
        "contract.json",
    }
    lines = {line[:10].strip(): line[11:] for line in out.splitlines()}
    assert lines["model"] == "emgpose50 (tracking); trained on: none"
    assert lines["each call"] == "40 samples (20 ms) give a pose; the first pose comes with sample 60"
    assert "rad from the model over 4.0 s of rec.hdf5" in lines["float32"]
    assert "deg from float32 on average" in lines["int8"]
    assert "from the true pose" in lines["int8"]


def test_json_holds_the_same_and_the_task_is_the_one_asked_for(run, checkpoint, tmp_path):
    out_dir = tmp_path / "out"
    code, out, _ = run("export", "--checkpoint", checkpoint, "--out", out_dir, "--task", "regression", "--json")
    document = json.loads(out)
    contract = json.loads((out_dir / "contract.json").read_text())
    assert code == 0
    assert document["task"] == contract["model"]["task"] == "regression"
    assert document["format"] == "onnx"
    assert document["checked_with"] == "simulated EMG"
    assert document["checked_s"] == 20.0
    assert document["float32_from_model"]["max_rad"] < 1e-5
    assert document["int8_from_float32"] is None
    assert document["files"] == {"float32": str(out_dir / "model.onnx")}
    assert len(contract["model"]["checkpoint_sha256"]) == 64


def test_a_model_that_needs_the_future_is_refused_in_one_message(run, tmp_path):
    checkpoint = save_model(narrow_model("regression_neuropose"), tmp_path / "model")
    code, out, err = run("export", "--checkpoint", checkpoint, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "regression_neuropose cannot be exported as a step of a stream" in err
    assert not (tmp_path / "out").exists()


def test_wrong_input_ends_in_one_message_and_writes_nothing(run, checkpoint, tmp_path):
    code, _, err = run("export", "--checkpoint", tmp_path / "none", "--out", tmp_path / "out")
    assert code == 1
    assert "there is no such file or folder" in err
    code, _, err = run("export", "--checkpoint", checkpoint, "--out", tmp_path / "out", "--check-with", tmp_path / "x")
    assert code == 1
    assert str(tmp_path / "x") in err
    code, _, err = run("export", "--checkpoint", checkpoint, "--out", tmp_path / "out", "--format", "tflite")
    assert code == 2
    assert "tflite" in err
    assert not (tmp_path / "out").exists()


def test_a_table_to_check_with_that_does_not_say_its_rate_gets_it(run, checkpoint, tmp_path):
    rng = np.random.default_rng(0)
    table = tmp_path / "emg.csv"
    header = ",".join(f"emg{channel}" for channel in range(16))
    np.savetxt(table, rng.standard_normal((2_500, 16)), delimiter=",", header=header, comments="", fmt="%.4f")
    options = ("export", "--checkpoint", checkpoint, "--out", tmp_path / "out", "--check-with", table)
    code, _, err = run(*options)
    assert code == 1
    assert "--input-rate" in err
    code, out, err = run(*options, "--input-rate", 2000)
    assert (code, err) == (0, "")
    assert "of emg.csv" in out
    code, _, err = run("export", "--checkpoint", checkpoint, "--out", tmp_path / "other", "--input-rate", 2000)
    assert code == 2
    assert "give --check-with too" in err


def test_a_task_that_the_model_does_not_have_is_refused(run, tmp_path):
    checkpoint = save_model(narrow_model("static_tracking"), tmp_path / "model")
    code, _, err = run("export", "--checkpoint", checkpoint, "--out", tmp_path / "out", "--task", "regression")
    assert code == 2
    assert "static_tracking runs tracking, not 'regression'" in err
