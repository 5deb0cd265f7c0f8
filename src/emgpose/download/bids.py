"""The BIDS edition (NEMAR nm000281): files listed in a manifest, fetched one by one.

The manifest of a version lies in NEMAR's public bucket at `version/vX.Y.Z.json`; recordings lie at `objects/KEY`, named
by their checksum; small text files lie in the data set's git repository, at the address that the manifest names.

Source: NEMAR documentation, "Data API" and "Access Policies" (github.com/nemarOrg/nemar-cli, docs/).
"""

import json
import re
from pathlib import Path
from typing import Any, Final

from emgpose.download.checksums import Checksum
from emgpose.download.desk import Desk
from emgpose.download.many import fetch_many
from emgpose.download.members import Choice
from emgpose.download.present_table import require_replaceable, write_table_of_present
from emgpose.download.transport import Transport, checked_url, is_encrypted
from emgpose.download.unpacking import safe_parts
from emgpose.download.wanted import Wanted
from emgpose.errors import ConfigError, DataError, SplitError
from emgpose.recording.bids import METADATA_FILE
from emgpose.recording.metadata import read_metadata, session_path

HOW_ELSE: Final = "datalad clone https://github.com/nemarDatasets/nm000281 && cd nm000281 && datalad get sub-*"
_LENGTHS: Final = {"sha256": 64, "md5": 32, "git": 40}
# The manifest of 25,253 recordings has 43 MB; ten times that is no manifest.
_MAX_MANIFEST_BYTES: Final = 512 << 20


def fetch_bids(desk: Desk, base_url: str, manifest: str, choice: Choice, connections: int) -> None:
    """Fetch the BIDS edition, or the first users of it, with the files that belong to all.

    Parameters
    ----------
    desk : Desk
    base_url : str
    manifest : str
        Below the base.
    choice : Choice
        `users` takes the first ones in the order of their names.
    connections : int
        How many files are fetched at once.

    Raises
    ------
    ConfigError : the choice has something that the manifest cannot answer.
    DataError : something cannot be fetched, or the manifest is not understood.
    """
    require_decided_for_bids(choice)
    wanted = Wanted(f"{base_url}{manifest}", desk.out / "nemar_manifest.json", check_content=_manifest_fault)
    try:
        with Transport(desk.link.stall_s) as transport:
            path = desk.fetch_whole(wanted, transport)
    except DataError as error:
        raise DataError(f"{error}; or get this edition with: {HOW_ELSE}") from error
    entries = _chosen(_files(path), choice.users)
    files = [_wanted(desk.out, base_url, name, entry) for name, entry in entries.items()]
    table_path = desk.out / METADATA_FILE
    if table_path.is_file():
        require_replaceable(table_path.parent, table_path)
    try:
        fetch_many(desk, files, connections, "files")
    finally:
        _write_table(desk, table_path)


def _write_table(desk: Desk, table_path: Path) -> None:
    """Write the table of the recordings that are there, so that those not asked for are not missed."""
    try:
        table = read_metadata(table_path)
        rows = table.to_dict("records")
        present = {str(row["filename"]) for row in rows if session_path(table_path, row).is_file()}
        require_replaceable(table_path.parent, table_path)
        write_table_of_present(table_path.parent, table_path, present.__contains__)
    except (DataError, OSError) as error:
        desk.listener.on_notice(f"no table of the recordings that are there was made: {error}")


def require_decided_for_bids(choice: Choice) -> None:
    """Refuse to fetch 340 GB by accident, or by a query that the manifest cannot answer.

    Raises
    ------
    ConfigError
    """
    if choice.where is not None or choice.stages is not None:
        raise ConfigError(
            "bids: --where and --stages need the metadata table, whose rows name no file of this edition; use --users, "
            "or the HDF5 edition (emgpose download full)"
        )
    if choice.everything == (choice.users is not None):
        raise ConfigError("bids: about 340 GB; say how many users with --users, or --all for all of them")


def _manifest_fault(path: Path) -> str | None:
    if path.stat().st_size > _MAX_MANIFEST_BYTES:
        return "expected a manifest, what came is too large for one"
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        content = None
    files = content.get("files") if isinstance(content, dict) else None
    return None if isinstance(files, dict) and files else "expected a NEMAR manifest with files, what came has none"


def _files(path: Path) -> dict[str, dict[str, Any]]:
    files: dict[str, dict[str, Any]] = json.loads(path.read_bytes())["files"]
    return files


def _chosen(files: dict[str, dict[str, Any]], users: int | None) -> dict[str, dict[str, Any]]:
    subjects = sorted({name.split("/")[0] for name in files if re.match(r"sub-[^/]+/", name)})
    if users is not None and not 1 <= users <= len(subjects):
        raise SplitError(f"--users {users}: expected 1 to {len(subjects)}, as many as the manifest has")
    of_user = set(subjects[:users])
    return {
        name: entry
        for name, entry in sorted(files.items())
        if "/" not in name or name == METADATA_FILE or name.split("/")[0] in of_user
    }


def _wanted(out: Path, base_url: str, name: str, entry: dict[str, Any]) -> Wanted:
    where = f"manifest, {name[:120]!a}"
    try:
        key, size, checksum, url = (entry[field] for field in ("key", "size", "checksum", "bytes_url"))
        algorithm, _, value = str(checksum).partition(":")
        is_good = isinstance(size, int) and size >= 0 and isinstance(key, str) and isinstance(url, str)
    except (KeyError, TypeError):
        is_good, algorithm, value, key, size, url = False, "", "", "", 0, ""
    if not is_good or not re.fullmatch(rf"[0-9a-f]{{{_LENGTHS.get(algorithm, 0)}}}", value) or not value:
        raise DataError(f"{where}: expected key, size, checksum and bytes_url; get this edition with: {HOW_ELSE}")
    if not key.startswith("git:"):
        if not re.fullmatch(r"[A-Za-z0-9._-]+", key):
            raise DataError(f"{where}: {key[:80]!a} is no key; get this edition with: {HOW_ELSE}")
        url = f"{base_url}objects/{key}"
    elif is_encrypted(base_url) and not is_encrypted(url):
        raise DataError(f"{where}: {url[:80]!a} is not encrypted; refused")
    target = out.joinpath(*safe_parts(name, "manifest"))
    return Wanted(checked_url(url), target, size_bytes=size, checksum=Checksum(algorithm, value))
