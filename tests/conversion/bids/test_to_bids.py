import csv
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from emgpose.conversion.bids import BidsRecording, convert_bids_to_hdf5, convert_to_bids, write_bids
from emgpose.conversion.bids.output_folder import claimed
from emgpose.errors import ConfigError, DataError
from emgpose.hand import N_JOINTS
from emgpose.preprocessing import Bandpass, Preprocessing, Scale
from emgpose.recording import open_session, read_metadata, session_path, write_emg2pose_hdf5
from generated import generate_dataset, generate_session

ROW = {"session": "s-1", "user": "u_1", "stage": "Fist", "side": "left", "split": "train", "generalization": ""}


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def steps_of(bdf: Path) -> tuple[np.ndarray, np.ndarray]:
    """Steps of the EMG and of the joint angles [rad], as the header of the file says them."""
    with open_session(bdf) as session:
        gains = np.array([signal.gain for signal in session.reader._bdf.header.signals[:-1]])
    return gains[: session.n_channels], gains[session.n_channels :] * 1e-6


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    generate_dataset(folder / "hdf5", n_train_users=1, n_val_users=1, n_test_users=1, n_stages=2, seconds=2.3)
    convert_to_bids(folder / "hdf5", folder / "bids", name="made", license_name="CC0")
    convert_bids_to_hdf5(folder / "bids", folder / "hdf5_2")
    convert_to_bids(folder / "hdf5_2", folder / "bids_2", name="made", license_name="CC0")
    convert_bids_to_hdf5(folder / "bids_2", folder / "hdf5_3")
    return folder


def test_the_round_trip_is_exact_to_half_a_step_and_keeps_invalid_labels(made: Path) -> None:
    for row in read_metadata(made / "bids").to_dict("records"):
        emg_step, angle_step_rad = steps_of(session_path(made / "bids", row))
        name = f"{row['filename']}.hdf5"
        with open_session(made / "hdf5" / name) as before, open_session(made / "hdf5_2" / name) as after:
            a, b = before.read(), after.read()
            assert after.facts.start_s == before.facts.start_s
            for key in ("session", "user", "stage", "side", "n_samples", "sample_rate_hz"):
                assert getattr(after.facts, key) == getattr(before.facts, key)
            np.testing.assert_allclose(after.time_s(), before.time_s(), atol=2.1e-4, rtol=0)
        np.testing.assert_array_equal(b.valid, a.valid)
        assert (np.abs(b.emg - a.emg) <= emg_step / 2).all()
        rounding = np.spacing(np.abs(a.joint_angles[a.valid])) / 2
        assert (np.abs(b.joint_angles - a.joint_angles)[a.valid] <= angle_step_rad / 2 + rounding).all()
        assert emg_step.max() <= np.abs(a.emg).max() * 2.5e-7
        assert angle_step_rad.max() <= np.abs(a.joint_angles).max() * 2.5e-7


def test_a_second_round_trip_changes_no_bit(made: Path) -> None:
    for row in read_metadata(made / "hdf5").to_dict("records"):
        path = f"{row['filename']}.hdf5"
        with h5py.File(made / "hdf5_2" / path) as before, h5py.File(made / "hdf5_3" / path) as after:
            assert before["emg2pose/timeseries"][:].tobytes() == after["emg2pose/timeseries"][:].tobytes()
            assert dict(before["emg2pose"].attrs) == dict(after["emg2pose"].attrs)
    tables = [(made / folder / "metadata.csv").read_text() for folder in ("hdf5", "hdf5_2", "hdf5_3")]
    assert tables[0] == tables[1] == tables[2]
    first, second = contents(made / "bids"), contents(made / "bids_2")
    assert first.keys() == second.keys()
    # Sidecars also say how large the source file was.
    assert all(first[name] == second[name] for name in first if not name.endswith("_emg.json"))


def test_the_table_comes_back_cell_by_cell(made: Path, tmp_path: Path) -> None:
    convert_bids_to_hdf5(made / "bids", tmp_path)
    before, after = ((folder / "metadata.csv").read_text() for folder in (made / "hdf5", tmp_path))
    assert after.splitlines() == before.splitlines()
    rows = list(csv.DictReader(before.splitlines()))
    assert {(row["held_out_user"], row["held_out_stage"]) for row in rows} == {
        (user, stage) for user in ("True", "False") for stage in ("True", "False")
    }


def test_metadata_and_attributes_survive(tmp_path: Path) -> None:
    attributes = {"simulated": True, "dataset": "made", "gain": 1.5}
    emg = np.ones((4100, 16), dtype="f4")
    write_emg2pose_hdf5(
        tmp_path / "a.hdf5", emg, None, sample_rate_hz=2000.5, user="u_1", stage="Fist", side="left",
        session="s-1", attributes=attributes,
    )  # fmt: skip
    write_bids([BidsRecording(tmp_path / "a.hdf5", {"filename": "a", **ROW})], tmp_path / "bids")
    convert_bids_to_hdf5(tmp_path / "bids", tmp_path / "back")
    with open_session(tmp_path / "back" / "a.hdf5") as session:
        assert session.facts.is_simulated
        assert not session.has_joint_angles
        assert session.sample_rate_hz == 2000.5
        assert session.n_samples == 4100
        assert {key: session.facts.attributes[key] for key in attributes} == attributes
        np.testing.assert_array_equal(session.emg(), emg)


values = st.floats(-1e4, 1e4, width=32)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    emg=hnp.arrays(np.float32, (30, 2), elements=values),
    angles=hnp.arrays(np.float32, (30, N_JOINTS), elements=st.floats(-6.25, 6.25, width=32)),
    valid=hnp.arrays(np.bool_, 30),
)
def test_any_numbers_come_back_within_half_a_step_with_the_same_labels(
    tmp_path: Path, emg: np.ndarray, angles: np.ndarray, valid: np.ndarray
) -> None:
    for folder in ("bids", "back"):
        shutil.rmtree(tmp_path / folder, ignore_errors=True)
    facts: dict[str, Any] = {"sample_rate_hz": 10, "user": "u_1", "stage": "Fist", "side": "left", "session": "s-1"}
    write_emg2pose_hdf5(tmp_path / "a.hdf5", emg, angles, valid=valid, **facts)
    bdf = write_bids([BidsRecording(tmp_path / "a.hdf5", {"filename": "a", **ROW})], tmp_path / "bids").written[0]
    emg_step, angle_step_rad = steps_of(bdf)
    with open_session(tmp_path / "a.hdf5") as session:
        before = session.read()
    with open_session(bdf) as session:
        after = session.read()
    np.testing.assert_array_equal(after.valid, before.valid)
    assert (np.abs(after.emg.astype("f8") - before.emg) <= emg_step / 2).all()
    # A valid pose of less than half a step everywhere is kept off zero by a whole step.
    rounding = np.spacing(np.abs(before.joint_angles)) / 2
    tiny = (np.abs(before.joint_angles) <= angle_step_rad / 2 * 1.001).all(axis=1, keepdims=True) & before.valid[
        :, None
    ]
    allowed = np.where(tiny, angle_step_rad, angle_step_rad / 2) + rounding
    assert (np.abs(after.joint_angles.astype("f8") - before.joint_angles) <= allowed).all()
    convert_bids_to_hdf5(tmp_path / "bids", tmp_path / "back")
    with open_session(tmp_path / "back" / "a.hdf5") as session:
        again = session.read()
    np.testing.assert_array_equal(again.emg, after.emg)
    np.testing.assert_array_equal(again.valid, after.valid)
    np.testing.assert_array_equal(again.joint_angles[again.valid], after.joint_angles[after.valid])


def test_writing_again_changes_nothing(made: Path, tmp_path: Path) -> None:
    root = shutil.copytree(made / "bids", tmp_path / "bids")
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    done = convert_to_bids(made / "hdf5", root, name="made", license_name="CC0")
    assert (len(done.written), len(done.kept), done.left_out) == (0, 12, [])
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    folder = shutil.copytree(made / "hdf5_2", tmp_path / "hdf5")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    done = convert_bids_to_hdf5(root, folder)
    assert (len(done.written), len(done.kept), done.left_out) == (0, 12, [])
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_an_interrupted_conversion_ends_as_an_undisturbed_one(made: Path, tmp_path: Path) -> None:
    class InterruptedForTestError(BaseException):
        pass

    for stop_at in (1, 5, 12):

        def stop(done: int, total: int, stop_at: int = stop_at) -> None:
            if done == stop_at:
                raise InterruptedForTestError

        with pytest.raises(InterruptedForTestError):
            convert_to_bids(made / "hdf5", tmp_path / "bids", name="made", license_name="CC0", on_progress=stop)
    # As a kill while a recording is written leaves it.
    bdf = sorted((tmp_path / "bids").rglob("*_emg.bdf"))[3]
    unfinished = bdf.with_name(f".{bdf.name}.ab12_x9z")
    unfinished.mkdir()
    bdf.rename(unfinished / bdf.name)
    (tmp_path / "bids" / ".git").mkdir()
    (tmp_path / "bids" / ".git" / "mine.json").write_text("{}")
    convert_to_bids(made / "hdf5", tmp_path / "bids", name="made", license_name="CC0")
    assert (tmp_path / "bids" / ".git" / "mine.json").exists()
    shutil.rmtree(tmp_path / "bids" / ".git")
    assert not list((tmp_path / "bids").rglob(".*"))
    assert contents(tmp_path / "bids") == contents(made / "bids")


KILLED = """
import sys
from pathlib import Path
from emgpose.conversion.bids import convert_to_bids
print("go", flush=True)
convert_to_bids(Path(sys.argv[1]), Path(sys.argv[2]), name="made", license_name="CC0",
                on_progress=lambda done, total: print(done, flush=True))
"""


@pytest.mark.slow
def test_killed_again_and_again_it_ends_as_undisturbed(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "bids"
    rng = np.random.default_rng(0)
    for _ in range(20):
        command = [sys.executable, "-c", KILLED, str(made / "hdf5"), str(out)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(1 + int(rng.integers(0, 4))):
                process.stdout.readline()
            for _ in range(int(rng.integers(0, 200_000))):
                pass
            process.kill()
    convert_to_bids(made / "hdf5", out, name="made", license_name="CC0")
    assert contents(out) == contents(made / "bids")
    assert not list(out.rglob(".*"))


def test_a_part_first_and_the_rest_later_gives_every_recording(made: Path, tmp_path: Path) -> None:
    done = convert_to_bids(made / "hdf5", tmp_path / "bids", where="side == 'left'")
    assert len(done.written) == 6
    done = convert_to_bids(made / "hdf5", tmp_path / "bids")
    assert (len(done.written), len(done.kept)) == (6, 6)
    table = read_metadata(tmp_path / "bids")
    assert sorted(table["filename"]) == sorted(read_metadata(made / "hdf5")["filename"])
    scans = sorted((tmp_path / "bids").rglob("*_scans.tsv"))
    assert sum(len(path.read_text().splitlines()) - 1 for path in scans) == 12
    with pytest.raises(DataError, match="no recording has"):
        convert_to_bids(made / "hdf5", tmp_path / "bids", where="user == 'nobody'")


def test_recordings_that_cannot_be_held_are_left_out_and_the_rest_is_written(tmp_path: Path) -> None:
    rows = generate_dataset(tmp_path / "h", n_train_users=1, n_val_users=0, n_test_users=0, n_stages=3, seconds=1.0)
    names = [f"{row['filename']}.hdf5" for row in rows]
    generate_session(tmp_path / "h" / names[0], nan_channel=3)
    (tmp_path / "h" / names[1]).write_bytes(b"no HDF5")
    (tmp_path / "h" / names[2]).unlink()
    emg = np.full((2000, 16), 1e9)
    write_emg2pose_hdf5(tmp_path / "h" / names[3], emg, sample_rate_hz=2000, user="u", stage="s", side="left")
    done = convert_to_bids(tmp_path / "h", tmp_path / "b")
    assert len(done.written) == 2
    reasons = dict(done.left_out)
    assert len(reasons) == 4
    for name, says in zip(names, ("emg3 is nan at sample 0", "", "no such file", "got 1e+09"), strict=False):
        reason = reasons[str(tmp_path / "h" / name)]
        assert says in reason
        assert "\n" not in reason
    table = read_metadata(tmp_path / "b")
    assert len(table) == 2
    assert all(session_path(tmp_path / "b", row).is_file() for row in table.to_dict("records"))
    with pytest.raises(DataError, match=r"not one of 1 recordings could be written.*emg3 is nan"):
        convert_to_bids(tmp_path / "h", tmp_path / "c", where=f"filename == '{rows[0]['filename']}'")


def test_nothing_is_overwritten_silently(made: Path, tmp_path: Path) -> None:
    root = shutil.copytree(made / "bids", tmp_path / "bids")
    source = shutil.copytree(made / "hdf5", tmp_path / "hdf5")
    name = sorted(path.name for path in source.glob("*.hdf5"))[0]
    generate_session(source / name, seconds=2.0)
    done = convert_to_bids(source, root, name="made", license_name="CC0")
    assert len(done.left_out) == 1
    assert "nothing is overwritten" in done.left_out[0][1]
    table = (source / "metadata.csv").read_text()
    (source / "metadata.csv").write_text(table.replace(",test,", ",val,"))
    with pytest.raises(DataError, match="split is 'test' there and 'val'"):
        convert_to_bids(source, root, name="made", license_name="CC0")
    with pytest.raises(DataError, match="Name is 'made' there, got 'other'"):
        convert_to_bids(made / "hdf5", root, name="other", license_name="CC0")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    with pytest.raises(DataError, match="expected an empty folder"):
        convert_to_bids(made / "hdf5", tmp_path / "full")
    (tmp_path / "full" / "dataset_description.json").write_text('{"Name": "emg2pose"}')
    with pytest.raises(DataError, match="expected a data set that emgpose wrote"):
        convert_to_bids(made / "hdf5", tmp_path / "full")
    assert (tmp_path / "full" / "x").read_text() == "mine"


def test_a_source_that_changed_within_its_size_is_not_taken_for_the_one_before(made: Path, tmp_path: Path) -> None:
    source = shutil.copytree(made / "hdf5", tmp_path / "hdf5")
    root = shutil.copytree(made / "bids", tmp_path / "bids")
    first, second, third = sorted(source.glob("*.hdf5"))[:3]
    for path, field in ((first, "emg"), (second, "joint_angles")):
        with h5py.File(path, "r+") as file:
            samples = file["emg2pose/timeseries"][:]
            samples[field][-7] += 0.001
            file["emg2pose/timeseries"][...] = samples
    third.touch()
    done = convert_to_bids(source, root, name="made", license_name="CC0")
    assert (len(done.written), len(done.kept)) == (0, 10)
    assert [Path(name).name for name, _ in done.left_out] == [first.name, second.name]
    assert "which was changed since; nothing is overwritten" in done.left_out[0][1]
    # And the other way.
    folder = shutil.copytree(made / "hdf5_2", tmp_path / "hdf5_2")
    bdf = next(root.rglob("*_emg.bdf"))
    content = bytearray(bdf.read_bytes())
    content[20_000] ^= 0x10
    bdf.write_bytes(bytes(content))
    done = convert_bids_to_hdf5(root, folder)
    assert (len(done.kept), [name for name, _ in done.left_out]) == (11, [str(bdf)])
    assert "which was changed since" in done.left_out[0][1]


def test_two_conversions_never_write_to_one_folder(made: Path, tmp_path: Path) -> None:
    for convert, source in ((convert_to_bids, made / "hdf5"), (convert_bids_to_hdf5, made / "bids")):
        out = tmp_path / convert.__name__
        with claimed(out), pytest.raises(DataError, match="another conversion is at work in this folder"):
            convert(source, out)
        assert not list(out.iterdir())
    assert convert_bids_to_hdf5(made / "bids", out).written


def test_a_recording_that_fails_on_its_second_reading_leaves_nothing_to_stumble_over(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(session: Any, *_: Any) -> None:
        if session.side == "left":
            raise DataError(f"{session.name}: cut short")

    monkeypatch.setattr("emgpose.conversion.bids.recording_files._write_bdf", fail)
    with pytest.raises(DataError, match=r"not one of 6 recordings.*cut short"):
        convert_to_bids(made / "hdf5", tmp_path / "bids", where="side == 'left'")
    assert not list((tmp_path / "bids").rglob("*recording-left*"))
    monkeypatch.undo()
    assert len(convert_to_bids(made / "hdf5", tmp_path / "bids").written) == 12


def test_a_recording_that_is_only_a_pointer_is_not_written_over(made: Path, tmp_path: Path) -> None:
    root = shutil.copytree(made / "bids", tmp_path / "bids")
    bdf = sorted(root.rglob("*_emg.bdf"))[0]
    bdf.unlink()
    bdf.symlink_to("../../../.git/annex/objects/MD5E-s1--0.bdf")
    before = sorted(root.rglob("*"))
    done = convert_to_bids(made / "hdf5", root, name="made", license_name="CC0")
    assert len(done.left_out) == 1
    assert "git-annex pointer" in done.left_out[0][1]
    assert bdf.is_symlink()
    assert sorted(root.rglob("*")) == before


def test_hdf5_files_of_other_recordings_are_not_replaced(made: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(made / "hdf5_2", tmp_path / "hdf5")
    name = sorted(folder.glob("*.hdf5"))[0]
    generate_session(name, seconds=2.0)
    before = name.read_bytes()
    done = convert_bids_to_hdf5(made / "bids", folder)
    assert len(done.left_out) == 1
    assert (
        "its n_samples is 4000, that of the recording to be written 4600; nothing is overwritten" in done.left_out[0][1]
    )
    assert name.read_bytes() == before
    with pytest.raises(DataError, match="expected a BIDS data set"):
        convert_bids_to_hdf5(made / "hdf5", tmp_path / "x")


def test_nothing_is_written_among_what_is_converted_or_what_is_somebody_elses(made: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lies in the source"):
        convert_to_bids(made / "hdf5", made / "hdf5" / "bids")
    with pytest.raises(ConfigError, match="lies in the source"):
        convert_bids_to_hdf5(made / "bids", made / "bids" / "hdf5")
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match=r"expected an empty folder or a data set .*; it holds 'thesis\.txt'"):
        convert_bids_to_hdf5(made / "bids", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_full_disk_ends_the_conversion(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str) -> None:
        raise DataError(f"{path}: writing failed") from OSError(28, "No space left on device")

    monkeypatch.setattr("emgpose.conversion.bids.recording_files.write_text_atomically", full)
    with pytest.raises(DataError, match=r"_channels\.tsv: writing failed"):
        convert_to_bids(made / "hdf5", tmp_path / "bids")


def test_rows_that_cannot_be_are_refused(made: Path, tmp_path: Path) -> None:
    path = next((made / "hdf5").glob("*.hdf5"))
    row = {"filename": "a", **ROW}
    with pytest.raises(ConfigError, match="expected at least one recording"):
        write_bids([], tmp_path / "b")
    with pytest.raises(ConfigError, match="its row has no split"):
        write_bids([BidsRecording(path, {k: v for k, v in row.items() if k != "split"})], tmp_path / "b")
    with pytest.raises(ConfigError, match="side: expected left or right, got 'both'"):
        write_bids([BidsRecording(path, {**row, "side": "both"})], tmp_path / "b")
    with pytest.raises(ConfigError, match="two recordings are called a"):
        write_bids([BidsRecording(path, row), BidsRecording(path, {**row, "filename": "x/a"})], tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_emg_on_another_scale_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", emg=np.ones((100, 8)), sample_rate_hz=200)
    with pytest.raises(DataError, match="needs EMG in units of its noise floor"):
        write_bids([BidsRecording(tmp_path / "a.npz", {"filename": "a", **ROW})], tmp_path / "b")


def test_emg_after_other_filters_is_refused(tmp_path: Path) -> None:
    generate_session(tmp_path / "a.hdf5", seconds=1.0)
    session = open_session(tmp_path / "a.hdf5")
    facts = dataclasses.replace(session.facts, preprocessing=Preprocessing((Bandpass(high_hz=400.0), Scale())))
    session.reader._facts = facts
    with pytest.raises(DataError, match=r"holds EMG after band-pass 20-850 Hz .*, the recording has had .*20-400 Hz"):
        write_bids([BidsRecording(session, {"filename": "a", **ROW})], tmp_path / "b")


def test_what_stands_at_invalid_labels_does_not_coarsen_the_others(tmp_path: Path) -> None:
    angles = np.full((3000, N_JOINTS), 0.25, dtype="f4")
    angles[100:200] = 1e6
    angles[100:200, 3] = np.nan
    write_emg2pose_hdf5(
        tmp_path / "a.hdf5", np.ones((3000, 16)), angles, sample_rate_hz=2000, user="u_1", stage="Fist", side="left",
    )  # fmt: skip
    bdf = write_bids([BidsRecording(tmp_path / "a.hdf5", {"filename": "a", **ROW})], tmp_path / "b").written[0]
    assert steps_of(bdf)[1].max() < 1e-6
    with open_session(bdf) as session:
        piece = session.read()
    np.testing.assert_array_equal(np.flatnonzero(~piece.valid), np.arange(100, 200))
    np.testing.assert_allclose(piece.joint_angles[piece.valid], 0.25, atol=1e-7)


def test_names_are_labels_of_bids(tmp_path: Path) -> None:
    generate_session(tmp_path / "a.hdf5", seconds=1.0)
    rows = [{**ROW, "filename": f"r{number}", "user": user} for number, user in enumerate(["u1", "u-1", "u_1", "u1"])]
    written = write_bids([BidsRecording(tmp_path / "a.hdf5", row) for row in rows], tmp_path / "b").written
    subjects = [path.relative_to(tmp_path / "b").parts[0] for path in written]
    assert subjects[0] == subjects[3] == "sub-u1"
    assert len(set(subjects)) == 3
    assert all(subject.removeprefix("sub-").isalnum() for subject in subjects)
    assert ["run-01" in written[0].name, "run-02" in written[3].name] == [True, True]
    with (tmp_path / "b" / "participants.tsv").open() as file:
        users = {row["participant_id"]: row["user"] for row in csv.DictReader(file, delimiter="\t")}
    assert users == dict(zip(subjects, ["u1", "u-1", "u_1", "u1"], strict=True))


def test_the_tables_beside_a_recording_say_what_is_in_it(made: Path) -> None:
    row = read_metadata(made / "bids").to_dict("records")[0]
    bdf = session_path(made / "bids", row)
    stem = str(bdf).removesuffix("_emg.bdf")
    sidecar = json.loads(Path(f"{stem}_emg.json").read_text())
    assert sidecar["SourceFile"] == f"{row['filename']}.hdf5"
    assert (sidecar["Stage"], sidecar["HandSide"], sidecar["ValidSamples"]) == (row["stage"], row["side"], 4600)
    emg_step, angle_step_rad = steps_of(bdf)
    assert sidecar["LargestStep"]["emg_noise_floor"] == emg_step.max()
    assert sidecar["LargestStep"]["joint_angles_rad"] == pytest.approx(angle_step_rad.max())
    with Path(f"{stem}_channels.tsv").open() as file:
        channels = list(csv.DictReader(file, delimiter="\t"))
    assert [channel["name"] for channel in channels] == [
        *(f"emg{n}" for n in range(16)),
        *(f"joint{n}" for n in range(20)),
    ]
    assert {channel["type"] for channel in channels} == {"EMG", "MISC"}
    with open_session(bdf) as session, Path(f"{stem}_events.tsv").open() as file:
        marked = [
            (round(float(mark["onset"]) * 2000), round(float(mark["duration"]) * 2000))
            for mark in csv.DictReader(file, delimiter="\t")
        ]
        runs = session.valid_runs()
    gaps = np.ones(4600, dtype=bool)
    for onset, duration in marked:
        gaps[onset : onset + duration] = False
    assert all(gaps[start:stop].all() for start, stop in runs)
    assert gaps.sum() == sum(stop - start for start, stop in runs)


def test_joints_that_are_not_known_stay_unknown(tmp_path: Path) -> None:
    from emgpose.hand import JOINTS
    from emgpose.recording.facts import KNOWN_JOINTS

    angles = np.full((3000, N_JOINTS), np.nan)
    angles[:, :4] = 0.25
    write_emg2pose_hdf5(
        tmp_path / "a.hdf5", np.ones((3000, 16)), angles, sample_rate_hz=2000, user="u_1", stage="Fist", side="left",
        session="s-1", attributes={KNOWN_JOINTS: ",".join(JOINTS[:4])},
    )  # fmt: skip
    write_bids([BidsRecording(tmp_path / "a.hdf5", {"filename": "a", **ROW})], tmp_path / "b")
    convert_bids_to_hdf5(tmp_path / "b", tmp_path / "h")
    for path in (next((tmp_path / "b").rglob("*.bdf")), tmp_path / "h" / "a.hdf5"):
        with open_session(path) as session:
            np.testing.assert_array_equal(session.joint_angles(), angles.astype(np.float32))
            assert not session.valid().any()
            assert session.facts.missing_joints == JOINTS[4:]


def validator() -> Path:
    path = Path(sys.executable).with_name("bids-validator-deno")
    if not path.exists():
        pytest.skip("bids-validator-deno is not installed")
    return path


def test_the_bids_validator_finds_no_error(made: Path) -> None:
    command = [str(validator()), str(made / "bids"), "--format", "json", "--max-rows", "-1"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env={**os.environ, "NO_COLOR": "1"}
    )
    assert done.stdout, done.stderr
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []
    # What is left is what we cannot know: the maker of the device, the authors.
    assert {issue["code"] for issue in issues} <= {
        "TOO_FEW_AUTHORS", "NO_AUTHORS", "JSON_KEY_RECOMMENDED", "SIDECAR_KEY_RECOMMENDED"
    }  # fmt: skip


def test_the_bids_validator_would_find_an_error(made: Path, tmp_path: Path) -> None:
    root = shutil.copytree(made / "bids", tmp_path / "bids")
    for path in root.rglob("*_emg.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "RecordingType": "sometimes"}))
    done = subprocess.run(
        [str(validator()), str(root), "--format", "json"], capture_output=True, text=True, check=False, timeout=120
    )
    assert any(issue["severity"] == "error" for issue in json.loads(done.stdout)["issues"]["issues"])


def test_mne_bids_reads_what_was_written(made: Path) -> None:
    mne_bids = pytest.importorskip("mne_bids")
    row = read_metadata(made / "bids").to_dict("records")[0]
    bdf = session_path(made / "bids", row)
    with warnings.catch_warnings(), open_session(bdf) as session:
        warnings.simplefilter("ignore")
        raw = mne_bids.read_raw_bids(mne_bids.get_bids_path_from_fname(bdf), verbose="ERROR")
        n = session.n_samples
        np.testing.assert_array_equal((raw.get_data(stop=n)[:16] * 1e6).T.astype("f4"), session.emg())
    assert raw.get_channel_types() == ["emg"] * 16 + ["misc"] * 20
    assert set(raw.annotations.description) == {"BAD_IK"}
