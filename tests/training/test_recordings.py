"""Recordings of a run: checked when they are taken in, the same samples from memory and from files."""

import pickle
import shutil

import numpy as np
import pytest

from emgpose.errors import DataError
from emgpose.preprocessing import EMG2POSE_PREPROCESSING
from emgpose.recording import open_session
from emgpose.training.recordings import ModelNeeds, Recordings
from emgpose.windows import WindowDataset
from generated import generate_session

NEEDS = ModelNeeds("a model", 16, 2000.0, EMG2POSE_PREPROCESSING)
PLENTY = 2.0**30


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    paths = [folder / f"{number}.hdf5" for number in range(3)]
    for number, path in enumerate(paths):
        generate_session(path, seconds=3.0, seed=number)
    return paths


@pytest.fixture
def paths(made, tmp_path):
    return [shutil.copy(path, tmp_path / path.name) for path in made]


def _raw_microvolts(path):
    """EMG with no preprocessing behind it, as CSV-like arrays: it has to be prepared for the model."""
    rng = np.random.default_rng(0)
    emg = rng.standard_normal((6000, 16)).astype(np.float32) * 7
    angles = rng.uniform(0.1, 1, (6000, 20)).astype(np.float32)
    np.savez(path, emg=emg, joint_angles=angles, sample_rate_hz=2000.0)
    return path


def test_memory_and_files_give_the_same_samples(paths):
    kept, read = Recordings(paths, NEEDS, PLENTY), Recordings(paths, NEEDS, 0)
    assert kept.in_memory
    assert not read.in_memory
    for path in paths:
        one, two = kept.open(path), read.open(path)
        assert one.valid_runs() == two.valid_runs()
        for start, stop in ((0, 10), (1234, 4321), (5990, 6000)):
            first, second = one.read(start, stop), two.read(start, stop)
            for name in ("emg", "joint_angles", "valid"):
                np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    read.close()


def test_a_recording_that_must_be_prepared_is_prepared_in_memory_too(tmp_path):
    path = _raw_microvolts(tmp_path / "raw.npz")
    kept, read = Recordings([path], NEEDS, PLENTY), Recordings([path], NEEDS, 0)
    for recordings in (kept, read):
        (how,) = recordings.preparations()
        assert how.startswith("applied: band-pass")
    for start, stop in ((4000, 6000), (0, 2000)):
        np.testing.assert_array_equal(kept.open(path).emg(start, stop), read.open(path).emg(start, stop))
    assert 0.8 < kept.open(path).emg(1000, 5000).std() < 1.5, "scaled to its noise floor"
    read.close()


def test_recordings_are_kept_in_memory_only_when_all_of_them_fit(paths):
    needed = 3 * 6000 * (16 * 4 + 20 * 4 + 1)
    assert Recordings(paths, NEEDS, needed).in_memory
    assert Recordings(paths, NEEDS, needed).n_bytes == needed
    assert not Recordings(paths, NEEDS, needed - 1).in_memory


def test_pickling_sends_files_and_not_their_samples(paths):
    recordings = Recordings(paths, NEEDS, PLENTY)
    sent = pickle.dumps(WindowDataset(recordings.index(paths, 500, None, True), open_path=recordings.open))
    assert len(sent) < 100_000
    copied = pickle.loads(sent)
    original = WindowDataset(recordings.index(paths, 500, None, True), open_path=recordings.open)
    for window in (0, 7, len(original) - 1):
        for name, tensor in original[window].items():
            assert tensor.equal(copied[window][name])
    copied.close()


@pytest.mark.parametrize("memory", [0, PLENTY])
def test_the_fingerprint_is_of_the_samples_and_names_and_not_of_how_they_are_kept(paths, memory):
    names = {path: str(number) for number, path in enumerate(paths)}
    first = Recordings(paths, NEEDS, PLENTY).fingerprint(names)
    assert Recordings(paths, NEEDS, memory).fingerprint(names) == first
    assert Recordings(paths[::-1], NEEDS, memory).fingerprint(names) == first
    assert Recordings(paths, NEEDS, memory).fingerprint(names | {paths[0]: "other"}) != first
    generate_session(paths[0], seconds=3.0, seed=9)
    assert Recordings(paths, NEEDS, memory).fingerprint(names) != first


def test_taking_in_says_how_far_it_is(paths):
    said = []
    Recordings(paths, NEEDS, PLENTY, lambda done, total: said.append((done, total)))
    assert said == [(1, 3), (2, 3), (3, 3)]


def test_a_missing_file_is_named_with_how_many_more(paths):
    for path in paths[1:]:
        path.unlink()
    with pytest.raises(DataError, match=r"1.hdf5 and 1 more of 3 recordings: the metadata name this file, but it is"):
        Recordings(paths, NEEDS, PLENTY)


def test_a_truncated_file_is_named(paths):
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"1\.hdf5"):
        Recordings(paths, NEEDS, PLENTY)


@pytest.mark.parametrize("memory", [0, PLENTY])
def test_a_rate_that_the_model_cannot_take_is_refused(paths, memory):
    generate_session(paths[2], seconds=20.0, rate_hz=200.0)
    with pytest.raises(DataError, match=r"2\.hdf5: sample_rate is 200 Hz, the model needs 2000 Hz"):
        Recordings(paths, NEEDS, memory)


def test_another_number_of_channels_is_refused(paths):
    needs = ModelNeeds("small_band", 8, 2000.0, EMG2POSE_PREPROCESSING)
    with pytest.raises(DataError, match=r"0\.hdf5: small_band needs 8 EMG channels, the recording has 16"):
        Recordings(paths, needs, PLENTY)


def test_a_recording_without_labels_is_refused(tmp_path):
    path = tmp_path / "emg_only.npz"
    np.savez(path, emg=np.ones((6000, 16), dtype=np.float32), sample_rate_hz=2000.0)
    with pytest.raises(DataError, match=r"emg_only\.npz: training needs EMG and joint angles, the recording has EMG"):
        Recordings([path], NEEDS, PLENTY)


def test_emg_that_is_not_finite_is_named_by_channel_and_sample(paths):
    generate_session(paths[0], seconds=3.0, nan_channel=3)
    with pytest.raises(DataError, match=r"0\.hdf5: EMG channel emg3 is nan at sample 0, expected finite values"):
        Recordings(paths, NEEDS, PLENTY)


def test_a_file_that_is_replaced_during_a_run_is_noticed(paths):
    recordings = Recordings(paths, NEEDS, 0)
    recordings.open(paths[0]).emg(0, 10)
    recordings.close()
    generate_session(paths[0], seconds=3.0, seed=9)
    with pytest.raises(DataError, match=r"0\.hdf5: expected the file that was opened, it was replaced since"):
        recordings.open(paths[0]).emg(0, 10)


def test_files_are_closed_once_taken_in(paths):
    recordings = Recordings(paths, NEEDS, 0)
    for path in paths:
        assert recordings.open(path).reader._file is None
    with open_session(paths[0]) as session:
        np.testing.assert_array_equal(recordings.open(paths[0]).emg(5, 50), session.emg(5, 50))
    recordings.close()
