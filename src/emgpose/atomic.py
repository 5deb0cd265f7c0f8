"""Files that appear whole or not at all: written under a temporary name beside the target, synced, renamed."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from emgpose.errors import DataError


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; on success it takes the target's name, on any failure nothing is left.

    Parameters
    ----------
    path : Path
        The target. What stood there before stays until the new file is complete.

    Yields
    ------
    Path
        In a temporary folder of its own beside the target (other temporary files may be put there too).

    Raises
    ------
    DataError : the folder does not exist or cannot be written to, or the disk is full.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise DataError(
            f"{path}: cannot write there: {error.strerror}; choose a folder that exists and is writable"
        ) from None
    try:
        unfinished = folder / path.name
        yield unfinished
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        # mkdtemp's folder is private, but the file inside got the usual permissions.
        unfinished.replace(path)
    except OSError as error:
        raise DataError(f"{path}: writing failed: {error.strerror or error}; nothing was left behind") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text_atomically(path: Path, text: str) -> None:
    """Write a whole text file (UTF-8), or leave what was there."""
    with atomic_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
