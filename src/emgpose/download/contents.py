"""Whether what came is what was asked for: an error page, or another file, has the right size sometimes."""

import csv
import json
from pathlib import Path

from emgpose.download.tar_member import read_member
from emgpose.errors import DataError
from emgpose.recording.metadata import REQUIRED_COLUMNS

_MAX_JSON_BYTES = 256 << 20


def tar_fault(path: Path) -> str | None:
    """Say why a file is no tar archive; None where it begins as one."""
    with path.open("rb") as file:

        def read(offset: int, n_bytes: int) -> bytes:
            file.seek(offset)
            return file.read(n_bytes)

        try:
            read_member(read, 0, path.name)
        except DataError:
            return f"expected a tar archive, what came begins with {read(0, 16)!a}"
    return None


def gzip_fault(path: Path) -> str | None:
    """Say why a file is not gzipped; None where it begins so."""
    with path.open("rb") as file:
        first = file.read(16)
    return None if first.startswith(b"\x1f\x8b") else f"expected a gzipped archive, what came begins with {first!a}"


def metadata_fault(path: Path) -> str | None:
    """Say why a file is no metadata table; None where its header names the columns."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file), [])
    except (ValueError, csv.Error):
        header = []
    missing = [column for column in REQUIRED_COLUMNS if column not in header]
    found = ", ".join(header)[:80]
    return f"expected a table with a column {missing[0]}, what came begins with {found!a}" if missing else None


def hand_model_fault(path: Path) -> str | None:
    """Say why a file is no hand model in JSON; None where it looks like one."""
    content = None
    if path.stat().st_size <= _MAX_JSON_BYTES:
        try:
            content = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            content = None
    if isinstance(content, dict) and "joint_rotation_axes" in content:
        return None
    return "expected UmeTrack's hand model in JSON, what came is something else"
