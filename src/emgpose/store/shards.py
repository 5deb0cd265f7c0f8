"""What a worker does: write one shard, or look one over."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np

from emgpose.atomic import write_text_atomically
from emgpose.errors import DataError
from emgpose.recording.opening import open_session, recording_exists
from emgpose.recording.session import Session
from emgpose.recording.store.check import damaged_chunks
from emgpose.recording.store.facts_text import facts_to_text, stored_facts
from emgpose.recording.store.index import FIELDS
from emgpose.recording.store.layout import UNFINISHED_FOLDER, file_crc32c, read_sealed_json, sealed_json
from emgpose.recording.store.pieces import pieces_of
from emgpose.recording.store.reader import Store
from emgpose.recording.store.shard_writer import ShardWriter, SourceError, blamed_on_source
from emgpose.recording.store.survey import rounded
from emgpose.store.plan import PlannedShard


def note_path(root: Path, number: int) -> Path:
    """Where it is written down what a complete shard holds, while the store is unfinished."""
    return root / UNFINISHED_FOLDER / f"{number:05d}.json"


def write_shard(root: Path, shard: PlannedShard, float16: bool) -> dict[str, Any]:
    """Write a shard and, after it, the note that it is complete.

    Recordings that cannot be used are left out.

    Returns
    -------
    dict
        The note: `sources`, `bytes`, `crc32c`, `rows` for the index, and `left_out`, a list of name, path and reason.

    Raises
    ------
    DataError : the disk is full, or cannot be written to.
    """
    # Taken before reading: a file that changes meanwhile is then noticed by the next run.
    sources = shard.sources()
    left_out: dict[str, str] = {}
    rows = _write(root / shard.name, shard, float16, left_out)
    while rows is None:
        rows = _write(root / shard.name, shard, float16, left_out)
    n_bytes, checksum = file_crc32c(root / shard.name)
    paths = dict(zip(shard.filenames, shard.paths, strict=True))
    note = {
        "sources": sources,
        "bytes": n_bytes,
        "crc32c": checksum,
        "rows": rows,
        "left_out": [[name, str(paths[name]), left_out[name]] for name in shard.filenames if name in left_out],
    }
    write_text_atomically(note_path(root, shard.number), sealed_json(note))
    return note


def _write(path: Path, shard: PlannedShard, float16: bool, left_out: dict[str, str]) -> list[dict[str, Any]] | None:
    """Write the recordings not left out; None, with one more left out, where one of them proves to be of no use."""
    rows = []
    for_shard = [pair for pair in zip(shard.filenames, shard.paths, strict=True) if pair[0] not in left_out]
    name = ""
    try:
        with ShardWriter(path, float16=float16) as writer:
            for name, source in for_shard:
                with _opened(source) as session:
                    rows.append({**writer.add(name, session), "shard": shard.number})
    except SourceError as error:
        left_out[name] = str(error)
        return None
    return rows


def _opened(source: Path) -> Session:
    with blamed_on_source():
        if not recording_exists(source):
            raise DataError("the file does not exist; fetch it, or take it out of the metadata table")
        return open_session(source)


def check_shard(root: Path, shard: PlannedShard) -> str | None:
    """Read a shard back from the disk, whole and chunk by chunk; gives what is wrong with it, or None."""
    path, note = root / shard.name, read_sealed_json(note_path(root, shard.number))
    try:
        with path.open("rb") as file:
            if hasattr(os, "posix_fadvise"):
                # What the system still holds in memory says nothing about the disk.
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            found = file_crc32c(path)
            if found != (note["bytes"], note["crc32c"]):
                expected = f"{note['bytes']} bytes with CRC32C {note['crc32c']:08x}"
                return f"{path}: expected {expected}, got {found[0]} with {found[1]:08x}"
            for row in note["rows"]:
                for field in FIELDS:
                    for chunk in damaged_chunks(file, row[field]):
                        return f"{path}: recording {row['filename']}: {field}, chunk {chunk} is not where it was put"
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror}"
    return None


def compare_shard(root: Path, shard: PlannedShard, float16: bool) -> list[str]:
    """Compare every sample of a shard of a finished store with its originals, bit for bit; gives the differences."""
    store = Store(root)
    differences = []
    for name, path in zip(shard.filenames, shard.paths, strict=True):
        if name in store:
            with open_session(path) as original:
                differences += _differences(original, store.session(name), name, float16)
    return differences


def _differences(original: Session, stored: Session, name: str, float16: bool) -> list[str]:
    if original.n_samples != stored.n_samples or original.valid_runs() != stored.valid_runs():
        return [f"{name}: length or valid runs differ from the original"]
    facts = dataclasses.replace(stored.facts, format=original.facts.format)
    if facts_to_text(facts) != facts_to_text(stored_facts(original.facts, float16=float16)):
        return [f"{name}: facts differ from those of the original"]
    for before, after in zip(pieces_of(original), pieces_of(stored), strict=True):
        expected = rounded(before, float16)
        for field, values in expected.fields.items():
            if np.ascontiguousarray(values).tobytes() != np.ascontiguousarray(after.fields.get(field)).tobytes():
                return [f"{name}: {field} differs from the original in the samples from {before.start} on"]
    return []
