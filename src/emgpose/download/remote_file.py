"""Reading short pieces of one version of a remote file, as the index of an archive needs them."""

from typing import Final

from emgpose.download.link import Fault, Link
from emgpose.download.remote_version import RemoteVersion
from emgpose.download.transport import Answer, Transport
from emgpose.download.wanted import refusal
from emgpose.errors import DataError

# A tar header, and the two blocks that a long name would need before the real header.
_AHEAD_BYTES: Final = 1536
_MAX_TEXT_BYTES: Final = 1 << 16


def current_version(url: str, transport: Transport, link: Link) -> RemoteVersion:
    """Ask which version of a file a server holds, without fetching it.

    Raises
    ------
    DataError : there is no such file, or the server fails again and again.
    """
    with _asked(url, transport, link, {"Range": "bytes=0-0"}) as answer:
        if answer.status == 200:
            return RemoteVersion.of(answer, answer.length)
        if answer.status in (206, 416):
            return RemoteVersion.of(answer, answer.content_range()[2])
        raise DataError(refusal(url, answer.status))


def small_text(url: str, transport: Transport, link: Link) -> str | None:
    """Fetch a text of at most 64 KiB; None where there is none.

    Raises
    ------
    DataError : the server fails again and again.
    """
    n_failures = 0
    while True:
        content = b""
        try:
            with _asked(url, transport, link, {}) as answer:
                if answer.status != 200:
                    return None
                while len(content) <= _MAX_TEXT_BYTES and (block := answer.read(_MAX_TEXT_BYTES)):
                    content += block
                return content[:_MAX_TEXT_BYTES].decode("utf-8", "replace")
        except Fault as fault:
            n_failures += 1
            link.wait(n_failures, fault, url)


def probe(url: str, transport: Transport, link: Link) -> RemoteVersion:
    """Ask which version a server holds, and whether it gives parts of it, for the price of one byte.

    Raises
    ------
    DataError : there is no such file; or the server gives no parts, no size, or nothing to tell versions apart by.
    """
    with _ask(url, transport, link, 0, 0, None) as answer:
        total = answer.content_range()[2]
        version = RemoteVersion.of(answer, total)
    if total is None or version.validator is None:
        raise DataError(
            f"{url}: the server tells neither an ETag nor a date, or no size ({version}), so that a change between two "
            "requests would not be noticed; use another mirror"
        )
    return version


class RemoteFile:
    """One version of a remote file, read in short pieces; for one thread.

    Parameters
    ----------
    url : str
    version : RemoteVersion
        From `probe`.
    transport : Transport
    link : Link
    """

    def __init__(self, url: str, version: RemoteVersion, transport: Transport, link: Link) -> None:
        self._url, self._version, self._transport, self._link = url, version, transport, link
        self.size_bytes = version.size_bytes or 0
        self._piece, self._piece_start = b"", 0

    def read(self, start: int, n_bytes: int) -> bytes:
        """Read bytes; fewer at the end of the file. A little more is fetched and kept for the next call.

        Raises
        ------
        DataError : the remote file has changed, or the server fails again and again.
        """
        stop = min(start + n_bytes, self.size_bytes)
        if not self._piece_start <= start <= stop <= self._piece_start + len(self._piece):
            last = min(max(stop, start + _AHEAD_BYTES), self.size_bytes) - 1
            self._piece, self._piece_start = self._fetch(start, last) if last >= start else b"", start
        return self._piece[start - self._piece_start : stop - self._piece_start]

    def _fetch(self, first: int, last: int) -> bytes:
        n_failures = 0
        while True:
            try:
                with _ask(self._url, self._transport, self._link, first, last, self._version) as answer:
                    return self._body(answer, first, last)
            except Fault as fault:
                n_failures += 1
                self._link.wait(n_failures, fault, self._url)

    def _body(self, answer: Answer, first: int, last: int) -> bytes:
        got_first, got_last, total = answer.content_range()
        version = RemoteVersion.of(answer, total)
        if not self._version.is_same(version):
            raise _changed(self._url, self._version, version)
        if (got_first, got_last) != (first, last):
            raise Fault(f"the server sends {str(answer.header('Content-Range'))[:80]!a} for bytes {first} to {last}")
        pieces = b""
        while len(pieces) <= last - first:
            block = answer.read(last - first + 1 - len(pieces))
            if not block:
                raise Fault(f"the connection was cut after {len(pieces)} of {last - first + 1} bytes")
            pieces += block
        return pieces


def _asked(url: str, transport: Transport, link: Link, headers: dict[str, str]) -> Answer:
    """Send a request, again and again while the server is busy."""
    n_failures = 0
    while True:
        link.raise_if_stopped()
        try:
            answer = transport.get(url, headers)
            link.reached.set()
            return answer
        except Fault as fault:
            n_failures += 1
            link.wait(n_failures, fault, url)


def _ask(url: str, transport: Transport, link: Link, first: int, last: int, version: RemoteVersion | None) -> Answer:
    """Ask for a span; gives a partial answer and nothing else."""
    headers = {"Range": f"bytes={first}-{last}"}
    if version is not None and version.validator is not None:
        headers["If-Range"] = version.validator
    answer = _asked(url, transport, link, headers)
    if answer.status == 206:
        return answer
    with answer:
        found = RemoteVersion.of(answer, answer.length)
        if version is not None and (answer.status == 416 or (answer.status == 200 and not version.is_same(found))):
            raise _changed(url, version, found)
        if answer.status == 200:
            raise DataError(
                f"{url}: the server sends the whole file ({found}) where a few bytes were asked for, so single "
                "recordings cannot be fetched from it; use another mirror"
            )
        raise DataError(refusal(url, answer.status))


def _changed(url: str, expected: RemoteVersion, found: RemoteVersion) -> DataError:
    return DataError(
        f"{url}: expected {expected}, the server now has {found}; the file has changed: run the same command again to "
        "make a new index, with a new folder where recordings were already fetched"
    )
