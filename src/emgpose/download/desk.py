"""The output folder at work: what is there already, what must be fetched, and what is written down of it."""

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from emgpose.download.bookkeeping import Receipt, Receipts
from emgpose.download.checksums import Checksum, digests, parse_sidecar
from emgpose.download.link import GivenUp, Link
from emgpose.download.partial_file import PartialFile
from emgpose.download.remote_file import current_version, small_text
from emgpose.download.remote_version import RemoteVersion
from emgpose.download.transfer import fetch
from emgpose.download.transport import Transport
from emgpose.download.unpacking import unpack
from emgpose.download.wanted import Listener, Wanted
from emgpose.errors import DataError

_HDF5_MAGIC: Final = b"\x89HDF\r\n\x1a\n"


@dataclass
class Tally:
    """What a download did.

    Parameters
    ----------
    n_fetched, n_there : int
        Files fetched now, and files that were there already.
    fetched_bytes : int
    """

    n_fetched: int = 0
    n_there: int = 0
    fetched_bytes: int = 0


class Desk:
    """Fetches files into an output folder, each at most once.

    Parameters
    ----------
    out : Path
        Locked by the caller.
    link : Link
    listener : Listener

    Raises
    ------
    DataError : the receipts in the folder are damaged.
    """

    def __init__(self, out: Path, link: Link, listener: Listener) -> None:
        self.out, self.link, self.listener = out, link, listener
        self.receipts = Receipts(out)
        self.tally = Tally()
        self._lock = threading.Lock()

    def fetch_whole(self, wanted: Wanted, transport: Transport) -> Path:
        """Fetch a whole file, unless this version of it is there.

        Raises
        ------
        DataError : it cannot be fetched, or a file that emgpose did not fetch is in its place.
        """
        receipt = self._receipt_of(wanted)
        if receipt is not None and not self._is_outdated(wanted, receipt, transport):
            self.tally.n_there += 1
            return wanted.target
        PartialFile(wanted.target, wanted.start).require_ours()
        self._fetch(replace(wanted, checksum=wanted.checksum or self._sidecar(wanted.url, transport)), transport)
        return wanted.target

    def fetch_listed(self, wanted: Wanted, transport: Transport) -> None:
        """Fetch what `is_there` does not find: a file of known size, or a span of a remote one; for several threads.

        Raises
        ------
        DataError : it cannot be fetched, or something else is in its place.
        """
        self._receipt_of(wanted)
        self._fetch(wanted, transport)

    def is_there(self, wanted: Wanted) -> bool:
        """Whether a file of known size is there: fetched earlier, or one of its name and size from elsewhere.

        Raises
        ------
        DataError : it was fetched from another version of the remote file.
        """
        if not wanted.target.is_file() or wanted.target.stat().st_size != wanted.size_bytes:
            return False
        self._settle(wanted)
        receipt = self.receipts.get(self._name(wanted.target))
        if receipt is not None and wanted.version is not None:
            version = RemoteVersion(receipt.remote_bytes, receipt.etag, receipt.last_modified)
            if not wanted.version.is_same(version):
                raise DataError(
                    f"{wanted.target}: was fetched from another version of the archive ({version}) than the server has "
                    f"now ({wanted.version}); fetch into a new folder, so that the two are not mixed"
                )
            return receipt.size_bytes == wanted.size_bytes
        if wanted.checksum is not None and not _has(wanted.target, wanted.checksum, receipt):
            return False
        return wanted.check_content is None or wanted.check_content(wanted.target) is None

    def holds(self, target: Path) -> bool:
        """Whether a file lies there with the size that its receipt states."""
        receipt = self.receipts.get(self._name(target))
        return receipt is not None and target.is_file() and target.stat().st_size == receipt.size_bytes

    def fetch_and_unpack(self, wanted: Wanted, transport: Transport) -> list[Path]:
        """Fetch an archive, unpack it beside itself and remove it, unless this version of it was unpacked.

        Returns
        -------
        list of Path
            The unpacked files.

        Raises
        ------
        DataError : it cannot be fetched or unpacked.
        """
        receipt = self.receipts.get(self._name(wanted.target))
        if receipt is not None and receipt.unpacked is not None and not wanted.target.exists():
            files = [self.out / name for name in receipt.unpacked]
            is_whole = all(file.is_file() for file in files)
            if is_whole and not self._is_outdated(wanted, receipt, transport):
                self.tally.n_there += len(files)
                return files
        self.fetch_whole(wanted, transport)
        self.listener.on_notice(f"unpacking {wanted.target.name}")
        files = unpack(wanted.target, self.out)
        fetched = self.receipts.get(self._name(wanted.target))
        if fetched is not None:
            self.receipts.add(replace(fetched, unpacked=[self._name(file) for file in files]))
        wanted.target.unlink()
        return files

    def _fetch(self, wanted: Wanted, transport: Transport) -> None:
        part, receipt = fetch(wanted, transport, self.link, self.listener)
        self.receipts.add(replace(receipt, path=self._name(wanted.target)))
        part.clean_up()
        with self._lock:
            self.tally.n_fetched += 1
            self.tally.fetched_bytes += receipt.size_bytes

    def _receipt_of(self, wanted: Wanted) -> Receipt | None:
        """Find what is known of a file that is there; None where there is no file."""
        if not wanted.target.exists():
            return None
        self._settle(wanted)
        receipt = self.receipts.get(self._name(wanted.target))
        if receipt is not None and receipt.sha256 == digests(wanted.target, set())["sha256"]:
            return receipt
        raise DataError(
            f"{wanted.target}: is there already, but is not what emgpose fetched; nothing is overwritten: move it "
            "away, or choose another folder"
        )

    def _settle(self, wanted: Wanted) -> None:
        """Write the receipt, and remove the state file, where a kill came between the last steps of a file."""
        part = PartialFile(wanted.target, wanted.start)
        finished = part.finished()
        if finished is None or finished[1] != digests(wanted.target, set())["sha256"]:
            return
        version, sha256 = finished
        size = wanted.target.stat().st_size
        receipt = Receipt(
            self._name(wanted.target),
            wanted.url,
            version.etag,
            version.last_modified,
            size if version.size_bytes is None else version.size_bytes,
            wanted.start,
            size,
            sha256,
        )
        known = self.receipts.get(receipt.path)
        if known is None or replace(known, unpacked=None) != receipt:
            self.receipts.add(receipt)
        part.clean_up()

    def _is_outdated(self, wanted: Wanted, receipt: Receipt, transport: Transport) -> bool:
        try:
            version = current_version(wanted.url, transport, replace(self.link, attempts=1))
        except GivenUp as error:
            self.listener.on_notice(
                f"{wanted.target.name}: is there as it was fetched; the server cannot be asked whether it has a newer "
                f"one ({error.fault})"
            )
            return False
        before = RemoteVersion(receipt.remote_bytes, receipt.etag, receipt.last_modified)
        # Without an ETag or a date, nothing says that it has changed but its size.
        is_same = version.validator == before.validator and version.size_bytes in (None, before.size_bytes)
        if not is_same:
            self.listener.on_notice(
                f"{wanted.target.name}: the file on the server has changed since it was fetched ({before}; "
                f"now {version}); it is fetched again"
            )
        return not is_same

    def _sidecar(self, url: str, transport: Transport) -> Checksum | None:
        text = small_text(f"{url}.sha256", transport, self.link)
        return None if text is None else parse_sidecar(text)

    def _name(self, path: Path) -> str:
        return path.relative_to(self.out).as_posix()


def _has(path: Path, checksum: Checksum, receipt: Receipt | None) -> bool:
    """Whether a file has a checksum; a receipt saves reading it."""
    if receipt is not None and checksum.algorithm == "sha256":
        return receipt.sha256 == checksum.value
    return digests(path, {checksum.algorithm})[checksum.algorithm] == checksum.value


def hdf5_fault(path: Path) -> str | None:
    """Say what keeps a file from being opened as HDF5; None where it opens."""
    with path.open("rb") as file:
        first = file.read(len(_HDF5_MAGIC))
    if first != _HDF5_MAGIC:
        return f"expected an HDF5 file, what came begins with {first!a}"
    import h5py

    try:
        h5py.File(path, "r").close()
    except (OSError, RuntimeError, ValueError) as error:
        return f"expected an HDF5 file, what came cannot be opened: {' '.join(str(error).split())[:160]}"
    return None
