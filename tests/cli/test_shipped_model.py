"""The model that comes with the package: small, honest about what it is, and better than a hand that does not move."""

import json

import numpy as np
import pandas as pd
import pytest

import emgpose
from emgpose.checkpoints import shipped_model_path
from emgpose.simulation.data_set import simulate_data_set
from generated import generate_dataset, generate_session


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """People whom no training can have seen: another seed than that of the model's own data."""
    root = tmp_path_factory.mktemp("simulated")
    simulate_data_set(root, users=3, stages=2, minutes=0.15, placements=1, repeats=2, seed=987)
    return root


def test_it_is_small_and_its_card_says_what_it_saw_and_how_it_scores():
    folder = shipped_model_path()
    model = emgpose.load_model()
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 8_000_000
    assert model.name == "emgpose50"
    assert model.tasks == ("tracking", "regression")
    assert model.card.trained_on == "simulated"
    assert model.card.licence == "Apache-2.0"
    card = (folder / "README.md").read_text(encoding="utf-8")
    for said in ("tools/make_shipped_model.py", "initial pose held", "median hand", "Simulated EMG only"):
        assert said in card


def test_it_needs_no_checkpoint_option_and_is_silent_about_simulated_emg(run, simulated, tmp_path):
    recording = sorted(simulated.glob("*.hdf5"))[0]
    code, out, err = run("predict", str(recording), "--out", str(tmp_path / "poses.csv"))
    assert code == 0
    assert "emgpose50" in out
    assert "warning" not in err
    assert np.isfinite(pd.read_csv(tmp_path / "poses.csv").to_numpy()).all()


def test_on_emg_that_is_not_simulated_predict_and_evaluate_warn(run, tmp_path):
    path = tmp_path / "a.hdf5"
    generate_session(path, seconds=2.0, invalid_share=0.0)
    code, _, err = run("predict", str(path), "--out", str(tmp_path / "poses.csv"))
    assert code == 0
    assert "simulated EMG only" in " ".join(err.split())
    generate_dataset(tmp_path / "data", n_train_users=1, n_val_users=0, n_test_users=1, n_stages=1)
    code, _, err = run("evaluate", "--data", tmp_path / "data", "--out", tmp_path / "scores", "--mode", "stream")
    assert code == 0
    assert "simulated EMG only" in " ".join(err.split())


def test_the_pose_that_tracking_starts_from_is_soon_forgotten_as_its_card_says():
    model = emgpose.load_model()
    emg = np.random.default_rng(0).standard_normal((model.left_context + 2_000, 16), dtype=np.float32)
    runs = [model.predict(emg, initial_pose=np.full(20, pose), mode="stream") for pose in (0.0, 0.8)]
    apart_deg = np.degrees(np.abs(runs[1] - runs[0]).mean(axis=1))
    assert apart_deg[-1] < 0.5
    assert apart_deg[0] < 10
    assert "soon forgotten" in model.card.notes


@pytest.mark.parametrize("task", ["tracking", "regression"])
def test_it_errs_less_than_a_hand_that_does_not_move(run, simulated, tmp_path, task):
    code, out, _ = run(
        *("evaluate", "--data", str(simulated), "--out", str(tmp_path / task), "--mode", "stream", "--task", task),
        *("--where", "generalization == 'user'", "--json"),
    )
    assert code == 0
    windows = pd.read_csv(tmp_path / task / "windows.csv")
    assert windows["mae"].mean() < 0.9 * windows["static_mae"].mean()
    assert json.loads(out)["checkpoint"]["path"] == str(shipped_model_path())
