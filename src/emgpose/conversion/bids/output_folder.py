"""The folder that a conversion writes to: claimed for one run at a time, and cleared of what killed ones left."""

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from emgpose.errors import ConfigError, DataError

# As `emgpose.atomic` names them: the file's name between a dot and eight characters by chance.
_UNFINISHED: Final = re.compile(r"\..+\.(bdf|json|tsv|csv|md|hdf5)\.[a-z0-9_]{8}")


def require_outside(out: Path, source: Path) -> None:
    """Refuse to write among what is converted.

    Raises
    ------
    ConfigError : the output is the source, or lies in it.
    """
    # Not `Path.resolve`, which raises where links lead in a circle.
    place, origin = Path(os.path.realpath(out)), Path(os.path.realpath(source))
    if place == origin or origin in place.parents:
        raise ConfigError(f"{out}: lies in the source, expected a folder outside of it; choose another")


@contextlib.contextmanager
def claimed(root: Path) -> Iterator[None]:
    """Make the folder, keep other conversions out of it, and remove the half-written files of those that were killed.

    A run that was killed does not keep others out, and nothing is left behind. Where the disk has no locks (some
    network disks), other runs are not noticed.

    Raises
    ------
    DataError : the folder cannot be used, or another conversion is at work in it.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise DataError(f"{root}: cannot be used as a folder: {error.strerror}; choose another") from None
    try:
        _lock(root, folder)
        _remove_unfinished(root)
        yield
    finally:
        os.close(folder)


def _lock(root: Path, folder: int) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataError(f"{root}: another conversion is at work in this folder; wait for it to end") from None
    except OSError:
        return
    # Whoever held it until now may have removed it, and a lock on a removed folder keeps nobody out.
    if not root.exists() or not os.path.samestat(os.fstat(folder), root.stat()):
        raise DataError(f"{root}: another conversion was at work in this folder until now; run the command again")


def _remove_unfinished(root: Path) -> None:
    for folder, names, _ in os.walk(root):
        for name in [name for name in names if _UNFINISHED.fullmatch(name)]:
            shutil.rmtree(Path(folder) / name, ignore_errors=True)
        # Of other hidden folders, such as .git, nothing is ours.
        names[:] = [name for name in names if not name.startswith(".")]
