"""Single recordings out of the full data set's archive of 431 GiB."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emgpose.download.contents import metadata_fault
from emgpose.download.desk import Desk, hdf5_fault
from emgpose.download.link import GivenUp
from emgpose.download.many import fetch_many
from emgpose.download.present_table import require_replaceable, write_table_of_present
from emgpose.download.remote_file import probe
from emgpose.download.remote_version import RemoteVersion
from emgpose.download.selection import choose_recordings
from emgpose.download.sources import METADATA_FILE
from emgpose.download.tar_index import TarIndex
from emgpose.download.tar_member import TarMember
from emgpose.download.transport import Transport
from emgpose.download.unpacking import safe_parts
from emgpose.download.wanted import Wanted
from emgpose.errors import ConfigError, DataError
from emgpose.recording.metadata import read_metadata

# What one header costs: the span that is read, and what two messages of HTTP need around it.
_REQUEST_BYTES: Final = 1536 + 1024


@dataclass(frozen=True)
class Choice:
    """Which recordings of the full data set are wanted.

    Parameters
    ----------
    where : str or None
        A query over the metadata table.
    users, stages : int or None
    everything : bool
        Whether all of them are wanted; needed where nothing else is said.
    """

    where: str | None = None
    users: int | None = None
    stages: int | None = None
    everything: bool = False

    @property
    def is_narrow(self) -> bool:
        """Whether it asks for a part."""
        return any(value is not None for value in (self.where, self.users, self.stages))

    def require_decided(self) -> None:
        """Refuse to fetch 431 GiB by accident.

        Raises
        ------
        ConfigError : nothing is said, or everything and a part of it.
        """
        if self.everything and self.is_narrow:
            raise ConfigError("--all: everything is asked for, and a part of it; leave one of the two out")
        if not self.everything and not self.is_narrow:
            raise ConfigError(
                "full: that would be 25,253 recordings, 431 GiB; say which ones with --where, --users or --stages, or "
                "--all for all of them"
            )


def fetch_recordings(
    desk: Desk,
    base_url: str,
    archive: str,
    choice: Choice,
    index_path: Path,
    connections: int,
    on_walk: Callable[[int, int], None],
) -> list[str]:
    """Fetch chosen recordings, and write a metadata.csv of those that are there.

    Parameters
    ----------
    desk : Desk
    base_url : str
    archive : str
        Name of the tar archive below the base.
    choice : Choice
    index_path : Path
        Where the archive's index is kept.
    connections : int
        How many files are fetched at once.
    on_walk : callable (known bytes, bytes of the archive)
        Progress of the index.

    Returns
    -------
    list of str
        Names of wanted recordings that the archive does not hold.

    Raises
    ------
    ConfigError, SplitError : the choice is impossible.
    DataError : the archive cannot be read, has changed, or holds none of the recordings.
    """
    choice.require_decided()
    url = f"{base_url}{archive}"
    with Transport(desk.link.stall_s) as transport:
        table_path = desk.fetch_whole(
            Wanted(f"{base_url}{METADATA_FILE}", desk.out / METADATA_FILE, check_content=metadata_fault), transport
        )
        require_replaceable(desk.out, table_path)
        table = read_metadata(table_path)
        rows = choose_recordings(table, where=choice.where, users=choice.users, stages=choice.stages)
        try:
            version = probe(url, transport, desk.link)
        except GivenUp as error:
            return _as_fetched(desk, table_path, list(rows["filename"]), error)
    stems = [_stem(name) for name in table["filename"]]
    if len(set(stems)) < len(stems):
        raise DataError(f"{table_path}: two rows name the same recording in different folders; it cannot be told apart")
    members = _index(desk, url, version, index_path, len(table), connections, on_walk)
    place_of = _by_stem(members, archive)
    missing = [name for name in rows["filename"] if _stem(name) not in place_of]
    wanted = [
        _wanted(desk.out, url, version, name, place_of[_stem(name)])
        for name in rows["filename"]
        if _stem(name) in place_of
    ]
    if not wanted:
        raise DataError(f"{url}: holds none of the {len(rows)} recordings that are asked for; look at --where")
    try:
        fetch_many(desk, wanted, connections, "recordings")
    finally:
        _write_table(desk.out, table_path, {item.target: item.size_bytes for item in wanted})
    return missing


def _as_fetched(desk: Desk, table_path: Path, filenames: list[str], error: GivenUp) -> list[str]:
    """Do without the server where all recordings are there.

    Raises
    ------
    GivenUp : some are not.
    """
    targets = [_target(desk.out, filename) for filename in filenames]
    n_there = sum(map(desk.holds, targets))
    if n_there < len(targets):
        raise GivenUp(f"{error}; {n_there} of {len(targets)} recordings are there", error.fault) from error
    desk.listener.on_notice(
        f"all {len(targets)} recordings are there as they were fetched; the server cannot be asked whether it has "
        f"newer ones ({error.fault})"
    )
    desk.tally.n_there += n_there
    _write_table(desk.out, table_path, {})
    return []


def _index(
    desk: Desk,
    url: str,
    version: RemoteVersion,
    path: Path,
    n_expected: int,
    connections: int,
    on_walk: Callable[[int, int], None],
) -> list[TarMember]:
    index = TarIndex(path, url, version)
    if index.was_outdated:
        desk.listener.on_notice(f"{path}: was of another version of {url}; it is made again")
    total = version.size_bytes or 0
    known = index.known_bytes
    if known < total:
        left = n_expected * (1 - known / total)
        # Entering the archive at a place means searching half a member for the next header.
        n_bytes = left * _REQUEST_BYTES + (connections - 1) * total / n_expected / 2
        desk.listener.on_notice(
            f"index of {total / 2**30:.1f} GiB: one request a member, about {left:,.0f} requests and "
            f"{n_bytes / 2**20:.1f} MiB, once: it is kept in {path}"
        )
    lock = threading.Lock()

    def on_bytes(n_bytes: int) -> None:
        nonlocal known
        with lock:
            known += n_bytes
            on_walk(known, total)

    return index.complete(desk.link, connections, on_bytes)


def _by_stem(members: list[TarMember], archive: str) -> dict[str, TarMember]:
    place_of: dict[str, TarMember] = {}
    for member in members:
        if member.kind != "file" or not member.name.endswith(".hdf5"):
            continue
        stem = safe_parts(member.name, archive)[-1].removesuffix(".hdf5")
        if stem in place_of:
            raise DataError(f"{archive}: holds two recordings named {stem!a}; which one is meant cannot be told")
        place_of[stem] = member
    return place_of


def _stem(filename: str) -> str:
    return filename.replace("\\", "/").rsplit("/", 1)[-1]


def _target(out: Path, filename: str) -> Path:
    return out.joinpath(*f"{filename}.hdf5".replace("\\", "/").split("/"))


def _wanted(out: Path, url: str, version: RemoteVersion, filename: str, member: TarMember) -> Wanted:
    return Wanted(
        url,
        _target(out, filename),
        start=member.data_offset,
        size_bytes=member.size_bytes,
        version=version,
        check_content=hdf5_fault,
    )


def _write_table(out: Path, table_path: Path, sizes: dict[Path, int | None]) -> None:
    """Write the table of the recordings that are there; those just asked for must have the size that they should."""

    def is_present(filename: str) -> bool:
        path = _target(out, filename)
        return path.is_file() and sizes.get(path) in (None, path.stat().st_size)

    write_table_of_present(out, table_path, is_present)
