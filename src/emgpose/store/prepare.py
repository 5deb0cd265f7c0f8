"""`prepare_store`: from a folder of recordings to a prepared store, in as many runs as it takes."""

import contextlib
import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emgpose.atomic import atomic_file, write_text_atomically
from emgpose.errors import ConfigError, DataError
from emgpose.recording.bids import FILE_COLUMN
from emgpose.recording.metadata import read_metadata
from emgpose.recording.store.index import write_index
from emgpose.recording.store.layout import (
    INDEX_FILE,
    LEFT_OUT_FILE,
    METADATA_FILE,
    SOURCES_FILE,
    STORE_FILE,
    STORE_FORMAT,
    STORE_VERSION,
    file_entry,
    read_sealed_json,
    read_store_file,
    require_intact,
    sealed_json,
    shard_name,
)
from emgpose.recording.store.reader import Store
from emgpose.store import folder
from emgpose.store.plan import PlannedShard, plan_shards
from emgpose.store.shards import check_shard, compare_shard, note_path, write_shard
from emgpose.store.workers import run_jobs

if TYPE_CHECKING:
    import pandas as pd

# (what is being done, recordings done, recordings in all)
Progress = Callable[[str, int, int], None]
Note = dict[str, Any]
Runner = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], Iterable[Any]]


@dataclass(frozen=True)
class PrepareReport:
    """What a run of `prepare_store` did, and what the store holds.

    Parameters
    ----------
    out : Path
    n_sessions : int
        Recordings in the store.
    n_written : int
        Of them, those written in this run; 0 where there was nothing to do.
    n_samples, n_bytes : int
        Of the whole store.
    left_out : tuple of (filename, path, reason)
        Recordings that are not in, and why.
    """

    out: Path
    n_sessions: int
    n_written: int
    n_samples: int
    n_bytes: int
    left_out: tuple[tuple[str, str, str], ...]


def prepare_store(
    root: Path | str,
    out: Path | str,
    *,
    workers: int = 1,
    dask: str | None = None,
    float16: bool = False,
    verify: bool = False,
    on_progress: Progress | None = None,
) -> PrepareReport:
    """Make a prepared store; if it was begun before, only what is missing; if its originals changed, what they are in.

    The same recordings give the same index and shards, whatever the workers and however often the run was killed. The
    originals are only read. At its end every shard is read back from the disk and compared with its checksums.

    Parameters
    ----------
    root : Path or str
        A data set with its metadata table: emg2pose HDF5 files, or the BIDS edition.
    out : Path or str
        The store; made if it does not exist.
    workers : int
        Local processes.
    dask : str, optional
        Address of a Dask scheduler, whose workers must see `root` and `out` under the same paths; instead of `workers`.
    float16 : bool
        Round EMG to float16. Without it, EMG, joint angles and time stamps come back bit for bit.
    verify : bool
        Also compare every sample of the store with its original.
    on_progress : callable, optional

    Returns
    -------
    PrepareReport

    Raises
    ------
    ConfigError : an option is impossible, or the folders lie in each other.
    DataError : the metadata table cannot be read, no recording can be used, `out` holds something else or is in use,
        the store holds recordings whose originals are gone, the disk is full or does not give back what was written, or
        a worker died.
    MissingExtraError : a library of the extra `store` is not installed.
    """
    if workers < 1:
        raise ConfigError(f"workers: expected at least 1, got {workers}")
    if dask is not None and workers != 1:
        raise ConfigError(f"workers {workers}: those of the Dask scheduler {dask} are used; give one of the two")
    root, out = Path(root), Path(out).absolute()
    table = read_metadata(root)
    folder.require_apart(root, out)
    plan = plan_shards(root, table)
    tell = on_progress or _say_nothing

    def run(function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> Iterable[Any]:
        return run_jobs(function, jobs, workers=workers, dask=dask)

    with folder.claimed(out):
        n_written = 0
        if not _is_up_to_date(out, table, plan, float16):
            missing = _missing(out, plan, float16)
            _write_missing(out, plan, missing, float16, run, tell)
            _finish(out, table, plan, float16, run, tell)
            n_written = sum(len(_note(out, shard)["rows"]) for shard in missing)
        folder.clear(out, {shard.name for shard in plan})
        if verify:
            _compare(out, plan, float16, run, tell)
        return _report(out, n_written)


def _say_nothing(doing: str, done: int, total: int) -> None:
    del doing, done, total


def _is_up_to_date(out: Path, table: "pd.DataFrame", plan: Sequence[PlannedShard], float16: bool) -> bool:
    """Whether a finished store stands on just these originals; if on others, reopen it, its good shards kept."""
    now = {shard.name: shard.sources() for shard in plan}
    _require_originals(out, now)
    if not (out / STORE_FILE).is_file():
        return False
    try:
        read_sealed_json(out / STORE_FILE)
    except DataError:
        # What it said is lost, but everything can be made again.
        folder.reopen(out)
        return False
    document = read_store_file(out)
    if document["float16"] != float16:
        raise DataError(
            f"{out}: the store holds EMG as {'float16' if document['float16'] else 'recorded'}, which is not what was "
            "asked for; give the same option, or another folder"
        )
    with contextlib.suppress(DataError):
        before = read_sealed_json(out / SOURCES_FILE)["shards"]
        if before == now and _is_whole(out, document) and _has_table(out, table):
            return True
        _write_notes_again(out, document, before, now)
    folder.reopen(out)
    return False


def _require_originals(out: Path, now: Note) -> None:
    """Refuse to drop recordings whose originals are gone: a store may be all that is left of them."""
    try:
        before = read_sealed_json(out / SOURCES_FILE)["shards"]
        left_out = {name for name, _, _ in read_sealed_json(out / LEFT_OUT_FILE)["left_out"]}
    except DataError:
        return
    held = {name for sources in before.values() for name, version in sources if version is not None} - left_out
    gone = [name for sources in now.values() for name, version in sources if version is None and name in held]
    if gone:
        raise DataError(
            f"{out}: holds {len(gone)} recordings whose originals are missing or not readable now, the first "
            f"{gone[0]!a}; the store was left as it is: bring them back, or take their rows out of the metadata table"
        )


def _has_table(out: Path, table: "pd.DataFrame") -> bool:
    """Whether the metadata of the recordings that are in are still those of the originals."""
    left_out = {name for name, _, _ in read_sealed_json(out / LEFT_OUT_FILE)["left_out"]}
    expected = _metadata_text(table, set(table["filename"]) - left_out)
    return (out / METADATA_FILE).read_bytes() == expected.encode("utf-8", "backslashreplace")


def _is_whole(out: Path, document: Note) -> bool:
    """Whether the small files are intact and no shard is missing or cut short."""
    try:
        for name, entry in document["files"].items():
            require_intact(out / name, entry)
        sizes = [(out / shard_name(number)).stat().st_size for number in range(len(document["shards"]))]
    except (DataError, OSError):
        return False
    return sizes == [entry["bytes"] for entry in document["shards"]]


def _write_notes_again(out: Path, document: Note, before: Note, now: Note) -> None:
    """Note the shards whose originals have not changed, from the index of the finished store."""
    index = Store(out).index
    rows: dict[int, list[Note]] = {}
    for number in range(len(index)):
        rows.setdefault(int(index.shard[number]), []).append(index.row(number))
    left_out = read_sealed_json(out / LEFT_OUT_FILE)["left_out"]
    folder.begin(out, document["float16"])
    for number, (name, sources) in enumerate(before.items()):
        if now.get(name) == sources:
            names = {filename for filename, _ in sources}
            note = {
                "sources": sources,
                **document["shards"][number],
                "rows": rows.get(number, []),
                "left_out": [entry for entry in left_out if entry[0] in names],
            }
            write_text_atomically(note_path(out, number), sealed_json(note))


def _note(out: Path, shard: PlannedShard) -> Note:
    return read_sealed_json(note_path(out, shard.number))


def _missing(out: Path, plan: Sequence[PlannedShard], float16: bool) -> list[PlannedShard]:
    """Give the shards that are not complete yet, or whose originals changed since."""
    folder.begin(out, float16)
    return [shard for shard in plan if not _is_complete(out, shard)]


def _is_complete(out: Path, shard: PlannedShard) -> bool:
    try:
        note = _note(out, shard)
        n_bytes = (out / shard.name).stat().st_size
    except (DataError, OSError):
        return False
    return bool(note["sources"] == shard.sources() and note["bytes"] == n_bytes)


def _write_missing(
    out: Path, plan: Sequence[PlannedShard], missing: Sequence[PlannedShard], float16: bool, run: Runner, tell: Progress
) -> None:
    total = sum(len(shard.filenames) for shard in plan)
    done = total - sum(len(shard.filenames) for shard in missing)
    folder.require_space(out, [path for shard in missing for path in shard.paths])
    tell("preparing", done, total)
    for note in run(write_shard, [(out, shard, float16) for shard in missing]):
        done += len(note["sources"])
        tell("preparing", done, total)


def _finish(
    out: Path, table: "pd.DataFrame", plan: Sequence[PlannedShard], float16: bool, run: Runner, tell: Progress
) -> None:
    """Read every shard back, then write what makes a store of them."""
    notes = [_note(out, shard) for shard in plan]
    _read_back(out, plan, run, tell)
    rows = [row for note in notes for row in note["rows"]]
    left_out = [entry for note in notes for entry in note["left_out"]]
    if not rows:
        name, _, reason = left_out[0]
        raise DataError(f"{out}: none of the {len(left_out)} recordings can be used; the first, {name}: {reason}")
    with atomic_file(out / INDEX_FILE) as unfinished:
        write_index(unfinished, rows)
    kept = {row["filename"] for row in rows}
    write_text_atomically(out / METADATA_FILE, _metadata_text(table, kept))
    write_text_atomically(out / LEFT_OUT_FILE, sealed_json({"left_out": left_out}))
    sources = {shard.name: note["sources"] for shard, note in zip(plan, notes, strict=True)}
    write_text_atomically(out / SOURCES_FILE, sealed_json({"shards": sources}))
    document = {
        "format": STORE_FORMAT,
        "version": STORE_VERSION,
        "float16": float16,
        "n_sessions": len(rows),
        "n_samples": sum(row["n_samples"] for row in rows),
        "files": {name: file_entry(out / name) for name in (INDEX_FILE, METADATA_FILE, LEFT_OUT_FILE)},
        "shards": [{"bytes": note["bytes"], "crc32c": note["crc32c"]} for note in notes],
    }
    write_text_atomically(out / STORE_FILE, sealed_json(document))


def _read_back(out: Path, plan: Sequence[PlannedShard], run: Runner, tell: Progress) -> None:
    jobs = [(out, shard) for shard in plan]
    for done, fault in enumerate(run(check_shard, jobs), start=1):
        tell("reading back", done, len(jobs))
        if fault is not None:
            raise DataError(
                f"{fault}; the disk did not give back what was written: delete that file and run the command again"
            )


def _compare(out: Path, plan: Sequence[PlannedShard], float16: bool, run: Runner, tell: Progress) -> None:
    for done, differences in enumerate(run(compare_shard, [(out, shard, float16) for shard in plan]), start=1):
        tell("comparing", done, len(plan))
        if differences:
            raise DataError(f"{out}: {differences[0]}; the store is of no use: delete it and prepare it again")


def _metadata_text(table: "pd.DataFrame", kept: set[str]) -> str:
    """Write the rows of the recordings that are in, with the columns that say something about them."""
    columns = [name for name in table.columns if name != FILE_COLUMN]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in table.to_dict("records"):
        if row["filename"] in kept:
            writer.writerow(["" if row[name] != row[name] else row[name] for name in columns])
    return text.getvalue()


def _report(out: Path, n_written: int) -> PrepareReport:
    document = read_store_file(out)
    left_out = read_sealed_json(out / LEFT_OUT_FILE)["left_out"]
    entries = [*document["files"].values(), *document["shards"]]
    return PrepareReport(
        out,
        document["n_sessions"],
        n_written,
        document["n_samples"],
        sum(entry["bytes"] for entry in entries),
        tuple((name, path, reason) for name, path, reason in left_out),
    )
