"""What to fetch, who is told of it, and what stands in the way before the first byte."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emgpose.download.checksums import Checksum
from emgpose.download.remote_version import RemoteVersion
from emgpose.errors import DataError

# What the system and our own notes need beside the data.
_SPARE_BYTES: Final = 64 << 20


@dataclass(frozen=True)
class Wanted:
    """What to fetch, and what it must be.

    Parameters
    ----------
    url : str
    target : Path
        Where it goes.
    start : int
        First byte in the remote file.
    size_bytes : int or None
        How many bytes; None for all that there are.
    version : RemoteVersion or None
        The only version of the remote file to take it from; None for any.
    checksum : Checksum or None
        That it must have, from a list; what the server states is checked besides.
    check_content : callable (Path) -> str or None, optional
        Says what is wrong where the content is something else than expected.
    room : float
        Free disk space needed as a multiple of the size, for example 2 where it is unpacked afterwards.
    """

    url: str
    target: Path
    start: int = 0
    size_bytes: int | None = None
    version: RemoteVersion | None = None
    checksum: Checksum | None = None
    check_content: Callable[[Path], str | None] | None = None
    room: float = 1.0

    @property
    def is_span(self) -> bool:
        """Whether it is a part of a remote file of a known version."""
        return self.version is not None


@dataclass(frozen=True)
class Listener:
    """Who is told how it goes.

    Parameters
    ----------
    on_bytes : callable (n_bytes)
        Bytes that have come; negative where bytes had to be thrown away.
    on_total : callable (n_bytes)
        Size of what is fetched, once it is known.
    on_notice : callable (text)
        What a user should know, one sentence.
    """

    on_bytes: Callable[[int], None] = lambda n: None
    on_total: Callable[[int], None] = lambda n: None
    on_notice: Callable[[str], None] = lambda text: None


def require_free(folder: Path, n_bytes: int) -> None:
    """Ask for disk space before anything is fetched.

    Raises
    ------
    DataError : there is too little.
    """
    free = shutil.disk_usage(folder).free
    if free < n_bytes + _SPARE_BYTES:
        raise DataError(
            f"{folder}: {n_bytes / 2**30:.2f} GiB are needed there, {free / 2**30:.2f} GiB are free; "
            "make room, or choose another folder"
        )


def refusal(url: str, status: int) -> str:
    """Say what an answer means that will not change by asking again."""
    if status in (401, 403):
        meaning = "it may not be read, or is not there; check --base-url, or look for a newer emgpose"
    elif status in (404, 410):
        meaning = "there is no such file; check --base-url, or look for a newer emgpose"
    else:
        meaning = "which is no answer to a download; check --base-url and the network in between"
    return f"{url}: the server answers {status}: {meaning}"
