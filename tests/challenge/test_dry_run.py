"""The rehearsal: a fresh process that has only what the ZIP brings."""

import zipfile

import numpy as np
import pytest

from emgpose.challenge.data_windows import score_data
from emgpose.challenge.dry_run import dry_run
from emgpose.challenge.fresh_solver import FreshSolver
from emgpose.challenge.packing import pack_challenge
from emgpose.challenge.predictor import WindowPredictor
from emgpose.errors import DataError
from exported_models import narrow_model
from generated import generate_dataset


@pytest.fixture(scope="module")
def submission(tmp_path_factory):
    return pack_challenge(narrow_model("one convolution"), tmp_path_factory.mktemp("packed") / "s.zip").path


def test_the_packed_model_predicts_in_its_process_what_it_predicts_here(submission):
    emg = np.random.default_rng(0).standard_normal((2, 16, 10_000)).astype(np.float32)
    with FreshSolver(submission) as solver:
        assert solver.facts["name"] == "emgpose50"
        angles, seconds = solver.predict(emg)
    wanted = WindowPredictor(narrow_model("one convolution")).predict(emg)
    assert np.abs(angles - wanted).max() < 1e-5
    assert seconds > 0


def test_the_installed_emgpose_does_not_help_a_zip_that_lacks_a_module(submission, tmp_path):
    lacking = tmp_path / "s.zip"
    with zipfile.ZipFile(submission) as archive, zipfile.ZipFile(lacking, "w") as out:
        for name in archive.namelist():
            if name != "sources/emgpose/version.py":
                out.writestr(name, archive.read(name))
    with pytest.raises(DataError, match=r"does not bring the module emgpose\.version"):
        FreshSolver(lacking)


def test_a_submission_that_is_none_is_refused_with_the_reason(submission, tmp_path):
    (tmp_path / "text.zip").write_text("text")
    with pytest.raises(DataError, match="not a ZIP"):
        FreshSolver(tmp_path / "text.zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as out:
        out.writestr("submission.py", "class Solver:\n    name = 'other'\n")
    with pytest.raises(DataError, match="Solver is no CompetSolver"):
        FreshSolver(tmp_path / "other.zip")


BAD_SOLVER = """
from benchmark_utils.base_solver import CompetSolver
import numpy as np
print("noise on the way")
class Model:
    def predict(self, emg):
        {predict}
class Solver(CompetSolver):
    name = "bad"
    def load_model(self, meta):
        return Model()
"""
FAULTS = {
    "return np.zeros((len(emg), 20, 100), np.float32)": "expected float32",
    "return np.zeros((len(emg), 20, 10_000))": "float64",
    "return np.full((len(emg), 20, 10_000), np.nan, np.float32)": "NaN",
    "return np.random.default_rng().random((len(emg), 20, 10_000), np.float32)": "when asked again",
    "return np.full((len(emg), 20, 10_000), len(emg), np.float32)": "window by window",
    "raise ValueError('no such thing')": "ValueError: no such thing",
    "return None": "Object arrays cannot be saved",
}


@pytest.mark.parametrize("predict", FAULTS)
def test_a_submission_with_a_fault_fails_the_rehearsal(predict, tmp_path, few_samples):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as out:
        out.writestr("submission.py", BAD_SOLVER.format(predict=predict))
    with pytest.raises(DataError, match=FAULTS[predict]):
        dry_run(tmp_path / "bad.zip")


@pytest.fixture
def few_samples(monkeypatch):
    """Two windows, simulated by rule, so that a test of faults need not wait for a simulation."""
    emg = np.zeros((2, 16, 10_000), dtype=np.float32)
    monkeypatch.setattr("emgpose.challenge.dry_run._N_WINDOWS", 2)
    monkeypatch.setattr("emgpose.challenge.dry_run._simulated_windows", lambda: (emg, np.zeros((2, 20, 10_000))))


def test_libraries_may_lie_where_only_the_user_s_settings_say(tmp_path, monkeypatch):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "their_library.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"))
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as out:
        out.writestr("submission.py", "import their_library\n" + BAD_SOLVER.format(predict="return None"))
    with FreshSolver(tmp_path / "s.zip") as solver:
        assert solver.facts["name"] == "bad"


@pytest.mark.slow
def test_degrees_taken_for_radians_are_noted(tmp_path, few_samples):
    with zipfile.ZipFile(tmp_path / "deg.zip", "w") as out:
        predict = "return np.full((len(emg), 20, 10_000), 40, np.float32)"
        out.writestr("submission.py", BAD_SOLVER.format(predict=predict))
    report = dry_run(tmp_path / "deg.zip")
    assert "no joint turns that far" in report.notes[0]
    assert report.checks[0].share_in_limits == 0


@pytest.mark.slow
def test_a_rehearsal_reports_shapes_radians_and_times(submission):
    report = dry_run(submission)
    assert [check.emg for check in report.checks] == ["random EMG", "simulated EMG"]
    assert all(check.shape == (8, 20, 10_000) for check in report.checks)
    assert all(check.repeat_rad == 0 and check.single_rad < 1e-5 and check.tensor_rad == 0 for check in report.checks)
    assert report.checks[0].mae_rad is None
    assert report.checks[1].mae_rad is not None
    assert set(report.batch_s) == {1, 8, 32}
    assert report.notes == ()
    assert report.to_dict()["scores"] is None


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    generate_dataset(root, n_train_users=1, n_val_users=1, n_test_users=1, n_stages=2)
    return root


def test_scores_are_the_mean_error_over_all_samples_in_degrees(data):
    still = np.full((20, 1), 0.1)
    scores = score_data(lambda emg: np.broadcast_to(still, (len(emg), 20, 10_000)), data, static_pose=[0.1] * 20)
    assert scores.is_simulated is False
    assert scores.n_windows > 0
    assert scores.mae_deg == pytest.approx(scores.static_mae_deg)
    assert scores.first_mae_deg > 0
    with_none = score_data(lambda emg: np.broadcast_to(still, (len(emg), 20, 10_000)), data, split=None)
    assert with_none.static_mae_deg is None
    assert with_none.n_windows > scores.n_windows


def test_a_data_set_without_a_whole_window_is_named(tmp_path):
    generate_dataset(tmp_path, n_train_users=1, n_val_users=1, n_test_users=1, n_stages=2, seconds=4.0)
    with pytest.raises(DataError, match="no window of 10,000 samples with valid labels in split test"):
        score_data(lambda emg: emg, tmp_path)
