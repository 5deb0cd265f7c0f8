"""Files that appear whole or not at all: written under a temporary name beside the target, synced, renamed."""

import contextlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
    folder = _temporary_folder(path)
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


def _temporary_folder(path: Path) -> Path:
    if path.is_dir():
        raise DataError(f"{path}: expected the name of a file, but it is a folder; choose another name")
    try:
        return Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise DataError(
            f"{path}: cannot write there: {error.strerror}; choose a folder that exists and is writable"
        ) from None


def require_writable(path: Path) -> None:
    """Find out whether a file can be written, before hours of work go into what it is to hold.

    Raises
    ------
    DataError : it is a folder, or its folder does not exist or cannot be written to.
    """
    _temporary_folder(path).rmdir()


def ready_folder(folder: str | Path) -> Path:
    """Make the output folder before hours of work go into what it is to hold.

    Raises
    ------
    DataError : it cannot be made or written to.
    """
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise DataError(
            f"{path}: cannot be used as output folder: {error.strerror}; choose another with --out"
        ) from None
    return path


def write_text_atomically(path: Path, text: str) -> None:
    """Write a whole text file (UTF-8), or leave what was there."""
    with atomic_file(path) as unfinished:
        # A file name that is no UTF-8 may stand in the text.
        unfinished.write_text(text, encoding="utf-8", errors="backslashreplace")


class FailureKeepingFile(io.FileIO):
    """A new file for the HDF5 library, which crashes the process where a write fails, as on a full disk.

    The first failure is kept in `failure` and what is written from then on goes nowhere, so that HDF5 can close in
    order; whoever writes asks `raise_failure` after each step.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self.failure: BaseException | None = None

    def raise_failure(self) -> None:
        """Raise what went wrong in an earlier write, if anything did."""
        if self.failure is not None:
            raise self.failure

    def write(self, data: Any, /) -> int:
        """Write all of the data, or keep the reason why it could not be written."""
        rest = memoryview(data)
        try:
            while len(rest) and self.failure is None:
                rest = rest[super().write(rest) :]
        # Ctrl-C too: no exception may cross the C code of HDF5.
        except BaseException as failure:
            self.failure = failure
        return len(data)

    def truncate(self, size: int | None = None, /) -> int:
        """Set the file's size, or keep the reason why it could not be set."""
        try:
            return super().truncate(size)
        except BaseException as failure:
            self.failure = self.failure or failure
            return self.tell()
