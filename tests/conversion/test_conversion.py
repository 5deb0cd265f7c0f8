import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from emgpose.conversion import ConversionSettings, convert_by_way, convert_to_hdf5, what_was_done
from emgpose.conversion.bids.output_folder import claimed
from emgpose.errors import ConfigError, DataError, MissingExtraError
from emgpose.hand import JOINTS, N_JOINTS
from emgpose.preprocessing import EMG2POSE_PREPROCESSING
from emgpose.recording import open_session, read_metadata, session_path
from emgpose.recording.channel_map import parse_channel_map
from emgpose.recording.check import check_session
from emgpose.recording.mapping_file import TableMapping, load_mapping
from emgpose.training.recordings import ModelNeeds, open_for_training
from made_xdf import write_xdf, xdf_header

RATE_HZ = 2000.0
N = 4000
LEFT = ConversionSettings(side="left")


def noise(n: int = N, channels: int = 16, seed: int = 0) -> np.ndarray:
    return (20 * np.random.default_rng(seed).standard_normal((n, channels))).astype(np.float32)


def save_npz(path: Path, rate_hz: float = RATE_HZ, channels: int = 16, seed: int = 0, **more: object) -> Path:
    angles = np.full((N, N_JOINTS), 0.3, dtype=np.float32)
    angles[:100] = 0
    np.savez(path, emg=noise(channels=channels, seed=seed), joint_angles=angles, sample_rate_hz=rate_hz, **more)
    return path


def db2(folder: Path, **more: object) -> Path:
    fields = {
        "emg": 1e-5 * noise(channels=12),
        "glove": np.zeros((N, 22)),
        "restimulus": np.repeat([0, 5], N // 2)[:, None].astype(np.int8),
        **more,
    }
    (folder / "DB2_s1").mkdir(exist_ok=True)
    savemat(folder / "DB2_s1" / "S1_E1_A1.mat", fields)
    return folder / "DB2_s1" / "S1_E1_A1.mat"


def converted(out: Path, row: int = 0):
    return open_session(session_path(out, read_metadata(out).iloc[row]))


def test_a_recording_becomes_a_data_set_of_the_format(tmp_path) -> None:
    result = convert_to_hdf5(save_npz(tmp_path / "rec.npz"), tmp_path / "out", LEFT)
    assert [path.name for path in result.written] == ["rec.hdf5"]
    row = read_metadata(tmp_path / "out").iloc[0]
    assert (row["side"], row["user"], row["split"], row["generalization"]) == ("left", "unknown", "train", "")
    with converted(tmp_path / "out") as session:
        assert session.sample_rate_hz == RATE_HZ
        assert session.preprocessing == EMG2POSE_PREPROCESSING
        assert session.valid_runs() == [(100, N)]
        # On the scale of the noise floor, whatever the source's unit was.
        assert 0.8 < session.emg(1000, N).std() < 1.4
        stated = session.facts.attributes
        assert stated["converted_from"] == "rec.npz"
        assert json.loads(stated["conversion"]) == {"side": "left"}
    assert any(line.startswith("NPZ: applied:") for line in what_was_done(result.written))


def test_another_rate_is_resampled_only_where_that_is_allowed(tmp_path) -> None:
    path = save_npz(tmp_path / "rec.npz", rate_hz=1000.0)
    with pytest.raises(DataError, match=r"sample rate 1000 Hz, the emg2pose format has 2000 Hz; allow .*--resample"):
        convert_to_hdf5(path, tmp_path / "out", LEFT)
    assert not list((tmp_path / "out").glob("*.hdf5"))
    result = convert_to_hdf5(path, tmp_path / "out2", ConversionSettings(side="left", resample=True))
    with converted(tmp_path / "out2") as session:
        assert (session.n_samples, session.sample_rate_hz) == (2 * N, RATE_HZ)
        assert session.facts.attributes["recorded_rate_hz"] == 1000
        assert "resampling looks" in session.facts.look_ahead[0]
    assert any("resample to 2000 Hz" in line for line in what_was_done(result.written))


def test_a_rate_that_has_lost_the_band_needs_a_word_of_its_own(tmp_path) -> None:
    path = save_npz(tmp_path / "rec.npz", rate_hz=200.0)
    with pytest.raises(DataError, match="below 1000 Hz the EMG has lost most of its band"):
        convert_to_hdf5(path, tmp_path / "out", ConversionSettings(side="left", resample=True))
    convert_to_hdf5(path, tmp_path / "out2", ConversionSettings(side="left", resample=True, low_rate=True))
    with converted(tmp_path / "out2") as session:
        assert session.n_samples == 10 * N
        assert "resampling from a low rate looks ahead" in session.facts.look_ahead[0]


def test_eight_electrodes_become_sixteen_by_the_preset(tmp_path) -> None:
    path = save_npz(tmp_path / "rec.npz", channels=8)
    with pytest.raises(DataError, match=r"has 8 EMG channels, the emg2pose format has 16; .*8to16"):
        convert_to_hdf5(path, tmp_path / "out", LEFT)
    settings = ConversionSettings(side="left", channel_map=parse_channel_map("8to16"))
    convert_to_hdf5(path, tmp_path / "out2", settings)
    with converted(tmp_path / "out2") as session:
        emg = session.emg()
        np.testing.assert_array_equal(emg[:, ::2], emg[:, 1::2])
        assert session.facts.attributes["recorded_channels"] == ",".join(f"emg{channel}" for channel in range(8))


def test_a_preset_for_eight_is_not_applied_to_twelve(tmp_path) -> None:
    path = save_npz(tmp_path / "rec.npz", channels=12)
    settings = ConversionSettings(side="left", channel_map=parse_channel_map("8to16"))
    with pytest.raises(ConfigError, match="has 12 channels; the preset is for 8"):
        convert_to_hdf5(path, tmp_path / "out", settings)


def test_movements_of_ninapro_go_along_and_so_does_who(tmp_path) -> None:
    import h5py

    numbers = ",".join(str(channel % 12) for channel in range(16))
    settings = ConversionSettings(side="right", channel_map=parse_channel_map(numbers))
    convert_to_hdf5(db2(tmp_path), tmp_path / "out", settings)
    row = read_metadata(tmp_path / "out").iloc[0]
    assert (row["user"], row["stage"]) == ("DB2-S1", "DB2-E1")
    with h5py.File(tmp_path / "out" / "S1_E1_A1.hdf5") as file:
        np.testing.assert_array_equal(file["movements/restimulus"][:], np.repeat([0, 5], N // 2))
    with converted(tmp_path / "out") as session:
        assert not session.has_joint_angles


def test_joints_that_are_not_known_stay_nan_and_are_never_trained_on(tmp_path) -> None:
    names = ["MCP2_f", "PIP2", "DIP2"]
    path = db2(tmp_path, angles=np.full((N, 3), 45.0), order_of_angles=np.array(names, dtype=object))
    numbers = ",".join(str(channel % 12) for channel in range(16))
    settings = ConversionSettings(side="right", channel_map=parse_channel_map(numbers))
    convert_to_hdf5(path, tmp_path / "out", settings)
    with converted(tmp_path / "out") as session:
        known = np.array([joint.startswith("INDEX") and joint.endswith("FE") for joint in JOINTS])
        joint_angles = session.joint_angles()
        assert np.isnan(joint_angles[:, ~known]).all()
        np.testing.assert_allclose(joint_angles[:, known], np.pi / 4, rtol=1e-6)
        assert not session.valid().any()
        assert session.facts.missing_joints == tuple(np.array(JOINTS)[~known])
    findings = check_session(tmp_path / "out" / "S1_E1_A1.hdf5").findings
    (finding,) = (each for each in findings if each.code in ("missing_joints", "invalid_labels"))
    assert finding.code == "missing_joints"
    assert "no angles of THUMB_CMC_FE" in finding.message
    needs = ModelNeeds("a model", 16, RATE_HZ, EMG2POSE_PREPROCESSING)
    with pytest.raises(DataError, match=r"training needs the angles of all 20 joints, the recording has none of THUMB"):
        open_for_training(session_path(tmp_path / "out", read_metadata(tmp_path / "out").iloc[0]), needs)


def test_calibrated_angles_of_a_folder_are_found_by_subject(tmp_path) -> None:
    calibrated = {"angles": np.full((N, 1), 30.0), "order_of_angles": np.array(["PIP3"], dtype=object)}
    (tmp_path / "db9").mkdir()
    savemat(tmp_path / "db9" / "S28_E1_A1.mat", {**calibrated, "glove": np.zeros((N, 22))})
    numbers = ",".join(str(channel % 12) for channel in range(16))
    settings = ConversionSettings(side="right", channel_map=parse_channel_map(numbers), angles=tmp_path / "db9")
    convert_to_hdf5(db2(tmp_path), tmp_path / "out", settings)
    with converted(tmp_path / "out") as session:
        np.testing.assert_allclose(session.joint_angles()[:, JOINTS.index("MIDDLE_PIP_FE")], np.pi / 6, rtol=1e-6)
    (tmp_path / "db9" / "S28_E1_A1.mat").unlink()
    with pytest.raises(DataError, match=r"expected S28_E1_A1\.mat, the calibrated angles"):
        convert_to_hdf5(tmp_path / "DB2_s1" / "S1_E1_A1.mat", tmp_path / "out2", settings)


def test_angles_alone_are_no_recording_of_the_format(tmp_path) -> None:
    np.savez(tmp_path / "rec.npz", joint_angles=np.full((N, 20), 0.2), sample_rate_hz=RATE_HZ)
    with pytest.raises(DataError, match="holds joint angles only"):
        convert_to_hdf5(tmp_path / "rec.npz", tmp_path / "out", LEFT)


def test_a_mapped_table_and_an_xdf_file_of_one_folder_are_one_data_set(tmp_path) -> None:
    folder = tmp_path / "in"
    (folder / "day1").mkdir(parents=True)
    header = ",".join(f"c{channel}" for channel in range(16))
    np.savetxt(folder / "day1" / "rec.csv", noise(), "%.4f", ",", header=header, comments="")
    stamps = 5 + np.arange(N) / RATE_HZ
    write_xdf(folder / "rec.xdf", (xdf_header(n_channels=16, own={"side": "right"}), noise(seed=1), stamps))
    mapping = TableMapping(emg=tuple(f"c{channel}" for channel in range(16)), rate_hz=RATE_HZ, side="left", user="anna")
    result = convert_to_hdf5(folder, tmp_path / "out", ConversionSettings(mapping=mapping))
    # A mapping says nothing of XDF.
    assert [path.name for path in result.written] == ["day1__rec.hdf5"]
    assert "a mapping is for CSV and Parquet" in result.left_out[0][1]
    result = convert_to_hdf5(folder / "rec.xdf", tmp_path / "out2")
    assert converted(tmp_path / "out2").side == "right"


def test_broken_files_are_left_out_with_the_reason_and_the_rest_is_made(tmp_path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    save_npz(folder / "good.npz")
    (folder / "bad.npz").write_bytes(b"PK\x03\x04 and nothing more")
    (folder / "good.csv").write_text("a,b\n1,2\n")
    result = convert_to_hdf5(folder, tmp_path / "out", LEFT)
    assert [path.name for path in result.written] == ["good_npz.hdf5"]
    assert sorted(name for name, _ in result.left_out) == ["bad.npz", "good.csv"]
    assert list(read_metadata(tmp_path / "out")["filename"]) == ["good_npz"]


def test_nothing_is_made_twice_and_a_conversion_goes_on_after_a_kill(tmp_path, monkeypatch) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        save_npz(folder / f"r{number}.npz", seed=number)
    import emgpose.conversion.convert as module

    original, calls = module.write_in_format, []

    def killed(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        original(*arguments)

    monkeypatch.setattr(module, "write_in_format", killed)
    with pytest.raises(KeyboardInterrupt):
        convert_to_hdf5(folder, tmp_path / "out", LEFT)
    monkeypatch.setattr(module, "write_in_format", original)
    first = (tmp_path / "out" / "r0.hdf5").stat().st_mtime_ns
    result = convert_to_hdf5(folder, tmp_path / "out", LEFT)
    assert ([path.name for path in result.kept], len(result.written)) == (["r0.hdf5"], 2)
    assert (tmp_path / "out" / "r0.hdf5").stat().st_mtime_ns == first
    assert len(convert_to_hdf5(folder, tmp_path / "out", LEFT).kept) == 3


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path) -> None:
    path = save_npz(tmp_path / "rec.npz")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(DataError, match="expected an empty folder"):
        convert_to_hdf5(path, tmp_path / "out", LEFT)
    convert_to_hdf5(path, tmp_path / "out2", LEFT)
    with pytest.raises(DataError, match="holds another conversion"):
        convert_to_hdf5(path, tmp_path / "out2", ConversionSettings(side="right"))


def test_a_source_that_has_changed_is_not_written_over_what_was_made(tmp_path) -> None:
    path = save_npz(tmp_path / "rec.npz")
    convert_to_hdf5(path, tmp_path / "out", LEFT)
    save_npz(path, extra=np.zeros(9))
    with pytest.raises(DataError, match=r"was made from another version of rec\.npz"):
        convert_to_hdf5(path, tmp_path / "out", LEFT)


def test_a_folder_inside_the_source_is_refused(tmp_path) -> None:
    save_npz(tmp_path / "rec.npz")
    with pytest.raises(ConfigError, match="lies in the source"):
        convert_to_hdf5(tmp_path, tmp_path / "out", LEFT)


def test_the_metadata_rows_of_a_data_set_are_kept(tmp_path) -> None:
    settings = ConversionSettings(side="left", user="u", stage="s", split="test", generalization="user")
    convert_to_hdf5(save_npz(tmp_path / "rec.npz"), tmp_path / "one", settings)
    rolled = parse_channel_map(",".join(str((channel + 1) % 16) for channel in range(16)))
    convert_to_hdf5(tmp_path / "one", tmp_path / "two", ConversionSettings(channel_map=rolled))
    with (tmp_path / "two" / "metadata.csv").open() as file:
        row = next(csv.DictReader(file))
    assert (row["split"], row["generalization"], row["user"]) == ("test", "user", "u")
    # Already in the format: nothing but the order of channels changes, to the bit.
    np.testing.assert_array_equal(
        converted(tmp_path / "two").emg(), np.roll(converted(tmp_path / "one").emg(), -1, axis=1)
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"side": "both"}, "--side 'both': expected left or right"),
        ({"split": "val"}, "expected a --generalization"),
        ({"generalization": "user"}, "expected a --generalization"),
        ({"split": "rest"}, "expected train, val, test"),
        ({"channel_map": (0, 1)}, "expected 16 entries"),
        ({"low_rate": True}, "is for use with --resample"),
        ({"user": ""}, "--user ''"),
        ({"split": "test", "generalization": "all"}, "--generalization all: is taken"),
        ({"split": "test", "generalization": "train"}, "--generalization train: is taken"),
        ({"split": "test", "generalization": "a\nb"}, "expected a short printable text"),
        ({"noise_floor": (1.0, float("nan"))}, "--noise-floor nan: expected a standard deviation"),
        ({"noise_floor": (1e308,)}, r"--noise-floor 1e\+308"),
        ({"noise_floor": (-1.0,)}, "--noise-floor -1"),
        ({"rest_span_s": (5.0, 1.0)}, "--rest-span 5 1"),
        ({"rest_span_s": (float("nan"), 1.0)}, "--rest-span nan 1"),
        ({"input_rate_hz": -5.0}, "--input-rate -5"),
        ({"input_rate_hz": 1e99}, r"--input-rate 1e\+99"),
        ({"database": "DB9"}, "--database 'DB9': expected DB2 or DB3"),
        ({"angles": Path("/nowhere")}, "--angles /nowhere: no such file"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message) -> None:
    with pytest.raises(ConfigError, match=message):
        ConversionSettings(**settings)


def test_what_a_recording_says_of_itself_is_not_overruled(tmp_path) -> None:
    stamps = np.arange(N) / RATE_HZ
    path = write_xdf(tmp_path / "rec.xdf", (xdf_header(n_channels=16, own={"side": "right"}), noise(), stamps))
    with pytest.raises(ConfigError, match=r"--side left: rec\.xdf says side right"):
        convert_to_hdf5(path, tmp_path / "out", LEFT)


def test_a_recording_without_a_side_needs_one(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"does not say which hand .*--side"):
        convert_to_hdf5(save_npz(tmp_path / "rec.npz"), tmp_path / "out")
    # What failed whole does not stand in the way of the next attempt.
    assert len(convert_to_hdf5(tmp_path / "rec.npz", tmp_path / "out", LEFT).written) == 1


def test_names_that_only_endings_tell_apart_never_meet(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("good.npz", "good_csv.npz"):
        save_npz(tmp_path / "in" / name)
    header = ",".join(f"emg{channel}" for channel in range(16))
    np.savetxt(tmp_path / "in" / "good.csv", noise(), "%.3f", ",", header=header, comments="")
    settings = ConversionSettings(side="left", input_rate_hz=RATE_HZ)
    result = convert_to_hdf5(tmp_path / "in", tmp_path / "out", settings)
    assert sorted(path.name for path in result.written) == ["good_csv.hdf5", "good_csv_2.hdf5", "good_npz.hdf5"]


def test_a_folder_of_angles_needs_a_name_that_says_the_exercise(tmp_path) -> None:
    path = db2(tmp_path, subject=np.array([[1]])).rename(tmp_path / "mine.mat")
    with pytest.raises(ConfigError, match=r"names such as S1_E1_A1\.mat, got mine\.mat"):
        convert_to_hdf5(path, tmp_path / "out", ConversionSettings(side="left", angles=tmp_path))


def test_a_name_that_no_table_can_hold_is_refused_in_words(tmp_path) -> None:
    save_npz(tmp_path / "rec.npz").rename(tmp_path / "rec\udcff\n.npz")
    with pytest.raises(DataError, match="expected a name that a metadata table can hold"):
        convert_to_hdf5(tmp_path / "rec\udcff\n.npz", tmp_path / "out", LEFT)


def test_a_file_of_db2_or_db3_is_not_converted_before_somebody_says_which(tmp_path) -> None:
    path = db2(tmp_path).rename(tmp_path / "S1_E1_A1.mat")
    numbers = ",".join(str(channel % 12) for channel in range(16))
    options = {"side": "right", "channel_map": parse_channel_map(numbers)}
    with pytest.raises(ConfigError, match=r"DB2 \(intact\) or DB3 \(amputees\), .*say which \(--database DB2\)"):
        convert_to_hdf5(path, tmp_path / "out", ConversionSettings(**options))
    convert_to_hdf5(path, tmp_path / "out", ConversionSettings(**options, database="DB3"))
    assert read_metadata(tmp_path / "out").iloc[0]["user"] == "DB3-S1"
    assert "Ninapro DB3" in converted(tmp_path / "out").facts.attributes["converted_format"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stream": "EMG"}, "--stream: is for XDF, .* NPZ; leave it out"),
        ({"database": "DB2"}, "--database: is for Ninapro, .* NPZ"),
        ({"angles": Path(__file__)}, "--angles: is for Ninapro, .* NPZ"),
        ({"mapping": TableMapping(emg=("a",), rate_hz=1000.0)}, "--mapping: is for CSV, Parquet, .* NPZ"),
    ],
)
def test_an_option_for_another_format_is_refused_before_anything_is_written(tmp_path, options, message) -> None:
    (tmp_path / "in").mkdir()
    for source in (save_npz(tmp_path / "rec.npz"), save_npz(tmp_path / "in" / "rec.npz").parent):
        with pytest.raises(ConfigError, match=message):
            convert_to_hdf5(source, tmp_path / "out", ConversionSettings(side="left", **options))
    assert not (tmp_path / "out").exists()


def test_an_option_for_one_format_serves_a_folder_of_several(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    save_npz(tmp_path / "in" / "a.npz")
    stamps = 5 + np.arange(N) / RATE_HZ
    write_xdf(tmp_path / "in" / "b.xdf", (xdf_header(name="mine", n_channels=16), noise(seed=1), stamps))
    result = convert_to_hdf5(tmp_path / "in", tmp_path / "out", ConversionSettings(side="left", stream="mine"))
    assert [path.name for path in result.written] == ["a.hdf5", "b.hdf5"]


def test_a_rate_that_no_recording_leaves_to_the_user_is_refused(tmp_path) -> None:
    convert_to_hdf5(save_npz(tmp_path / "rec.npz"), tmp_path / "one", LEFT)
    with pytest.raises(ConfigError, match=r"--input-rate: is for NPZ, .* only emg2pose HDF5"):
        convert_to_hdf5(tmp_path / "one", tmp_path / "two", ConversionSettings(input_rate_hz=1000.0))


def test_a_table_that_says_the_split_is_not_overruled(tmp_path) -> None:
    convert_to_hdf5(save_npz(tmp_path / "rec.npz"), tmp_path / "one", LEFT)
    with pytest.raises(ConfigError, match=r"for .*one the metadata table says them"):
        convert_to_hdf5(tmp_path / "one", tmp_path / "two", ConversionSettings(split="val", generalization="user"))


def test_a_format_whose_library_is_missing_leaves_its_files_out_and_converts_the_rest(tmp_path, monkeypatch) -> None:
    (tmp_path / "in").mkdir()
    save_npz(tmp_path / "in" / "b.npz")
    for name in ("a", "c"):
        (tmp_path / "in" / f"{name}.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    result = convert_to_hdf5(tmp_path / "in", tmp_path / "out", LEFT)
    assert [path.name for path in result.written] == ["b.hdf5"]
    assert [name for name, _ in result.left_out] == ["a.parquet", "c.parquet"]
    assert all("emgpose[store]" in reason for _, reason in result.left_out)
    with pytest.raises(MissingExtraError):
        convert_to_hdf5(tmp_path / "in" / "a.parquet", tmp_path / "out2", LEFT)
    assert not (tmp_path / "out2").exists()


def test_two_conversions_never_write_to_one_folder(tmp_path) -> None:
    path = save_npz(tmp_path / "rec.npz")
    with claimed(tmp_path / "out"), pytest.raises(DataError, match="another conversion is at work in this folder"):
        convert_to_hdf5(path, tmp_path / "out", LEFT)
    assert len(convert_to_hdf5(path, tmp_path / "out", LEFT).written) == 1


def test_a_folder_that_was_removed_while_it_was_waited_for_is_not_taken(tmp_path, monkeypatch) -> None:
    import emgpose.conversion.bids.output_folder as module

    def slow(root: Path, folder: int) -> None:
        root.rmdir()
        lock(root, folder)

    lock = module._lock
    monkeypatch.setattr(module, "_lock", slow)
    with pytest.raises(DataError, match="was at work in this folder until now"), claimed(tmp_path / "out"):
        pass


def test_two_conversions_never_go_the_same_way(tmp_path) -> None:
    path = save_npz(tmp_path / "rec.npz")

    def onward(root: Path) -> int:
        with pytest.raises(DataError, match="another conversion is at work"):
            convert_by_way(path, tmp_path / "out", LEFT, onward)
        return len(list(root.glob("*.hdf5")))

    first, last, done = convert_by_way(path, tmp_path / "out", LEFT, onward)
    assert (len(first.written), last, len(done)) == (1, 1, 1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["rec.npz"]


def test_a_folder_of_somebody_else_is_refused_before_the_work(tmp_path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("keep")
    with pytest.raises(DataError, match="expected an empty folder, or what this command began"):
        convert_by_way(save_npz(tmp_path / "rec.npz"), tmp_path / "out", LEFT, str)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out", "rec.npz"]


@pytest.mark.parametrize(
    ("generalization", "user", "stage"),
    [
        ("user", "True", "False"),
        ("stage", "False", "True"),
        ("user_stage", "True", "True"),
        ("other", "False", "False"),
    ],
)
def test_what_is_held_out_follows_from_the_condition(tmp_path, generalization, user, stage) -> None:
    settings = ConversionSettings(side="left", split="test", generalization=generalization)
    convert_to_hdf5(save_npz(tmp_path / "rec.npz"), tmp_path / "out", settings)
    with (tmp_path / "out" / "metadata.csv").open() as file:
        row = next(csv.DictReader(file))
    assert (row["held_out_user"], row["held_out_stage"]) == (user, stage)


def test_what_a_data_set_says_is_held_out_is_kept_whatever_is_changed(tmp_path) -> None:
    settings = ConversionSettings(side="left", split="test", generalization="stage")
    convert_to_hdf5(save_npz(tmp_path / "rec.npz"), tmp_path / "one", settings)
    table = tmp_path / "one" / "metadata.csv"
    # A test user, of a stage held out, in a condition of its own; and a column that only this data set has.
    header, line = table.read_text().splitlines()
    line = line.replace("False,True,test,stage", "True,True,test,placement")
    table.write_text(f"{header},placement\n{line},7\n")
    convert_to_hdf5(tmp_path / "one", tmp_path / "two", ConversionSettings(user="unknown"))
    with (tmp_path / "two" / "metadata.csv").open() as file:
        row = next(csv.DictReader(file))
    assert (row["held_out_user"], row["held_out_stage"], row["generalization"]) == ("True", "True", "placement")
    assert row["placement"] == "7"


def test_links_that_lead_in_a_circle_are_one_clear_error(tmp_path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    for source, out in ((tmp_path / "circle", tmp_path / "out"), (save_npz(tmp_path / "r.npz"), tmp_path / "circle")):
        with pytest.raises(DataError, match="circle"):
            convert_to_hdf5(source, out, LEFT)


@pytest.mark.parametrize("table", ["metadata.csv", "emg2pose_metadata.csv", "sourcedata/emg2pose_metadata.csv"])
@pytest.mark.parametrize("folder", ["data", "deep/data"])
def test_the_splits_of_a_data_set_below_are_not_lost(tmp_path, folder, table) -> None:
    data = tmp_path / "parent" / folder
    data.mkdir(parents=True)
    save_npz(data / "rec.npz")
    (data / table).parent.mkdir(exist_ok=True)
    (data / table).write_text("filename,split\nrec,test\n")
    with pytest.raises(DataError, match=f"splits would be lost; .*give {data}$"):
        convert_to_hdf5(tmp_path / "parent", tmp_path / "out", LEFT)
    assert not (tmp_path / "out").exists()


def test_the_example_of_the_documentation_is_converted(tmp_path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "other_data.md").read_text(encoding="utf-8")
    (tmp_path / "map.toml").write_text(page.partition("```toml\n")[2].partition("```")[0], encoding="utf-8")
    columns = [0.5 * np.arange(N), *(1e-3 * noise(channels=8).T), np.full(N, 20.0), np.ones(N)]
    header = ",".join(["t", *(f"ch{number}" for number in range(1, 9)), "index_flexion", "good"])
    np.savetxt(tmp_path / "rec.csv", np.transpose(columns), "%.5f", delimiter=",", header=header, comments="")
    settings = ConversionSettings(mapping=load_mapping(tmp_path / "map.toml"), channel_map=parse_channel_map("8to16"))
    assert "--mapping map.toml --channel-map 8to16 --to emg2pose" in page
    convert_to_hdf5(tmp_path / "rec.csv", tmp_path / "out", settings)
    with converted(tmp_path / "out") as session:
        assert (session.facts.user, session.facts.side, session.n_channels) == ("anna", "left", 16)
        angle = session.joint_angles(0, 100)[:, JOINTS.index("INDEX_MCP_FE")]
    assert angle == pytest.approx(np.radians(-20.0), abs=1e-5)


def test_a_recording_out_of_a_data_set_keeps_its_split(tmp_path) -> None:
    (tmp_path / "data" / "day").mkdir(parents=True)
    convert_to_hdf5(save_npz(tmp_path / "rec.npz"), tmp_path / "made", LEFT)
    for name in ("known", "unknown"):
        (tmp_path / "data" / "day" / f"{name}.hdf5").write_bytes((tmp_path / "made" / "rec.hdf5").read_bytes())
    row = "day/known,s,anna,typing,left,test,user,3"
    header = "filename,session,user,stage,side,split,generalization,trial"
    (tmp_path / "data" / "metadata.csv").write_text(f"{header}\n{row}\n")
    floor = ConversionSettings(noise_floor=(1.0,))
    for number, source in enumerate([Path("known.hdf5"), Path()]):
        convert_to_hdf5(tmp_path / "data" / "day" / source, tmp_path / f"out{number}", floor)
        table = read_metadata(tmp_path / f"out{number}").set_index("filename")
        assert table.loc["known", ["split", "generalization", "trial"]].tolist() == ["test", "user", "3"]
    assert table.loc["unknown", ["split", "trial"]].tolist() == ["train", ""]
    with pytest.raises(ConfigError, match="leave them out"):
        convert_to_hdf5(
            tmp_path / "data" / "day", tmp_path / "out", ConversionSettings(split="val", generalization="user")
        )


def test_a_table_of_something_else_above_a_recording_is_no_matter(tmp_path) -> None:
    (tmp_path / "metadata.csv").write_text("samples,of\n1,2\n")
    convert_to_hdf5(save_npz(tmp_path / "rec.npz"), tmp_path / "out", LEFT)
    assert read_metadata(tmp_path / "out")["split"].tolist() == ["train"]
