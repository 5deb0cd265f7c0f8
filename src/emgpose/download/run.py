"""`emgpose download`: from the name of a source to the files in a folder."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from emgpose.download.bids import fetch_bids, require_decided_for_bids
from emgpose.download.bookkeeping import FOLDER, locked
from emgpose.download.contents import gzip_fault, hand_model_fault, metadata_fault, tar_fault
from emgpose.download.desk import Desk, Tally
from emgpose.download.link import Link
from emgpose.download.members import Choice, fetch_recordings
from emgpose.download.mini_table import add_mini_table
from emgpose.download.sources import Source, source_of
from emgpose.download.transport import Transport
from emgpose.download.wanted import Listener, Wanted
from emgpose.errors import ConfigError

MAX_CONNECTIONS: Final = 32
_CHECKS: Final = {
    "mini": tar_fault,
    "checkpoints": gzip_fault,
    "metadata": metadata_fault,
    "hand-model": hand_model_fault,
}


@dataclass(frozen=True)
class Outcome:
    """What a download left behind.

    Parameters
    ----------
    what : str
    out : Path
    data : Path
        The file, or the folder that `emgpose check`, `train` and `evaluate` take.
    tally : Tally
    missing : list of str
        Recordings asked for that the archive does not hold.
    """

    what: str
    out: Path
    data: Path
    tally: Tally
    missing: list[str]


def download(
    what: str,
    out: Path,
    *,
    choice: Choice | None = None,
    base_url: str | None = None,
    index: Path | None = None,
    connections: int = 4,
    link: Link | None = None,
    listener: Listener | None = None,
    on_walk: Callable[[int, int], None] = lambda known, total: None,
) -> Outcome:
    """Download a part of emg2pose; call it again to go on after any interruption.

    Parameters
    ----------
    what : str
        `mini`, `full`, `metadata`, `checkpoints`, `hand-model` or `bids`.
    out : Path
        Created if need be. Nothing that emgpose did not write is overwritten there.
    choice : Choice, optional
        What of `full` or `bids`; others take none.
    base_url : str, optional
        A mirror, instead of the published address.
    index : Path, optional
        Where the index of the full archive is kept; by default in `out`.
    connections : int
        How many requests are under way at once, for `full` and `bids`.
    link : Link, optional
        How patiently the server is spoken to; its `on_wait` becomes the listener's `on_notice`.
    listener : Listener, optional
    on_walk : callable (known bytes, all bytes)
        Progress of the index of the full archive.

    Returns
    -------
    Outcome

    Raises
    ------
    ConfigError : an option is impossible, or changes nothing here.
    SplitError : the choice finds nothing.
    DataError : the download failed; what has come is kept wherever it is good.
    """
    source, choice = source_of(what), choice or Choice()
    require_sensible(source, choice, index, connections)
    base = source.at(base_url)
    with locked(out):
        listener = listener or Listener()
        desk = Desk(out, replace(link or Link(), on_wait=listener.on_notice, reached=threading.Event()), listener)
        missing: list[str] = []
        data = out
        if what == "full":
            place = index or out / FOLDER / f"{source.file}.index.jsonl"
            missing = fetch_recordings(desk, base, source.file, choice, place, connections, on_walk)
        elif what == "bids":
            fetch_bids(desk, base, source.file, choice, connections)
        else:
            data = _fetch_one(desk, source, base)
        return Outcome(what, out, data, desk.tally, missing)


def require_sensible(source: Source, choice: Choice, index: Path | None, connections: int) -> None:
    """Refuse options that are impossible or change nothing, before anything is written.

    Raises
    ------
    ConfigError
    """
    if not 1 <= connections <= MAX_CONNECTIONS:
        raise ConfigError(f"--connections {connections}: expected 1 to {MAX_CONNECTIONS}")
    for option, count in (("--users", choice.users), ("--stages", choice.stages)):
        if count is not None and count < 1:
            raise ConfigError(f"{option} {count}: expected at least 1")
    if source.name not in ("full", "bids") and (choice.is_narrow or choice.everything):
        raise ConfigError(
            f"{source.name}: comes whole; --where, --users, --stages and --all choose from full (or bids); leave "
            "them out"
        )
    if index is not None and source.name != "full":
        raise ConfigError(f"--index {index}: only the archive of full is indexed; leave it out")
    if source.name == "full":
        choice.require_decided()
    if source.name == "bids":
        require_decided_for_bids(choice)


def _fetch_one(desk: Desk, source: Source, base: str) -> Path:
    is_archive = source.name in ("mini", "checkpoints")
    wanted = Wanted(
        f"{base}{source.file}",
        desk.out / source.file,
        check_content=_CHECKS[source.name],
        room=2.0 if is_archive else 1.0,
    )
    with Transport(desk.link.stall_s) as transport:
        if not is_archive:
            return desk.fetch_whole(wanted, transport)
        files = desk.fetch_and_unpack(wanted, transport)
    if source.name == "mini":
        desk.listener.on_notice(add_mini_table(files))
    folders = {file.parent for file in files if file.suffix in (".hdf5", ".ckpt")}
    return folders.pop() if len(folders) == 1 else desk.out
