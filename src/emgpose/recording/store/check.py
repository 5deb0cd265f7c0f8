"""Judge a store: is every bit of it as it was written, and where is it not."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from emgpose.errors import EmgPoseError
from emgpose.recording.findings import DatasetReport, Finding
from emgpose.recording.metadata import read_metadata
from emgpose.recording.store.index import FIELDS, PLACES, StoreIndex
from emgpose.recording.store.layout import (
    INDEX_FILE,
    LEFT_OUT_FILE,
    SOURCES_FILE,
    crc32c,
    file_crc32c,
    read_sealed_json,
    read_store_file,
    require_intact,
    shard_name,
)
from emgpose.recording.store.reader import Store

_ADVICE: Final = "delete this shard and run `emgpose prepare` again, or restore it from a copy"


def store_findings(
    root: Path, *, on_progress: Callable[[int, int], None] | None = None
) -> tuple[list[Finding], dict[str, Any]]:
    """Read a store to its last byte and compare it with its checksums.

    Parameters
    ----------
    root : Path
    on_progress : callable, optional
        Called with (done, total) after each shard.

    Returns
    -------
    findings : list of Finding
        Code `store_damaged`, one for each damaged chunk or file; none where every bit is as it was written.
    figures : dict
        `n_sessions`, `n_left_out`, `n_shards`, `n_bytes`; none where `store.json` cannot be read.
    """
    root = Path(root)
    try:
        document = read_store_file(root)
    except EmgPoseError as error:
        return [_damaged(str(error), root)], {}
    findings: list[Finding] = []
    left_out: list[Any] = []
    for name, entry in document["files"].items():
        try:
            require_intact(root / name, entry)
        except EmgPoseError as error:
            findings.append(_damaged(str(error), root / name))
    try:
        read_sealed_json(root / SOURCES_FILE)
        left_out = read_sealed_json(root / LEFT_OUT_FILE)["left_out"]
    except EmgPoseError as error:
        findings.append(_damaged(str(error), root))
    index = None if any(INDEX_FILE in finding.where for finding in findings) else Store(root).index
    for number, entry in enumerate(document["shards"]):
        findings += _shard_findings(root, number, entry, index)
        if on_progress is not None:
            on_progress(number + 1, len(document["shards"]))
    n_bytes = sum(entry["bytes"] for entry in (*document["files"].values(), *document["shards"]))
    return findings, {
        "n_sessions": document["n_sessions"],
        "n_left_out": len(left_out),
        "n_shards": len(document["shards"]),
        "n_bytes": n_bytes,
    }


def check_store(root: Path | str, *, on_progress: Callable[[int, int], None] | None = None) -> DatasetReport:
    """Judge the storage of a store; what its recordings are like is for `check_dataset` to say of the originals.

    Parameters
    ----------
    root : Path or str
    on_progress : callable, optional
        Called with (done, total) after each shard.

    Returns
    -------
    DatasetReport
        Without reports of single recordings.
    """
    root = Path(root)
    findings, figures = store_findings(root, on_progress=on_progress)
    if not findings:
        try:
            figures |= _agreement_figures(root)
        except EmgPoseError as error:
            findings.append(_damaged(str(error), root))
    return DatasetReport(str(root), (), tuple(findings), figures)


def _agreement_figures(root: Path) -> dict[str, Any]:
    index = Store(root).index
    names = set(read_metadata(root)["filename"])
    hours = float((index.n_samples / index.sample_rate_hz).sum() / 3600)
    return {"n_usable": len(names & set(index.names)), "hours": hours}


def _damaged(message: str, where: Path | str) -> Finding:
    return Finding("error", "store_damaged", message, str(where))


def _shard_findings(root: Path, number: int, entry: dict[str, int], index: StoreIndex | None) -> list[Finding]:
    path = root / shard_name(number)
    try:
        found = file_crc32c(path)
    except OSError as error:
        advice = "run `emgpose prepare` again, or restore it from a copy"
        return [_damaged(f"the shard cannot be read: {error.strerror}; {advice}", path)]
    if found == (entry["bytes"], entry["crc32c"]):
        return []
    findings = _chunk_findings(path, number, index) if index is not None else []
    if findings:
        return findings
    message = (
        f"expected {entry['bytes']} bytes with CRC32C {entry['crc32c']:08x}, got {found[0]} with {found[1]:08x}; no "
        f"chunk of samples is affected, but what HDF5 says about them is: {_ADVICE}"
    )
    return [_damaged(message, path)]


def _chunk_findings(path: Path, shard: int, index: StoreIndex) -> list[Finding]:
    """Find the damaged chunks of a shard."""
    findings = []
    with path.open("rb") as file:
        for number in (int(row) for row in (index.shard == shard).nonzero()[0]):
            for field in FIELDS:
                for chunk in damaged_chunks(file, index.places(number, field)):
                    where = f"{path}: recording {index.names[number]}: {field}, chunk {chunk}"
                    findings.append(_damaged(f"its checksum is wrong; {_ADVICE}", where))
    return findings


def damaged_chunks(shard: BinaryIO, places: Mapping[str, Any]) -> Iterator[int]:
    """Find the chunks of a field that do not lie where they should, as they were written; see `StoreIndex.places`."""
    for chunk, (offset, size, checksum) in enumerate(zip(*(places[key] for key in PLACES), strict=True)):
        shard.seek(int(offset))
        if crc32c(shard.read(int(size))) != checksum:
            yield chunk
