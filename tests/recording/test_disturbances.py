"""What disturbs EMG in use is named by its own code, and nothing else is."""

from pathlib import Path

import numpy as np
import pytest

from emgpose.recording.check import check_session
from emgpose.recording.emg2pose_writer import Emg2PoseWriter, write_emg2pose_hdf5
from emgpose.recording.jumps import Jumps
from emgpose.recording.quality import ChannelQuality, QualityMeter
from generated import generated_emg, generated_joint_angles

RATE_HZ = 2000.0


def emg_of(seconds: float = 8.0) -> np.ndarray:
    rng = np.random.default_rng(1)
    return generated_emg(generated_joint_angles(round(seconds * RATE_HZ), RATE_HZ, rng), RATE_HZ, rng, 40.0)


def codes_of(path: Path, emg: np.ndarray) -> set[str]:
    angles = generated_joint_angles(len(emg), RATE_HZ, np.random.default_rng(0))
    write_emg2pose_hdf5(path, emg, angles, sample_rate_hz=RATE_HZ, user="u", stage="s", side="left")
    return {finding.code for finding in check_session(path).findings}


def qualities_of(emg: np.ndarray) -> tuple[ChannelQuality, ...]:
    meter = QualityMeter(emg.shape[1], RATE_HZ)
    meter.update(emg)
    return meter.channels()


def test_jumps_are_counted_as_their_definition_says_whatever_the_chunks() -> None:
    rng = np.random.default_rng(0)
    samples = rng.standard_t(1.2, (3000, 2)).cumsum(axis=0)
    steps, expected = np.abs(np.diff(samples, axis=0)), np.zeros(2, dtype=int)
    for i in range(10, len(steps) - 10):
        around = np.maximum(steps[i - 10 : i].max(axis=0), steps[i + 1 : i + 11].max(axis=0))
        expected += steps[i] > 6 * around
    assert expected.min() > 5
    for size in (1, 7, 64, 3000):
        jumps = Jumps(2, RATE_HZ)
        for start in range(0, len(samples), size):
            jumps.update(samples[start : start + size])
        np.testing.assert_array_equal(jumps.counts, expected)


def test_noise_bursts_and_held_samples_hold_no_jump() -> None:
    emg = emg_of()
    emg[4000:6000] *= 30
    emg[8000:9000] = emg[8000]
    assert [quality.n_jumps for quality in qualities_of(emg)] == [0] * emg.shape[1]


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_the_low_frequency_share_leaves_the_offset_aside(offset: float) -> None:
    t = np.arange(20_000) / RATE_HZ
    emg = np.sqrt(2) * np.sin(2 * np.pi * 100 * t) + np.sqrt(6) * np.sin(2 * np.pi * 3 * t) + offset
    (quality,) = qualities_of(emg[:, None])
    assert quality.low_frequency_share == pytest.approx(0.75, abs=0.01)


def test_quiet_recordings_and_loud_ones_are_not_suspected(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    assert codes_of(tmp_path / "rest.hdf5", rng.standard_normal((16_000, 16)).astype(np.float32)) == set()
    assert codes_of(tmp_path / "work.hdf5", emg_of()) == set()


def test_steady_noise_above_the_floor_is_contact_noise(tmp_path: Path) -> None:
    noise = 8 * np.random.default_rng(0).standard_normal((16_000, 16)).astype(np.float32)
    assert codes_of(tmp_path / "a.hdf5", noise) == {"sweat"}


def test_one_silent_electrode_among_working_ones_is_lifted(tmp_path: Path) -> None:
    emg = emg_of()
    emg *= np.repeat([1.0, 12.0], 8000)[:, None]
    emg[:, 5] = np.random.default_rng(0).standard_normal(len(emg))
    path = tmp_path / "a.hdf5"
    assert codes_of(path, emg) == {"electrode_lift"}
    (finding,) = check_session(path).findings
    assert "channel emg5" in finding.where


def test_a_slow_spectrum_a_shaken_band_and_joined_channels_are_told_apart(tmp_path: Path) -> None:
    rng, emg = np.random.default_rng(0), emg_of()
    slow = (
        np.sin(2 * np.pi * 40 * np.arange(len(emg)) / RATE_HZ)[:, None]
        * rng.uniform(1, 2, len(emg) // 100).repeat(100)[:, None]
    )
    sway = 60 * np.sin(2 * np.pi * 4 * np.arange(len(emg)) / RATE_HZ)[:, None]
    assert codes_of(tmp_path / "slow.hdf5", emg + 60 * slow * rng.uniform(1, 2, 16)) >= {"fatigue"}
    assert codes_of(tmp_path / "sway.hdf5", emg + sway) == {"motion_artefact"}
    assert codes_of(tmp_path / "joined.hdf5", emg[:, :1] + 0.05 * emg) == {"cross_talk"}


def test_a_group_beside_the_recording_is_stored_and_passed_over(tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "a.hdf5"
    with Emg2PoseWriter(path, sample_rate_hz=RATE_HZ, user="u", stage="s", side="left") as writer:
        writer.append(emg_of())
        writer.add_group("truth", {"number": 3, "text": "täxt" * 20_000, "array": np.arange(4.0)})
    with h5py.File(path) as file:
        assert file["truth"].attrs["number"] == 3
        assert file["truth/text"][()].decode() == "täxt" * 20_000
        assert file["truth/array"][2] == 2
    assert check_session(path).findings == ()
