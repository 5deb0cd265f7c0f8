"""Reading tar headers: POSIX ustar and pax, GNU long names and sizes of 8 GiB and more.

Written for archives that come from elsewhere: every header's checksum is verified, what is not understood is refused,
and nothing is believed about a name but that it is text.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block"; GNU tar manual, "Basic Tar Format".
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from emgpose.errors import DataError

BLOCK_BYTES: Final = 512
Read = Callable[[int, int], bytes]

_FILE_TYPES: Final = (b"0", b"\0", b"7")
_FOLDER_TYPE: Final = b"5"
# A name or a pax header that needs more than this is an attack, or no tar archive.
_MAX_EXTENSION_BYTES: Final = 1 << 20
_PAX, _GLOBAL_PAX, _GNU_NAME, _GNU_LINK = b"x", b"g", b"L", b"K"
_MAX_HEADERS: Final = 64
# What no disk holds; places in a file need to be below 2^63.
_MAX_SIZE_BYTES: Final = 1 << 60


@dataclass(frozen=True)
class TarMember:
    """A member of an archive.

    Parameters
    ----------
    name : str
        As it stands in the archive: not checked.
    kind : str
        `file`, `folder`, or what else it is in words.
    header_offset, data_offset : int
        Where its first header and its data begin.
    size_bytes : int
        Of its data.
    """

    name: str
    kind: str
    header_offset: int
    data_offset: int
    size_bytes: int

    @property
    def next_offset(self) -> int:
        """Where the next header begins."""
        return self.data_offset + _padded(self.size_bytes)


def read_member(read: Read, offset: int, archive: str) -> TarMember | None:
    """Read the member whose headers begin at an offset; None at the end of the archive.

    Parameters
    ----------
    read : callable (offset, n_bytes) -> bytes
        Fewer bytes come back at the end of the file only.
    offset : int
    archive : str
        For messages.

    Raises
    ------
    DataError : there is no header, or one that is damaged or not understood; or the archive ends without an end mark.
    """
    place = offset
    longer: dict[str, str] = {}
    for _ in range(_MAX_HEADERS):
        block = read(place, BLOCK_BYTES)
        if len(block) < BLOCK_BYTES:
            raise DataError(
                f"{archive}: ends at byte {place + len(block)} without an end mark; it is incomplete: fetch it again"
            )
        if not any(block):
            return None
        fault = header_fault(block)
        if fault is not None:
            raise DataError(f"{archive}: byte {place}: {fault}; it is damaged, or no tar archive: fetch it again")
        size = _number(block[124:136])
        kind = block[156:157]
        if kind not in (_PAX, _GLOBAL_PAX, _GNU_NAME, _GNU_LINK):
            return _member(block, longer, offset, place + BLOCK_BYTES, archive)
        if size > _MAX_EXTENSION_BYTES:
            raise DataError(f"{archive}: byte {place}: a header of {size} bytes; refused")
        content = read(place + BLOCK_BYTES, size)
        _extend(longer, kind, content, f"{archive}: byte {place}")
        place += BLOCK_BYTES + _padded(size)
    raise DataError(f"{archive}: byte {offset}: more than {_MAX_HEADERS} headers for one member; refused")


def header_fault(block: bytes) -> str | None:
    """Say what is wrong with a header block; None where its checksum and size make sense."""
    try:
        stated, size = _number(block[148:156]), _number(block[124:136])
    except ValueError:
        return "expected a tar header"
    blank = block[:148] + b" " * 8 + block[156:BLOCK_BYTES]
    # Some old programs summed signed characters.
    if stated not in (sum(blank), sum(byte - 256 if byte > 127 else byte for byte in blank)):
        return "expected a tar header, its checksum is wrong"
    return None if size >= 0 else "a negative size"


def _member(block: bytes, longer: dict[str, str], offset: int, data_offset: int, archive: str) -> TarMember:
    name = _text(block[:100])
    if block[257:263] == b"ustar\0" and block[345]:
        name = f"{_text(block[345:500])}/{name}"
    name = longer.get("path", name)
    try:
        size = int(longer["size"]) if "size" in longer else _number(block[124:136])
    except ValueError:
        size = -1
    if not 0 <= size <= _MAX_SIZE_BYTES:
        stated = longer.get("size", str(size))
        raise DataError(f"{archive}: byte {offset}: {stated[:40]!a} is no size; refused")
    kind = block[156:157]
    if any(key.startswith("GNU.sparse") for key in longer):
        word = "sparse file"
    elif kind in _FILE_TYPES:
        # Old archives mark folders by the end of the name only.
        word = "folder" if name.endswith("/") else "file"
    elif kind == _FOLDER_TYPE:
        word, size = "folder", 0
    else:
        kinds = {b"1": "hard link", b"2": "symbolic link", b"3": "device", b"4": "device", b"6": "pipe"}
        word = kinds.get(kind, f"member of type {kind!a}")
        size = size if word.startswith("member") else 0
    return TarMember(name, word, offset, data_offset, size)


def _extend(longer: dict[str, str], kind: bytes, content: bytes, where: str) -> None:
    if kind == _GNU_NAME:
        longer["path"] = _text(content)
    elif kind in (_PAX, _GLOBAL_PAX):
        records = _pax_records(content, where)
        if kind == _GLOBAL_PAX and ("path" in records or "size" in records):
            raise DataError(f"{where}: a global header that names all members alike; refused")
        if kind == _PAX:
            longer.update(records)


def _pax_records(content: bytes, where: str) -> dict[str, str]:
    """Parse `length key=value` lines."""
    records: dict[str, str] = {}
    place = 0
    while place < len(content) and content[place]:
        digits, blank, _ = content[place : place + 20].partition(b" ")
        length = int(digits) if blank and digits.isdigit() else 0
        record = content[place + len(digits) + 1 : place + length]
        if length > len(content) - place or not record.endswith(b"\n") or b"=" not in record:
            raise DataError(f"{where}: a pax header that is damaged; fetch the archive again")
        key, _, value = record[:-1].partition(b"=")
        records[_text(key)] = value.decode("utf-8", "surrogateescape")
        place += length
    return records


def _number(field: bytes) -> int:
    """Read octal digits, or the binary form that GNU tar uses for what does not fit."""
    if field[0] in (0x80, 0xFF):
        number = int.from_bytes(field[1:], "big")
        return number - (1 << (8 * (len(field) - 1))) if field[0] == 0xFF else number
    text = field.split(b"\0")[0].strip()
    return int(text, 8) if text else 0


def _text(field: bytes) -> str:
    return field.split(b"\0")[0].decode("utf-8", "surrogateescape")


def _padded(size: int) -> int:
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES
