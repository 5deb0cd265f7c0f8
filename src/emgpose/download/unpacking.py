"""Unpacking an archive that came from elsewhere: nothing outside the folder, no links, nothing overwritten."""

import contextlib
import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from emgpose.download.bookkeeping import FOLDER, sync_folder
from emgpose.download.tar_member import TarMember, read_member
from emgpose.download.wanted import require_free
from emgpose.errors import DataError

_CHUNK_BYTES: Final = 1 << 20
_GZIP_MAGIC: Final = b"\x1f\x8b"


def safe_parts(name: str, archive: str) -> tuple[str, ...]:
    """Split the name of a member; a leading `./` is dropped.

    Raises
    ------
    DataError : it is absolute, leads out of the folder, is no plain text, or is a name of emgpose's own notes.
    """
    parts = tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
    # What is no UTF-8 is not printable either.
    is_plain = name.isprintable() and not name.startswith(("/", "\\"))
    is_ours = parts[:1] == (FOLDER,) or name.endswith((".part", ".part.json"))
    if not parts or not is_plain or ".." in parts or ":" in parts[0] or is_ours:
        raise DataError(f"{archive}: holds a member named {name[:200]!a}; expected a file below the folder; refused")
    return parts


def unpack(archive: Path, folder: Path) -> list[Path]:
    """Unpack a tar archive, plain or gzipped.

    May be called again after a kill: files that are there with the same content are left alone.

    Parameters
    ----------
    archive : Path
    folder : Path
        Where its members go, in the folders that the archive names.

    Returns
    -------
    list of Path
        The files, in the order of the archive.

    Raises
    ------
    DataError : the archive is damaged or cut off, holds links, devices or names that lead elsewhere; a file is there
        already with other content; or the disk is full.
    """
    files: list[Path] = []
    with _opened(archive) as stream:

        def read(offset: int, n_bytes: int) -> bytes:
            stream.seek(offset)
            return stream.read(n_bytes)

        place = 0
        while (member := read_member(read, place, archive.name)) is not None:
            place = member.next_offset
            if member.kind == "file":
                try:
                    files.append(_unpack_file(stream, member, folder, archive.name))
                except gzip.BadGzipFile:
                    raise
                except OSError as error:
                    raise DataError(
                        f"{archive.name}: {member.name[:200]!a} cannot be written: {error.strerror}"
                    ) from error
            elif member.kind != "folder":
                raise DataError(
                    f"{archive.name}: {member.name[:200]!a} is a {member.kind}; expected files and folders; refused"
                )
    return list(dict.fromkeys(files))


@contextlib.contextmanager
def _opened(archive: Path) -> Iterator[BinaryIO]:
    with contextlib.ExitStack() as stack:
        file: BinaryIO = stack.enter_context(archive.open("rb"))
        is_gzip = file.read(2) == _GZIP_MAGIC
        file.seek(0)
        if is_gzip:
            file = stack.enter_context(gzip.GzipFile(fileobj=file))  # type: ignore[assignment]
        try:
            yield file
            # The checksum of gzip stands at the very end.
            while file.read(_CHUNK_BYTES):
                pass
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DataError(f"{archive.name}: damaged or cut off ({error}); delete it and fetch it again") from error


def _unpack_file(stream: BinaryIO, member: TarMember, folder: Path, archive: str) -> Path:
    target = folder.joinpath(*safe_parts(member.name, archive))
    _make_folders(folder, target.parent, archive)
    if target.is_symlink() or (target.exists() and not target.is_file()):
        raise DataError(f"{target}: is in the way of a file from {archive}; move it away")
    if target.is_file():
        _require_same(stream, member, target, archive)
        return target
    require_free(target.parent, member.size_bytes)
    # Among emgpose's own notes, where nobody else has files.
    unfinished = folder / FOLDER / "unpacking.part"
    unfinished.parent.mkdir(exist_ok=True)
    with unfinished.open("wb") as file:
        for block in _blocks(stream, member, archive):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(target)
    sync_folder(target.parent)
    return target


def _make_folders(folder: Path, wanted: Path, archive: str) -> None:
    place = folder
    for part in wanted.relative_to(folder).parts:
        place = place / part
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            raise DataError(f"{place}: is in the way of a folder from {archive}; move it away")
        place.mkdir(exist_ok=True)


def _require_same(stream: BinaryIO, member: TarMember, target: Path, archive: str) -> None:
    with target.open("rb") as file:
        is_same = target.stat().st_size == member.size_bytes and all(
            file.read(len(block)) == block for block in _blocks(stream, member, archive)
        )
    if not is_same:
        raise DataError(f"{target}: is there already with other content than in {archive}; move it away")


def _blocks(stream: BinaryIO, member: TarMember, archive: str) -> Iterator[bytes]:
    stream.seek(member.data_offset)
    left = member.size_bytes
    while left:
        block = stream.read(min(_CHUNK_BYTES, left))
        if not block:
            raise DataError(f"{archive}: cut off inside {member.name[:200]!a}; delete it and fetch it again")
        left -= len(block)
        yield block
