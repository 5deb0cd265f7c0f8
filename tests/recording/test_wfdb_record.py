import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from emgpose.errors import ConfigError, MissingExtraError, SessionFormatError
from emgpose.recording import open_session

TRIAL = "session1_participant1_gesture1_trial1"


@pytest.fixture(scope="module")
def grabmyo(shared: Path) -> Path:
    return shared / "real/grabmyo"


@pytest.fixture
def copy(grabmyo: Path, tmp_path: Path) -> Path:
    for suffix in (".hea", ".dat"):
        shutil.copyfile(grabmyo / f"{TRIAL}{suffix}", tmp_path / f"{TRIAL}{suffix}")
    return tmp_path / f"{TRIAL}.hea"


def test_every_real_recording_opens_as_a_sixteen_channel_band(grabmyo: Path) -> None:
    paths = sorted(grabmyo.glob("*.hea"))
    assert len(paths) == 11
    for path in paths:
        with open_session(path) as session:
            assert (session.n_samples, session.sample_rate_hz, session.n_channels) == (10_240, 2048, 16)
            assert session.channel_names == (*(f"W{n}" for n in range(1, 13)), "F1", "F5", "F9", "F13")
            assert "W1-W12" in session.facts.notes[0]
            assert len(session.facts.notes) == 1  # so every checksum fits
            assert session.emg_unit == "uV"
            assert not session.has_joint_angles
            emg = session.emg()
            assert np.isfinite(emg).all()
            assert 10 < np.median(emg.std(axis=0)) < 200


def test_a_record_that_was_replaced_after_opening_is_not_read(copy: Path) -> None:
    session = open_session(copy)
    session.emg(0, 10)
    signals = copy.with_suffix(".dat")
    signals.write_bytes(bytes(signals.stat().st_size))
    with pytest.raises(SessionFormatError, match="it was replaced since"):
        session.emg(0, 10)


def test_samples_are_microvolts_through_the_gains_of_the_header(grabmyo: Path) -> None:
    # W1 is signal 17 of 32: gain 146064.61290858418 per mV, baseline 3149.
    counts = np.fromfile(grabmyo / f"{TRIAL}.dat", dtype="<i2").reshape(-1, 32)[:, 17]
    with open_session(grabmyo / f"{TRIAL}.hea") as session:
        expected = (counts - 3149.0) / 146064.61290858418 * 1000
        np.testing.assert_allclose(session.emg()[:, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("name", [TRIAL, f"{TRIAL}.hea", f"{TRIAL}.dat"])
def test_a_record_is_found_by_header_data_or_bare_name(grabmyo: Path, name: str) -> None:
    with open_session(grabmyo / name) as session:
        assert session.session == TRIAL


def test_channels_are_chosen_in_the_order_asked_for(grabmyo: Path) -> None:
    with open_session(grabmyo / f"{TRIAL}.hea", channels=["W2", "F1", 17]) as chosen:
        assert chosen.channel_names == ("W2", "F1", "W1")
        with open_session(grabmyo / f"{TRIAL}.hea") as whole:
            np.testing.assert_array_equal(chosen.emg(5, 9), whole.emg(5, 9)[:, [1, 12, 0]])
    with pytest.raises(ConfigError, match="no channel 'W13'"):
        open_session(grabmyo / f"{TRIAL}.hea", channels=["W13"])


def edit(old: str, new: str) -> Callable[[Path], None]:
    def change(header: Path) -> None:
        text = header.read_text()
        assert old in text
        header.write_text(text.replace(old, new))

    return change


def cut(header: Path) -> None:
    os.truncate(header.with_suffix(".dat"), 600_000)


def remove_data(header: Path) -> None:
    header.with_suffix(".dat").unlink()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (cut, "expected 655360 bytes for 10240 samples of 32 signals, got 600000"),
        (remove_data, "got 0"),
        (edit(" 2048 10240", " 2048 1024"), "belongs to another"),
        (edit(" 2048 10240", " 2048 99999999999"), "cut off"),
        (edit(" 2048 10240", " 2048"), "number of samples"),
        (edit(" 2048 10240", " 0 10240"), "expected a sample rate"),
        (edit(" 32 2048", " 33 2048"), "expected one line|cannot be read"),
        (edit(" 32 2048", " 31 2048"), "expected one line|cannot be read"),
        (edit(".dat 16 ", ".dat 508 "), "one storage format"),
        (edit(f"{TRIAL}.dat", f"../{TRIAL}.dat"), "a file beside the header|cannot be read"),
        (edit("146064.61290858418", "1e999"), "gain of signal 'W1'|cannot be read"),
        (lambda header: header.write_bytes(b""), "WFDB"),
        (lambda header: header.write_bytes(b"\xff\x00" * 500), "WFDB"),
        (lambda header: header.write_bytes(b" " * (2 << 20)), "few kilobytes"),
    ],
)
def test_damaged_records_are_named(copy: Path, change: Callable[[Path], None], says: str) -> None:
    change(copy)
    with pytest.raises(SessionFormatError, match=says) as caught:
        open_session(copy)
    assert TRIAL in str(caught.value)


def test_a_flipped_bit_is_noted_from_the_checksum(copy: Path) -> None:
    data = bytearray(copy.with_suffix(".dat").read_bytes())
    data[64 * 1000 + 2 * 17] ^= 8
    copy.with_suffix(".dat").write_bytes(data)
    with open_session(copy) as session:
        assert "the checksum of 1 channels ('W1')" in session.facts.notes[1]


def test_a_unit_that_is_no_voltage_is_stated_as_unknown(copy: Path) -> None:
    edit("/mV", "/adu")(copy)
    with open_session(copy) as session:
        assert session.emg_unit == "unknown"
        assert "no voltage" in session.facts.notes[1]


def test_a_gain_that_the_header_leaves_out_is_noted(copy: Path) -> None:
    edit("146064.61290858418", "0")(copy)
    with open_session(copy) as session:
        assert "the WFDB default of 200 per mV stands for the gain of 'W1'" in session.facts.notes[1]


def test_missing_samples_are_nan(copy: Path) -> None:
    data = np.fromfile(copy.with_suffix(".dat"), dtype="<i2").reshape(-1, 32)
    data[7, 17] = -32768  # what WFDB writes where a sample is missing
    data.tofile(copy.with_suffix(".dat"))
    with open_session(copy) as session:
        emg = session.emg(0, 20)
        assert np.argwhere(np.isnan(emg)).tolist() == [[7, 0]]


def test_without_the_library_the_extra_is_named(grabmyo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wfdb", None)
    with pytest.raises(MissingExtraError, match=r'pip install "emgpose\[bids\]"'):
        open_session(grabmyo / f"{TRIAL}.hea")
