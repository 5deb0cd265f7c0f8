"""Aggressors: nothing at severity 0, more with severity, and named by `emgpose check` at full severity."""

import itertools

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from emgpose.errors import ConfigError, ShapeError
from emgpose.recording import open_session
from emgpose.recording.check import check_session
from emgpose.recording.emg2pose_writer import write_emg2pose_hdf5
from emgpose.simulation.aggressors import AGGRESSORS, CHECK_CODES, apply_aggressor
from generated import generated_joint_angles

RATE_HZ = 2000.0
N_CHANNELS = 16


def emg_like(seconds: float = 10.0, seed: int = 0) -> np.ndarray:
    """Noise with the spectrum of wrist EMG in bursts, neighbours alike, on the published scale."""
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE_HZ)
    sources = sosfilt(butter(2, (30, 170), "bandpass", fs=RATE_HZ, output="sos"), rng.standard_normal((n, 16)), axis=0)
    t = np.arange(n)[:, None] / RATE_HZ
    bursts = np.maximum(0, np.sin(2 * np.pi * (0.3 * t + rng.uniform(size=16)))) ** 2
    floor = sosfilt(butter(4, (20, 850), "bandpass", fs=RATE_HZ, output="sos"), rng.standard_normal((n, 16)), axis=0)
    around = np.eye(16) + 0.5 * (np.eye(16, k=1) + np.eye(16, k=-1))
    signal = (sources * bursts) @ around
    return (floor / floor.std() + 18 * signal / signal.std()).astype(np.float32)


@pytest.fixture(scope="module")
def emg():
    return emg_like()


def codes_of(path, emg):
    angles = generated_joint_angles(len(emg), RATE_HZ, np.random.default_rng(0))
    write_emg2pose_hdf5(path, emg, angles, sample_rate_hz=RATE_HZ, user="u", stage="s", side="left")
    return {finding.code for finding in check_session(path).findings}


def spoilt(name, emg, severity, seed=1):
    return apply_aggressor(name, emg, RATE_HZ, severity, np.random.default_rng(seed))


def test_the_nine_aggressors_each_have_a_check_code():
    assert set(AGGRESSORS) == set(CHECK_CODES)
    assert len(AGGRESSORS) == 9
    assert len(set(CHECK_CODES.values())) == 9


@pytest.mark.parametrize("name", AGGRESSORS)
def test_severity_zero_changes_no_bit(name, emg):
    np.testing.assert_array_equal(spoilt(name, emg, 0.0), emg)


@pytest.mark.parametrize("name", AGGRESSORS)
def test_the_change_grows_with_severity(name, emg):
    changes = [float(np.std(spoilt(name, emg, severity) - emg)) for severity in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert all(more > less for less, more in itertools.pairwise(changes))


@pytest.mark.parametrize("name", AGGRESSORS)
def test_the_same_seed_gives_the_same_samples_and_the_input_is_left_alone(name, emg):
    before = emg.copy()
    np.testing.assert_array_equal(spoilt(name, emg, 0.7), spoilt(name, emg, 0.7))
    np.testing.assert_array_equal(emg, before)
    assert np.isfinite(spoilt(name, emg, 1.0)).all()


@pytest.mark.parametrize("name", AGGRESSORS)
def test_the_unit_of_the_recording_does_not_matter(name, emg):
    np.testing.assert_allclose(spoilt(name, emg * 8, 0.6), 8 * spoilt(name, emg, 0.6), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", AGGRESSORS)
def test_check_names_it_at_full_severity_and_the_clean_recording_has_no_finding(name, emg, tmp_path):
    assert codes_of(tmp_path / "clean.hdf5", emg) == set()
    assert CHECK_CODES[name] in codes_of(tmp_path / "spoilt.hdf5", spoilt(name, emg, 1.0))


@pytest.mark.parametrize("name", AGGRESSORS)
def test_any_band_and_any_length_will_do(name):
    for shape in ((0, 16), (1, 16), (7, 3), (300, 1)):
        emg = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        assert spoilt(name, emg, 1.0).shape == shape
        assert np.isfinite(spoilt(name, emg, 1.0)).all()


def test_fatigue_lowers_the_median_frequency_by_the_velocity(emg):
    def median_hz(samples):
        power = (np.abs(np.fft.rfft(samples, axis=0)) ** 2).sum(axis=1)
        return np.fft.rfftfreq(len(samples), 1 / RATE_HZ)[np.searchsorted(np.cumsum(power), power.sum() / 2)]

    medians = [median_hz(spoilt("fatigue", emg, severity)) for severity in (0.0, 0.5, 1.0)]
    assert medians[0] > medians[1] > medians[2]
    assert 0.3 < medians[2] / medians[0] < 0.65


def test_cross_talk_keeps_the_mean_over_the_band(emg):
    np.testing.assert_allclose(spoilt("cross_talk", emg, 0.8).mean(axis=1), emg.mean(axis=1), atol=1e-4)


def test_lost_channels_are_nested_and_at_most_a_quarter(emg):
    lost = [set(np.flatnonzero(~spoilt("lost_channels", emg, severity).any(axis=0))) for severity in (0.2, 0.6, 1.0)]
    assert lost[0] < lost[1] < lost[2]
    assert [len(channels) for channels in lost] == [1, 3, 4]


@pytest.mark.parametrize(
    ("name", "severity", "shape", "error", "message"),
    [
        ("hum", 0.5, (10, 16), ConfigError, "power_line"),
        ("sweat", 1.1, (10, 16), ConfigError, "severity from 0 to 1"),
        ("sweat", float("nan"), (10, 16), ConfigError, "severity from 0 to 1"),
        ("sweat", 0.5, (10,), ShapeError, "(time, channel)"),
    ],
)
def test_a_wrong_argument_is_refused_in_words(name, severity, shape, error, message):
    with pytest.raises(error, match=message.replace("(", r"\(").replace(")", r"\)")):
        spoilt(name, np.zeros(shape), severity)


def test_recorded_emg_can_be_spoilt_and_is_not_suspected_before(shared, tmp_path):
    pytest.importorskip("wfdb")
    for record in sorted((shared / "real/grabmyo").glob("*.hea")):
        assert {finding.code for finding in check_session(record.with_suffix("")).findings} <= {"no_test_window"}
    with open_session(record.with_suffix("")) as session:
        emg, rate_hz = session.emg(), session.sample_rate_hz
    for name, aggressor in AGGRESSORS.items():
        worse = aggressor(emg, rate_hz, 1.0, np.random.default_rng(0))
        assert worse.shape == emg.shape, name
        assert np.isfinite(worse).all(), name
