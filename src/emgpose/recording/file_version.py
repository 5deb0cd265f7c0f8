"""Tell a file from one that has taken its place, so that a session never mixes two recordings."""

import os
from collections.abc import Iterable
from pathlib import Path

from emgpose.errors import SessionFormatError

FileVersion = tuple[tuple[int, int], ...]


def file_version(files: Iterable[Path | int]) -> FileVersion:
    """Sizes and times of last change [ns] of files, each given by its path or open descriptor.

    Raises
    ------
    SessionFormatError : a file is gone.
    """
    try:
        return tuple((status.st_size, status.st_mtime_ns) for status in map(os.stat, files))
    except OSError as error:
        raise SessionFormatError(f"{error.filename}: cannot be read: {error.strerror}") from None


def require_same_version(path: Path, before: FileVersion, now: FileVersion) -> None:
    """Refuse a recording whose files have changed.

    Raises
    ------
    SessionFormatError : they have.
    """
    if now != before:
        raise SessionFormatError(
            f"{path}: expected the file that was opened, it was replaced since, or written to; open the session again"
        )
