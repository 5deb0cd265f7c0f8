"""A file on its way: in a hidden folder beside its target until it is whole; then it gets a name that no file has."""

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Final

from emgpose.errors import DataError

_MOST_NAMES: Final = 1000


class UnfinishedFile:
    """A place to write a file that replaces none.

    The name may be free at the beginning and taken at the end, by another session or a copy. Then the file is called
    NAME-2, or the next that is free, so that neither is lost.

    Parameters
    ----------
    target : Path
        The name that it is to get.

    Attributes
    ----------
    path : Path
        Where to write; it has the target's own name.

    Raises
    ------
    DataError : the folder does not exist or cannot be written to.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        try:
            self._folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        except OSError as error:
            raise DataError(
                f"{target}: cannot write there: {error.strerror}; choose a folder that exists and is writable"
            ) from None
        self.path = self._folder / target.name

    def publish(self) -> Path:
        """Give the whole file its name.

        Returns
        -------
        Path
            The target, or NAME-2 and so on where that was taken.

        Raises
        ------
        DataError : the folder takes no more files; the file stays where it is, which the message says.
        """
        try:
            name = self._claimed()
            self.path.replace(name)
        except OSError as error:
            raise DataError(
                f"{self._target}: the name could not be given: {error.strerror or error}; the whole file is {self.path}"
            ) from error
        self.discard()
        _sync_folder(name.parent)
        return name

    def discard(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _claimed(self) -> Path:
        """Make an empty file of a free name, which nobody else can get any more."""
        others = (self._target.with_stem(f"{self._target.stem}-{number}") for number in range(2, _MOST_NAMES))
        for name in (self._target, *others):
            try:
                name.touch(exist_ok=False)
            except FileExistsError:
                continue
            return name
        raise FileExistsError(f"{_MOST_NAMES - 1} files of that name are there")


def discard_leftovers(target: Path) -> None:
    """Delete the folders of `UnfinishedFile`s of that target whose process was killed; nothing that is another's."""
    # As tempfile.mkdtemp names them.
    ours = re.compile(rf"\.{re.escape(target.name)}\.[a-z0-9_]{{8}}")
    for folder in target.parent.iterdir():
        if ours.fullmatch(folder.name) is None or folder.is_symlink() or not folder.is_dir():
            continue
        # Whoever writes the file may have a folder of the same kind in there.
        if all(inside.name == target.name or ours.fullmatch(inside.name) for inside in folder.rglob("*")):
            shutil.rmtree(folder, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    """Have a new name on the disk, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
