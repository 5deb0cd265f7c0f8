"""A check of a store says what a check of its originals says, as far as the index knows."""

import csv
from pathlib import Path

import numpy as np

from emgpose.hand import JOINTS
from emgpose.recording import write_emg2pose_hdf5
from emgpose.recording.check import check_dataset
from emgpose.recording.check_prepared import check_prepared
from emgpose.store import prepare_store
from generated import generate_dataset

KNOWN = {"missing_joints", "invalid_labels", "no_test_window", "too_short", "channel_count", "rate", "split_leak"}


def said(findings) -> set[tuple[str, str, str, str]]:
    """What is said, with the recording in place of the folder that it lies in."""
    return {(f.severity, f.code, f.message, Path(f.where).name[:10]) for f in findings if f.code in KNOWN}


def write(path: Path, n_samples: int = 14_000, n_channels: int = 16, n_valid: int | None = None, **attributes) -> None:
    rng = np.random.default_rng(0)
    angles = np.full((n_samples, len(JOINTS)), 0.3, dtype=np.float32)
    angles[n_samples if n_valid is None else n_valid :] = 0
    emg = rng.standard_normal((n_samples, n_channels)).astype(np.float32)
    write_emg2pose_hdf5(
        path, emg, angles, sample_rate_hz=2000, user="u", stage="s", side="left", session="s", attributes=attributes
    )


def write_table(root: Path, **splits: str) -> None:
    with (root / "metadata.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "session", "user", "stage", "side", "split", "generalization"])
        for name, split in splits.items():
            writer.writerow([name, "s", "u", "s", "left", split, "" if split == "train" else "user"])


def test_recordings_that_cannot_be_used_are_named_in_a_store_as_in_the_folder(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    write(root / "good.hdf5")
    write(root / "partial.hdf5", known_joints=",".join(JOINTS[:3]))
    write(root / "unlabelled.hdf5", n_valid=0)
    write(root / "few.hdf5", n_valid=500)
    write(root / "short.hdf5", n_samples=1000)
    write(root / "eight.hdf5", n_channels=8)
    write_table(root, good="train", partial="test", unlabelled="train", few="train", short="train", eight="train")
    prepare_store(root, tmp_path / "store")
    folder, store = check_dataset(root), check_prepared(tmp_path / "store")
    assert {code for _, code, _, _ in said(store.findings)} == KNOWN - {"rate"}
    ours, theirs = ({entry for entry in said(r.findings) if entry[1] != "split_leak"} for r in (store, folder))
    assert ours == theirs
    assert store.figures["n_usable"] == folder.figures["n_usable"] == 2


def test_a_store_of_good_recordings_has_no_findings(tmp_path):
    generate_dataset(tmp_path / "root", n_train_users=1, n_val_users=0, n_test_users=1, n_stages=2, seconds=7.5)
    prepare_store(tmp_path / "root", tmp_path / "store")
    report = check_prepared(tmp_path / "store")
    assert report.findings == ()
    assert (report.figures["n_usable"], report.figures["n_sessions"]) == (8, 8)
