"""The store's folder while it is being made: claimed for one run at a time, and cleared of what kills left behind."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from emgpose.atomic import write_text_atomically
from emgpose.errors import ConfigError, DataError, EmgPoseError
from emgpose.recording.store.layout import (
    LOCK_FILE,
    SHARDS_FOLDER,
    STORE_FILE,
    STORE_VERSION,
    UNFINISHED_FOLDER,
    is_store,
    read_sealed_json,
    sealed_json,
)

SETTINGS_FILE: Final = "settings.json"
# What a store takes of what float32 originals do: 0.40 with EMG on a converter's grid, 0.64 without, see decision 010.
SHARE_OF_ORIGINALS: Final = 0.65


def require_apart(root: Path, out: Path) -> None:
    """Refuse to write among the originals.

    Raises
    ------
    ConfigError : one folder lies in the other, or the originals are a store themselves.
    """
    if is_store(root.parent if root.is_file() else root):
        raise ConfigError(f"{root}: is a prepared store already; give the folder of the recordings")
    # Not `Path.resolve`, which raises where links lead in a circle.
    source, target = (Path(os.path.realpath(path)) for path in (root, out))
    source = source.parent if source.is_file() else source
    if source == target or source in target.parents or target in source.parents:
        raise ConfigError(f"{out}: the store must not lie in the folder of the recordings, nor they in it")


@contextlib.contextmanager
def claimed(out: Path) -> Iterator[None]:
    """Make the folder and keep other runs out of it; a run that was killed does not count.

    Raises
    ------
    DataError : it holds something else, cannot be written to, or another run is at work there.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        foreign = {path.name for path in out.iterdir()} - {LOCK_FILE}
    except OSError as error:
        raise DataError(f"{out}: cannot be used as a folder: {error.strerror}; choose another") from None
    # A folder of somebody else may hold a file of that name too.
    if foreign and not (is_store(out) and ((out / SHARDS_FOLDER).is_dir() or not (out / STORE_FILE).exists())):
        raise DataError(f"{out}: expected an empty folder or a store; it holds {min(foreign)!a}: choose another folder")
    with _open_lock(out) as file:
        if not _locks(file):
            raise DataError(f"{out}: another `emgpose prepare` is at work on this store; wait for it to end")
        try:
            yield
        except (EmgPoseError, OSError):
            _give_up(out)
            raise


def _give_up(out: Path) -> None:
    """Leave a folder in which no shard was made to the next attempt, perhaps with other settings."""
    settings = out / UNFINISHED_FOLDER / SETTINGS_FILE
    if {path for path in out.rglob("*") if path.is_file()} <= {settings, out / LOCK_FILE}:
        for folder in (out / UNFINISHED_FOLDER, out / SHARDS_FOLDER):
            shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            (out / LOCK_FILE).unlink()
            out.rmdir()


def _open_lock(out: Path) -> IO[Any]:
    try:
        return (out / LOCK_FILE).open("a")
    except OSError as error:
        raise DataError(f"{out}: cannot be written to: {error.strerror}; choose another folder") from None


def _locks(file: IO[Any]) -> bool:
    """Lock a file until it is closed, or its process ends in whatever way."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise DataError(
            f"{file.name}: cannot be locked, as a store must be while it is written: {error.strerror}; choose a folder "
            "on another disk"
        ) from None
    return True


def begin(out: Path, float16: bool) -> None:
    """Write down what the store will be, or see that it was begun as the same.

    Raises
    ------
    DataError : it was begun with other settings.
    """
    settings = {"version": STORE_VERSION, "float16": float16}
    path = out / UNFINISHED_FOLDER / SETTINGS_FILE
    try:
        before = read_sealed_json(path)
    except DataError:
        # Not begun yet; or damaged, and then nothing is known of the shards beside it.
        before = settings
        shutil.rmtree(path.parent, ignore_errors=True)
    if before != settings:
        raise DataError(
            f"{out}: was begun with other settings ({before}, now {settings}); give those, or another folder"
        )
    path.parent.mkdir(exist_ok=True)
    (out / SHARDS_FOLDER).mkdir(exist_ok=True)
    write_text_atomically(path, sealed_json(settings))
    remove_temporary(out)


def remove_temporary(out: Path) -> None:
    """Remove the hidden folders in which killed runs left half-written files."""
    for folder in (out, out / SHARDS_FOLDER, out / UNFINISHED_FOLDER):
        for path in folder.glob(".*.*.*") if folder.is_dir() else ():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)


def reopen(out: Path) -> None:
    """Turn a finished store, whose notes have been written again, into an unfinished one."""
    (out / STORE_FILE).unlink()


def require_space(out: Path, paths: list[Path]) -> None:
    """Look whether the disk has room for what is still to be written.

    Raises
    ------
    DataError : it has not.
    """
    sizes = []
    for path in paths:
        with contextlib.suppress(OSError):
            sizes.append(path.stat().st_size)
    needed = round(SHARE_OF_ORIGINALS * sum(sizes))
    free = shutil.disk_usage(out).free
    if needed > free:
        raise DataError(
            f"{out}: about {needed / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are free there; make room, or "
            "choose another disk"
        )


def clear(out: Path, shard_names: set[str]) -> None:
    """Remove what a finished store does not need: notes, temporary files, and shards of an earlier, larger one."""
    shutil.rmtree(out / UNFINISHED_FOLDER, ignore_errors=True)
    remove_temporary(out)
    for path in (out / SHARDS_FOLDER).iterdir():
        if f"{SHARDS_FOLDER}/{path.name}" not in shard_names and path.suffix == ".h5":
            path.unlink()
