"""One file, or one span of a remote file, fetched to the last byte whatever the connection does."""

import errno
import time
from typing import Final

from emgpose.download.bookkeeping import Receipt
from emgpose.download.checksums import Checksum, digests, stated_by
from emgpose.download.link import LEAST_BYTES, Fault, Link
from emgpose.download.partial_file import PartialFile
from emgpose.download.remote_version import RemoteVersion
from emgpose.download.transport import Answer, Transport
from emgpose.download.wanted import Listener, Wanted, refusal, require_free
from emgpose.errors import DataError

_CHUNK_BYTES: Final = 1 << 18
_MAX_BEGINNINGS: Final = 4
# A kill costs at most what a slow connection brought in this time.
_SYNC_S: Final = 2.0


def fetch(wanted: Wanted, transport: Transport, link: Link, listener: Listener) -> tuple[PartialFile, Receipt]:
    """Fetch a file, going on where an earlier attempt ended.

    Returns
    -------
    part : PartialFile
        Call its `clean_up` once the receipt is written down.
    receipt : Receipt
        With the target's own name as path.

    Raises
    ------
    DataError : the server does not have it, has another version than asked for, sends something else than it states,
        or fails again and again; the disk is full; or a file that emgpose did not write has the name of the unfinished
        one. What has come is kept where it is good.
    """
    transfer = _Transfer(wanted, transport, link, listener)
    try:
        sha256 = transfer.run()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                f"{wanted.target}: the disk is full; what has come is kept: make room and run the same command again"
            ) from error
        raise
    version = transfer.part.version or RemoteVersion(None, None, None)
    n_bytes = transfer.part.n_bytes
    remote_bytes = n_bytes if version.size_bytes is None else version.size_bytes
    receipt = Receipt(
        wanted.target.name,
        wanted.url,
        version.etag,
        version.last_modified,
        remote_bytes,
        wanted.start,
        n_bytes,
        sha256,
    )
    return transfer.part, receipt


class _Changed(Exception):  # noqa: N818
    """The remote file is another one than before."""

    def __init__(self, version: RemoteVersion | None) -> None:
        super().__init__()
        self.version = version


class _Transfer:
    def __init__(self, wanted: Wanted, transport: Transport, link: Link, listener: Listener) -> None:
        self._wanted, self._transport, self._link, self._listener = wanted, transport, link, listener
        self.part = PartialFile(wanted.target, wanted.start)
        self.part.require_ours()
        if wanted.version is not None and self.part.version is not None:
            if not wanted.version.is_same(self.part.version):
                self.part.begin_again(None)
        elif self.part.version is not None and self.part.n_bytes == self.part.version.size_bytes:
            self.part.n_bytes -= 1  # asking for the last byte again tells whether the server still has this version
        self._stated: Checksum | None = wanted.checksum
        self._announced_bytes = 0
        self._is_complete = False
        self._beginnings = 0

    def run(self) -> str:
        self._listener.on_bytes(self.part.n_bytes)
        while True:
            self._fetch_all()
            sha256 = self._checked_sha256()
            if sha256 is not None:
                self.part.finish(sha256)
                return sha256
            self._begin_again(None, "what came does not have the checksum that is stated")

    def _fetch_all(self) -> None:
        furthest, n_failures = self.part.n_bytes, 0
        while not self._is_complete:
            self._link.raise_if_stopped()
            try:
                self._attempt()
            except _Changed as change:
                self._begin_again(change.version, "the file on the server has changed")
                furthest = 0
            except Fault as fault:
                has_come_on = self.part.n_bytes >= furthest + LEAST_BYTES
                n_failures = 1 if has_come_on else n_failures + 1
                furthest = self.part.n_bytes if has_come_on else furthest
                self._link.wait(n_failures, fault, self._wanted.url)

    def _begin_again(self, version: RemoteVersion | None, why: str) -> None:
        self._beginnings += 1
        if self._beginnings >= _MAX_BEGINNINGS:
            self.part.begin_again(None)
            raise DataError(
                f"{self._wanted.url}: {why}, {self._beginnings} times in a row; nothing was kept: try again later, or "
                "another mirror"
            )
        self._notice(f"{why}; it begins again")
        self._reset(version)

    def _notice(self, text: str) -> None:
        self._listener.on_notice(f"{self._wanted.target.name}: {text}")

    def _reset(self, version: RemoteVersion | None) -> None:
        self._listener.on_bytes(-self.part.n_bytes)
        self._is_complete = False
        self.part.begin_again(version)

    def _attempt(self) -> None:
        wanted = self._wanted
        if wanted.is_span and self.part.n_bytes == wanted.size_bytes:
            self.part.open().close()
            self._is_complete = True
            return
        if self.part.n_bytes and (self.part.version is None or self.part.version.validator is None):
            self._notice("the server gives no ETag or date to go on by; it begins again")
            self._reset(None)
        first = wanted.start + self.part.n_bytes
        last = "" if wanted.size_bytes is None or not wanted.is_span else wanted.start + wanted.size_bytes - 1
        headers = {"Range": f"bytes={first}-{last}"}
        version = wanted.version or self.part.version
        if version is not None and version.validator is not None and first:
            headers["If-Range"] = version.validator
        with self._transport.get(wanted.url, headers) as answer:
            self._link.reached.set()
            if answer.status == 206:
                self._read_body(answer, self._range_end(answer, first) - wanted.start)
            elif answer.status == 200:
                self._read_body(answer, self._whole(answer))
            elif answer.status == 416:
                self._at_end(answer)
            else:
                raise DataError(refusal(wanted.url, answer.status))

    def _range_end(self, answer: Answer, first: int) -> int:
        """Check a partial answer; gives the end of what it sends, in the remote file."""
        got_first, got_last, total = answer.content_range()
        if got_first != first or got_last is None or total is None or not first <= got_last < total:
            raise Fault(
                f"the server sends {str(answer.header('Content-Range'))[:80]!a} where byte {first} was asked for"
            )
        if answer.length is not None and answer.length != got_last + 1 - first:
            raise Fault(f"the server announces {answer.length} bytes and, in the same answer, {got_last + 1 - first}")
        self._take_version(answer, RemoteVersion.of(answer, total))
        return got_last + 1

    def _whole(self, answer: Answer) -> int | None:
        """Check an answer that brings the file from its beginning; gives its size, None where only its end tells."""
        version = RemoteVersion.of(answer, answer.length)
        if self._wanted.is_span:
            self._take_version(answer, version)
            raise DataError(
                f"{self._wanted.url}: the server sends the whole file ({version}) where a part was asked for, so "
                "single recordings cannot be fetched from it; use another mirror"
            )
        if answer.length is None and not answer.is_chunked:
            raise DataError(
                f"{self._wanted.url}: the server does not say how long the file is, so a cut would not be noticed; use "
                "another mirror"
            )
        if self.part.n_bytes:
            before = self.part.version
            if before is not None and before.validator is not None and before.validator != version.validator:
                raise _Changed(version)
            self._notice("the server cannot go on in the middle; it begins again")
            self._reset(version)
        self._take_version(answer, version)
        return answer.length

    def _take_version(self, answer: Answer, version: RemoteVersion) -> None:
        wanted = self._wanted
        if wanted.version is not None and not wanted.version.is_same(version):
            raise DataError(
                f"{wanted.url}: expected the version that the index was made of ({wanted.version}), the server has "
                f"{version}; the file has changed: fetch into a new folder"
            )
        if wanted.size_bytes is not None and not wanted.is_span and version.size_bytes not in (None, wanted.size_bytes):
            raise DataError(
                f"{wanted.url}: expected {wanted.size_bytes} bytes as listed, the server has {version.size_bytes}; the "
                "list and the file do not belong together: try again later"
            )
        if self.part.n_bytes and self.part.version is not None and not self.part.version.is_same(version):
            raise _Changed(version)
        self.part.version = version
        if not wanted.is_span:
            self._stated = wanted.checksum or stated_by(answer)
        size = wanted.size_bytes if wanted.is_span else version.size_bytes
        if size is not None and size != self._announced_bytes:
            require_free(wanted.target.parent, int(wanted.room * size) - self.part.n_bytes)
            if wanted.size_bytes is None:
                self._listener.on_total(size - self._announced_bytes)
            self._announced_bytes = size

    def _at_end(self, answer: Answer) -> None:
        """Understand "nothing lies there": the file is empty, or another one than it was."""
        total = answer.content_range()[2]
        if self._wanted.is_span:
            raise DataError(
                f"{self._wanted.url}: the server says that nothing lies at the place that the index names; the "
                "file has changed: fetch into a new folder"
            )
        if self.part.n_bytes or total != 0:
            raise _Changed(None)
        self._take_version(answer, RemoteVersion.of(answer, 0))
        self.part.open().close()
        self._is_complete = True

    def _read_body(self, answer: Answer, end: int | None) -> None:
        part, link = self.part, self._link
        listed = None if self._wanted.is_span else self._wanted.size_bytes
        # Where only the end tells, one byte more than listed is enough to know.
        stop = end if end is not None or listed is None else listed + 1
        synced_at_s = time.monotonic()
        with part.open() as file:
            try:
                while stop is None or part.n_bytes < stop:
                    link.raise_if_stopped()
                    block = answer.read(_CHUNK_BYTES if stop is None else min(_CHUNK_BYTES, stop - part.n_bytes))
                    if not block:
                        break
                    file.write(block)
                    file.flush()
                    part.n_bytes += len(block)
                    self._listener.on_bytes(len(block))
                    if part.unsynced_bytes >= link.sync_bytes or time.monotonic() - synced_at_s >= _SYNC_S:
                        part.sync(file)
                        synced_at_s = time.monotonic()
            finally:
                part.sync(file)
        if end is not None and part.n_bytes < end:
            raise Fault(f"the connection was cut after {part.n_bytes} of {end} bytes")
        if end is None and listed is not None and part.n_bytes != listed:
            came = f"{part.n_bytes}" if part.n_bytes < listed else "more"
            part.begin_again(None)
            raise DataError(f"{self._wanted.url}: expected {listed} bytes as listed, {came} came; nothing was kept")
        total = self._wanted.size_bytes
        if total is None and part.version is not None:
            total = part.version.size_bytes
        self._is_complete = total is None or part.n_bytes == total

    def _checked_sha256(self) -> str | None:
        """Hash what lies on the disk; None where it is not what is stated."""
        wanted, path = self._wanted, self.part.path
        stated = self._stated
        found = digests(path, {stated.algorithm} if stated else set())
        if stated is not None and found[stated.algorithm] != stated.value:
            return None
        fault = wanted.check_content(path) if wanted.check_content is not None else None
        if fault is not None:
            self.part.begin_again(None)
            raise DataError(f"{wanted.url}: {fault}; nothing was kept: check --base-url and the network in between")
        return found["sha256"]
