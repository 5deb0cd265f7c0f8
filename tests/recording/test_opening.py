import os
from pathlib import Path

import numpy as np
import pytest

from emgpose.errors import ConfigError, SessionFormatError
from emgpose.recording import open_session, write_emg2pose_hdf5


@pytest.fixture
def hdf5(tmp_path: Path) -> Path:
    path = tmp_path / "f.hdf5"
    write_emg2pose_hdf5(path, np.ones((20, 16)), sample_rate_hz=2000, user="u", stage="s", side="left")
    return path


def test_content_decides_before_the_ending(hdf5: Path) -> None:
    other = hdf5.rename(hdf5.with_suffix(".csv"))
    with open_session(other) as session:
        assert session.facts.format == "emg2pose HDF5"


def test_a_path_may_be_text(hdf5: Path) -> None:
    with open_session(str(hdf5)) as session:
        assert session.name == "f.hdf5"


def test_a_session_is_given_back(hdf5: Path) -> None:
    with open_session(hdf5) as session:
        assert open_session(session) is session
        with pytest.raises(ConfigError, match="takes no channels"):
            open_session(session, channels=[1])


def test_a_rate_is_refused_where_the_file_states_its_own(hdf5: Path) -> None:
    with pytest.raises(ConfigError, match="takes no rate_hz"):
        open_session(hdf5, rate_hz=2000)


def test_an_unknown_format_lists_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "f.xyz").write_bytes(b"hello")
    with pytest.raises(SessionFormatError, match=r"emg2pose HDF5 .*NPZ .*WFDB .*CSV .*MNE"):
        open_session(tmp_path / "f.xyz")


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    cases = {
        tmp_path: "is a folder",
        tmp_path / "none.csv": "no such file",
        tmp_path / "pipe.csv": "regular file",
        "a\0b.csv": "expected the path|no such file",
        None: "expected the path",
        3: "expected the path",
        "x" * 5000: "expected the path",
    }
    for source, says in cases.items():
        with pytest.raises(SessionFormatError, match=says):
            open_session(source)
