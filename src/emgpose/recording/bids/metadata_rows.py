"""The metadata table of a BIDS data set: rows by the name of their recording, and recordings by the name of their file.

The table is that of the HDF5 edition. A recording's sidecar says which file it was made from; the stem of that name
stands in the table.
"""

import csv
import functools
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from emgpose.errors import DataError, SessionFormatError
from emgpose.recording.annex import require_fetched
from emgpose.recording.bids.names import (
    METADATA_FILE,
    SIDECAR_SUFFIX,
    SUFFIX,
    bids_root_of,
    is_bids_recording,
    stem_of,
)
from emgpose.recording.bids.sidecar import read_source_file

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

    A recording that no row can be found for is left out; see `unjoined_recordings`.

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
    DataError : two rows have the same stem, or no recording has a row.
    """
    by_stem: dict[str, str] = {}
    for filename in filenames:
        other = by_stem.setdefault(stem_of(filename), filename)
        if other != filename:
            raise DataError(
                f"{root / METADATA_FILE}: the rows {other!a} and {filename!a} have the same stem; expected distinct "
                "ones"
            )
    found, left_out = _join(root, by_stem)
    if left_out and not found:
        more = f" (and {len(left_out) - 1} more recordings)" if len(left_out) > 1 else ""
        raise DataError(f"{root}: no recording has a row of the table: {next(iter(left_out.values()))}{more}")
    if not found:
        raise DataError(
            f"{root}: expected recordings sub-*/ses-*/emg/*_task-emg2pose_*_emg.bdf with their _emg.json, found none"
        )
    return [found.get(stem_of(filename), f"{filename}{SUFFIX}") for filename in filenames]


def unjoined_recordings(root: Path, filenames: Sequence[str]) -> dict[str, str]:
    """Find the recordings that no row of the metadata table can be found for: path below the folder -> reason."""
    return _join(root, {stem_of(filename) for filename in filenames})[1]


def _join(root: Path, stems: Collection[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Give the recording of each stem, and those left out with the reason."""
    by_stem: dict[str, list[str]] = {}
    left_out: dict[str, str] = {}
    for recording in recordings_in(root):
        sidecar = root / (recording.removesuffix(SUFFIX) + SIDECAR_SUFFIX)
        try:
            stem = stem_of(read_source_file(sidecar))
        except SessionFormatError as error:
            left_out[recording] = str(error)
            continue
        if stem in stems:
            by_stem.setdefault(stem, []).append(recording)
        else:
            left_out[recording] = (
                f"{sidecar}: SourceFile has the stem {stem!a}, which no row of {root / METADATA_FILE} has in its "
                "column filename; expected one, since user, session and split stand there: correct either, or move the "
                "recording away"
            )
    for stem, same in by_stem.items():
        if len(same) > 1:
            reason = f"{root}: the recordings {same[0]} and {same[1]} both have the SourceFile {stem!a}"
            left_out |= dict.fromkeys(same, f"{reason}; expected one each: move one away")
    return {stem: same[0] for stem, same in by_stem.items() if len(same) == 1}, left_out


def refuse_unjoined(path: Path) -> None:
    """Say more of a recording that a row of the table misses, where it may be one that could not be joined.

    Parameters
    ----------
    path : Path
        What `session_path` gives for the row; there is no such file.

    Raises
    ------
    SessionFormatError : some recordings of its data set could not be joined.
    """
    root = bids_root_of(path) if path.name.endswith(SUFFIX) else None
    reasons = _reasons(root) if root is not None else ()
    if reasons:
        more = f" (and {len(reasons) - 1} more recordings)" if len(reasons) > 1 else ""
        raise SessionFormatError(
            f"{path}: no recording of the data set says that it was made from this one; it may be that which could not "
            f"be joined: {reasons[0]}{more}"
        )


@functools.lru_cache(maxsize=4)
def _reasons(root: Path) -> tuple[str, ...]:
    """Why recordings could not be joined; looked for once per process, since thousands of rows may miss theirs."""
    try:
        status = (root / METADATA_FILE).stat()
        rows = _rows_by_stem(root / METADATA_FILE, status.st_size, status.st_mtime_ns)
    except (OSError, SessionFormatError):
        return ()
    return tuple(_join(root, rows)[1].values())


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
