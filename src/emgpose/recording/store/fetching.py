"""Read byte ranges of a shard, and room to read and unpack in that each thread uses again.

Fresh memory has to be given by the system page by page, which takes longer than reading a window into memory that was
used before.
"""

import contextlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# Frames that lie this close are fetched together, gaps and all.
_LARGEST_GAP_BYTES: Final = 65_536
# Room that is kept: four windows of the usual length. What needs more gets memory of its own.
_KEPT_BYTES: Final = 1 << 22

Frame = NDArray[np.uint8]


class _Kept(threading.local):
    """Room of one thread, by what it is for."""

    def __init__(self) -> None:
        self.blocks: dict[str, Frame] = {}


_kept = _Kept()


def scratch(what: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Give an array that holds anything, until the same thread asks for the same purpose again.

    Parameters
    ----------
    what : str
        The purpose.
    shape : tuple of int
    dtype : dtype
    """
    n_bytes = dtype.itemsize
    for size in shape:
        n_bytes *= size
    if n_bytes > _KEPT_BYTES:
        return np.empty(shape, dtype=dtype)
    block = _kept.blocks.get(what)
    if block is None or block.nbytes < n_bytes:
        block = _kept.blocks[what] = np.empty(n_bytes, dtype=np.uint8)
    return block[:n_bytes].view(dtype).reshape(shape)


def expect(path: Path | str, offset: int, size: int) -> None:
    """Have the system read a part of a file from the disk meanwhile; where it does not do that, nothing happens.

    Parameters
    ----------
    path : Path or str
    offset, size : int
        [bytes]
    """
    if not hasattr(os, "posix_fadvise"):
        return
    # Whatever is wrong with the file is said when it is read.
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, offset, size, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(descriptor)


def fetch(path: Path | str, ranges: Sequence[tuple[int, int]]) -> list[Frame]:
    """Read byte ranges of a file: at once where they lie together.

    Parameters
    ----------
    path : Path or str
    ranges : sequence of (offset, size)
        [bytes]; at least one.

    Returns
    -------
    list of uint8 array, shape (size,)
        Good until the same thread fetches again. Shorter where the file ends, which a checksum will tell.

    Raises
    ------
    OSError
    """
    begin = min(offset for offset, _ in ranges)
    span = max(offset + size for offset, size in ranges) - begin
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        if span <= sum(size for _, size in ranges) + _LARGEST_GAP_BYTES:
            whole = _read(descriptor, scratch("frames", (span,), np.dtype(np.uint8)), begin)
            return [whole[offset - begin : offset - begin + size] for offset, size in ranges]
        return [_read(descriptor, np.empty(size, dtype=np.uint8), offset) for offset, size in ranges]
    finally:
        os.close(descriptor)


def _read(descriptor: int, room: Frame, offset: int) -> Frame:
    """Fill the room from a file; give the part of it that was filled before the file ended."""
    n_read = 0
    while n_read < len(room) and (more := os.preadv(descriptor, [room.data[n_read:]], offset + n_read)):
        n_read += more
    return room[:n_read]
