"""What is left of a live recording whose process was killed, and the file that is made of it."""

import contextlib
import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from made_poses import SCALED, FakeClock, made_chunks

from emgpose.errors import ConfigError, DataError
from emgpose.live.chunk import EmgChunk
from emgpose.live.sinks import part_file
from emgpose.live.sinks.finishing import recover
from emgpose.live.sinks.part_file import MAGIC, PartFile, PartReader
from emgpose.live.sinks.recorder import Recorder
from emgpose.live.sinks.recording import RecordingSettings
from emgpose.recording import open_session
from emgpose.recording.check import check_session

ROWS = 20
KILLED = """
import os, signal, sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
from made_poses import SCALED, made_chunks
from emgpose.live.sinks.recorder import Recorder

recorder = Recorder(Path({path!r}))
recorder.open(SCALED)
for chunk in made_chunks(15_000):
    recorder.record(chunk)
while recorder._worker._part.n_rows < 15_000:
    time.sleep(0.01)
os.kill(os.getpid(), signal.SIGKILL)
"""


@contextlib.contextmanager
def part_left(folder: Path, chunks: list[EmgChunk], **settings: object) -> Iterator[Path]:
    """What a recording has written when all chunks are on the disk and nothing is finished."""
    recorder = Recorder(folder / "rec.hdf5", RecordingSettings(**settings), clock=FakeClock(1_700_000_000.0))  # type: ignore[arg-type]
    recorder.open(SCALED)
    for chunk in chunks:
        recorder.record(chunk)
    worker = recorder._worker
    assert worker is not None
    worker._waiting.put(None)
    worker._thread.join()
    worker._part.close()
    yield folder / "rec.hdf5.part"


def emg_of(path: Path) -> np.ndarray:
    with open_session(path) as session:
        return session.emg(0, session.n_samples)


def whole(chunks: list[EmgChunk]) -> np.ndarray:
    return np.concatenate([chunk.emg for chunk in chunks])


def test_a_recording_killed_by_kill_9_is_recovered_to_the_last_sample_written(tmp_path: Path) -> None:
    path = tmp_path / "rec.hdf5"
    script = KILLED.format(here=str(Path(__file__).parent), path=str(path))
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=120)
    assert done.returncode == -9
    assert [file.name for file in tmp_path.iterdir()] == ["rec.hdf5.part"]
    recovered = recover(tmp_path / "rec.hdf5.part")
    assert (recovered.path, recovered.n_samples, recovered.duration_s) == (path, 15_000, 7.5)
    assert [file.name for file in tmp_path.iterdir()] == ["rec.hdf5"]
    assert np.array_equal(emg_of(path), whole(made_chunks(15_000)))
    assert check_session(path).findings == ()


def test_a_recovered_file_is_the_one_that_would_have_been_but_says_that_it_was_killed(tmp_path: Path) -> None:
    chunks = made_chunks(20_000)
    del chunks[100:110]
    chunks[30].emg[3, 3] = np.nan
    finished = Recorder(tmp_path / "finished.hdf5", RecordingSettings(user="u1"), clock=FakeClock(1_700_000_000.0))
    finished.open(SCALED)
    for chunk in chunks:
        finished.record(chunk)
    finished.close()
    with part_left(tmp_path, chunks, user="u1") as part:
        recover(part)
    with h5py.File(tmp_path / "finished.hdf5") as one, h5py.File(tmp_path / "rec.hdf5") as two:
        assert np.array_equal(one["emg2pose/timeseries"][:], two["emg2pose/timeseries"][:])
        names = set(one["emg2pose"].attrs) - {"session", "filename"}
        assert {name: one["emg2pose"].attrs[name] for name in names} == {
            name: two["emg2pose"].attrs[name] for name in names
        }
        assert two["live/gap_start"][:].tolist() == one["live/gap_start"][:].tolist() == [2000]
        assert two["live/gap_length"][:].tolist() == [200]
        assert two["live"].attrs["held_values"] == 1
        assert (one["live/ended"][()], two["live/ended"][()]) == (b"closed", b"killed")


@pytest.mark.parametrize("n_cut", [1, 13, 2000, 40_000])
def test_an_end_that_is_torn_costs_no_more_than_itself_and_is_kept(tmp_path: Path, n_cut: int) -> None:
    chunks = [dataclasses.replace(chunk, joint_angles=None) for chunk in made_chunks(2000)]
    with part_left(tmp_path, chunks) as part:
        bytes_ = part.read_bytes()
        part.write_bytes(bytes_[:-n_cut])
        recovered = recover(part)
    # A record of 20 samples is 25 bytes and 1280 of EMG.
    n_lost = -(-n_cut // (25 + ROWS * 64)) * ROWS
    assert recovered.n_samples == 2000 - n_lost
    assert np.array_equal(emg_of(recovered.path), whole(chunks)[: recovered.n_samples])
    assert part.exists() == (recovered.n_bytes_left > 0)


def test_zeros_that_a_power_cut_leaves_at_the_end_are_no_samples(tmp_path: Path) -> None:
    with part_left(tmp_path, made_chunks(400)) as part:
        with part.open("ab") as file:
            file.write(bytes(100_000))
        recovered = recover(part)
    assert (recovered.n_samples, recovered.n_bytes_left) == (400, 100_000)
    assert part.exists()


def test_a_name_that_was_taken_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    with part_left(tmp_path, made_chunks(400)) as part:
        (tmp_path / "rec.hdf5").write_text("precious")
        assert recover(part).path == tmp_path / "rec-2.hdf5"
    assert (tmp_path / "rec.hdf5").read_text() == "precious"


def test_what_a_killed_recovery_left_is_cleared_away(tmp_path: Path) -> None:
    with part_left(tmp_path, made_chunks(400)) as part:
        within = tmp_path / ".rec.hdf5.abcdefgh" / ".rec.hdf5.x_345678"
        within.mkdir(parents=True)
        (within / "rec.hdf5").write_bytes(b"half")
        recover(part)
    assert [file.name for file in tmp_path.iterdir()] == ["rec.hdf5"]


@pytest.mark.parametrize("name", [".rec.hdf5.backup", ".rec.hdf5.abcdefgh", ".rec.hdf5.d"])
def test_folders_of_others_that_are_called_alike_stay(tmp_path: Path, name: str) -> None:
    with part_left(tmp_path, made_chunks(400)) as part:
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").write_text("precious")
        recover(part)
    assert (tmp_path / name / "mine").read_text() == "precious"


def test_of_a_foreign_file_nothing_beside_it_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "rec.hdf5.part").write_text("foreign")
    (tmp_path / ".rec.hdf5.abcdefgh").mkdir()
    with pytest.raises(DataError, match="expected an unfinished recording"):
        recover(tmp_path / "rec.hdf5.part")
    assert (tmp_path / ".rec.hdf5.abcdefgh").is_dir()


HEAD = {"source_rate_hz": 2000.0, "user": "u", "stage": "s", "side": "left", "session": "x", "attributes": {}}


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (b"NOTE", b"5"),
        (b"NOTE", b"[1]"),
        (b"NOTE", b"\xff"),
        (b"NOTE", b'{"gaps": 5}'),
        (b"NOTE", b'{"gaps": [[1000000000000000000000000000, 2]]}'),
        (b"ROWS", b"ab"),
        (b"ROWS", bytes(12) + b"\x01" + bytes(7)),
    ],
)
def test_whole_records_of_another_writer_are_one_message(tmp_path: Path, kind: bytes, payload: bytes) -> None:
    part = PartFile(tmp_path / "rec.hdf5", HEAD)
    part.append(7.5, np.ones((3, 16), dtype=np.float32), None)
    part._append(kind, payload)
    part.close()
    with pytest.raises(DataError, match=r"rec\.hdf5\.part: expected an unfinished recording"):
        recover(part.path)
    assert [file.name for file in tmp_path.iterdir()] == ["rec.hdf5.part"]


@pytest.mark.parametrize("head", [b"\xff{", b"[]"])
def test_a_head_of_another_writer_is_one_message(tmp_path: Path, head: bytes) -> None:
    part = PartFile(tmp_path / "rec.hdf5", HEAD)
    part._file.truncate(len(MAGIC))
    part._file.seek(len(MAGIC))
    part._append(b"HEAD", head)
    part.close()
    with pytest.raises(DataError, match="expected an unfinished recording"):
        recover(part.path)


def test_a_chunk_of_many_samples_is_several_records_and_none_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part_file, "_MOST_ROWS", 7)
    emg = np.arange(48 * 16, dtype=np.float32).reshape(48, 16)
    labels = np.arange(48 * 20, dtype=np.float32).reshape(48, 20)
    part = PartFile(tmp_path / "rec.hdf5", HEAD)
    part.append(7.5, emg, labels)
    part.close()
    blocks = list(PartReader(part.path).blocks())
    assert [len(rows) for _, rows, _ in blocks] == [7] * 6 + [6]
    assert np.array_equal(np.concatenate([rows for _, rows, _ in blocks]), emg)
    assert np.array_equal(np.concatenate([rows for _, _, rows in blocks]), labels)
    assert part.n_rows == 48


def test_what_cannot_be_read_again_at_the_end_of_a_recording_is_kept(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "rec.hdf5")
    recorder.open(SCALED)
    recorder.record(made_chunks(200)[0])
    worker = recorder._worker
    assert worker is not None
    worker._waiting.put(None)
    worker._thread.join()
    worker._part._file.write(b"torn")
    recorder.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["rec.hdf5", "rec.hdf5.part"]


def test_a_recording_that_goes_on_is_not_recovered(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "rec.hdf5")
    recorder.open(SCALED)
    recorder.record(made_chunks(200)[0])
    with pytest.raises(DataError, match="is being recorded now"):
        recover(tmp_path / "rec.hdf5.part")
    recorder.close()
    assert [file.name for file in tmp_path.iterdir()] == ["rec.hdf5"]


def test_what_a_killed_recording_left_is_not_written_over_by_the_next(tmp_path: Path) -> None:
    with part_left(tmp_path, made_chunks(400)) as part:
        with pytest.raises(ConfigError, match=r"was killed; make a file of it with emgpose live --recover"):
            Recorder(tmp_path / "rec.hdf5")
        with pytest.raises(ConfigError, match=r"was killed; make a file of it"):
            PartFile(tmp_path / "rec.hdf5", {})
        assert recover(part).n_samples == 400


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected an unfinished recording"),
        (b"\x89HDF\r\n", "expected an unfinished recording"),
        (MAGIC, "nothing was recorded yet"),
        (MAGIC + b"HEAD\xff\xff\xff\xff\x00\x00\x00\x00{}", "nothing was recorded yet"),
    ],
)
def test_what_is_no_unfinished_recording_is_one_message_and_stays(tmp_path: Path, content: bytes, message: str) -> None:
    part = tmp_path / "rec.hdf5.part"
    part.write_bytes(content)
    with pytest.raises(DataError, match=message):
        recover(part)
    assert part.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["rec.hdf5.part"]


def test_a_head_that_lacks_something_and_a_recording_without_samples_are_refused(tmp_path: Path) -> None:
    lacking = PartFile(tmp_path / "a.hdf5", {"user": "x"})
    lacking.append(7.5, np.ones((3, 16), dtype=np.float32), None)
    lacking.close()
    with pytest.raises(DataError, match="KeyError: 'stage'"):
        recover(tmp_path / "a.hdf5.part")
    with part_left(tmp_path, []) as part, pytest.raises(DataError, match="nothing was recorded"):
        recover(part)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.hdf5.part", "rec.hdf5.part"]


@pytest.mark.parametrize("place", [len(MAGIC) + 20, 1500])
def test_a_damaged_beginning_is_no_reason_to_delete_the_rest(tmp_path: Path, place: int) -> None:
    with part_left(tmp_path, made_chunks(2000)) as part:
        damaged = bytearray(part.read_bytes())
        damaged[place] ^= 1
        part.write_bytes(damaged)
        with pytest.raises(DataError, match=r"is damaged at its beginning; the [\d,]+ bytes from there on were kept"):
            recover(part)
    assert part.read_bytes() == damaged


def test_only_a_part_is_recovered(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"whose name ends in \.part"):
        recover(tmp_path / "rec.hdf5")
    with pytest.raises(DataError, match="No such file"):
        recover(tmp_path / "rec.hdf5.part")


def test_blocks_come_back_as_they_were_added(tmp_path: Path) -> None:
    emg = np.arange(48, dtype=np.float32).reshape(3, 16)
    labels = np.arange(60, dtype=np.float32).reshape(3, 20)
    part = PartFile(tmp_path / "rec.hdf5", {"user": "x"})
    part.append(7.5, emg, None)
    part.note({"gaps": [(0, 1)], "restarts": 1})
    part.append(7.5, emg, labels)
    part.note({"gaps": [(9, 2)], "restarts": 2})
    part.close()
    reader = PartReader(part.path)
    first, second = reader.blocks()
    assert reader.head == {"user": "x"}
    assert first[2] is None
    assert second[0] == 7.5
    assert np.array_equal(second[1], emg)
    assert np.array_equal(second[2], labels)
    assert reader.notes == {"gaps": [[0, 1], [9, 2]], "restarts": 2}
    assert reader.n_bytes_left == 0
