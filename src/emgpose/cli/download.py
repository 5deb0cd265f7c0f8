"""`emgpose download`: the data set, parts of it, its checkpoints and hand model; what is interrupted goes on."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emgpose.cli.options import Json
from emgpose.errors import ConfigError, DataError

if TYPE_CHECKING:
    from emgpose.download import Listener, Outcome
    from emgpose.download.sources import Source

_SHOWN_MISSING = 5
_LINE_EVERY_S = 60.0


class What(StrEnum):
    """What can be downloaded."""

    MINI = "mini"
    FULL = "full"
    METADATA = "metadata"
    CHECKPOINTS = "checkpoints"
    HAND_MODEL = "hand-model"
    BIDS = "bids"


def download(
    what: Annotated[What, typer.Argument(help="What to fetch; full needs --where, --users, --stages or --all.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to fetch into.")],
    where: Annotated[
        str | None, typer.Option("--where", help="full: a query over the metadata, such as split == 'test'.")
    ] = None,
    users: Annotated[int | None, typer.Option(help="full, bids: only so many users.")] = None,
    stages: Annotated[int | None, typer.Option(help="full: only so many stages.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="full, bids: all of it (431 GiB, 340 GB).")] = False,
    index: Annotated[
        Path | None, typer.Option("--index", help="full: file that keeps the archive's index, to share it.")
    ] = None,
    connections: Annotated[int, typer.Option(help="full, bids: requests under way at once.")] = 4,
    base_url: Annotated[
        str | None,
        typer.Option("--base-url", envvar="EMGPOSE_DOWNLOAD_URL", help="A mirror, instead of the published address."),
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the licence without being asked.")
    ] = False,
    json: Json = False,
) -> None:
    """Fetch emg2pose, or the recordings of it that a query names; run again to go on after an interruption."""
    from emgpose.download import Choice, require_sensible, source_of
    from emgpose.download import download as fetch

    source = source_of(what)
    choice = Choice(where, users, stages, everything)
    require_sensible(source, choice, index, connections)
    _settle_licence(source, out, source.at(base_url), accept_licence)
    with _shown() as (listener, on_walk):
        outcome = fetch(
            what,
            out,
            choice=choice,
            base_url=base_url,
            index=index,
            connections=connections,
            listener=listener,
            on_walk=on_walk,
        )
    _report(outcome, json)
    if outcome.missing:
        raise typer.Exit(1)


def _settle_licence(source: "Source", out: Path, base_url: str, is_accepted: bool) -> None:
    """Show the licence once for each folder, and write down that it was accepted."""
    from datetime import UTC, datetime

    from emgpose.cli.terminal import err
    from emgpose.download import licence_file, licence_notice, record_licence

    path = licence_file(out, source)
    notice = licence_notice(source)
    if path.is_file() and "\nAccepted on " in path.read_text(encoding="utf-8", errors="replace"):
        return
    err.print(notice)
    if not is_accepted:
        if not (sys.stdin.isatty() and err.is_terminal):
            raise ConfigError(f"{source.name}: the licence ({source.licence}) must be accepted: add --accept-licence")
        if not typer.confirm("Do you accept it?", err=True):
            raise ConfigError(f"{source.name}: the licence was not accepted; nothing was fetched")
    try:
        out.mkdir(parents=True, exist_ok=True)
        record_licence(out, source, base_url, datetime.now(UTC).date().isoformat())
    except OSError as error:
        raise DataError(f"{error.filename or out}: cannot be written: {error.strerror}; choose another --out") from None


class _Lines:
    """Progress where no terminal shows a bar, as in a batch job's log: one line a minute."""

    def __init__(self, what: str, say: Callable[[str], None]) -> None:
        self._what, self._say = what, say
        self._told_s, self._told_bytes = time.monotonic(), 0

    def at(self, done_bytes: int, total_bytes: int) -> None:
        elapsed_s = time.monotonic() - self._told_s
        bytes_per_s = (done_bytes - self._told_bytes) / elapsed_s if elapsed_s > 0 else 0.0
        if elapsed_s < _LINE_EVERY_S or bytes_per_s <= 0 or not total_bytes:
            return
        self._told_s, self._told_bytes = time.monotonic(), done_bytes
        left = timedelta(seconds=max(0, round((total_bytes - done_bytes) / bytes_per_s)))
        self._say(
            f"{self._what}: {min(1.0, done_bytes / total_bytes):.0%} of {total_bytes / 2**30:.2f} GiB, "
            f"{bytes_per_s / 2**20:.1f} MiB/s, {left} left".replace("%", " %")
        )


@contextmanager
def _shown() -> "Iterator[tuple[Listener, Callable[[int, int], None]]]":
    """Give who shows progress: a bar with speed and ETA on a terminal, and one line for each notice anywhere."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from emgpose.cli.terminal import err
    from emgpose.download import Listener

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        walk = bar.add_task("index", total=None, visible=False)
        data = bar.add_task("fetching", total=0, visible=False)
        done = total = 0
        lock = threading.Lock()

        def say(line: str) -> None:
            if not err.is_terminal:
                err.print(line)

        walk_lines, data_lines = _Lines("index", say), _Lines("fetching", say)

        def on_total(n_bytes: int) -> None:
            nonlocal total
            total += n_bytes
            bar.update(data, total=total, visible=True)

        def on_walk(known: int, n_bytes: int) -> None:
            bar.update(walk, completed=known, total=n_bytes, visible=known < n_bytes)
            walk_lines.at(known, n_bytes)

        def on_bytes(n_bytes: int) -> None:
            nonlocal done
            with lock:
                done += n_bytes
                bar.update(data, completed=done)
                data_lines.at(done, total)

        try:
            yield Listener(on_bytes, on_total, err.print), on_walk
        except KeyboardInterrupt:
            err.print("what has come is kept; run the same command again to go on")
            raise


def _report(outcome: "Outcome", json: bool) -> None:
    from emgpose.cli.terminal import err, out, print_json

    tally = outcome.tally
    if json:
        print_json(
            {
                "what": outcome.what,
                "out": outcome.out,
                "data": outcome.data,
                "fetched": tally.n_fetched,
                "there_already": tally.n_there,
                "fetched_bytes": tally.fetched_bytes,
                "missing": outcome.missing,
            }
        )
    else:
        size = f"{tally.fetched_bytes / 2**20:.1f} MiB"
        out.print(f"{outcome.data}: {tally.n_fetched} fetched ({size}), {tally.n_there} there already")
        if outcome.what in (What.MINI, What.FULL, What.BIDS):
            out.print(f"next: emgpose check {outcome.data}")
    if outcome.missing:
        shown = ", ".join(outcome.missing[:_SHOWN_MISSING])
        err.print(f"{len(outcome.missing)} recordings of the table are not in the archive: {shown}")
