"""Predicting a recording equals predicting its array, whatever the format, rate and mode."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from emgpose.errors import ConfigError, DataError
from emgpose.hand import JOINTS
from emgpose.kinematics import HandModel, forward_kinematics
from emgpose.prediction import choose_initial_pose, doubts, open_pose_writer, predict_recording
from emgpose.prediction.writers import LANDMARK_COLUMNS
from emgpose.recording import open_session
from emgpose.recording.emg2pose_writer import write_emg2pose_hdf5
from generated import generate_session
from small_models import small_model

SECONDS = 12.0


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("recording") / "a.hdf5"
    generate_session(path, seconds=SECONDS, invalid_share=0.2)
    return path


def predicted(recording: Path, out: Path, model, **options):
    with open_session(recording) as session:
        pose = choose_initial_pose(None, session, model)
        with open_pose_writer(out, {"model": model.name}) as writer:
            return predict_recording(
                session, model, writer, initial_pose=pose, hand=HandModel.generic(), **options
            ), pose


@pytest.mark.parametrize("mode", ["stream", "published"])
def test_npz_at_the_models_rate_holds_what_predict_returns(recording, tmp_path, mode):
    model = small_model()
    report, pose = predicted(recording, tmp_path / "a.npz", model, mode=mode, rate_hz=None, landmarks=True)
    with open_session(recording) as session:
        expected = model.predict(session.emg(), pose.joint_angles, mode=mode)
    with np.load(tmp_path / "a.npz") as file:
        assert file["joint_angles"].shape == (SECONDS * 2000 - model.left_context, 20) == expected.shape
        np.testing.assert_allclose(file["joint_angles"], expected, atol=1e-6)
        np.testing.assert_array_equal(file["sample"], np.arange(model.left_context, SECONDS * 2000))
        np.testing.assert_allclose(file["time_s"], file["sample"] / 2000)
        np.testing.assert_allclose(file["landmarks"], forward_kinematics(file["joint_angles"]), atol=1e-4)
    assert report.n_rows == len(expected)
    assert report.causal is (mode == "stream")


def test_a_recording_that_was_resampled_when_it_was_made_gives_no_causal_prediction(recording, tmp_path):
    resampled = tmp_path / "resampled.hdf5"
    with open_session(recording) as session:
        write_emg2pose_hdf5(
            resampled, session.emg(0, 4000), sample_rate_hz=2000, user="u", stage="s", side="left",
            attributes={"look_ahead": "resampling looked 14.6 ms ahead"},
        )  # fmt: skip
    report, _ = predicted(resampled, tmp_path / "a.csv", small_model(), rate_hz=50)
    assert not report.causal
    assert report.causality == "not causal: in making the recording, resampling looked 14.6 ms ahead"


def test_csv_rows_start_at_left_context_and_come_at_50_hz(recording, tmp_path):
    model = small_model()
    predicted(recording, tmp_path / "a.csv", model, rate_hz=50, landmarks=True)
    header, *lines = (tmp_path / "a.csv").read_text().splitlines()
    assert header.split(",") == ["sample", "time_s", *JOINTS, *LANDMARK_COLUMNS]
    samples = [int(line.split(",")[0]) for line in lines]
    assert samples == list(range(model.left_context, int(SECONDS * 2000), 40))


def test_hdf5_and_npz_hold_the_same_rows(recording, tmp_path):
    import h5py

    model = small_model()
    predicted(recording, tmp_path / "a.npz", model, rate_hz=100)
    predicted(recording, tmp_path / "a.h5", model, rate_hz=100)
    with np.load(tmp_path / "a.npz") as npz, h5py.File(tmp_path / "a.h5") as h5:
        for name in ("sample", "time_s", "joint_angles"):
            np.testing.assert_array_equal(npz[name], h5[name][:])
        assert list(h5.attrs["joints"]) == list(JOINTS)


def test_a_written_csv_opens_again_as_a_recording_of_angles(recording, tmp_path):
    model = small_model()
    predicted(recording, tmp_path / "a.csv", model, rate_hz=50)
    with open_session(tmp_path / "a.csv") as session:
        assert session.has_joint_angles
        assert session.sample_rate_hz == pytest.approx(50)


def test_the_error_counts_valid_rows_only(recording, tmp_path):
    model = small_model()
    report, pose = predicted(recording, tmp_path / "a.npz", model, rate_hz=None)
    with open_session(recording) as session, np.load(tmp_path / "a.npz") as file:
        truth, valid = session.joint_angles(model.left_context), session.valid(model.left_context)
        assert 0 < valid.sum() < len(valid)
        assert report.n_valid == valid.sum()
        assert report.mae_rad == pytest.approx(np.abs(file["joint_angles"] - truth)[valid].mean(), rel=1e-5)
        assert report.static_mae_rad == pytest.approx(np.abs(pose.joint_angles - truth)[valid].mean(), rel=1e-5)


def test_a_rate_that_does_not_divide_the_models_is_refused_and_leaves_nothing(recording, tmp_path):
    with pytest.raises(ConfigError, match="divides 2000 Hz"):
        predicted(recording, tmp_path / "a.csv", small_model(), rate_hz=300)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_leaves_the_file_that_was_there(recording, tmp_path):
    def interrupt(done: int) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "a.npz"
    out.write_text("before")
    with pytest.raises(KeyboardInterrupt):
        predicted(recording, out, small_model(), on_progress=interrupt)
    assert out.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_a_recording_shorter_than_the_context_is_refused(tmp_path):
    generate_session(tmp_path / "short.hdf5", seconds=0.5)
    with pytest.raises(DataError, match="at least 1151 samples"):
        predicted(tmp_path / "short.hdf5", tmp_path / "a.csv", small_model())


@pytest.mark.parametrize(("simulated", "warned"), [(False, True), (True, False)])
def test_weights_from_simulated_emg_are_doubted_on_recorded_emg_only(recording, simulated, warned):
    model = small_model()
    model.card = replace(model.card, trained_on="simulated")
    with open_session(recording) as session:
        facts = replace(session.facts, attributes={"simulated": simulated})
        found = doubts(model, SimpleNamespace(facts=facts))
    assert any("simulated EMG only" in doubt for doubt in found) is warned


def test_a_multitask_model_predicts_from_the_pose_that_its_task_starts_from(tmp_path):
    recording = tmp_path / "valid.hdf5"
    generate_session(recording, seconds=2.0, invalid_share=0.0)
    model = small_model("emgpose50")
    torch.nn.init.constant_(model.initial_pose, 0.25)
    for task, source in (("tracking", f"recorded at sample {model.left_context}"), ("regression", "the model's own")):
        model.set_task(task)
        report, pose = predicted(recording, tmp_path / f"{task}.npz", model, rate_hz=None)
        assert report.task == task
        assert report.initial_pose.startswith(source)
        with np.load(tmp_path / f"{task}.npz") as file:
            # The first row is one step of a small velocity away.
            np.testing.assert_allclose(file["joint_angles"][0], pose.joint_angles, atol=0.01)


def test_nan_in_the_emg_is_named_by_channel_and_sample(tmp_path):
    generate_session(tmp_path / "nan.hdf5", seconds=2.0, nan_channel=3)
    with pytest.raises(DataError, match="emg3 is nan at sample 0"):
        predicted(tmp_path / "nan.hdf5", tmp_path / "a.csv", small_model())
