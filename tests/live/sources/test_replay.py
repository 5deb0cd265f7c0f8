"""Replay of recordings."""

import numpy as np
import pytest

from emgpose.errors import DataError, SessionFormatError, SourceEnded
from emgpose.live.sources.opening import open_source
from emgpose.recording import open_session
from emgpose.recording.emg2pose_writer import write_emg2pose_hdf5
from emgpose.signals import EMG2POSE_PREPROCESSING
from generated import generate_session


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("replay") / "rec.hdf5"
    generate_session(path, seconds=9.0, side="left")
    return path


def replayed(path, **options):
    source = open_source(f"replay:{path}", speed=0, **options)
    chunks = []
    while True:
        try:
            chunks.append(source.read(0.0))
        except SourceEnded:
            source.close()
            return source.facts, chunks


def test_every_sample_is_played_once_in_order_with_its_label(recording):
    _, chunks = replayed(recording)
    with open_session(recording) as session:
        whole = session.read()
    assert np.array_equal(np.concatenate([chunk.emg for chunk in chunks]), whole.emg)
    truth = np.concatenate([chunk.joint_angles for chunk in chunks])
    assert np.array_equal(truth[whole.valid], whole.joint_angles[whole.valid])
    assert np.isnan(truth[~whole.valid]).all()
    assert not whole.valid.all()
    firsts = [chunk.first_sample for chunk in chunks]
    assert firsts == np.cumsum([0, *(len(chunk.emg) for chunk in chunks[:-1])]).tolist()


def test_packets_are_10_ms_across_the_blocks_that_are_read(recording):
    _, chunks = replayed(recording)
    # 16,384 samples are read at a time, which no packet of 20 divides.
    assert {len(chunk.emg) for chunk in chunks} == {20, 4, 16}
    assert sum(len(chunk.emg) for chunk in chunks) == 18_000


def test_times_are_even_and_begin_with_the_recording(recording):
    _, chunks = replayed(recording)
    with open_session(recording) as session:
        start_s = session.facts.start_s
    ends = [chunk.first_sample + len(chunk.emg) - 1 for chunk in chunks]
    assert [chunk.time_s for chunk in chunks] == pytest.approx([start_s + end / 2000 for end in ends], abs=1e-5)


def test_facts_are_those_of_the_recording(recording):
    facts, _ = replayed(recording)
    assert facts.name == "replay:rec.hdf5"
    assert (facts.sample_rate_hz, facts.n_channels, facts.side) == (2000.0, 16, "left")
    assert (facts.emg_unit, facts.preprocessing) == ("noise_floor", EMG2POSE_PREPROCESSING)
    assert facts.is_causal
    assert not facts.is_simulated


def test_a_recording_that_was_resampled_when_it_was_made_is_no_causal_source(tmp_path):
    path = tmp_path / "rec.hdf5"
    write_emg2pose_hdf5(
        path, np.ones((400, 16)), sample_rate_hz=2000, user="u", stage="s", side="left",
        attributes={"look_ahead": "resampling looked 14.6 ms ahead"},
    )  # fmt: skip
    assert not replayed(path)[0].is_causal


def test_channels_are_chosen_in_the_order_given(recording):
    facts, chunks = replayed(recording, channels=["emg3", 0])
    with open_session(recording) as session:
        expected = session.emg(0, 20)[:, [3, 0]]
    assert facts.channel_names == ("emg3", "emg0")
    assert np.array_equal(chunks[0].emg, expected)


def test_a_table_without_a_rate_takes_the_rate_given_and_has_no_truth(tmp_path):
    path = tmp_path / "table.csv"
    rows = "\n".join(f"{number},{-number}" for number in range(300))
    path.write_text(f"emg0,emg1\n{rows}\n")
    facts, chunks = replayed(path, input_rate_hz=1000.0)
    assert (facts.sample_rate_hz, facts.emg_unit) == (1000.0, "unknown")
    assert [len(chunk.emg) for chunk in chunks] == [10] * 30
    assert chunks[0].joint_angles is None


def test_a_recording_without_emg_is_refused(tmp_path):
    path = tmp_path / "angles.npz"
    np.savez(path, joint_angles=np.full((100, 20), 0.1), sample_rate_hz=60.0)
    with pytest.raises(DataError, match=r"replay:angles\.npz: expected EMG, the recording holds joint angles only"):
        open_source(f"replay:{path}")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SessionFormatError, match="no such file"):
        open_source(f"replay:{tmp_path / 'nothing.hdf5'}")


def test_real_wrist_emg_is_played_at_its_own_rate_in_microvolts(shared):
    records = sorted((shared / "real" / "grabmyo").glob("**/*.hea"))
    if not records:
        pytest.skip("needs the GRABMyo records, which are not there")
    pytest.importorskip("wfdb")
    facts, chunks = replayed(records[0])
    assert (facts.sample_rate_hz, facts.n_channels, facts.emg_unit) == (2048.0, 16, "uV")
    emg = np.concatenate([chunk.emg for chunk in chunks])
    assert emg.shape == (10_240, 16)
    assert len(chunks[0].emg) == 20
