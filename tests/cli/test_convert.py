import json
from pathlib import Path

import numpy as np
import pytest

from emgpose.hand import JOINTS
from emgpose.recording import open_session, read_metadata, session_path

MAPPING = """
time: {rate_hz: 1000}
emg: {columns: [a, b, c, d, e, f, g, h], unit: mV}
constants: {side: left, user: anna, stage: typing}
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    emg = np.random.default_rng(0).standard_normal((3000, 8))
    np.savetxt(tmp_path / "rec.csv", emg, "%.5f", ",", header="a,b,c,d,e,f,g,h", comments="")
    (tmp_path / "map.yaml").write_text(MAPPING)
    return tmp_path / "rec.csv"


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    path = tmp_path / "whole.npz"
    angles = np.full((4000, len(JOINTS)), 0.25, dtype=np.float32)
    np.savez(path, emg=rng.standard_normal((4000, 16)).astype(np.float32), joint_angles=angles, sample_rate_hz=2000.0)
    return path


def test_a_table_of_eight_channels_becomes_a_data_set_and_says_how(run, table, tmp_path) -> None:
    options = ("--mapping", tmp_path / "map.yaml", "--channel-map", "8to16", "--resample")
    code, out, _ = run("convert", table, "--to", "emg2pose", "--out", tmp_path / "out", *options)
    assert code == 0
    assert "1 written, 0 were there, 0 left out" in out
    assert "resample to 2000 Hz" in out
    row = read_metadata(tmp_path / "out").iloc[0]
    assert (row["user"], row["side"]) == ("anna", "left")
    code, out, _ = run("convert", table, "--to", "emg2pose", "--out", tmp_path / "out", *options, "--json")
    assert (code, json.loads(out)["kept"]) == (0, 1)


def test_without_the_word_nothing_is_resampled(run, table, tmp_path) -> None:
    options = ("--mapping", tmp_path / "map.yaml", "--channel-map", "8to16")
    code, _, err = run("convert", table, "--to", "emg2pose", "--out", tmp_path / "out", *options)
    assert code == 1
    assert "allow resampling (--resample)" in err


def test_a_wrong_mapping_is_wrong_usage(run, table, tmp_path) -> None:
    (tmp_path / "map.yaml").write_text(MAPPING.replace("mV", "megavolt"))
    code, _, err = run(
        "convert", table, "--to", "emg2pose", "--out", tmp_path / "out", "--mapping", tmp_path / "map.yaml"
    )
    assert code == 2
    assert "map.yaml: emg.unit: expected" in err


def test_a_recording_goes_to_bids_and_back(run, whole, tmp_path) -> None:
    pytest.importorskip("edfio", reason="needs edfio (extra: bids)")
    code, out, err = run("convert", whole, "--to", "bids", "--out", tmp_path / "bids", "--side", "left")
    assert code == 0, err
    assert "1 written" in out
    assert not list(tmp_path.glob(".bids*"))
    code, _, err = run("convert", tmp_path / "bids", "--to", "emg2pose", "--out", tmp_path / "back")
    assert code == 0, err
    with open_session(session_path(tmp_path / "back", read_metadata(tmp_path / "back").iloc[0])) as session:
        assert session.valid().all()
        np.testing.assert_allclose(session.joint_angles(), 0.25, atol=1e-3)


def test_a_recording_goes_into_a_store(run, whole, tmp_path) -> None:
    pytest.importorskip("numcodecs", reason="needs numcodecs (extra: store)")
    code, out, err = run("convert", whole, "--to", "store", "--out", tmp_path / "store", "--side", "left")
    assert code == 0, err
    assert "1 written" in out
    assert len(read_metadata(tmp_path / "store")) == 1
    code, _, err = run("convert", whole, "--to", "store", "--out", tmp_path / "store", "--side", "right")
    assert code == 1
    assert "is a finished store, nothing is written over" in err
    assert read_metadata(tmp_path / "store").iloc[0]["side"] == "left"


def test_a_data_set_that_needs_no_change_is_not_copied(run, whole, tmp_path) -> None:
    run("convert", whole, "--to", "emg2pose", "--out", tmp_path / "one", "--side", "left")
    code, _, err = run("convert", tmp_path / "one", "--to", "emg2pose", "--out", tmp_path / "two")
    assert code == 2
    assert "is a data set in emg2pose files already" in err


def test_recordings_that_are_left_out_are_named_and_end_in_an_error(run, whole, tmp_path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    whole.rename(folder / "good.npz")
    (folder / "bad.npz").write_bytes(b"PK\x03\x04")
    code, out, err = run("convert", folder, "--to", "emg2pose", "--out", tmp_path / "out", "--side", "left")
    assert code == 1
    assert "1 written, 0 were there, 1 left out" in out
    assert "bad.npz" in err


@pytest.mark.parametrize(
    "options",
    [
        ("--stream", "EMG"),
        ("--angles", "."),
        ("--angles", "/nowhere"),
        ("--database", "DB2"),
        ("--database", "DB9"),
        ("--split", "val"),
        ("--noise-floor", "1", "--rest-span", "0", "1"),
        ("--low-rate",),
    ],
)
@pytest.mark.parametrize("to", ["emg2pose", "store"])
def test_options_that_change_nothing_or_contradict_others_are_wrong_usage(run, whole, tmp_path, to, options) -> None:
    code, _, err = run("convert", whole, "--to", to, "--out", tmp_path / "out", "--side", "left", *options)
    assert (code, err.count("error:"), err.count("\n")) == (2, 1, 1)
    assert options[0] in err
    assert [path.name for path in tmp_path.iterdir()] == [whole.name]


def test_what_is_not_there_is_said(run, tmp_path) -> None:
    code, _, err = run("convert", tmp_path / "nothing", "--to", "emg2pose", "--out", tmp_path / "out")
    assert code == 1
    assert "no such file" in err or "cannot be read" in err


def test_eight_channels_are_predicted_from_as_the_preset_says(run, tmp_path) -> None:
    np.savez(tmp_path / "eight.npz", emg=np.random.default_rng(0).standard_normal((6000, 8)), sample_rate_hz=2000.0)
    options = ("--out", tmp_path / "pose.csv", "--task", "regression")
    code, _, err = run("predict", tmp_path / "eight.npz", *options)
    assert code != 0
    code, _, err = run("predict", tmp_path / "eight.npz", *options, "--channel-map", "8to16")
    assert code == 0, err
    assert (tmp_path / "pose.csv").is_file()
