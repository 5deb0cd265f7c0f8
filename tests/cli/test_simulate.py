"""`emgpose simulate` end to end: a data set that check, predict and evaluate read."""

import json

import numpy as np
import pytest

from emgpose.checkpoints import save_model
from emgpose.simulation.simulated_session import read_truth
from generated import generated_joint_angles
from small_models import small_model

SIZE = ("--users", 3, "--stages", 2, "--minutes", 0.15, "--placements", 1)


def test_recorded_angles_become_a_data_set_that_check_predict_and_evaluate_read(run, tmp_path):
    angles = generated_joint_angles(600, 30.0, np.random.default_rng(0))
    np.savetxt(
        tmp_path / "angles.csv", angles, delimiter=",", header=",".join(f"gt_joint_{j}" for j in range(20)), comments=""
    )
    root, model = tmp_path / "set", tmp_path / "model"
    save_model(small_model(), model)
    movement = ("--motion", tmp_path / "angles.csv", "--motion-rate", 30)
    code, out, _ = run("simulate", "--out", root, *SIZE, "--workers", 2, *movement, "--json")
    report = json.loads(out)
    assert (code, report["recordings"], report["written"]) == (0, 24, 24)
    assert set(report["conditions"]) == {
        "train",
        "val user",
        "val user_stage",
        "test user",
        "test stage",
        "test user_stage",
        "test seen",
    }
    assert run("check", root)[0] == 0
    path = sorted(root.glob("*.hdf5"))[0]
    assert read_truth(path)["motion"]["name"] == "angles.csv"
    assert run("predict", path, "--checkpoint", model, "--out", tmp_path / "a.csv")[0] == 0
    scored = ("--where", "user == 'sim0-u000'", "--mode", "stream")
    code, out, _ = run("evaluate", "--data", root, "--checkpoint", model, "--out", tmp_path / "scores", *scored)
    assert code == 0
    assert "simulated data" in out
    code, out, _ = run("simulate", "--out", root, *SIZE, *movement)
    assert code == 0
    assert "0 written; 24 were there already" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--users", 2), "users: expected at least 3"),
        (("--repeats", 1), "repeats: expected at least 2"),
        (("--aggressor", "hum=1"), "expected one of electrode_lift"),
        (("--aggressor", "sweat"), "NAME=SEVERITY"),
        (("--aggressor", "sweat=1", "--aggressor", "sweat=0"), "given twice"),
        (("--motion", "nowhere.csv"), "nowhere.csv: no such file"),
        (("--workers", 0), "workers: expected at least 1"),
    ],
)
def test_a_wrong_option_ends_in_one_message_and_no_folder(run, tmp_path, arguments, message):
    code, _, err = run("simulate", "--out", tmp_path / "set", *arguments)
    assert code == (1 if "--motion" in arguments else 2)
    assert message in " ".join(err.split())
    assert list(tmp_path.iterdir()) == []
