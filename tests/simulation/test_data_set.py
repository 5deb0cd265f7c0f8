"""Whole data sets: layout, truth, pairs, and the same bytes whatever happens in between."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from emgpose.errors import ConfigError, DataError, SessionFormatError
from emgpose.recording import open_session, read_metadata, session_path
from emgpose.recording.check import check_dataset, check_session
from emgpose.simulation.activation import DEFAULT_SHARES
from emgpose.simulation.aggressors import AGGRESSORS, CHECK_CODES
from emgpose.simulation.anatomy import UserAnatomy, draw_user
from emgpose.simulation.data_set import simulate_data_set
from emgpose.simulation.motion import STAGE_FAMILIES
from emgpose.simulation.settings import DataSetSettings
from emgpose.simulation.simulated_session import read_truth, simulate_session, write_simulated_session
from emgpose.simulation.splits import HELD_OUT_STAGES, TRAIN_STAGES
from emgpose.simulation.streams import rng_for

SMALL = {"users": 3, "stages": 2, "minutes": 0.15, "placements": 1}


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in root.rglob("*")
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("simulated") / "set"
    simulate_data_set(root, **SMALL, workers=1)
    return root


@pytest.fixture(scope="module")
def pair():
    """Two placements of one performance."""
    settings = DataSetSettings(users=3, stages=2, minutes=0.2)
    plan = settings.plan()
    first = next(p for p in plan if p.placement == 0)
    second = next(
        p for p in plan if p.placement == 1 and (p.stage, p.side, p.repeat) == (first.stage, first.side, first.repeat)
    )
    return settings, first, simulate_session(settings, first), simulate_session(settings, second)


def test_every_stage_of_the_plan_can_be_moved():
    assert {*TRAIN_STAGES, *HELD_OUT_STAGES} == set(STAGE_FAMILIES)


def test_the_table_lists_every_file_and_check_finds_nothing(made):
    table = read_metadata(made)
    assert len(table) == 3 * 2 * 2 * 2 == len(list(made.glob("*.hdf5")))
    assert all(session_path(made, row).is_file() for _, row in table.iterrows())
    assert {"placement", "placement_split", "repeat"} <= set(table.columns)
    assert set(table["generalization"]) == {"", "user", "stage", "user_stage", "seen"}
    assert set(table["side"]) == {"left", "right"}
    report = check_dataset(made)
    assert report.findings == ()
    assert report.figures["invalid_share"] == pytest.approx(0.127, abs=5e-4)


def test_a_file_states_what_it_is_and_how_it_was_made(made):
    row = read_metadata(made).iloc[0]
    path = session_path(made, row)
    with open_session(path) as session:
        assert (session.user, session.stage, session.side) == (row["user"], row["stage"], row["side"])
        assert session.n_samples == 18_000
        assert session.facts.attributes["simulated"]
        emg = session.emg()
    truth = read_truth(path)
    np.testing.assert_array_equal(emg / truth["adc_step"], np.rint(emg / truth["adc_step"]))
    assert truth["gains"].shape == (16,)
    assert truth["seed"] == 0
    assert {"rotation_rad", "shift_mm", "hand_length_mm", "shares", "style", "streams"} <= set(truth)
    assert UserAnatomy.from_dict(truth["anatomy"]) == draw_user(rng_for(0, "user", 0))
    assert truth["aggressors"] == []


def test_a_file_that_was_not_simulated_has_no_truth(tmp_path):
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file.create_group("emg2pose")
    for path in (tmp_path / "a.hdf5", tmp_path / "none.hdf5"):
        with pytest.raises(SessionFormatError, match="simulated recording"):
            read_truth(path)


@pytest.mark.slow
def test_four_workers_write_the_same_bytes_as_one(made, tmp_path):
    written = simulate_data_set(tmp_path / "set", **SMALL, workers=4)
    assert len(written) == 24
    assert digests(tmp_path / "set") == digests(made)


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_killed_at_any_moment_and_started_again_it_writes_the_same_bytes(made, tmp_path, workers):
    root = tmp_path / "set"
    script = (
        "from emgpose.simulation.data_set import simulate_data_set\n"
        f"if __name__ == '__main__': simulate_data_set({str(root)!r}, **{SMALL!r}, workers={workers})"
    )
    for n_files in (1, 9):
        process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while len(list(root.glob("*.hdf5"))) < n_files and process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        assert process.poll() is None, "it ended before it could be killed"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not (root / "metadata.csv").exists()
    (root / ".metadata.csv.0000").mkdir()
    written = simulate_data_set(root, **SMALL, workers=workers)
    assert 0 < len(written) < 24
    assert digests(root) == digests(made)


def test_a_second_run_writes_nothing_and_reports_all_as_done(made):
    seen = []
    before = digests(made)
    assert simulate_data_set(made, **SMALL, on_progress=lambda *counts: seen.append(counts)) == []
    assert seen == [(24, 24)]
    assert digests(made) == before


def test_a_folder_with_something_else_is_left_alone(made, tmp_path):
    with pytest.raises(DataError, match="seed there 0, now 1"):
        simulate_data_set(made, **SMALL, seed=1)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="empty folder"):
        simulate_data_set(tmp_path, **SMALL)
    with pytest.raises(DataError, match="cannot be used as a folder"):
        simulate_data_set(tmp_path / "notes.txt", **SMALL)
    with pytest.raises(ConfigError, match="workers"):
        simulate_data_set(tmp_path / "new", **SMALL, workers=0)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_motion_file_of_no_use_is_refused_before_the_folder_is_claimed(tmp_path):
    names = ",".join(f"gt_joint_{joint}" for joint in range(20))
    np.savetxt(tmp_path / "angles.csv", np.full((60, 20), 0.1), delimiter=",", header=names, comments="")
    np.savetxt(tmp_path / "none.csv", np.zeros((60, 20)), delimiter=",", header=names, comments="")
    for name, rate_hz, message in (
        ("angles.csv", None, "--motion-rate"),
        ("none.csv", 30.0, "two samples with joint angles"),
        ("nowhere.csv", 30.0, "no such file"),
        (".", 30.0, "is not a file"),
    ):
        with pytest.raises(DataError, match=message):
            simulate_data_set(tmp_path / "set", **SMALL, motion_file=tmp_path / name, motion_rate_hz=rate_hz)
    with pytest.raises(ConfigError, match="positive rate"):
        simulate_data_set(tmp_path / "set", **SMALL, motion_file=tmp_path / "angles.csv", motion_rate_hz=0.0)
    assert not (tmp_path / "set").exists()


def test_whole_numbers_are_the_same_settings_as_their_floats():
    one = DataSetSettings(users=3, stages=2, minutes=1, aggressors={"sweat": 1}, aggressor_share=1)
    other = DataSetSettings(users=3, stages=2, minutes=1.0, aggressors={"sweat": 1.0}, aggressor_share=1.0)
    assert one.digest() == other.digest()


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [2.0, 4.0])
def test_ctrl_c_while_workers_start_ends_in_one_traceback_at_most(tmp_path, after_s):
    large = SMALL | {"users": 200}  # it must not end before it is stopped
    script = (
        "from emgpose.simulation.data_set import simulate_data_set\n"
        f"if __name__ == '__main__': simulate_data_set({str(tmp_path / 'set')!r}, **{large!r}, workers=2)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(after_s)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    # The script's own; workers say nothing.
    assert err.count("Traceback") == 1


def test_placements_share_the_performance_and_differ_in_the_emg(pair):
    _, _, first, second = pair
    np.testing.assert_array_equal(first.joint_angles, second.joint_angles)
    np.testing.assert_array_equal(first.valid, second.valid)
    assert first.truth["rotation_rad"] != second.truth["rotation_rad"]
    assert np.abs(first.emg - second.emg).mean() > 0.5


def test_an_aggressor_changes_its_span_and_nothing_else(pair):
    settings, planned, clean, _ = pair
    spoilt = simulate_session(replace(settings, aggressors={"power_line": 1.0}, aggressor_share=0.25), planned)
    (span,) = spoilt.truth["aggressors"]
    inside = slice(span["start"], span["stop"])
    assert span["stop"] - span["start"] == 6000
    assert np.std(spoilt.emg[inside] - clean.emg[inside]) > 1
    outside = np.ones(len(clean.emg), dtype=bool)
    outside[inside] = False
    np.testing.assert_array_equal(spoilt.emg[outside], clean.emg[outside])
    np.testing.assert_array_equal(spoilt.joint_angles, clean.joint_angles)
    np.testing.assert_array_equal(spoilt.valid, clean.valid)


def test_the_velocity_share_changes_the_emg_and_stands_in_the_truth(pair):
    settings, planned, usual, _ = pair
    none = simulate_session(replace(settings, velocity_share=0.0), planned)
    assert none.truth["shares"]["velocity"] == 0.0
    assert usual.truth["shares"]["velocity"] == DEFAULT_SHARES.velocity
    assert none.emg.std() < usual.emg.std()
    np.testing.assert_array_equal(none.joint_angles, usual.joint_angles)
    with pytest.raises(ConfigError, match="velocity share"):
        replace(settings, velocity_share=-1.0)


@pytest.mark.parametrize("name", AGGRESSORS)
def test_check_names_every_aggressor_in_a_simulated_recording(pair, name, tmp_path):
    settings, planned, _, _ = pair
    path = write_simulated_session(tmp_path / "a.hdf5", replace(settings, aggressors={name: 1.0}), planned)
    assert CHECK_CODES[name] in {finding.code for finding in check_session(path).findings}


def test_recorded_movement_drives_the_simulator(tmp_path):
    from generated import generated_joint_angles

    angles = generated_joint_angles(600, 30.0, np.random.default_rng(0))
    angles[200:210] = 0.0
    np.savez(tmp_path / "angles.npz", joint_angles=angles, sample_rate_hz=30.0)
    settings = DataSetSettings(users=3, stages=2, minutes=0.5, motion_file=tmp_path / "angles.npz")
    first, *_, other = settings.plan()
    one, two = simulate_session(settings, first), simulate_session(settings, other)
    assert one.truth["motion"]["name"] == "angles.npz"
    assert 1 - one.valid.mean() == pytest.approx(0.127, abs=5e-4)
    assert not np.array_equal(one.joint_angles, two.joint_angles)
    assert one.joint_angles.max() < angles.max() + 0.2
