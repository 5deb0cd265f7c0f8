"""Where each member lies in a tar archive on a server, found without fetching the archive.

A header tells where the next one is, so they must be read one after the other: about 25,000 requests of 1.5 KiB for the
full data set. With several connections the archive is entered at several places; there the next header is searched for
by its checksum. Only the chain of headers from the first byte on counts as the index: what was read ahead from the
other places is used where the chain comes by, and ignored where it does not.
"""

import contextlib
import json
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from emgpose.download.bookkeeping import append_lines, drop_cut_line, locked_file, read_lines, replace_text
from emgpose.download.link import Link
from emgpose.download.many_threads import run_all
from emgpose.download.remote_file import RemoteFile
from emgpose.download.remote_version import RemoteVersion
from emgpose.download.tar_member import BLOCK_BYTES, TarMember, header_fault, read_member
from emgpose.download.transport import Transport
from emgpose.errors import DataError

_FORMAT: Final = "emgpose tar index 1"
_FIRST_BYTES: Final = f'{{"format": "{_FORMAT}"'.encode()
_SEARCH_BYTES: Final = 1 << 20
_LINES_PER_WRITE: Final = 64
# Entering the archive at more places than its size warrants would cost more in searching than it saves.
_MIN_SEGMENT_BYTES: Final = 256 << 20
_USTAR: Final = b"ustar"


class TarIndex:
    """The members of a remote archive, kept in a file that grows while it is made.

    Parameters
    ----------
    path : Path
        JSON lines: the archive's version first, then one member a line, in the order in which they were found. A
        complete one is only read, so it may lie where nothing can be written.
    url : str
    version : RemoteVersion
        An index of another version is made anew.

    Attributes
    ----------
    was_outdated : bool
        Whether there was an index of another version.

    Raises
    ------
    DataError : the file is damaged, or is no index.
    """

    def __init__(self, path: Path, url: str, version: RemoteVersion) -> None:
        self._path, self._url, self._version = path, url, version
        self._lock = threading.Lock()
        self._unwritten: list[dict[str, Any]] = []
        self._load()

    def _load(self) -> None:
        """Read what the file knows of this version; nothing is written."""
        self._known: dict[int, TarMember] = {}
        self._entries: dict[int, int] = {}
        if self._path.exists():
            with self._path.open("rb") as file:
                first = file.read(len(_FIRST_BYTES))
            if first not in (b"", _FIRST_BYTES):
                raise DataError(f"{self._path}: expected an index that emgpose made; choose another name with --index")
        lines = read_lines(self._path)
        self._is_begun = bool(lines) and lines[0].get("version") == asdict(self._version)
        self.was_outdated = bool(lines) and not self._is_begun
        if not self._is_begun:
            return
        try:
            for line in lines[1:]:
                numbers = [value for key, value in line.items() if key not in ("name", "kind")]
                if not all(type(value) is int and value >= 0 for value in numbers):
                    raise ValueError
                if "enter_at" in line:
                    self._entries[line["enter_at"]] = line["header_offset"]
                else:
                    member = TarMember(**line)
                    self._known[member.header_offset] = member
        except (TypeError, ValueError, KeyError):
            raise DataError(f"{self._path}: a line is damaged; delete this file and run the command again") from None

    def _begin(self) -> None:
        """Make the file ready for more lines; for who holds it."""
        self._load()  # another download may have gone on with it meanwhile
        if self._is_begun:
            drop_cut_line(self._path)
        else:
            head = {"format": _FORMAT, "version": asdict(self._version), "url": self._url}
            replace_text(self._path, json.dumps(head) + "\n")

    @property
    def known_bytes(self) -> int:
        """How much of the archive the known members cover."""
        return sum(member.next_offset - member.header_offset for member in self._known.values())

    def complete(
        self, link: Link, connections: int, on_bytes: Callable[[int], None], segment_bytes: int = _MIN_SEGMENT_BYTES
    ) -> list[TarMember]:
        """Find all members that are not yet known.

        Parameters
        ----------
        link : Link
        connections : int
            Places at which the archive is entered at once.
        on_bytes : callable (n_bytes)
            How much of the archive has become known.
        segment_bytes : int
            It is entered at places at least so far apart.

        Returns
        -------
        list of TarMember
            In the order of the archive.

        Raises
        ------
        DataError : the archive is damaged or has changed, or the server fails again and again. What was found is kept.
        """
        if self._chain()[1] is None:
            return self._chain()[0]
        size = self._version.size_bytes or 0
        n_segments = max(1, min(connections, size // segment_bytes))
        lock = self._path.with_name(f"{self._path.name}.lock")
        with locked_file(lock, "another emgpose download makes this index; wait for it to end"):
            self._begin()
            try:
                if n_segments > 1 and self._chain()[1] is not None:
                    self._read_ahead([size * number // n_segments for number in range(n_segments)], link, on_bytes)
                with Transport(link.stall_s) as transport:
                    remote = RemoteFile(self._url, self._version, transport, link)
                    while (place := self._chain()[1]) is not None:
                        self._walk(remote, place, size, link, on_bytes)
            finally:
                self._write(0)
        return self._chain()[0]

    def _chain(self) -> tuple[list[TarMember], int | None]:
        """Follow the known members from the first byte; gives them, and where the chain breaks off."""
        members, place = [], 0
        while place in self._known:
            members.append(self._known[place])
            place = members[-1].next_offset
        is_end = bool(members) and members[-1].kind == "end"
        return (members[:-1], None) if is_end else (members, place)

    def _walk(
        self, remote: RemoteFile, place: int, stop: int, link: Link, on_bytes: Callable[[int], None]
    ) -> int | None:
        """Read headers until a place is reached, or one that is known; gives that, None at the archive's end."""
        while place < stop and place not in self._known:
            link.raise_if_stopped()
            member = read_member(remote.read, place, self._url)
            if member is None:
                # The end mark is kept as a member that fills the rest.
                member = TarMember("", "end", place, place, remote.size_bytes - place)
            self._add(member)
            on_bytes(min(member.next_offset, remote.size_bytes) - place)
            if member.kind == "end":
                return None
            place = member.next_offset
        if place >= remote.size_bytes:
            raise DataError(f"{self._url}: ends at byte {remote.size_bytes} without an end mark; it is incomplete")
        return place

    def _read_ahead(self, places: list[int], link: Link, on_bytes: Callable[[int], None]) -> None:
        def work(number: int, transport: Transport) -> None:
            stop = places[number + 1] if number + 1 < len(places) else self._version.size_bytes or 0
            # What was found is kept where it fails: the chain from the first byte meets the same trouble, or none.
            with contextlib.suppress(DataError):
                remote = RemoteFile(self._url, self._version, transport, link)
                place = self._entry(remote, places[number], stop, link)
                while place is not None and place < stop:
                    known = self._known.get(place)
                    place = known.next_offset if known else self._walk(remote, place, stop, link, on_bytes)

        run_all(work, len(places), len(places), link)

    def _entry(self, remote: RemoteFile, place: int, stop: int, link: Link) -> int | None:
        """Find the first header at or behind a place; None where there is none before `stop`."""
        if place == 0:
            return 0
        if place in self._entries:
            return self._entries[place]
        start = place - place % BLOCK_BYTES
        while start < stop:
            link.raise_if_stopped()
            piece = remote.read(start, _SEARCH_BYTES)
            blocks = (piece[at : at + BLOCK_BYTES] for at in range(0, len(piece), BLOCK_BYTES))
            found = next((number for number, block in enumerate(blocks) if _looks_like_header(block)), None)
            if found is not None:
                header_offset = start + found * BLOCK_BYTES
                with self._lock:
                    self._entries[place] = header_offset
                    self._unwritten.append({"enter_at": place, "header_offset": header_offset})
                return header_offset
            start += _SEARCH_BYTES
        return None

    def _add(self, member: TarMember) -> None:
        with self._lock:
            self._known[member.header_offset] = member
            self._unwritten.append(asdict(member))
        self._write(_LINES_PER_WRITE)

    def _write(self, at_least: int) -> None:
        with self._lock:
            if len(self._unwritten) > at_least:
                append_lines(self._path, self._unwritten)
                self._unwritten.clear()


def _looks_like_header(block: bytes) -> bool:
    return block[257:262] == _USTAR and header_fault(block) is None
