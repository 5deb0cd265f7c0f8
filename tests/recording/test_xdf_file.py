from pathlib import Path

import numpy as np
import pytest

from emgpose.errors import ConfigError, EmgPoseError, RateMismatch, SessionFormatError
from emgpose.hand import JOINTS
from emgpose.recording import Session, XdfReader, open_session
from made_xdf import write_xdf, xdf_header

RATE_HZ = 2000.0
N = 2000


def emg(n: int = N) -> np.ndarray:
    return np.arange(4 * n, dtype=np.float32).reshape(n, 4)


def emg_stream(keep: np.ndarray | None = None, start_s: float = 100.0, **header: object) -> tuple:
    keep = np.arange(N) if keep is None else keep
    return xdf_header(**header), emg()[keep], start_s + keep / RATE_HZ


def pose_stream(rate_hz: float = 50.0, n: int = 60, stale: object = (), start_s: float = 100.0, **own: str) -> tuple:
    labels = [{"label": joint, "unit": "rad", "type": "joint_angle"} for joint in JOINTS]
    labels.append({"label": "STALE", "unit": "boolean", "type": "flag"})
    header = xdf_header("emgpose", "HandPose", n_channels=21, rate_hz=rate_hz, channels=labels, own=own)
    seconds = np.arange(n) / rate_hz
    # Every joint moves by 0.1 rad a second, each from a place of its own.
    samples = np.column_stack([0.1 * seconds + 0.01 * joint + 0.1 for joint in range(20)] + [np.zeros(n)])
    samples[list(stale), 20] = 1
    return header, samples.astype(np.float32), start_s + seconds


def test_poses_are_interpolated_at_the_emg_samples(tmp_path) -> None:
    write_xdf(tmp_path / "rec.xdf", emg_stream(), pose_stream())
    with open_session(tmp_path / "rec.xdf") as session:
        assert session.valid_runs() == [(0, N)]
        seconds = np.arange(N) / RATE_HZ
        np.testing.assert_allclose(session.joint_angles()[:, 7], 0.1 * seconds + 0.17, atol=1e-6)
        np.testing.assert_allclose(session.time_s(), 100 + seconds, atol=1e-9)


def test_a_stated_delay_moves_poses_back(tmp_path) -> None:
    write_xdf(tmp_path / "rec.xdf", emg_stream(), pose_stream(delay_s="0.02", model="m"))
    with open_session(tmp_path / "rec.xdf") as session:
        middle = session.joint_angles(1000, 1001)[0, 0]
        np.testing.assert_allclose(middle, 0.1 * (0.5 + 0.02) + 0.1, atol=1e-6)
        assert any("what model 'm' predicted, not a measurement" in note for note in session.facts.notes)


def test_outside_the_poses_and_around_stale_ones_nothing_is_valid(tmp_path) -> None:
    write_xdf(tmp_path / "rec.xdf", emg_stream(), pose_stream(n=31, stale=(10,), start_s=100.1))
    with open_session(tmp_path / "rec.xdf") as session:
        # From 0.1 s to 0.7 s, without the two steps of 20 ms that end at the stale pose at 0.3 s.
        runs = np.array(session.valid_runs()) / RATE_HZ
        np.testing.assert_allclose(runs, [[0.1, 0.28], [0.32, 0.7]], atol=0.001)
        assert np.isnan(session.joint_angles(0, 100)).all()


def test_poses_too_far_apart_are_not_bridged(tmp_path) -> None:
    write_xdf(tmp_path / "rec.xdf", emg_stream(), pose_stream(rate_hz=5.0, n=8))
    with open_session(tmp_path / "rec.xdf") as session:
        assert not session.valid().any()


def test_lost_samples_hold_the_value_before_and_are_named_and_not_valid(tmp_path) -> None:
    keep = np.delete(np.arange(N), np.arange(1500, 1800))
    write_xdf(tmp_path / "rec.xdf", emg_stream(keep), pose_stream())
    with open_session(tmp_path / "rec.xdf") as session:
        assert session.n_samples == N
        np.testing.assert_array_equal(session.emg(1495, 1805)[5:305], np.repeat(emg()[1499:1500], 300, axis=0))
        np.testing.assert_array_equal(session.emg(1800, 1801), emg()[1800:1801])
        assert session.valid_runs() == [(0, 1500), (1800, N)]
        assert any("300 after sample 1499" in note for note in session.facts.notes)
        assert session.facts.attributes["lost_samples"] == 300


def test_a_gap_of_more_than_a_minute_is_refused(tmp_path) -> None:
    stamps = 100 + np.arange(N) / RATE_HZ
    stamps[1500:] += 61
    write_xdf(tmp_path / "rec.xdf", (xdf_header(), emg(), stamps))
    with pytest.raises(SessionFormatError, match="61 s are missing after sample 1499"):
        open_session(tmp_path / "rec.xdf")


def test_jitter_of_single_stamps_moves_no_label(tmp_path) -> None:
    header, samples, stamps = emg_stream()
    jitter = np.random.default_rng(0).uniform(-2e-4, 2e-4, N)
    write_xdf(tmp_path / "rec.xdf", (header, samples, stamps + jitter), pose_stream())
    with open_session(tmp_path / "rec.xdf") as session:
        np.testing.assert_allclose(np.diff(session.time_s()), 1 / RATE_HZ, rtol=1e-3)
        np.testing.assert_allclose(session.time_s(), stamps, atol=3e-5)


def test_a_clock_that_was_set_is_refused_where_poses_depend_on_it(tmp_path) -> None:
    header, samples, stamps = emg_stream()
    stamps[1000:] -= 50
    write_xdf(tmp_path / "rec.xdf", (header, samples, stamps), pose_stream())
    with pytest.raises(SessionFormatError, match="the clock was set"):
        open_session(tmp_path / "rec.xdf")


def test_without_poses_it_is_emg_only(tmp_path) -> None:
    write_xdf(tmp_path / "rec.xdf", emg_stream(own={"side": "left", "preprocessing": "[]"}))
    with open_session(tmp_path / "rec.xdf") as session:
        assert not session.has_joint_angles
        assert session.side == "left"


def test_a_pose_stream_without_all_joints_is_refused(tmp_path) -> None:
    header, samples, stamps = pose_stream()
    write_xdf(tmp_path / "rec.xdf", emg_stream(), (header.replace("RING_DIP_FE", "RING"), samples, stamps))
    with pytest.raises(SessionFormatError, match="RING_DIP_FE is not there"):
        open_session(tmp_path / "rec.xdf")


def test_several_emg_streams_need_a_name(tmp_path) -> None:
    path = tmp_path / "rec.xdf"
    write_xdf(path, emg_stream(name="Left"), emg_stream(name="Right"))
    with pytest.raises(ConfigError, match="expected one stream with the type EMG, found 2"):
        open_session(path)
    assert Session(XdfReader(path, stream="Right"), path).n_channels == 4


def test_a_stream_without_a_rate_takes_the_one_given(tmp_path) -> None:
    path = write_xdf(tmp_path / "rec.xdf", emg_stream(rate_hz=0.0))
    with pytest.raises(RateMismatch, match="give the true rate"):
        open_session(path)
    assert open_session(path, rate_hz=2000).sample_rate_hz == 2000


def test_a_cut_file_is_read_as_far_as_it_goes_or_refused(tmp_path: Path) -> None:
    whole = write_xdf(tmp_path / "good.xdf", emg_stream(np.arange(200)), pose_stream(n=20)).read_bytes()
    outcomes = set()
    for length in range(0, len(whole), len(whole) // 25):
        path = tmp_path / "cut.xdf"
        path.write_bytes(whole[:length])
        try:
            with open_session(path) as session:
                session.read()
            outcomes.add("read")
        except EmgPoseError:
            outcomes.add("refused")
    assert "refused" in outcomes


@pytest.mark.parametrize(
    ("factor", "message"), [(1000.0, "samples are missing beside"), (-1.0, "not run forward"), (2.0, "1000 Hz")]
)
def test_stamps_that_are_not_those_of_the_stated_rate_are_refused(tmp_path, factor, message) -> None:
    header, samples, stamps = emg_stream(np.arange(2 * N) % N)
    stamps = 100 + factor * np.arange(len(samples)) / RATE_HZ
    path = write_xdf(tmp_path / "rec.xdf", (header, samples, stamps))
    with pytest.raises(SessionFormatError, match=message):
        open_session(path)


def test_a_pose_stream_without_samples_leaves_the_emg_readable(tmp_path) -> None:
    header, samples, _ = pose_stream()
    path = write_xdf(tmp_path / "rec.xdf", emg_stream(), (header, samples[:0], np.empty(0)))
    with open_session(path) as session:
        assert not session.has_joint_angles
        # Nor is a file without clock offsets called damaged.
        assert session.facts.notes == ("the stream of joint angles holds no samples",)
