"""A look at the text attributes of an HDF5 object before the HDF5 library reads them.

Variable-length text lies in "global heaps", the one structure that the library follows without checking: a damaged
heap makes it crash, loop or ask for gigabytes, none of which Python could catch. So the few bytes in question are
walked here first.

Source: HDF5 File Format Specification, version 3.0, sections III.E (global heap) and IV.A (object headers).
"""

import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from emgpose.errors import SessionFormatError

_ATTRIBUTE: Final = 0x0C
_CONTINUATION: Final = 0x10
_ATTRIBUTE_INFO: Final = 0x15
_VARIABLE_LENGTH: Final = 9
_UNDEFINED: Final = 0xFFFFFFFFFFFFFFFF
_DESCRIPTOR: Final = struct.Struct("<IQI")  # length, heap address, object number
# No recording's header or heap comes near these.
_MAX_BLOCKS: Final = 64
_MAX_BLOCK_BYTES: Final = 1 << 20
_HEAP_START: Final = b"GCOL\x01\0\0\0"


def check_text_attributes(path: Path, address: int, base: int = 0) -> None:
    """Check that the variable-length attributes of an object lead to intact text.

    Parameters
    ----------
    path : Path
        The HDF5 file, with 8-byte addresses.
    address : int
        Where the object's header lies, counted from `base`.
    base : int
        Bytes before the HDF5 part of the file (the user block).

    Raises
    ------
    SessionFormatError : a header or heap is damaged.
    """
    try:
        with path.open("rb") as file:
            bytes_of = _Bytes(file.fileno(), base, os.fstat(file.fileno()).st_size)
            heaps: dict[int, dict[int, int]] = {}
            if _are_dense(bytes_of, address):
                _check_every_heap(file, bytes_of, base)
            for descriptor in _text_descriptors(bytes_of, address):
                _check_text(bytes_of, descriptor, heaps)
    except (_DamagedError, struct.error) as error:
        raise SessionFormatError(
            f"{path}: the attributes are damaged ({error}); the file is damaged or incomplete: fetch it again"
        ) from None


class _DamagedError(Exception):
    pass


class _Bytes:
    """Reads parts of a file, never beyond its end."""

    def __init__(self, descriptor: int, base: int, size: int) -> None:
        self._descriptor, self._base, self._size = descriptor, base, size

    def __call__(self, address: int, length: int) -> bytes:
        start = address + self._base
        if length > _MAX_BLOCK_BYTES or start + length > self._size:
            raise _DamagedError(f"a block of {length} bytes at {start} is not inside the file")
        return os.pread(self._descriptor, length, start)


def _are_dense(bytes_of: _Bytes, address: int) -> bool:
    """Whether attributes lie outside the header: the newest layout does that with more than eight."""
    for kind, message in _messages(bytes_of, address):
        if kind == _ATTRIBUTE_INFO:
            (heap,) = struct.unpack_from("<Q", message, 4 if message[1] & 1 else 2)
            return bool(heap != _UNDEFINED)
    return False


def _check_every_heap(file: IO[bytes], bytes_of: _Bytes, base: int) -> None:
    """Check all global heaps of a file; what leads to them is under checksums in the newest layout, they are not."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(_HEAP_START)
        while start >= 0:
            _heap_objects(bytes_of, start - base)
            start = content.find(_HEAP_START, start + 1)


def _text_descriptors(bytes_of: _Bytes, address: int) -> Iterator[tuple[int, int, int]]:
    for kind, message in _messages(bytes_of, address):
        if kind == _ATTRIBUTE:
            yield from _descriptors_of(message)


def _messages(bytes_of: _Bytes, address: int) -> Iterator[tuple[int, bytes]]:
    """Walk the messages of an object header of version 1 or 2, through its continuation blocks."""
    if bytes_of(address, 4) == b"OHDR":
        blocks, head_bytes = [_first_block_v2(bytes_of, address)], 6 if bytes_of(address, 6)[5] & 4 else 4
    else:
        (size,) = struct.unpack_from("<I", bytes_of(address, 16), 8)
        blocks, head_bytes = [(address + 16, size)], 8
    for number, (start, size) in enumerate(blocks):
        if number >= _MAX_BLOCKS:
            raise _DamagedError("its header runs on without end")
        block, place = bytes_of(start, size), 0
        while place + head_bytes <= size:
            kind, length = struct.unpack_from("<HH" if head_bytes == 8 else "<BH", block, place)
            message = block[place + head_bytes : place + head_bytes + length]
            if len(message) != length:
                raise _DamagedError("a message of its header is cut off")
            if kind == _CONTINUATION:
                next_start, next_size = struct.unpack_from("<QQ", message)
                # A version 2 block is framed by a signature and a checksum.
                blocks.append((next_start, next_size) if head_bytes == 8 else (next_start + 4, max(next_size - 8, 0)))
            yield kind, message
            place += head_bytes + length


def _first_block_v2(bytes_of: _Bytes, address: int) -> tuple[int, int]:
    flags = bytes_of(address, 6)[5]
    start = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    return start + width, int.from_bytes(bytes_of(start, width), "little")


def _descriptors_of(message: bytes) -> Iterator[tuple[int, int, int]]:
    version, flags, name_size, type_size, space_size = struct.unpack_from("<BBHHH", message)
    if version not in (1, 2, 3) or (version > 1 and flags & 1):
        # A shared type is a named one, which no recording has; the library will not be asked for it.
        return
    pad = 8 if version == 1 else 1
    name_at = 9 if version == 3 else 8
    type_at = name_at + -(-name_size // pad) * pad
    data_at = type_at + -(-type_size // pad) * pad + -(-space_size // pad) * pad
    if type_at >= len(message) or message[type_at] & 0x0F != _VARIABLE_LENGTH:
        return
    for place in range(data_at, len(message) - _DESCRIPTOR.size + 1, _DESCRIPTOR.size):
        yield _DESCRIPTOR.unpack_from(message, place)


def _check_text(bytes_of: _Bytes, descriptor: tuple[int, int, int], heaps: dict[int, dict[int, int]]) -> None:
    length, address, number = descriptor
    if not length and address in (0, _UNDEFINED):
        return
    if address not in heaps:
        heaps[address] = _heap_objects(bytes_of, address)
    if heaps[address].get(number, -1) < length:
        raise _DamagedError(f"a text of {length} bytes is not where it should be")


def _heap_objects(bytes_of: _Bytes, address: int) -> dict[int, int]:
    """Sizes of the objects in a global heap, by number."""
    signature, version, size = struct.unpack("<4sBxxxQ", bytes_of(address, 16))
    if signature != b"GCOL" or version != 1:
        raise _DamagedError(f"there is no heap at {address}")
    heap = bytes_of(address, size)
    objects: dict[int, int] = {}
    place = 16
    while place + 16 <= size:
        number, length = struct.unpack_from("<H6xQ", heap, place)
        # Number 0 is the free rest of the heap, whose length counts its own head.
        taken = size - place if number == 0 else 16 + -(-length // 8) * 8
        if place + taken > size or number in objects or (number == 0 and length != taken):
            raise _DamagedError(f"object {number} of the heap at {address} does not fit in")
        if number == 0:
            break
        objects[number] = length
        place += taken
    return objects
