"""What a download writes down beside the data: state of unfinished files, receipts of finished ones, a lock.

Every file here is replaced whole or appended line by line, so that a kill at any moment leaves it readable.
"""

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from emgpose.errors import DataError

FOLDER: Final = ".emgpose-download"


def replace_text(path: Path, text: str) -> None:
    """Write a whole text file, or leave what was there; a kill leaves at most a `.new` file, overwritten next time."""
    unfinished = path.with_name(f"{path.name}.new")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise


def sync_folder(folder: Path) -> None:
    """Make new names in a folder safe against a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the output folder, creating it, so that no second download writes into it.

    Raises
    ------
    DataError : another process holds it, or it cannot be written to.
    """
    folder = out / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{out}: cannot write there: {error.strerror}; choose a folder that is writable") from None
    with locked_file(folder / "lock", f"another emgpose download writes into {out}; wait for it to end"):
        yield


@contextlib.contextmanager
def locked_file(path: Path, why: str) -> Iterator[None]:
    """Hold a file, creating it, against other processes and threads.

    Raises
    ------
    DataError : another one holds it (with `why`), or it cannot be written to or locked.
    """
    try:
        file = path.open("a")
    except OSError as error:
        raise DataError(f"{path}: cannot be written to: {error.strerror}; choose a place that is writable") from None
    with file:
        try:
            # Not lockf: closing any other handle of the file would let go of it, and threads would share it.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"{path}: {why}") from None
        except OSError as error:
            raise DataError(
                f"{path}: cannot be locked: {error.strerror}; choose a folder on a disk that has file locks"
            ) from None
        yield


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines; a last line that a kill cut short does not count.

    Raises
    ------
    DataError : a line in the middle is damaged.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    lines = []
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines()):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            raise DataError(f"{path}: line {number + 1} is damaged; delete this file and run the command again")
        lines.append(entry)
    return lines


def drop_cut_line(path: Path) -> None:
    """Remove a last line that a kill cut short, so that lines can be appended; for files that emgpose wrote."""
    content = path.read_bytes() if path.exists() else b""
    if not content.endswith(b"\n") and content:
        os.truncate(path, content.rfind(b"\n") + 1)


def append_lines(path: Path, entries: list[dict[str, Any]]) -> None:
    """Append JSON lines and make them safe against a power cut."""
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(json.dumps(entry) + "\n" for entry in entries))
        file.flush()
        os.fsync(file.fileno())


@dataclass(frozen=True)
class Receipt:
    """What was downloaded: a finished file and where each of its bytes came from.

    Parameters
    ----------
    path : str
        Below the output folder.
    url : str
    etag, last_modified : str or None
        The version of the remote file.
    remote_bytes : int
        Size of the whole remote file.
    start : int
        Where in it this file begins; 0 where it is the whole file.
    size_bytes : int
    sha256 : str
        Of the file as it lies on the disk.
    unpacked : list of str
        What came out of it, below the output folder; the archive itself is removed then.
    """

    path: str
    url: str
    etag: str | None
    last_modified: str | None
    remote_bytes: int
    start: int
    size_bytes: int
    sha256: str
    unpacked: list[str] | None = None


class Receipts:
    """The receipts of an output folder; may be used by several threads.

    Raises
    ------
    DataError : the file is damaged.
    """

    def __init__(self, out: Path) -> None:
        self._path = out / FOLDER / "receipts.jsonl"
        self._lock = threading.Lock()
        self._known: dict[str, Receipt] = {}
        drop_cut_line(self._path)
        for line in read_lines(self._path):
            try:
                receipt = Receipt(**line)
            except TypeError:
                raise DataError(
                    f"{self._path}: not the receipts of this version of emgpose; choose another --out"
                ) from None
            self._known[receipt.path] = receipt

    def get(self, path: str) -> Receipt | None:
        """Give the newest receipt of a file."""
        return self._known.get(path)

    def add(self, receipt: Receipt) -> None:
        """Write a receipt down."""
        with self._lock:
            append_lines(self._path, [asdict(receipt)])
            self._known[receipt.path] = receipt

    def all(self) -> list[Receipt]:
        """Give the newest receipt of each file."""
        return list(self._known.values())
