"""Walk the elements of a MATLAB file (version 5 to 7), so that a damaged one is refused before scipy reads it.

scipy looks data types up without a check of their bounds: a damaged tag ends the whole process. What is walked here has
valid types, sizes that fit, and as many parts as its class wants; a compressed variable has its checksum compared.

Source: MAT-File Format, The MathWorks, R2019b, chapter 1.
"""

import io
import math
import struct
import zlib
from pathlib import Path
from typing import IO, Final, Protocol

_HEADER_BYTES: Final = 128
_MATRIX, _COMPRESSED = 14, 15
_DATA_TYPES: Final = frozenset((1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 16, 17, 18))
_CELL, _CHAR = 1, 4
_NUMERIC_CLASSES: Final = frozenset(range(6, 16))
_COMPLEX_FLAG: Final = 0x800
_BLOCK_BYTES: Final = 1 << 20
_MOST_LEVELS: Final = 4


class _Stream(Protocol):
    def read(self, n_bytes: int, /) -> bytes: ...


def require_sound(path: Path, name: str) -> None:
    """Refuse a variable that is damaged, or of a class that is never read here (struct, sparse, object).

    Raises
    ------
    ValueError : the message says what is wrong.
    OSError : the file cannot be read.
    """
    with path.open("rb") as file:
        order = {b"IM": "<", b"MI": ">"}.get(file.read(_HEADER_BYTES)[-2:])
        if order is None:
            raise ValueError("the header is damaged")
        while tag := file.read(8):
            kind, n_bytes = struct.unpack(f"{order}II", _whole(tag, 8))
            start = file.tell()
            if kind == _COMPRESSED:
                with _Inflated(file, n_bytes) as inner:
                    kind, inner_bytes = struct.unpack(f"{order}II", _read(inner, 8))
                    _top(inner, order, kind, inner_bytes, name)
            else:
                _top(file, order, kind, n_bytes, name)
            if file.seek(start + n_bytes) > path.stat().st_size:
                raise ValueError("the file is cut short")


def _top(stream: _Stream, order: str, kind: int, n_bytes: int, name: str) -> None:
    if kind != _MATRIX:
        raise ValueError(f"an element of type {kind} stands where a variable should be")
    matrix = _Matrix(stream, order, n_bytes)
    if matrix.name == name.encode():
        matrix.check_values(0)
        if isinstance(stream, _Inflated):
            stream.check_end()


class _Inflated(io.RawIOBase):
    """A compressed variable, inflated as it is read."""

    def __init__(self, file: IO[bytes], n_bytes: int) -> None:
        self._file, self._left = file, n_bytes
        self._inflate = zlib.decompressobj()

    def read(self, n_bytes: int = -1, /) -> bytes:
        found = b""
        while len(found) < n_bytes and not self._inflate.eof:
            packed = self._inflate.unconsumed_tail
            if not packed:
                packed = self._file.read(min(_BLOCK_BYTES, self._left))
                self._left -= len(packed)
            inflated = self._inflate.decompress(packed, n_bytes - len(found))
            if not packed and not inflated:
                break
            found += inflated
        return found

    def check_end(self) -> None:
        """Read what is left, for its checksum."""
        while self.read(_BLOCK_BYTES):
            pass
        if not self._inflate.eof:
            raise ValueError("compressed data is cut short")


class _Matrix:
    """One variable, or one cell of it: its header is read at once, its values when they are checked."""

    def __init__(self, stream: _Stream, order: str, n_bytes: int) -> None:
        self._stream, self._order, self._left = stream, order, n_bytes
        flags, shape, self.name = self._part(6, 16), self._part(5, 256), self._part(1, 256)
        (stated,) = struct.unpack(f"{order}I", _whole(flags[:4], 4))
        self._kind, self._is_complex = stated & 0xFF, bool(stated & _COMPLEX_FLAG)
        self._size = math.prod(struct.unpack(f"{order}{len(shape) // 4}i", shape[: len(shape) // 4 * 4]))

    def check_values(self, level: int) -> None:
        """Check all that follows the header."""
        if self._kind == _CELL and level < _MOST_LEVELS:
            for _ in range(self._size):
                kind, n_bytes, _ = self._tag()
                if kind != _MATRIX:
                    raise ValueError(f"an element of type {kind} stands where a cell should be")
                if n_bytes:
                    _Matrix(self._stream, self._order, n_bytes).check_values(level + 1)
        elif self._kind in _NUMERIC_CLASSES or self._kind == _CHAR:
            for _ in range(2 if self._is_complex else 1):
                kind, _, n_stored = self._tag()
                if kind not in _DATA_TYPES:
                    raise ValueError(f"there is no data type {kind}")
                _skip(self._stream, n_stored)
        else:
            raise ValueError(f"expected numbers or texts, got class {self._kind}")

    def _tag(self) -> tuple[int, int, int]:
        """Type and size of the next part, and how many bytes of it are still to be read."""
        head = _read(self._stream, 8)
        first, second = struct.unpack(f"{self._order}II", head)
        # A part of up to 4 bytes lies in its tag.
        is_small = bool(first >> 16)
        kind, n_bytes = (first & 0xFFFF, first >> 16) if is_small else (first, second)
        n_stored = 0 if is_small else n_bytes + -n_bytes % 8
        self._left -= 8 + n_stored
        if (is_small and n_bytes > 4) or self._left < -7:
            raise ValueError("a part is larger than what holds it")
        self._small = head[4 : 4 + n_bytes]
        return kind, n_bytes, n_stored + min(self._left, 0)

    def _part(self, wanted: int, most_bytes: int) -> bytes:
        kind, n_bytes, n_stored = self._tag()
        if kind != wanted or n_bytes > most_bytes:
            raise ValueError("the header of a variable is damaged")
        return _read(self._stream, n_stored)[:n_bytes] if n_stored else self._small


def _read(stream: _Stream, n_bytes: int) -> bytes:
    return _whole(stream.read(n_bytes), n_bytes)


def _whole(data: bytes, n_bytes: int) -> bytes:
    if len(data) != n_bytes:
        raise ValueError("the file is cut short")
    return data


def _skip(stream: _Stream, n_bytes: int) -> None:
    for start in range(0, n_bytes, _BLOCK_BYTES):
        _read(stream, min(_BLOCK_BYTES, n_bytes - start))
