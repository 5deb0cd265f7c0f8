from pathlib import Path

import h5py
import numpy as np
import pytest

from emgpose.errors import ConfigError, DataError, ShapeError
from emgpose.recording import Emg2PoseWriter, open_session, write_emg2pose_hdf5

WHO = {"sample_rate_hz": 2000.0, "user": "u", "stage": "s", "side": "right"}


def recording(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, 16)).astype(np.float32), rng.uniform(0.1, 1, (n, 20))


@pytest.mark.parametrize("angles_dtype", ["f4", "f8"])
def test_the_file_has_the_published_layout(tmp_path: Path, angles_dtype: str) -> None:
    emg, joint_angles = recording(50)
    path = tmp_path / "f.hdf5"
    write_emg2pose_hdf5(path, emg, joint_angles, start_s=1.6e9, session="day1", angles_dtype=angles_dtype, **WHO)
    with h5py.File(path) as file:
        group = file["emg2pose"]
        rows = group["timeseries"][()]
        assert rows.dtype.names == ("time", "joint_angles", "emg")
        assert rows.dtype["joint_angles"].base == np.dtype(angles_dtype)
        np.testing.assert_array_equal(rows["joint_angles"], joint_angles.astype(angles_dtype))
        np.testing.assert_array_equal(rows["emg"], emg)
        np.testing.assert_allclose(rows["time"], 1.6e9 + np.arange(50) / 2000, atol=1e-6)
        attributes = dict(group.attrs)
    assert attributes == {
        "session": "day1",
        "side": "right",
        "stage": "s",
        "user": "u",
        "filename": "f",
        "num_channels": 16,
        "sample_rate": 2000.0,
        "start": rows["time"][0],
        "end": rows["time"][-1],
    }


@pytest.mark.parametrize("block", [1, 777, 4096, 5000])
def test_a_growing_recording_gives_the_same_file_content(tmp_path: Path, block: int) -> None:
    n = 6 if block == 1 else 9000
    emg, joint_angles = recording(n)
    valid = np.arange(n) % 7 > 0
    write_emg2pose_hdf5(tmp_path / "whole.hdf5", emg, joint_angles, valid=valid, **WHO)
    with Emg2PoseWriter(tmp_path / "grown.hdf5", **WHO) as writer:
        for start in range(0, n, block):
            part = slice(start, start + block)
            writer.append(emg[part], joint_angles[part], valid=valid[part])
        assert writer.n_samples == n
    with open_session(tmp_path / "whole.hdf5") as whole, open_session(tmp_path / "grown.hdf5") as grown:
        np.testing.assert_array_equal(whole.emg(), grown.emg())
        np.testing.assert_array_equal(whole.joint_angles(), grown.joint_angles())
        np.testing.assert_array_equal(whole.valid(), grown.valid())
        np.testing.assert_array_equal(grown.valid(), valid)
        np.testing.assert_array_equal(whole.time_s(), grown.time_s())


def test_a_recording_without_labels_reads_as_such(tmp_path: Path) -> None:
    write_emg2pose_hdf5(tmp_path / "f.hdf5", recording(10)[0], **WHO)
    with open_session(tmp_path / "f.hdf5") as session:
        assert session.valid_runs() == []


def test_own_time_stamps_and_attributes_are_kept(tmp_path: Path) -> None:
    time_s = 5 + np.arange(10) / 2000 + np.linspace(0, 1e-4, 10)
    write_emg2pose_hdf5(tmp_path / "f.hdf5", recording(10)[0], time_s=time_s, attributes={"dataset": "sim"}, **WHO)
    with open_session(tmp_path / "f.hdf5") as session:
        np.testing.assert_array_equal(session.time_s(), time_s)
        assert session.facts.attributes["dataset"] == "sim"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_what_was_there_before(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "f.hdf5"
    write_emg2pose_hdf5(path, recording(10)[0], **WHO)
    before = path.read_bytes()

    def write_and_fail() -> None:
        with Emg2PoseWriter(path, **WHO) as writer:
            writer.append(recording(5000)[0])
            raise error

    with pytest.raises(error):
        write_and_fail()
    assert [entry.name for entry in tmp_path.iterdir()] == ["f.hdf5"]
    assert path.read_bytes() == before


def test_an_empty_recording_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least one sample"):
        write_emg2pose_hdf5(tmp_path / "f.hdf5", np.empty((0, 16)), **WHO)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"side": "both"}, ConfigError, "left or right"),
        ({"angles_dtype": "f2"}, ConfigError, "f4 or f8"),
        ({"start_s": np.nan}, ConfigError, "finite start"),
        ({"sample_rate_hz": 0}, DataError, "sample rate between"),
        ({"joint_angles": np.zeros((9, 20))}, ShapeError, r"joint_angles: expected shape \(10, 20\)"),
        ({"joint_angles": np.zeros((10, 19))}, ShapeError, "joint_angles"),
        ({"valid": np.ones(3)}, ShapeError, "valid"),
        ({"time_s": np.ones((10, 1))}, ShapeError, "time_s"),
        ({"emg": np.zeros(10)}, ShapeError, r"expected \(time, channel\)"),
        ({"emg": np.full((10, 16), "x")}, DataError, "expected numbers"),
    ],
)
def test_impossible_arguments_are_named(tmp_path: Path, change: dict, error: type[Exception], says: str) -> None:
    arguments = {"emg": np.zeros((10, 16)), **WHO, **change}
    with pytest.raises(error, match=says):
        write_emg2pose_hdf5(tmp_path / "f.hdf5", **arguments)
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="folder that exists"):
        write_emg2pose_hdf5(tmp_path / "none" / "f.hdf5", np.zeros((10, 16)), **WHO)


def test_appending_outside_the_block_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="for use inside"):
        Emg2PoseWriter(tmp_path / "f.hdf5", **WHO).append(np.zeros((10, 16)))
