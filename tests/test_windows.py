"""Windows start where the published loader starts them."""

import json
import pickle
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from emgpose.errors import ConfigError
from emgpose.recording import Session, SessionFacts, write_emg2pose_hdf5
from emgpose.windows import WindowDataset, WindowIndex, read_windows, window_blocks, window_starts


def _runs(n_samples: int, invalid: list[list[int]]) -> list[tuple[int, int]]:
    valid = np.ones(n_samples, dtype=bool)
    for start, stop in invalid:
        valid[start:stop] = False
    edges = np.flatnonzero(np.diff(np.concatenate(([False], valid, [False]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def test_windows_are_the_golden_ones(golden):
    cases = 0
    for file in json.loads((golden / "windows.json").read_text()):
        runs = _runs(file["samples"], file["invalid"])
        for name, expected in file["windows"].items():
            window, stride, skip = re.fullmatch(r"window=(\d+),stride=(\d+),skip_invalid=(\w+)", name).groups()
            valid_runs = runs if skip == "True" else None
            starts = window_starts(file["samples"], int(window), int(stride), valid_runs)
            assert [[start, start + int(window)] for start in starts] == expected, name
            cases += 1
    assert cases >= 7


def test_a_run_gives_up_its_last_two_samples():
    assert window_blocks(100, 10, [(0, 11), (20, 40)]) == [(0, 9), (20, 38)]


def test_a_run_as_long_as_the_window_gives_none():
    assert window_starts(100, 10, valid_runs=[(0, 10)]).tolist() == []
    assert window_starts(100, 10, valid_runs=[(0, 12)]).tolist() == [0]


def test_without_skipping_the_whole_recording_is_one_block():
    assert window_starts(35, 10).tolist() == [0, 10, 20]
    assert window_starts(9, 10).tolist() == []


@pytest.mark.parametrize(("window", "stride"), [(0, 1), (10, 0)])
def test_impossible_sizes_are_refused(window, stride):
    with pytest.raises(ConfigError):
        window_starts(100, window, stride)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.integers(1, 40), st.integers(1, 50))
def test_every_window_lies_inside_a_valid_run_and_leaves_no_room_for_another(lengths, window, stride):
    edges = np.cumsum(lengths)
    runs = [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    starts = window_starts(int(edges[-1]), window, stride, runs)
    for start, stop in runs:
        inside = [s for s in starts if start <= s < stop]
        assert all(s + window <= stop - 2 for s in inside)
        assert inside == [s for s in range(start, stop, stride) if s + window <= stop - 2]


class CountingReader:
    """A recording in memory whose EMG is the sample number; remembers how much was read."""

    def __init__(self, valid):
        self.n_read = 0
        self.angles = np.where(valid[:, None], 0.5, 0.0).astype(np.float32) * np.ones(20, dtype=np.float32)
        self.facts = SessionFacts("memory", 2000.0, len(valid), ("emg0",), has_joint_angles=True, session="s")

    def read(self, start, stop, fields):
        self.n_read += stop - start
        emg = np.arange(start, stop, dtype=np.float32)[:, None]
        return {"emg": emg, "joint_angles": self.angles[start:stop]}

    def close(self):
        pass


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=12),
    st.integers(1, 40),
    st.integers(1, 50),
    st.integers(1, 80),
    st.booleans(),
)
def test_reading_in_one_pass_gives_the_same_windows(lengths, window, stride, chunk, first_is_valid):
    valid = np.repeat(np.arange(len(lengths)) % 2 == (0 if first_is_valid else 1), lengths)
    reader = CountingReader(valid)
    session = Session(reader)
    seen = []
    read = list(
        read_windows(session, window, stride, chunk_samples=chunk, on_chunk=lambda part: seen.append(part.start))
    )
    assert reader.n_read == len(valid), "every sample is read once"
    assert seen == list(range(0, len(valid), chunk))
    expected = window_starts(len(valid), window, stride, session.valid_runs()).tolist()
    assert [part.start for part in read] == expected
    for part in read:
        assert part.emg[:, 0].tolist() == list(range(part.start, part.start + window))
        assert part.valid.all()


@pytest.fixture
def session_paths(tmp_path):
    paths = []
    for number in range(3):
        rng = np.random.default_rng(number)
        emg = rng.standard_normal((500, 16)).astype(np.float32)
        angles = rng.uniform(0.1, 1, (500, 20)).astype(np.float32)
        angles[200:210] = 0
        paths.append(tmp_path / f"{number}.hdf5")
        write_emg2pose_hdf5(
            paths[-1], emg, angles, sample_rate_hz=2000, user=f"u{number}", stage="unconstrained", side="left"
        )
    return paths


def _index(paths, **options):
    from emgpose import open_session

    sessions = [open_session(path) for path in paths]
    index = WindowIndex.of_sessions(sessions, 90, **options)
    for session in sessions:
        session.close()
    return index


def test_a_data_set_turns_time_and_channel_around(session_paths):
    from emgpose import open_session

    data = WindowDataset(_index(session_paths))
    assert len(data) == 3 * (2 + 3)
    item = data[7]
    assert item["emg"].shape == (16, 90)
    assert item["joint_angles"].shape == (20, 90)
    assert item["valid"].all()
    start = int(item["start"])
    assert start == 210
    with open_session(session_paths[1]) as session:
        np.testing.assert_array_equal(item["emg"].numpy(), session.emg(start, start + 90).T)
        np.testing.assert_array_equal(item["joint_angles"].numpy(), session.joint_angles(start, start + 90).T)
    data.close()


def test_jitter_depends_on_seed_epoch_and_window_only(session_paths):
    index = _index(session_paths)
    first, second = (WindowDataset(index, jitter=True, seed=5) for _ in range(2))
    starts = [int(first[i]["start"]) for i in range(len(first))]
    assert starts == [int(second[i]["start"]) for i in reversed(range(len(second)))][::-1]
    assert starts != index.start.tolist()
    assert (np.array(starts) - index.start < np.maximum(index.room, 1)).all()
    second.set_epoch(1)
    assert starts != [int(second[i]["start"]) for i in range(len(second))]
    first.close()
    second.close()


def test_jitter_stays_inside_the_block(session_paths):
    index = _index(session_paths, stride=40)
    for epoch in range(40):
        for window in range(len(index)):
            start = index.jittered_start(window, seed=0, epoch=epoch)
            stop = start + 90
            assert stop <= 198 or 210 <= start <= stop <= 498


def test_few_files_are_open_at_once_and_pickling_drops_them(session_paths):
    data = WindowDataset(_index(session_paths), max_open=2)
    whole = [data[i] for i in range(len(data))]
    assert len(data._open) == 2
    copy = pickle.loads(pickle.dumps(data))
    assert not copy._open
    assert all(torch.equal(copy[i]["emg"], whole[i]["emg"]) for i in range(len(copy)))
    data.close()
    copy.close()


def test_workers_read_the_same_windows(session_paths):
    data = WindowDataset(_index(session_paths), jitter=True)
    loader = torch.utils.data.DataLoader(data, batch_size=4, num_workers=2, persistent_workers=True)
    for epoch in (0, 1):
        data.set_epoch(epoch)
        read = torch.cat([batch["start"] for batch in loader]).tolist()
        assert read == [data.index.jittered_start(i, 0, epoch) for i in range(len(data))]
    data.close()
