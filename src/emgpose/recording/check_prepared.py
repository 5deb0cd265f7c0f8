"""Judge a prepared store as `emgpose.recording.check` judges a folder, as far as the index tells."""

from collections.abc import Callable, Iterator
from pathlib import Path

from emgpose.recording.check import partial_findings, schema_findings, table_findings
from emgpose.recording.findings import DatasetReport, Finding
from emgpose.recording.labels import validity_findings
from emgpose.recording.metadata import read_metadata
from emgpose.recording.store import open_store
from emgpose.recording.store.check import check_store
from emgpose.recording.store.layout import SESSION_SUFFIX


def check_prepared(root: Path | str, *, on_progress: Callable[[int, int], None] | None = None) -> DatasetReport:
    """Judge a store: every bit of it, its table, and rate, channels, length and labels of its recordings.

    What takes looking at samples, such as dead channels, is for `check_dataset` to say of the originals.

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
    report = check_store(root, on_progress=on_progress)
    if report.findings:
        return report
    records = [{str(key): value for key, value in row.items()} for row in read_metadata(root).to_dict("records")]
    of_recordings = [finding for record in records for finding in _stored_findings(root, record["filename"])]
    unusable = {finding.where for finding in of_recordings if finding.severity == "error"}
    figures = {**report.figures, "n_usable": report.figures["n_usable"] - len(unusable)}
    return DatasetReport(report.path, (), (*table_findings(records, root), *of_recordings), figures)


def _stored_findings(root: Path, name: str) -> Iterator[Finding]:
    """Judge a recording without reading samples."""
    session, path = open_store(root).session(name), root / f"{name}{SESSION_SUFFIX}"
    yield from schema_findings(session, path)
    if session.has_joint_angles:
        lengths = [stop - start for start, stop in session.valid_runs()]
        yield from partial_findings(session, path) or validity_findings(
            str(path), session.n_samples, sum(lengths), max(lengths, default=0), session.sample_rate_hz
        )
