"""Recordings of live EMG in the emg2pose format."""

import contextlib
import dataclasses
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest
from made_poses import SCALED, FakeClock, made_chunks

from emgpose.errors import ConfigError, DataError, EmgPoseError, StreamError
from emgpose.live.chunk import EmgChunk, SourceFacts
from emgpose.live.sinks.finishing import recover
from emgpose.live.sinks.part_file import PartFile
from emgpose.live.sinks.recorder import Recorder
from emgpose.live.sinks.recording import RecordingSettings
from emgpose.preprocessing import EMG2POSE_PREPROCESSING, Bandpass, Preprocessing, Scale
from emgpose.recording import open_session
from emgpose.recording.check import check_session
from emgpose.signals import Preprocessor

RAW = dataclasses.replace(SCALED, preprocessing=Preprocessing(), emg_unit="uV", is_simulated=False)


def record(path: Path, chunks: list[EmgChunk], source: SourceFacts = SCALED, **settings: object) -> Path:
    recorder = Recorder(path, RecordingSettings(**settings), clock=FakeClock(1_700_000_000.0))  # type: ignore[arg-type]
    recorder.open(source)
    for chunk in chunks:
        recorder.record(chunk)
    recorder.close()
    return path


def whole(chunks: list[EmgChunk]) -> np.ndarray:
    return np.concatenate([chunk.emg for chunk in chunks])


def live_facts(path: Path) -> dict[str, object]:
    with h5py.File(path) as file:
        group = file["live"]
        values = {name: group[name][()] for name in group}
        return {**{name: group.attrs[name] for name in group.attrs}, **values}


def test_scaled_emg_is_kept_bit_for_bit_with_its_truth(tmp_path: Path) -> None:
    chunks = made_chunks(15_000)
    path = record(tmp_path / "rec.hdf5", chunks, user="u1", stage="demo")
    with open_session(path) as session:
        assert (session.facts.user, session.facts.stage, session.facts.side) == ("u1", "demo", "right")
        assert session.facts.is_simulated
        assert session.facts.preprocessing == EMG2POSE_PREPROCESSING
        assert np.array_equal(session.emg(0, session.n_samples), whole(chunks))
        assert np.array_equal(
            session.joint_angles(0, session.n_samples), np.concatenate([chunk.joint_angles for chunk in chunks])
        )
        assert session.valid(0, session.n_samples).all()


def test_a_live_recording_passes_the_check(tmp_path: Path) -> None:
    report = check_session(record(tmp_path / "rec.hdf5", made_chunks(15_000)))
    assert report.findings == ()


def test_time_is_uniform_and_begins_when_the_first_sample_came(tmp_path: Path) -> None:
    path = record(tmp_path / "rec.hdf5", made_chunks(4000))
    with open_session(path) as session:
        time_s = session.time_s(0, session.n_samples)
    assert time_s[0] == pytest.approx(1_700_000_000.0 - 20 / 2000, abs=1e-6)
    assert np.allclose(np.diff(time_s), 1 / 2000, atol=1e-6)


def test_raw_emg_is_filtered_and_scaled_as_the_format_promises(tmp_path: Path) -> None:
    chunks = [dataclasses.replace(chunk, emg=40 * chunk.emg + 1000) for chunk in made_chunks(6000)]
    floor = tuple(float(value) for value in np.linspace(20, 40, 16))
    path = record(tmp_path / "rec.hdf5", chunks, RAW, noise_floor=floor)
    expected = Preprocessor((Bandpass(), Scale()), 2000.0, 16, floor).process(whole(chunks))
    with open_session(path) as session:
        assert np.allclose(session.emg(0, session.n_samples), expected, atol=1e-4)
        assert not session.facts.is_simulated


def test_one_number_as_noise_floor_stands_for_all_channels(tmp_path: Path) -> None:
    chunks = made_chunks(2000)
    one = record(tmp_path / "one.hdf5", chunks, RAW, noise_floor=(30.0,))
    all_of_them = record(tmp_path / "all.hdf5", chunks, RAW, noise_floor=(30.0,) * 16)
    with open_session(one) as first, open_session(all_of_them) as second:
        assert np.array_equal(first.emg(0, 2000), second.emg(0, 2000))


def test_lost_samples_are_filled_have_no_label_and_are_stated(tmp_path: Path) -> None:
    chunks = made_chunks(6000)
    del chunks[100:110]
    path = record(tmp_path / "rec.hdf5", chunks)
    with open_session(path) as session:
        assert session.n_samples == 6000
        emg, valid = session.emg(0, 6000), session.valid(0, 6000)
    assert np.array_equal(emg[2000:2200], np.repeat(chunks[99].emg[-1:], 200, axis=0))
    assert np.array_equal(np.flatnonzero(~valid), np.arange(2000, 2200))
    facts = live_facts(path)
    assert facts["filled_samples"] == 200
    assert np.array_equal(facts["gap_start"], [2000])
    assert np.array_equal(facts["gap_length"], [200])


def test_late_and_repeated_samples_are_dropped(tmp_path: Path) -> None:
    chunks = made_chunks(2000)
    disturbed = [*chunks[:50], chunks[49], chunks[10], *chunks[50:]]
    path = record(tmp_path / "rec.hdf5", disturbed)
    with open_session(path) as session:
        assert np.array_equal(session.emg(0, session.n_samples), whole(chunks))
    assert live_facts(path)["late_samples"] == 40


def test_values_that_are_no_numbers_are_held_and_counted(tmp_path: Path) -> None:
    chunks = made_chunks(2000)
    chunks[20].emg[5:9, 3] = np.nan
    chunks[21].emg[0, 4] = np.inf
    path = record(tmp_path / "rec.hdf5", chunks)
    with open_session(path) as session:
        emg = session.emg(0, session.n_samples)
    assert np.isfinite(emg).all()
    assert np.all(emg[405:409, 3] == emg[404, 3])
    assert live_facts(path)["held_values"] == 5


def test_truth_that_is_not_valid_becomes_no_label(tmp_path: Path) -> None:
    chunks = made_chunks(2000)
    angles = chunks[10].joint_angles
    assert angles is not None
    angles[7, 2] = np.nan
    without = [dataclasses.replace(chunk, joint_angles=None) for chunk in chunks[50:]]
    path = record(tmp_path / "rec.hdf5", [*chunks[:50], *without])
    with open_session(path) as session:
        valid = session.valid(0, session.n_samples)
    assert not valid[207]
    assert valid[:1000].sum() == 999
    assert not valid[1000:].any()


def test_a_recording_without_any_truth_says_that_it_has_no_labels_and_passes_the_check(tmp_path: Path) -> None:
    chunks = [dataclasses.replace(chunk, joint_angles=None) for chunk in made_chunks(4000)]
    path = record(tmp_path / "rec.hdf5", chunks)
    with open_session(path) as session:
        assert not session.has_joint_angles
    assert check_session(path).findings == ()


def test_a_gap_beyond_the_limit_ends_the_recording_and_keeps_what_came_before(tmp_path: Path) -> None:
    chunks = made_chunks(6000)
    recorder = Recorder(tmp_path / "rec.hdf5", RecordingSettings(max_gap_s=0.5))
    recorder.open(SCALED)
    for chunk in chunks[:100]:
        recorder.record(chunk)
    with pytest.raises(StreamError, match=r"lost more than 0\.5 s"):
        recorder.record(chunks[200])
    recorder.record(chunks[201])
    recorder.close()
    with open_session(tmp_path / "rec.hdf5") as session:
        assert np.array_equal(session.emg(0, session.n_samples), whole(chunks[:100]))


def test_a_source_that_counts_anew_is_recorded_on(tmp_path: Path) -> None:
    chunks = made_chunks(6000)
    anew = [dataclasses.replace(chunk, first_sample=chunk.first_sample - 5000) for chunk in chunks[250:]]
    path = record(tmp_path / "rec.hdf5", [*chunks[:250], *anew])
    with open_session(path) as session:
        assert np.array_equal(session.emg(0, session.n_samples), whole(chunks))
    assert live_facts(path)["restarts"] == 1


def test_another_rate_is_resampled_when_asked_with_labels_in_their_places(tmp_path: Path) -> None:
    source = dataclasses.replace(SCALED, sample_rate_hz=2048.0)
    chunks = made_chunks(8192, rate_hz=2048.0)
    path = record(tmp_path / "rec.hdf5", chunks, source, resample=True)
    with open_session(path) as session:
        assert (session.n_samples, session.sample_rate_hz) == (8000, 2000.0)
        angles = session.joint_angles(0, 8000)
        assert session.valid(0, 8000).all()
        assert session.facts.look_ahead == ("in making the recording, resampling looked 14.6 ms ahead",)
    time_s = np.arange(8000) / 2000
    truth = 0.4 + 0.3 * np.sin(2 * np.pi * 0.7 * time_s[:, None] + np.arange(20))
    # Half a sample of the fastest movement.
    assert np.abs(angles - truth).max() < 0.3 * 2 * np.pi * 0.7 * 0.5 / 2048 + 1e-6


def test_mapped_channels_stand_in_the_order_of_the_map(tmp_path: Path) -> None:
    chunks = made_chunks(2000, n_channels=8)
    source = dataclasses.replace(SCALED, channel_names=SCALED.channel_names[:8])
    order = tuple(channel // 2 for channel in range(16))
    path = record(tmp_path / "rec.hdf5", chunks, source, channel_map=order)
    with open_session(path) as session:
        assert np.array_equal(session.emg(0, 2000), whole(chunks)[:, order])


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        ({"side": None}, {}, "left or right"),
        ({"side": "right"}, {"side": "left"}, "says it is on the right hand, not the left"),
        ({"sample_rate_hz": 1926.0}, {}, "--resample"),
        ({"sample_rate_hz": 200.0}, {"resample": True}, "band of surface EMG is lost"),
        ({"channel_names": ("a", "b")}, {}, "--channel-map"),
        ({}, {"channel_map": (0,) * 8}, "must have 16 entries"),
        ({}, {"channel_map": (*range(15), None)}, "map all of them"),
        ({}, {"channel_map": (*range(15), 16)}, "use 0 to 15"),
        ({}, {"channel_map": (*range(15), -1)}, "use 0 to 15"),
        ({"preprocessing": Preprocessing(), "emg_unit": "uV"}, {}, "--noise-floor"),
        ({"preprocessing": Preprocessing()}, {"noise_floor": (1.0, 2.0)}, "one number or 16"),
        ({"preprocessing": Preprocessing()}, {"noise_floor": (0.0,)}, "above zero"),
    ],
)
def test_a_source_that_does_not_suit_the_format_is_refused(
    tmp_path: Path, changes: dict[str, object], settings: dict[str, object], message: str
) -> None:
    recorder = Recorder(tmp_path / "rec.hdf5", RecordingSettings(**settings))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=message):
        recorder.open(dataclasses.replace(SCALED, **changes))  # type: ignore[arg-type]
    recorder.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "settings", [{"user": ""}, {"user": "a\x00b"}, {"stage": "x" * 201}, {"side": "both"}, {"max_gap_s": float("nan")}]
)
def test_settings_that_a_file_cannot_hold_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="recording:"):
        RecordingSettings(**settings)  # type: ignore[arg-type]


def test_the_side_is_given_where_the_source_does_not_say(tmp_path: Path) -> None:
    source = dataclasses.replace(SCALED, side=None)
    with open_session(record(tmp_path / "rec.hdf5", made_chunks(200), source, side="left")) as session:
        assert session.facts.side == "left"


def test_of_two_sessions_with_one_name_neither_recording_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "rec.hdf5"
    recorders = [Recorder(path) for _ in range(3)]
    takes = [made_chunks(400, seed=seed) for seed in range(3)]
    for recorder, chunks in zip(recorders, takes, strict=True):
        recorder.open(SCALED)
        for chunk in chunks:
            recorder.record(chunk)
    for recorder in recorders:
        recorder.close()
    names = ["rec.hdf5", "rec-2.hdf5", "rec-3.hdf5"]
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(names)
    for name, chunks in zip(names, takes, strict=True):
        with open_session(tmp_path / name) as session:
            assert np.array_equal(session.emg(0, session.n_samples), whole(chunks))
    assert [f"the recording is {tmp_path / name}" in caplog.text for name in names] == [False, True, True]


def test_a_file_that_comes_while_recording_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "rec.hdf5"
    recorder = Recorder(path)
    recorder.open(SCALED)
    recorder.record(made_chunks(200)[0])
    path.write_text("precious")
    recorder.close()
    assert path.read_text() == "precious"
    assert (tmp_path / "rec-2.hdf5").is_file()


def test_a_link_that_leads_nowhere_is_not_replaced_and_a_name_too_long_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "link.hdf5"
    link.symlink_to(tmp_path / "nowhere.hdf5")
    with pytest.raises(ConfigError, match="the file exists"):
        Recorder(link)
    with pytest.raises(DataError, match="cannot write there"):
        Recorder(tmp_path / f"{'a' * 300}.hdf5").open(SCALED)


def test_nothing_recorded_is_said_and_leaves_no_file(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "rec.hdf5")
    recorder.open(SCALED)
    with pytest.raises(DataError, match="no file was made"):
        recorder.close()
    recorder.close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_known_at_once(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "missing" / "rec.hdf5")
    with pytest.raises(DataError, match="cannot write there"):
        recorder.open(SCALED)


def test_a_full_disk_is_one_clear_error_and_keeps_what_came_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = threading.Event()
    append = PartFile.append

    def full(self: PartFile, *values: object) -> None:
        if self.n_rows == 2000:
            failed.set()
            raise OSError(28, "No space left on device")
        append(self, *values)  # type: ignore[arg-type]

    monkeypatch.setattr(PartFile, "append", full)
    recorder = Recorder(tmp_path / "rec.hdf5")
    recorder.open(SCALED)
    chunks = made_chunks(2200)
    for chunk in chunks[:101]:
        recorder.record(chunk)
    assert failed.wait(20)
    with pytest.raises(EmgPoseError, match=r"No space left on device; make room; .* --recover .*rec\.hdf5\.part"):
        recorder.close()
    assert [file.name for file in tmp_path.iterdir()] == ["rec.hdf5.part"]
    assert recover(tmp_path / "rec.hdf5.part").n_samples == 2000
    with open_session(tmp_path / "rec.hdf5") as session:
        assert np.array_equal(session.emg(0, session.n_samples), whole(chunks[:100]))


def test_a_disk_too_full_to_finish_keeps_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise DataError("rec.hdf5: No space left on device")

    recorder = Recorder(tmp_path / "rec.hdf5")
    recorder.open(SCALED)
    for chunk in made_chunks(400):
        recorder.record(chunk)
    with monkeypatch.context() as patch:
        patch.setattr("emgpose.live.sinks.finishing.Emg2PoseWriter.append", full)
        with pytest.raises(DataError, match=r"what was recorded is kept: .* --recover .*rec\.hdf5\.part"):
            recorder.close()
    assert [file.name for file in tmp_path.iterdir()] == ["rec.hdf5.part"]
    assert recover(tmp_path / "rec.hdf5.part").n_samples == 400
    assert live_facts(tmp_path / "rec.hdf5")["ended"] == b"closed"


def test_a_disk_that_is_full_from_the_first_sample_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PartFile, "append", full)
    recorder = Recorder(tmp_path / "rec.hdf5")
    recorder.open(SCALED)
    recorder.record(made_chunks(200)[0])
    with pytest.raises(DataError, match="No space left on device; make room; nothing was recorded before"):
        recorder.close()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_cannot_keep_up_ends_the_recording_and_never_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emgpose.live.sinks.recorder._MAX_WAITING", 5)
    goes_on = threading.Event()
    append = PartFile.append

    def slow(self: PartFile, *values: object) -> None:
        goes_on.wait(60)
        append(self, *values)  # type: ignore[arg-type]

    monkeypatch.setattr(PartFile, "append", slow)
    chunks = made_chunks(2000)
    recorder = Recorder(tmp_path / "rec.hdf5")
    recorder.open(SCALED)
    for chunk in chunks[:5]:
        recorder.record(chunk)
    # The thread may have taken one of them already.
    kept = 5
    with contextlib.suppress(StreamError):
        recorder.record(chunks[5])
        kept = 6
    if kept == 6:
        with pytest.raises(StreamError, match="behind"):
            recorder.record(chunks[6])
    recorder.record(chunks[7])
    goes_on.set()
    recorder.close()
    with open_session(tmp_path / "rec.hdf5") as session:
        assert np.array_equal(session.emg(0, session.n_samples), whole(chunks[:kept]))


def test_a_source_may_use_its_array_again(tmp_path: Path) -> None:
    chunks = made_chunks(2000)
    recorder = Recorder(tmp_path / "rec.hdf5")
    recorder.open(SCALED)
    buffer = np.empty((20, 16), dtype=np.float32)
    for chunk in chunks:
        buffer[:] = chunk.emg
        recorder.record(dataclasses.replace(chunk, emg=buffer))
    buffer[:] = 7
    recorder.close()
    with open_session(tmp_path / "rec.hdf5") as session:
        assert np.array_equal(session.emg(0, session.n_samples), whole(chunks))
