"""Checksums that servers and manifests state, compared with what lies on the disk."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emgpose.download.transport import Answer

_BLOCK_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Checksum:
    """A checksum that a file must have.

    Parameters
    ----------
    algorithm : str
        `sha256`, `md5`, or `git`: the SHA-1 by which git names a file's content.
    value : str
        Hexadecimal, lower case.
    """

    algorithm: str
    value: str


def stated_by(answer: Answer) -> Checksum | None:
    """Find the checksum that an S3 server states of a whole object.

    An ETag is the MD5 only of objects that came in one part and are encrypted by S3 itself or not at all; a dash in it
    tells of several parts.
    """
    etag = (answer.header("ETag") or "").strip('"').lower()
    is_plain = (answer.header("x-amz-server-side-encryption") or "AES256") == "AES256"
    has_own_key = answer.header("x-amz-server-side-encryption-customer-algorithm") is not None
    is_s3 = (answer.header("Server") or "") == "AmazonS3"
    if is_s3 and is_plain and not has_own_key and re.fullmatch(r"[0-9a-f]{32}", etag):
        return Checksum("md5", etag)
    return None


def parse_sidecar(text: str) -> Checksum | None:
    """Read a `.sha256` file as `sha256sum` writes it; None where it is something else."""
    match = re.match(r"\\?([0-9a-fA-F]{64})(?:\s|$)", text)
    return Checksum("sha256", match[1].lower()) if match else None


def digests(path: Path, algorithms: set[str]) -> dict[str, str]:
    """Hash a file, read once.

    Returns
    -------
    dict from algorithm to hexadecimal digest; `sha256` is always there.
    """
    makers = {
        "sha256": hashlib.sha256(),
        "md5": hashlib.md5(usedforsecurity=False),
        "git": hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False),
    }
    chosen = {name: maker for name, maker in makers.items() if name in algorithms or name == "sha256"}
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            for maker in chosen.values():
                maker.update(block)
    return {name: maker.hexdigest() for name, maker in chosen.items()}
