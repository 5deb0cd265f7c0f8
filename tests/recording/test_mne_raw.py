import sys
from pathlib import Path

import mne
import numpy as np
import pytest

from emgpose.errors import ConfigError, MissingExtraError, SessionFormatError
from emgpose.recording import open_session

VOLTS = np.random.default_rng(0).standard_normal((4, 3000)) * 1e-5


def raw_of(names: list[str], kinds: list[str] | str = "emg") -> mne.io.BaseRaw:
    return mne.io.RawArray(VOLTS, mne.create_info(names, 2048, kinds), verbose="ERROR")


def test_volts_become_microvolts() -> None:
    with open_session(raw_of(["a", "b", "c", "d"])) as session:
        np.testing.assert_allclose(session.emg(), VOLTS.T * 1e6, rtol=1e-6)
        assert session.emg_unit == "uV"
        assert "0 and 1024 Hz" in session.facts.notes[0]


def test_emg_channels_are_found_by_type_then_by_name() -> None:
    with open_session(raw_of(["EMG1", "x", "y", "z"], ["eeg", "emg", "emg", "stim"])) as session:
        assert session.channel_names == ("x", "y")
    with open_session(raw_of(["EMG1", "EMG 2", "Fz", "Cz"], "eeg")) as session:
        assert session.channel_names == ("EMG1", "EMG 2")


def test_a_raw_without_emg_asks_for_channels() -> None:
    raw = raw_of(["Fz", "Cz", "Pz", "Oz"], "eeg")
    with pytest.raises(SessionFormatError, match="expected channels of type emg"):
        open_session(raw)
    with open_session(raw, channels=["Cz"]) as session:
        assert session.channel_names == ("Cz",)


def test_a_channel_that_is_not_in_volts_is_refused() -> None:
    with pytest.raises(SessionFormatError, match="t is not in volts"):
        open_session(raw_of(["t", "b", "c", "d"], ["temperature", "emg", "emg", "emg"]), channels=["t"])


def test_an_mne_object_that_is_no_raw_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected an MNE Raw, got Info"):
        open_session(mne.create_info(["a"], 100.0, "emg"))


def test_damaged_files_are_named(tmp_path: Path) -> None:
    raw_of(["a", "b", "c", "d"]).save(tmp_path / "good_raw.fif", verbose="ERROR")
    content = (tmp_path / "good_raw.fif").read_bytes()
    for name, data in (("cut_raw.fif", content[:5000]), ("empty.edf", b""), ("noise.bdf", b"\xffBIOSEMI" * 50)):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SessionFormatError, match=name), open_session(tmp_path / name) as session:
            session.emg()


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f.edf").write_bytes(b"0")
    monkeypatch.setitem(sys.modules, "mne", None)
    with pytest.raises(MissingExtraError, match=r'pip install "emgpose\[bids\]"'):
        open_session(tmp_path / "f.edf")
