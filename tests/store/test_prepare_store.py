import csv
import dataclasses
import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import emgpose.atomic
from emgpose.errors import ConfigError, DataError
from emgpose.recording import open_session, read_metadata, session_path
from emgpose.recording.metadata import REQUIRED_COLUMNS
from emgpose.recording.store import open_store
from emgpose.recording.store.check import check_store
from emgpose.recording.store.layout import read_sealed_json, sealed_json
from emgpose.recording.store.pieces import Piece
from emgpose.store import folder, plan, prepare_store
from generated import break_dataset, generate_dataset, generate_session
from made_stores import assert_same_samples, contents, small_dataset


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return small_dataset(tmp_path_factory.mktemp("originals"))


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory):
    out = tmp_path_factory.mktemp("stores") / "undisturbed"
    prepare_store(root, out)
    return out


@pytest.fixture(scope="module")
def undisturbed(finished):
    return contents(finished)


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


def test_a_second_run_does_nothing(root, undisturbed, tmp_path):
    first = prepare_store(root, tmp_path / "store")
    assert first.n_sessions == first.n_written == 12
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*") if path.name != ".lock"}
    second = prepare_store(root, tmp_path / "store", verify=True)
    assert second.n_written == 0
    assert {path: path.stat().st_mtime_ns for path in before if path.is_file()}.items() <= before.items()
    assert contents(tmp_path / "store") == undisturbed


def test_the_originals_are_not_touched(root, tmp_path):
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in root.iterdir()}
    prepare_store(root, tmp_path / "store", verify=True)
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in root.iterdir()} == before


@pytest.mark.slow
def test_two_workers_write_the_same_bytes_as_one(root, undisturbed, tmp_path):
    prepare_store(root, tmp_path / "store", workers=2, verify=True)
    assert contents(tmp_path / "store") == undisturbed


def test_the_table_of_a_store_is_that_of_its_originals(root, finished):
    assert read_metadata(finished).equals(read_metadata(root))


class Killed(BaseException):
    """Stands for a kill: nothing in emgpose catches it."""


def killed_at(monkeypatch, n):
    """Have the n-th file that is about to take its name never do so."""
    calls = itertools.count(1)
    real = Path.replace

    def replace(self, target):
        if next(calls) == n:
            raise Killed
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)


def test_a_run_that_ended_anywhere_is_resumed_to_the_same_bytes(tmp_path, monkeypatch):
    root = tmp_path / "root"
    root.mkdir()
    (root / "metadata.csv").write_text(
        ",".join(REQUIRED_COLUMNS) + "\na,s,u,stage,left,train,\nb,s,u,stage,left,train,\n"
    )
    for seed, name in enumerate("ab"):
        generate_session(root / f"{name}.hdf5", seconds=0.25, seed=seed)
    monkeypatch.setattr(plan, "SESSIONS_PER_SHARD", 1)
    prepare_store(root, tmp_path / "undisturbed")
    undisturbed = contents(tmp_path / "undisturbed")
    for n in itertools.count(1):
        out = tmp_path / f"store{n}"
        with monkeypatch.context() as patch:
            killed_at(patch, n)
            try:
                prepare_store(root, out)
            except Killed:
                ended_early = True
            else:
                ended_early = False
        # What a kill leaves that an exception does not.
        (out / "shards" / ".00001.h5.abc123").mkdir(exist_ok=True)
        prepare_store(root, out)
        assert contents(out) == undisturbed
        assert not list(out.rglob(".0*"))
        if not ended_early:
            break
    assert n > 8


def test_what_was_complete_is_not_written_again(root, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        killed_at(patch, 4)
        with pytest.raises(Killed):
            prepare_store(root, tmp_path)
    assert prepare_store(root, tmp_path).n_written == 4


def test_broken_recordings_are_left_out_and_named(tmp_path):
    root, out = tmp_path / "root", tmp_path / "store"
    generate_dataset(root, n_train_users=1, n_val_users=1, n_test_users=2, n_stages=2, seconds=0.25)
    broken = break_dataset(root)
    report = prepare_store(root, out, verify=True)
    reasons = {name: reason for name, _, reason in report.left_out}
    assert set(reasons) == {broken.truncated, broken.nan_channel, broken.rate_200_hz, broken.missing}
    assert "does not exist" in reasons[broken.missing]
    assert "EMG channel emg3 is nan at sample 0" in reasons[broken.nan_channel]
    assert "sample rate 200 Hz" in reasons[broken.rate_200_hz]
    assert read_sealed_json(out / "left_out.json")["left_out"] == [list(entry) for entry in report.left_out]
    assert report.n_sessions == 12 == len(read_metadata(out))
    assert_same_samples(root, out)
    assert not check_store(out).findings
    assert prepare_store(root, out).n_written == 0


def test_repaired_and_changed_originals_are_taken_in_and_the_rest_is_kept(tmp_path):
    root, out = tmp_path / "root", tmp_path / "store"
    rows = generate_dataset(root, n_train_users=1, n_val_users=1, n_test_users=1, n_stages=2, seconds=0.25)
    late = root / f"{rows[9]['filename']}.hdf5"
    late.rename(tmp_path / "late")
    assert len(prepare_store(root, out).left_out) == 1
    (tmp_path / "late").rename(late)
    report = prepare_store(root, out)
    assert (report.n_sessions, report.n_written, report.left_out) == (12, 4, ())
    generate_session(root / f"{rows[0]['filename']}.hdf5", seconds=0.5, seed=99)
    assert prepare_store(root, out).n_written == 8
    assert_same_samples(root, out)
    prepare_store(root, tmp_path / "anew")
    assert contents(out) == contents(tmp_path / "anew")


def test_an_original_replaced_by_one_of_the_same_size_and_date_is_noticed(tmp_path):
    root, out = small_dataset(tmp_path / "root"), tmp_path / "store"
    prepare_store(root, out)
    path = root / f"{read_metadata(root)['filename'].iloc[0]}.hdf5"
    before = path.stat()
    with h5py.File(path, "r+") as file:
        samples = file["emg2pose/timeseries"][...]
        samples["emg"][:, 0] += 1
        file["emg2pose/timeseries"][...] = samples
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert prepare_store(root, out).n_written == 8
    assert_same_samples(root, out)


def test_a_smaller_table_leaves_no_shard_behind(tmp_path):
    root, out = small_dataset(tmp_path / "root"), tmp_path / "store"
    prepare_store(root, out)
    lines = (root / "metadata.csv").read_text().splitlines(keepends=True)
    (root / "metadata.csv").write_text("".join(lines[:9]))
    assert prepare_store(root, out).n_sessions == 8
    assert [path.name for path in (out / "shards").iterdir()] == ["00000.h5"]


SLOW_FILES = [pytest.param(name, marks=pytest.mark.slow) for name in ("metadata.csv", "left_out.json", "sources.json")]


@pytest.mark.parametrize("name", ["store.json", "index.parquet", *SLOW_FILES])
def test_a_damaged_store_is_repaired_by_preparing_it_again(root, undisturbed, copy, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    assert check_store(copy).findings
    prepare_store(root, copy)
    assert contents(copy) == undisturbed


def test_a_deleted_shard_is_written_again(root, undisturbed, copy):
    (copy / "shards/00001.h5").unlink()
    assert prepare_store(root, copy).n_written == 4
    assert contents(copy) == undisturbed


def test_a_folder_without_a_usable_recording_gives_no_store(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "metadata.csv").write_text(",".join(REQUIRED_COLUMNS) + "\nr0,s,u,stage,left,train,\n")
    with pytest.raises(DataError, match=r"none of the 1 recordings can be used; the first, r0: .*does not exist"):
        prepare_store(root, tmp_path / "store")


def test_a_second_prepare_on_the_same_store_is_refused_while_the_first_is_at_work(root, tmp_path):
    with folder.claimed(tmp_path / "store"):
        script = "import sys; from emgpose.store import prepare_store; prepare_store(*sys.argv[1:])"
        other = subprocess.run(
            [sys.executable, "-c", script, root, tmp_path / "store"], capture_output=True, text=True, check=False
        )
    assert "another `emgpose prepare` is at work on this store" in other.stderr
    assert prepare_store(root, tmp_path / "store").n_written == 12


def test_folders_of_others_and_of_the_originals_are_refused(root, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"expected an empty folder or a store; it holds 'notes\.txt'"):
        prepare_store(root, tmp_path)
    for out in (root, root / "store", root.parent):
        with pytest.raises(ConfigError, match="must not lie in the folder"):
            prepare_store(root, out)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_store_is_no_original(finished, tmp_path):
    with pytest.raises(ConfigError, match="is a prepared store already"):
        prepare_store(finished, tmp_path / "other")


def test_other_settings_for_the_same_store_are_refused(root, copy):
    with pytest.raises(DataError, match="the store holds EMG as recorded"):
        prepare_store(root, copy, float16=True)
    with pytest.raises(ConfigError, match="workers: expected at least 1, got 0"):
        prepare_store(root, copy, workers=0)
    with pytest.raises(ConfigError, match="workers 2: those of the Dask scheduler tcp://x:1 are used"):
        prepare_store(root, copy, workers=2, dask="tcp://x:1")


def test_a_disk_without_room_is_noticed_before_anything_is_written(root, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(DataError, match=r"[1-9] MB are needed, 0 MB are free"):
        prepare_store(root, tmp_path / "store")
    # Nothing that would stand in the way of another attempt, perhaps with other settings.
    assert not (tmp_path / "store").exists()


def test_a_disk_that_fills_up_blames_no_recording_and_is_resumed(root, undisturbed, tmp_path, monkeypatch):
    real = os.fsync
    calls = itertools.count()

    def fsync(descriptor):
        if next(calls) == 3:
            raise OSError(28, "No space left on device")
        return real(descriptor)

    monkeypatch.setattr(emgpose.atomic.os, "fsync", fsync)
    with pytest.raises(DataError, match="No space left on device"):
        prepare_store(root, tmp_path)
    prepare_store(root, tmp_path)
    assert contents(tmp_path) == undisturbed


def test_a_disk_that_does_not_give_back_what_was_written_is_noticed(root, tmp_path, monkeypatch):
    import emgpose.store.prepare as prepare

    real = prepare._read_back

    def read_back(out, *rest):
        path = out / "shards/00001.h5"
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        real(out, *rest)

    monkeypatch.setattr(prepare, "_read_back", read_back)
    with pytest.raises(DataError, match=r"00001\.h5: expected \d+ bytes .* did not give back what was written"):
        prepare_store(root, tmp_path)
    assert not (tmp_path / "store.json").exists()


TRICKY_NAMES = [
    "in/a/folder",
    "ends.hdf5",
    "a b",
    "händig 手",
    "[bold]x[/bold]",
    "x'y\"z",
    "..dots",
    "-o",
    "store.json",
]


@pytest.mark.parametrize("name", TRICKY_NAMES)
def test_any_name_that_a_table_may_have_works(tmp_path, name):
    root, out = tmp_path / "root", tmp_path / "store"
    path = root / f"{name}.hdf5"
    path.parent.mkdir(parents=True)
    generate_session(path, seconds=0.25)
    with (root / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([REQUIRED_COLUMNS, [name, "s", "u", "stage", "left", "train", ""]])
    prepare_store(root, out, verify=True)
    assert open_store(out).index.names == (name,)
    assert_same_samples(root, out)


def test_a_name_that_leaves_the_folder_is_refused(tmp_path):
    (tmp_path / "metadata.csv").write_text(",".join(REQUIRED_COLUMNS) + "\n../x,s,u,stage,left,train,\n")
    with pytest.raises(DataError, match="a file name below the data folder"):
        prepare_store(tmp_path, tmp_path.parent / "store")


def test_float16_rounds_emg_and_nothing_else(root, tmp_path):
    report = prepare_store(root, tmp_path, float16=True, verify=True)
    exact = sum(len(content) for content in contents(tmp_path).values())
    assert report.n_bytes <= exact
    for row in read_metadata(tmp_path).to_dict("records"):
        before, after = open_session(session_path(root, row)), open_session(session_path(tmp_path, row))
        assert np.array_equal(after.emg(), before.emg().astype(np.float16).astype(np.float32))
        assert after.joint_angles().tobytes() == before.joint_angles().tobytes()
        assert after.facts.notes == (*before.facts.notes, "EMG was rounded to float16 when the store was prepared")


def test_emg_beyond_float16_is_left_out_rather_than_made_infinite(root, tmp_path):
    source = tmp_path / "root"
    source.mkdir()
    (source / "metadata.csv").write_text(
        ",".join(REQUIRED_COLUMNS) + "\nloud,s,u,stage,left,train,\nquiet,s,u,stage,left,train,\n"
    )
    generate_session(source / "loud.hdf5", seconds=0.25, emg_gain=1e7)
    generate_session(source / "quiet.hdf5", seconds=0.25)
    report = prepare_store(source, tmp_path / "store", float16=True)
    assert [name for name, _, _ in report.left_out] == ["loud"]
    assert "fit into float16" in report.left_out[0][2]
    assert prepare_store(source, tmp_path / "exact").left_out == ()


def test_a_long_recording_is_stored_without_being_held(root, tmp_path, monkeypatch):
    import emgpose.recording.store.shard_writer as shard_writer

    prepare_store(root, tmp_path / "held")
    monkeypatch.setattr(shard_writer, "_HELD_SAMPLES", 0)
    prepare_store(root, tmp_path / "read_again")
    assert contents(tmp_path / "read_again") == contents(tmp_path / "held")


def write_table(root, name, split):
    row = [name, "s", "u", "stage", "left", split, "" if split == "train" else "user"]
    (root / "metadata.csv").write_text(",".join(REQUIRED_COLUMNS) + "\n" + ",".join(row) + "\n")


def test_a_changed_split_reaches_the_store(tmp_path):
    root, out = tmp_path / "root", tmp_path / "store"
    root.mkdir()
    generate_session(root / "r.hdf5", seconds=0.25)
    write_table(root, "r", "train")
    prepare_store(root, out)
    write_table(root, "r", "test")
    assert prepare_store(root, out).n_written == 0
    assert read_metadata(out)["split"].tolist() == ["test"]
    assert not check_store(out).findings


def test_recordings_whose_originals_are_gone_are_not_dropped_from_a_store(tmp_path):
    root, out = small_dataset(tmp_path / "root"), tmp_path / "store"
    prepare_store(root, out)
    before = contents(out)
    for path in root.glob("*.hdf5"):
        path.unlink()
    with pytest.raises(DataError, match=r"holds 12 recordings whose originals are missing .* left as it is: bring"):
        prepare_store(root, out)
    (out / "store.json").write_text("damaged")
    with pytest.raises(DataError, match="originals are missing"):
        prepare_store(root, out)
    assert contents(out) == {**before, "store.json": b"damaged"}


def test_an_original_that_may_be_read_again_is_taken_in(root, undisturbed, tmp_path, monkeypatch):
    locked = sorted(root.glob("*.hdf5"))[0]
    real_access, real_open = os.access, Path.open

    def refuse(self, *args, **options):
        if self == locked:
            raise PermissionError(13, "Permission denied")
        return real_open(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, mode: Path(path) != locked and real_access(path, mode))
        patch.setattr(Path, "open", refuse)
        ((name, _, reason),) = prepare_store(root, tmp_path / "store").left_out
    assert name == locked.stem
    assert "Permission denied" in reason
    assert prepare_store(root, tmp_path / "store").left_out == ()
    assert contents(tmp_path / "store") == undisturbed


def test_a_foreign_folder_with_a_file_of_that_name_is_left_alone(root, tmp_path):
    (tmp_path / "store.json").write_text("{}")
    with pytest.raises(DataError, match="expected an empty folder or a store"):
        prepare_store(root, tmp_path)
    assert contents(tmp_path) == {"store.json": b"{}"}


def test_notes_that_are_damaged_are_made_again(root, undisturbed, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        killed_at(patch, 4)
        with pytest.raises(Killed):
            prepare_store(root, tmp_path)
    for path in (tmp_path / ".unfinished").glob("*.json"):
        path.write_text("damaged")
    prepare_store(root, tmp_path)
    assert contents(tmp_path) == undisturbed


def test_a_disk_that_knows_no_locks_is_named(root, tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def no_locks(file, operation):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(DataError, match=r"\.lock: cannot be locked, .* Operation not supported"):
        prepare_store(root, tmp_path / "store")


def test_a_chunk_that_is_not_where_it_was_put_is_noticed(root, tmp_path, monkeypatch):
    import emgpose.store.prepare as prepare

    real = prepare._read_back

    def read_back(out, *rest):
        path = out / ".unfinished/00001.json"
        note = read_sealed_json(path)
        note["rows"][2]["joint_angles"]["offset"][0] += 1
        path.write_text(sealed_json(note))
        real(out, *rest)

    monkeypatch.setattr(prepare, "_read_back", read_back)
    with pytest.raises(DataError, match=r"00001\.h5: recording .*: joint_angles, chunk 0 is not where it was put"):
        prepare_store(root, tmp_path)


@pytest.mark.parametrize("field", ["emg", "joint_angles", "time_s"])
def test_verify_finds_one_bit_that_differs_from_the_original(root, copy, monkeypatch, field):
    import emgpose.store.shards as shards

    def one_bit_off(piece, float16):
        values = np.ascontiguousarray(piece.fields[field]).copy()
        values.view(np.uint8).reshape(-1)[7] ^= 1
        return Piece(piece.start, piece.fields | {field: values}, piece.valid)

    monkeypatch.setattr(shards, "rounded", one_bit_off)
    with pytest.raises(DataError, match=f"{field} differs from the original in the samples from 0 on"):
        prepare_store(root, copy, verify=True)


def test_verify_finds_facts_that_differ_from_the_original(root, copy, monkeypatch):
    import emgpose.store.shards as shards

    monkeypatch.setattr(shards, "stored_facts", lambda facts, float16: dataclasses.replace(facts, user="other"))
    with pytest.raises(DataError, match="facts differ"):
        prepare_store(root, copy, verify=True)


def test_the_table_may_be_given_for_the_folder(root, tmp_path):
    with pytest.raises(ConfigError, match="must not lie in the folder"):
        prepare_store(root / "metadata.csv", root / "store")
    prepare_store(root / "metadata.csv", tmp_path / "store")
    with pytest.raises(ConfigError, match="is a prepared store already"):
        prepare_store(tmp_path / "store/metadata.csv", tmp_path / "other")
