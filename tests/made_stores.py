"""Small data sets for tests of prepared stores, and what it takes to compare two stores."""

from pathlib import Path

import numpy as np

from emgpose.recording import open_session, read_metadata, session_path
from generated import generate_dataset


def small_dataset(root: Path, seconds: float = 0.25) -> Path:
    """Write 12 recordings of a quarter of a second; their labels are too short for windows, which no store minds."""
    generate_dataset(root, n_train_users=1, n_val_users=1, n_test_users=1, n_stages=2, seconds=seconds)
    return root


def contents(store: Path) -> dict[str, bytes]:
    """Every file of a store but the empty one that locks it."""
    files = (path for path in store.rglob("*") if path.is_file())
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in files if path.name != ".lock"}


def assert_same_samples(root: Path, store: Path) -> None:
    """Compare every recording that a store holds with its original, bit for bit."""
    for row in read_metadata(store).to_dict("records"):
        with open_session(session_path(root, row)) as original, open_session(session_path(store, row)) as stored:
            before, after = original.read(), stored.read()
            assert after.emg.tobytes() == before.emg.tobytes()
            assert after.joint_angles.tobytes() == before.joint_angles.tobytes()
            np.testing.assert_array_equal(after.valid, before.valid)
            assert stored.valid_runs() == original.valid_runs()
            assert stored.time_s().tobytes() == original.time_s().tobytes()
            assert stored.name == original.name
