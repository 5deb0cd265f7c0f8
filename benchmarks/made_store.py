"""Prepared stores of any number of recordings, from eight that are made by rule: for measurements of reading.

The shards of a large store are links to one file, so that 25,253 recordings take as much of the disk as their index.
"""

import csv
import itertools
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from emgpose.atomic import write_text_atomically
from emgpose.hand import N_JOINTS
from emgpose.recording import write_emg2pose_hdf5
from emgpose.recording.store.facts_text import facts_from_text, facts_to_text
from emgpose.recording.store.index import write_index
from emgpose.recording.store.layout import (
    INDEX_FILE,
    LEFT_OUT_FILE,
    METADATA_FILE,
    SHARDS_FOLDER,
    SOURCES_FILE,
    STORE_FILE,
    STORE_FORMAT,
    STORE_VERSION,
    file_entry,
    sealed_json,
    shard_name,
)
from emgpose.recording.store.reader import Store
from emgpose.store import prepare_store
from emgpose.store.plan import SESSIONS_PER_SHARD

RATE_HZ, N_CHANNELS = 2000, 16
# One part of the noise floor's SD, about what a 12-bit converter leaves of it.
STEP = np.float32(1 / 32)
# As in the published data: 193 users, 29 stages.
N_USERS, N_STAGES = 193, 29
INVALID_SHARE = 0.127


def make_recording(path: Path, seed: int, seconds: float) -> None:
    """Write one recording: EMG on a converter's steps, joint angles smooth, labels missing in two places."""
    rng = np.random.default_rng(seed)
    n_samples = round(seconds * RATE_HZ)
    time_s = np.arange(n_samples) / RATE_HZ
    emg = np.rint(rng.standard_normal((n_samples, N_CHANNELS), dtype=np.float32) / STEP) * STEP
    waves = np.sin(time_s[:, None] * rng.uniform(1, 6, N_JOINTS) + rng.uniform(0, 6, N_JOINTS))
    valid = np.ones(n_samples, dtype=np.bool_)
    n_invalid = round(INVALID_SHARE * n_samples)
    valid[: n_invalid // 2] = False
    valid[n_samples // 2 : n_samples // 2 + n_invalid - n_invalid // 2] = False
    write_emg2pose_hdf5(
        path, emg, (0.4 + 0.3 * waves).astype(np.float32), sample_rate_hz=RATE_HZ, user="u", stage="FingerFreeform",
        side="right", valid=valid, time_s=1.7e9 + time_s,
    )  # fmt: skip


def metadata_row(number: int, seconds: float) -> dict[str, Any]:
    """The metadata of recording `number`: four in five users to train on, the rest shared by validation and test."""
    user, stage = number % N_USERS, number // N_USERS % N_STAGES
    split = {0: "val", 1: "test"}.get(user % 10, "train")
    start_s = 1.7e9 + 100.0 * number
    return {
        "filename": f"2024-01-01-user{user:03d}-stage{stage:02d}-{number:05d}-recording_right",
        "session": f"2024-01-01-user{user:03d}-stage{stage:02d}-{number:05d}",
        "user": f"user{user:03d}", "stage": f"stage{stage:02d}", "side": "right", "moving_hand": "both",
        "held_out_user": split != "train", "held_out_stage": False, "split": split,
        "generalization": "" if split == "train" else "user", "start": start_s, "end": start_s + seconds,
    }  # fmt: skip


def write_metadata(root: Path, rows: list[dict[str, Any]]) -> None:
    """Write the metadata table."""
    with (root / METADATA_FILE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def make_folder(root: Path, n_sessions: int, seconds: float, distinct: int | None = None) -> None:
    """Write a folder of HDF5 recordings; those after the first `distinct` are copies of them."""
    root.mkdir(parents=True)
    rows = [metadata_row(number, seconds) for number in range(n_sessions)]
    for number, row in enumerate(rows):
        path = root / f"{row['filename']}.hdf5"
        if distinct is not None and number >= distinct:
            # Copies and not links: HDF5 would open a file of many names once.
            shutil.copyfile(root / f"{rows[number % distinct]['filename']}.hdf5", path)
        else:
            make_recording(path, number, seconds)
    write_metadata(root, rows)


def make_large_store(root: Path, n_sessions: int, work: Path, seconds: float = 60.0) -> None:
    """Make a store whose shards are links to one: eight recordings under many names, in an index of full size."""
    originals, seed_store = work / "eight", work / "eight_store"
    if not seed_store.exists():
        make_folder(originals, SESSIONS_PER_SHARD, seconds)
        prepare_store(originals, seed_store)
    index = Store(seed_store).index
    (root / SHARDS_FOLDER).mkdir(parents=True)
    seeds = [index.row(number) for number in range(len(index))]
    metadata = [metadata_row(number, seconds) for number in range(n_sessions)]
    rows = []
    for number, (row, meta) in enumerate(zip(itertools.cycle(seeds), metadata, strict=False)):
        facts = replace(facts_from_text(row["facts"]), user=meta["user"], stage=meta["stage"], session=meta["session"])
        shard = number // SESSIONS_PER_SHARD
        rows.append({**row, "filename": meta["filename"], "facts": facts_to_text(facts), "shard": shard})
    n_shards = rows[-1]["shard"] + 1
    for shard in range(n_shards):
        os.link(seed_store / shard_name(0), root / shard_name(shard))
    write_index(root / INDEX_FILE, rows)
    write_metadata(root, metadata)
    write_text_atomically(root / LEFT_OUT_FILE, sealed_json({"left_out": []}))
    write_text_atomically(root / SOURCES_FILE, sealed_json({"shards": {}}))
    document = {
        "format": STORE_FORMAT, "version": STORE_VERSION, "float16": False, "n_sessions": n_sessions,
        "n_samples": sum(row["n_samples"] for row in rows),
        "files": {name: file_entry(root / name) for name in (INDEX_FILE, METADATA_FILE, LEFT_OUT_FILE)},
        "shards": [file_entry(root / shard_name(0))] * n_shards,
    }  # fmt: skip
    write_text_atomically(root / STORE_FILE, sealed_json(document))
