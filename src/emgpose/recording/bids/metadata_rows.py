"""The metadata table of a BIDS data set: rows by the name of their recording, and recordings by the name of their file.

The table is that of the HDF5 edition. A recording's sidecar says which file it was made from; the stem of that name
stands in the table.
"""

import csv
import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from emgpose.errors import DataError, SessionFormatError
from emgpose.recording.annex import require_fetched
from emgpose.recording.bids.names import METADATA_FILE, SIDECAR_SUFFIX, SUFFIX, is_bids_recording, stem_of
from emgpose.recording.bids.sidecar import read_sidecar

# Of the metadata table that `read_metadata` gives: the recording of a row, below the data set's folder.
FILE_COLUMN: Final = "bids_file"
_MAX_BYTES: Final = 1 << 30


def metadata_row(root: Path, stem: str) -> dict[str, Any] | None:
    """What the table says of a recording: `user`, `session` and `start_s`; None where there is no such row or table.

    The table is read once per process and again when it changes.

    Raises
    ------
    SessionFormatError : the table was not fetched, or cannot be read.
    """
    path = root / METADATA_FILE
    require_fetched(path)
    try:
        status = path.stat()
    except OSError:
        return None
    return _rows_by_stem(path, status.st_size, status.st_mtime_ns).get(stem)


@functools.lru_cache(maxsize=4)
def _rows_by_stem(path: Path, size: int, mtime_ns: int) -> dict[str, dict[str, Any]]:
    if size > _MAX_BYTES:
        raise SessionFormatError(f"{path}: expected a table with one row per recording, got {size} bytes")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row.get("filename")]
    except (OSError, ValueError, csv.Error) as error:
        reason = " ".join(str(error).split())[:200].encode("ascii", "replace").decode()
        raise SessionFormatError(f"{path}: cannot be read as a CSV table: {reason}; fetch it again") from None
    return {
        stem_of(row["filename"]): {
            "user": row.get("user") or None,
            "session": row.get("session") or stem_of(row["filename"]),
            "start_s": _seconds(row.get("start")),
        }
        for row in rows
    }


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text or "nan")
    except ValueError:
        return None
    return seconds if abs(seconds) < 1e10 else None


def join_recordings(root: Path, filenames: Sequence[str]) -> list[str]:
    """Find the recording of every row of the metadata table.

    Parameters
    ----------
    root : Path
        The data set's folder.
    filenames : sequence of str
        Column `filename` of the table.

    Returns
    -------
    list of str
        Paths below the folder; for a row whose recording is not there, the path where one would be missed.

    Raises
    ------
    DataError : two rows or two recordings have the same stem, a recording has no row or no sidecar, or there is none.
    """
    table = f"{root / METADATA_FILE}"
    by_stem: dict[str, str] = {}
    for filename in filenames:
        other = by_stem.setdefault(stem_of(filename), filename)
        if other != filename:
            raise DataError(f"{table}: the rows {other!a} and {filename!a} have the same stem; expected distinct ones")
    found: dict[str, str] = {}
    for recording in recordings_in(root):
        sidecar_path = recording.removesuffix(SUFFIX) + SIDECAR_SUFFIX
        stem = stem_of(read_sidecar(root / sidecar_path).source_file)
        if stem not in by_stem:
            raise DataError(
                f"{root / sidecar_path}: SourceFile has the stem {stem!a}, which no row of {table} has in its column "
                "filename; expected one, since user, session and split stand there: correct either, or move the "
                "recording away"
            )
        if stem in found:
            raise DataError(
                f"{root}: the recordings {found[stem]} and {recording} both have the SourceFile {stem!a}; expected one "
                "each: move one away"
            )
        found[stem] = recording
    if not found:
        raise DataError(
            f"{root}: expected recordings sub-*/ses-*/emg/*_task-emg2pose_*_emg.bdf with their _emg.json, found none"
        )
    return [found.get(stem_of(filename), f"{filename}{SUFFIX}") for filename in filenames]


def recordings_in(root: Path) -> list[str]:
    """Find the recordings of a data set, fetched or not, by their own name or that of their sidecar; in order."""
    return sorted(set(_names_in(root)))


def _names_in(root: Path) -> Iterator[str]:
    for subject in sorted(root.glob("sub-*")):
        for folder, _, names in os.walk(subject):
            below = Path(folder).relative_to(root).as_posix()
            for name in names:
                recording = name.removesuffix(SIDECAR_SUFFIX) + SUFFIX if name.endswith(SIDECAR_SUFFIX) else name
                if is_bids_recording(Path(recording)):
                    yield f"{below}/{recording}"
