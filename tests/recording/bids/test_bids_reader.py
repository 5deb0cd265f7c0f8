import contextlib
import os
import pickle
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emgpose.errors import ConfigError, EmgPoseError, SessionFormatError
from emgpose.recording import open_session, read_metadata, session_path

Change = Callable[..., None]


def pairs(made: Path) -> list[tuple[Path, Path]]:
    rows = read_metadata(made / "bids").to_dict("records")
    return [(made / "hdf5" / f"{row['filename']}.hdf5", session_path(made / "bids", row)) for row in rows]


def events(recording: Path) -> Path:
    return recording.with_name(recording.name.replace("_emg.bdf", "_events.tsv"))


def without_annotations(recording: Path) -> None:
    content = recording.read_bytes().replace(b"BAD_IK", b"OTHER_")
    recording.write_bytes(content)


def test_emg_comes_on_the_scale_of_hdf5_and_angles_in_radians(made: Path) -> None:
    for hdf5, bdf in pairs(made):
        with open_session(hdf5) as ours, open_session(bdf) as theirs:
            assert theirs.facts.format == "emg2pose BIDS"
            np.testing.assert_allclose(theirs.emg(), ours.emg(), atol=1e-4)
            np.testing.assert_allclose(theirs.joint_angles(), ours.joint_angles(), atol=2e-7)
            np.testing.assert_array_equal(theirs.valid(), ours.valid())
            assert 0 < theirs.valid().mean() < 1


def test_facts_are_those_of_the_hdf5_file(made: Path) -> None:
    for hdf5, bdf in pairs(made):
        with open_session(hdf5) as ours, open_session(bdf) as theirs:
            for key in ("session", "user", "stage", "side", "n_samples", "sample_rate_hz", "start_s", "emg_unit"):
                assert getattr(theirs.facts, key) == getattr(ours.facts, key), key
            assert theirs.facts.preprocessing == ours.facts.preprocessing
            assert theirs.facts.notes == ()


def test_mne_and_edfio_read_the_same_numbers(made: Path) -> None:
    mne, edfio = pytest.importorskip("mne"), pytest.importorskip("edfio")
    path = pairs(made)[0][1]
    with open_session(path) as session, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        n = session.n_samples
        raw = mne.io.read_raw_bdf(path, verbose="ERROR")
        volts = raw.get_data(stop=n)
        signals = np.stack([signal.data[:n] for signal in edfio.read_bdf(path).signals])
        piece = session.read()
    np.testing.assert_array_equal((volts[:16] * 1e6).T.astype(np.float32), piece.emg)
    np.testing.assert_array_equal(volts[16:].T.astype(np.float32), piece.joint_angles)
    np.testing.assert_array_equal(signals[:16].T.astype(np.float32), piece.emg)
    bad = np.zeros(n, dtype=bool)
    for mark in raw.annotations:
        assert mark["description"] == "BAD_IK"
        bad[round(mark["onset"] * 2000) : round((mark["onset"] + mark["duration"]) * 2000)] = True
    np.testing.assert_array_equal(~bad, piece.valid)


def test_bad_ik_marks_invalid_labels_from_either_place(recording: Path) -> None:
    with open_session(recording) as session:
        expected = session.valid()
    events(recording).unlink()
    with open_session(recording) as session:
        np.testing.assert_array_equal(session.valid(), expected)
    without_annotations(recording)
    events(recording).write_text("onset\tduration\ttrial_type\tvalue\n0.5\t0.25\tBAD_IK\t1\n1.0\t0.5\trest\t2\n")
    with open_session(recording) as session:
        expected = (session.joint_angles() != 0).any(axis=1)
        expected[1000:1500] = False
        np.testing.assert_array_equal(session.valid(), expected)
        np.testing.assert_array_equal(session.valid(1499, 1501), expected[1499:1501])


def test_zero_angles_are_invalid_without_any_mark(recording: Path) -> None:
    with open_session(recording) as session:
        expected = session.valid()
    events(recording).unlink()
    without_annotations(recording)
    with open_session(recording) as session:
        np.testing.assert_array_equal(session.valid(), expected)


def test_the_padded_tail_is_not_read(recording: Path) -> None:
    with open_session(recording) as session:
        assert session.n_samples == 4600
        assert session.emg()[-1].any()
        header = session.reader._bdf.header
        assert header.n_records * header.signals[0].samples_per_record == 6000


def test_a_tail_that_was_recorded_is_noted(recording: Path, sidecar: Change) -> None:
    sidecar(ValidSamples=4100)
    with open_session(recording) as session:
        assert session.n_samples == 4100
        assert any("ValidSamples" in note for note in session.facts.notes)


@pytest.mark.parametrize("value", [6001, 0, -4, 1.5, "4600", True, None])
def test_valid_samples_that_cannot_be_are_refused(recording: Path, sidecar: Change, value: object) -> None:
    sidecar(ValidSamples=value)
    with pytest.raises(SessionFormatError, match="ValidSamples: expected"):
        open_session(recording)


def test_a_whole_number_may_be_written_as_a_float(recording: Path, sidecar: Change) -> None:
    sidecar(ValidSamples=4600.0, HandSide="Left")
    with open_session(recording) as session:
        assert (session.n_samples, session.side) == (4600, "left")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"Stage": None}, "Stage: expected a short text, got None"),
        ({"HandSide": "both"}, "HandSide: expected left or right, got 'both'"),
        ({"SourceFile": 3}, "SourceFile: expected a short text"),
        ({"SamplingFrequency": 1000}, "SamplingFrequency is 1000 Hz, the BDF has 2000 Hz"),
        ({"SamplingFrequency": "2 kHz"}, "SamplingFrequency: expected a number"),
        ({"StartTime": 1e300}, "StartTime: expected a number"),
        ({"SourceAttributes": [1]}, "SourceAttributes: expected names and values"),
    ],
)
def test_a_sidecar_that_contradicts_is_refused(recording: Path, sidecar: Change, change: dict, says: str) -> None:
    sidecar(**change)
    with pytest.raises(SessionFormatError, match=says):
        open_session(recording)


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe", b"[" * 100_000, b""])
def test_a_broken_sidecar_is_named(recording: Path, content: bytes) -> None:
    path = recording.with_name(recording.name.replace("_emg.bdf", "_emg.json"))
    path.write_bytes(content)
    with pytest.raises(SessionFormatError, match=r"_emg\.json"):
        open_session(recording)
    path.unlink()
    with pytest.raises(SessionFormatError, match=r"_emg\.json: no such file; expected it beside the recording"):
        open_session(recording)


def test_pointers_of_git_annex_are_named_with_what_to_do(recording: Path) -> None:
    key = "annex/objects/MD5E-s12972068--0123456789abcdef.bdf"
    for path, content in ((recording, b""), (events(recording), b""), (recording, f"/{key}\n".encode())):
        backup = path.read_bytes()
        path.unlink()
        if content:
            path.write_bytes(content)
        else:
            path.symlink_to(f"../../.git/{key}")
        with pytest.raises(SessionFormatError, match=r"git-annex pointer.*datalad get"), open_session(path) as session:
            session.valid() if path == recording else session.emg()
        if path != recording:
            with (
                pytest.raises(SessionFormatError, match=rf"{path.name}: is a git-annex pointer"),
                open_session(recording) as session,
            ):
                session.valid()
        path.unlink()
        path.write_bytes(backup)
    with open_session(recording) as session:
        session.valid()


def test_a_link_to_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "f.hdf5").symlink_to("gone.hdf5")
    with pytest.raises(SessionFormatError, match=r"is a link to 'gone\.hdf5', where there is nothing"):
        open_session(tmp_path / "f.hdf5")


def test_channels_are_found_by_name_in_any_order(recording: Path, header: Change) -> None:
    with open_session(recording) as session:
        before = session.read()
    header("label", 0, "emg5")
    header("label", 5, "emg0")
    header("label", 16, "emg3")
    header("label", 3, "joint0")
    with open_session(recording) as session:
        after = session.read()
        part = session.read(1990, 2010)
    order = [5, 1, 2, 3, 4, 0, *range(6, 16)]
    np.testing.assert_array_equal(np.delete(after.emg, 3, axis=1), np.delete(before.emg[:, order], 3, axis=1))
    np.testing.assert_allclose(after.emg[:, 3], before.joint_angles[:, 0] * 1e6, rtol=1e-6)
    np.testing.assert_allclose(after.joint_angles[:, 0], before.emg[:, 3] * 1e-6, rtol=1e-6)
    np.testing.assert_array_equal(part.emg, after.emg[1990:2010])


def test_channels_can_be_chosen(recording: Path) -> None:
    with open_session(recording) as whole, open_session(recording, channels=["emg7", 2]) as session:
        assert session.channel_names == ("emg7", "emg2")
        np.testing.assert_array_equal(session.emg(5, 2500), whole.emg(5, 2500)[:, [7, 2]])
    with pytest.raises(ConfigError, match="no channel 'joint0'"):
        open_session(recording, channels=["joint0"])


@pytest.mark.parametrize(
    ("field", "signal", "text", "says"),
    [
        ("unit", 0, "mV", "channel emg0: expected the unit uV .* got 'mV'"),
        ("unit", 20, "rad", "channel joint4: expected the unit uV"),
        ("label", 20, "joint9", "joint9 stands there twice"),
        ("label", 20, "other", "channel joint4 is missing"),
        ("label", 35, "other", "joint0 to joint19, or none of them, got 19"),
        ("label", 2, "other", "channel emg2 is missing"),
        ("pmin", 1, "abc", "physical minimum: expected a number, got 'abc'"),
        ("pmax", 1, "nan", "physical maximum: expected a number"),
        ("pmax", 1, "1e999", "expected a finite number"),
        ("dmin", 1, "99999999", "digital minimum: expected -8388608 to 8388607"),
        ("dmax", 1, "-8388608", "two different ends"),
        ("n", 1, "0", "samples per record: expected 1"),
        ("n", 1, "1999", "expected .* bytes as its header says"),
    ],
)
def test_a_wrong_header_is_named(
    recording: Path, header: Change, field: str, signal: int, text: str, says: str
) -> None:
    header(field, signal, text)
    with pytest.raises(SessionFormatError, match=says):
        open_session(recording)


def test_the_micro_sign_is_the_same_unit(recording: Path, header: Change) -> None:
    header("unit", 3, "\u00b5V")
    with open_session(recording) as session:
        assert session.n_channels == 16


@pytest.mark.parametrize(
    ("at", "text", "says"),
    [
        (0, b"0       ", "expected a BDF file"),
        (192, b"BDF+D", "interruptions"),
        (252, b"-1  ", "number of signals: expected 1 to 1024"),
        (252, b"36  ", "expected 9472 bytes for 36 signals"),
        (236, b"-1      ", "number of records: expected 1"),
        (236, b"4       ", "the file is incomplete"),
        (236, b"1       ", "something stands behind its end"),
        (244, b"0       ", "length of a record: expected more than 0 s"),
        (244, b"1e-9    ", "sample rate"),
    ],
)
def test_a_wrong_start_of_the_file_is_named(recording: Path, at: int, text: bytes, says: str) -> None:
    content = bytearray(recording.read_bytes())
    content[at : at + len(text)] = text
    recording.write_bytes(bytes(content))
    with pytest.raises(SessionFormatError, match=says):
        open_session(recording)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.9999))
def test_a_truncated_file_is_never_read(recording: Path, share: float) -> None:
    whole = recording.read_bytes()
    try:
        recording.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(SessionFormatError, match=r"BDF|header|incomplete"):
            open_session(recording)
    finally:
        recording.write_bytes(whole)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 256 * 38 - 1), value=st.integers(0, 255))
def test_no_damage_of_the_header_gives_anything_but_a_clear_error_or_a_recording(
    recording: Path, at: int, value: int
) -> None:
    whole = recording.read_bytes()
    try:
        recording.write_bytes(whole[:at] + bytes([value]) + whole[at + 1 :])
        with contextlib.suppress(EmgPoseError), open_session(recording) as session:
            assert session.read(0, 2100).emg.shape == (2100, session.n_channels)
    finally:
        recording.write_bytes(whole)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "expected the columns onset and duration"),
        ("onset\tlength\n", "expected the columns onset and duration"),
        ("onset\tduration\ttrial_type\n\n0.5\n", "row 3: expected 3 cells, got 1"),
        ("onset\tduration\ttrial_type\n0.5\tn/a\tBAD_IK\n", "row 2, column duration: expected seconds, got 'n/a'"),
        ("onset\tduration\ttrial_type\nnan\t1\tBAD_IK\n", "column onset"),
        ("onset\tduration\ttrial_type\n1\t-1\tBAD_IK\n", "column duration"),
    ],
)
def test_broken_events_are_named(recording: Path, content: str, says: str) -> None:
    events(recording).write_text(content)
    with pytest.raises(SessionFormatError, match=says), open_session(recording) as session:
        session.valid()


@pytest.mark.parametrize(
    ("part", "damaged", "record"),
    [
        (b"+1\x14\x14", b"?1\x14\x14", 1),
        (b"+0\x14\x14", b"\0\0\0\0", 0),
        # Such a mark must not be passed over.
        (b"\x14BAD_IK\x14", b"\x13BAD_IK\x14", 0),
        (b"\x14BAD_IK\x14", b"\x14BAD_IK\0", 0),
    ],
)
def test_broken_annotations_are_named(recording: Path, part: bytes, damaged: bytes, record: int) -> None:
    content = recording.read_bytes()
    assert part in content
    recording.write_bytes(content.replace(part, damaged, 1))
    with (
        pytest.raises(SessionFormatError, match=f"annotations cannot be read in record {record}"),
        open_session(recording) as session,
    ):
        session.valid()


@pytest.mark.parametrize(
    ("rows", "marked"),
    [
        ("1.0\t0.25\tBAD_IK\n", [(2000, 2500)]),
        ('1.0\t0.25\t"BAD_IK"\n\n', [(2000, 2500)]),
        ("1.0\t0.25\tBAD_IK\n1.1\t0.05\tBAD_IK\n1.125\t0.5\tBAD_IK_2\n", [(2000, 3250)]),
        ("-1\t0.5\tBAD_IK\n", []),
        ("-1\t1.0005\tBAD_IK\n", [(0, 1)]),
        ("2.2995\t9\tBAD_IK\n2.3\t1\tBAD_IK\n", [(4599, 4600)]),
        ("0.99975\t0\tBAD_IK\n", [(2000, 2001)]),
        ("n/a\tn/a\trest\n", []),
    ],
)
def test_marks_cover_exactly_the_samples_that_they_name(
    recording: Path, rows: str, marked: list[tuple[int, int]]
) -> None:
    without_annotations(recording)
    events(recording).write_text("onset\tduration\ttrial_type\n")
    with open_session(recording) as session:
        expected = session.valid()
    for start, stop in marked:
        expected[start:stop] = False
    events(recording).write_text(f"onset\tduration\ttrial_type\n{rows}")
    with open_session(recording) as session:
        np.testing.assert_array_equal(session.valid(), expected)
        assert [session.valid(n, n + 1)[0] for n in (1999, 2000, 4599)] == [expected[n] for n in (1999, 2000, 4599)]


def test_quoted_tables_are_read(recording: Path) -> None:
    with open_session(recording) as session:
        expected = session.valid()
    expected[2000:2500] = False
    events(recording).write_text('"onset"\t"duration"\t"trial_type"\n1\t"0.25"\t"BAD_IK"\n')
    with open_session(recording) as session:
        np.testing.assert_array_equal(session.valid(), expected)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bounds=st.tuples(st.integers(0, 4600), st.integers(0, 4600)).map(sorted))
def test_any_range_is_that_part_of_the_whole(made: Path, bounds: list[int]) -> None:
    start, stop = bounds
    with open_session(pairs(made)[1][1]) as session:
        whole, part = session.read(), session.read(start, stop)
    np.testing.assert_array_equal(part.emg, whole.emg[start:stop])
    np.testing.assert_array_equal(part.joint_angles, whole.joint_angles[start:stop])
    np.testing.assert_array_equal(part.valid, whole.valid[start:stop])


def test_a_replaced_file_is_noticed_and_a_pickled_session_holds_no_handle(recording: Path) -> None:
    with open_session(recording) as session:
        session.read(0, 10)
        twin = pickle.loads(pickle.dumps(session))
        assert twin.reader._bdf._file is None
        np.testing.assert_array_equal(twin.emg(3, 9), session.emg(3, 9))
        os.utime(recording, (1, 1))
        for opened in (session, twin):
            with pytest.raises(SessionFormatError, match="it was replaced since"):
                opened.emg(0, 10)


def test_a_recording_outside_of_a_data_set_tells_what_it_is(recording: Path) -> None:
    with open_session(recording) as session:
        assert (session.user, session.session) == ("user00", "2024-01-01-user00-CountingUpDownFaceSideAway")
        assert session.facts.notes == ()
    shutil.copy(recording, other := recording.with_name(recording.name.replace("task-emg2pose", "task-grasp")))
    with open_session(other) as session:
        assert session.facts.format == "MNE Raw"


def test_without_attributes_the_file_name_tells_the_user(recording: Path, sidecar: Change) -> None:
    sidecar(SourceAttributes=None, StartTime=None)
    with open_session(recording) as session:
        assert session.user == "user00"
        assert session.session == "2024-01-01-user00-CountingUpDownFaceSideAway-recording_left"
        assert session.facts.start_s is None
        assert "user and session are those of the file names" in session.facts.notes[0]
