"""Playing XDF files."""

import logging

import numpy as np
import pytest

from emgpose.errors import ConfigError, EmgPoseError, RateMismatch, SessionFormatError, SourceEnded
from emgpose.live.sources.opening import open_source
from made_xdf import write_xdf, xdf_header

RATE_HZ = 2000.0


def samples(n, n_channels=4):
    return np.arange(n * n_channels, dtype=np.float32).reshape(n, n_channels)


def stamps(n):
    return 1000.0 + np.arange(n) / RATE_HZ


def played(path, **options):
    source = open_source(f"xdf:{path}", speed=0, **options)
    chunks = []
    while True:
        try:
            chunks.append(source.read(0.0))
        except SourceEnded:
            return source.facts, chunks


@pytest.fixture
def path(tmp_path):
    return tmp_path / "rec.xdf"


def test_the_only_emg_stream_is_played_whole(path):
    write_xdf(
        path,
        (xdf_header("Markers", "Gaze", n_channels=1, rate_hz=60.0), samples(30, 1), np.arange(30) / 60),
        (xdf_header("Band", "EMG"), samples(5000), stamps(5000)),
    )
    facts, chunks = played(path)
    assert (facts.name, facts.sample_rate_hz, facts.n_channels) == ("xdf:rec.xdf", RATE_HZ, 4)
    assert np.array_equal(np.concatenate([chunk.emg for chunk in chunks]), samples(5000))
    assert chunks[-1].time_s == stamps(5000)[-1]
    assert chunks[0].joint_angles is None


def test_lost_samples_show_as_jumps(path):
    true = np.flatnonzero(~np.isin(np.arange(8000), [*range(3000, 3300), 5001]))
    write_xdf(path, (xdf_header(), samples(8000)[true], stamps(8000)[true]))
    _, chunks = played(path)
    numbers = np.concatenate([chunk.first_sample + np.arange(len(chunk.emg)) for chunk in chunks])
    assert np.array_equal(numbers, true)
    assert np.array_equal(np.concatenate([chunk.emg for chunk in chunks]), samples(8000)[true])


def test_labels_units_and_own_facts_are_taken_from_the_header(path):
    channels = [{"label": f"E{number}", "type": "EMG", "unit": "millivolts"} for number in range(3)]
    channels.append({"label": "TRIG", "type": "TRIG", "unit": "V"})
    header = xdf_header(channels=channels, own={"side": "left", "simulated": "1", "preprocessing": "[]"})
    write_xdf(path, (header, samples(100), stamps(100)))
    facts, chunks = played(path)
    assert facts.channel_names == ("E0", "E1", "E2")
    assert (facts.emg_unit, facts.side, facts.is_simulated) == ("uV", "left", True)
    assert np.array_equal(chunks[0].emg[1], samples(100)[1, :3] * 1000)


def test_among_several_streams_one_must_be_named(path):
    write_xdf(
        path,
        (xdf_header("Left"), samples(100), stamps(100)),
        (xdf_header("Right"), 2 * samples(100), stamps(100)),
    )
    with pytest.raises(ConfigError, match=r"expected one stream with the type EMG, found 2 among: 'Left'.*FILE#NAME"):
        played(path)
    _, chunks = played(f"{path}#Right")
    assert np.array_equal(chunks[0].emg, 2 * samples(100)[:20])


def test_a_stream_of_another_type_is_named_in_the_error(path):
    write_xdf(path, (xdf_header("Cap", "EEG"), samples(100), stamps(100)))
    with pytest.raises(ConfigError, match=r"found 0 among: 'Cap' \(type 'EEG'\)"):
        played(path)
    assert played(f"{path}#Cap")[0].n_channels == 4


def test_a_stream_without_a_rate_needs_one(path):
    write_xdf(path, (xdf_header(rate_hz=0.0), samples(100), stamps(100)))
    with pytest.raises(RateMismatch, match="stream 'Band' has a nominal rate of 0"):
        played(path)
    assert played(path, input_rate_hz=RATE_HZ)[0].sample_rate_hz == RATE_HZ


def test_a_stream_without_samples_is_refused(path):
    write_xdf(path, (xdf_header(), samples(0), stamps(0)))
    with pytest.raises(SessionFormatError, match="expected samples with time stamps, found none"):
        played(path)


def test_no_such_file_and_no_xdf_file_are_one_clear_error_each(path):
    with pytest.raises(SessionFormatError, match="no such file"):
        played(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(SessionFormatError, match="cannot be read as XDF"):
        played(path)


def test_a_cut_file_plays_as_far_as_it_goes_or_is_refused_and_never_crashes(path, caplog):
    whole = write_xdf(path, (xdf_header(), samples(400), stamps(400))).read_bytes()
    caplog.set_level(logging.WARNING)
    outcomes = set()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        try:
            played(path)
            outcomes.add("played")
        except EmgPoseError as error:
            outcomes.add(type(error).__name__)
    assert "SessionFormatError" in outcomes
    assert all(record.name == "emgpose.live" for record in caplog.records)
