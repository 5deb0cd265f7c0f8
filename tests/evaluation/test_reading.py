"""An evaluation reads every sample of every recording once, whatever it scores."""

from pathlib import Path

import pytest

from emgpose.evaluation import evaluate
from emgpose.recording import read_metadata, session_path
from emgpose.recording.emg2pose_hdf5 import Emg2PoseReader


@pytest.fixture
def reads(monkeypatch):
    """Samples read of each file: path -> list of (start, stop, fields)."""
    seen: dict[Path, list] = {}
    original = Emg2PoseReader.read

    def read(self, start, stop, fields):
        seen.setdefault(self._path, []).append((start, stop, fields))
        return original(self, start, stop, fields)

    monkeypatch.setattr(Emg2PoseReader, "read", read)
    return seen


@pytest.mark.parametrize("task", ["tracking", "regression"])
def test_every_file_and_sample_is_read_once(generated_root, make_follower, reads, task):
    model = make_follower(task).eval()
    result = evaluate(model, generated_root, modes=["published", "stream"])
    assert set(result.windows["mode"]) == {"published", "stream"}
    table = read_metadata(generated_root)
    paths = [session_path(generated_root, row) for row in table[table["split"] == "test"].to_dict("records")]
    assert len(paths) == 16
    for path in paths:
        for field in ("emg", "joint_angles"):
            ranges = sorted((start, stop) for start, stop, fields in reads[path] if field in fields)
            assert [start for start, _ in ranges] == [0, *(stop for _, stop in ranges[:-1])]
            assert ranges[-1][1] == 18_000
