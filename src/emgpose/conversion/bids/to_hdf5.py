"""Write the recordings of a BIDS data set as emg2pose HDF5 files."""

from collections.abc import Sequence
from pathlib import Path

from emgpose.conversion.bids.changed_source import require_same_samples, was_changed
from emgpose.conversion.bids.metadata_table import Row, merged_rows, read_rows, write_rows
from emgpose.conversion.bids.output_folder import claimed, require_outside
from emgpose.conversion.bids.result import Converted, Progress
from emgpose.errors import DataError, EmgPoseError
from emgpose.recording import Emg2PoseReader, Emg2PoseWriter, Session, open_session, session_path
from emgpose.recording.bids import FILE_COLUMN, bids_root
from emgpose.recording.metadata import FILE_NAMES


def convert_bids_to_hdf5(
    root: Path | str, out: Path | str, *, where: str | None = None, on_progress: Progress | None = None
) -> Converted:
    """Write a BIDS data set as a folder of HDF5 files with a metadata.csv; only what is missing there.

    A recording that cannot be read is left out, and the rest is written. Time stamps are evenly spaced from the start
    of each recording, since the BIDS edition has no others.

    Parameters
    ----------
    root : path
        The BIDS data set.
    out : path
        Made if it does not exist; a file there of another recording is not replaced.
    where : str, optional
        A pandas query on the metadata, to convert some of the recordings.
    on_progress : callable, optional
        Called with (done, total), recordings found complete included.

    Returns
    -------
    Converted

    Raises
    ------
    ConfigError : `out` lies in the data set.
    DataError : no BIDS data set, a table that contradicts the one in `out`, a folder that cannot be written to or is
        somebody else's, or not one recording could be written.
    SplitError : the query cannot be understood, or selects nothing.
    """
    root, out = Path(root), Path(out)
    if bids_root(root) is None:
        raise DataError(f"{root}: expected a BIDS data set with dataset_description.json, found none")
    require_outside(out, root)
    found = read_rows(root, where)
    rows = [{key: cell for key, cell in row.items() if key != FILE_COLUMN} for row in found]
    with claimed(out):
        return _convert(root, found, rows, out, on_progress)


def _convert(
    root: Path, found: Sequence[Row], rows: Sequence[Row], out: Path, on_progress: Progress | None
) -> Converted:
    table = out / FILE_NAMES[0]
    _require_free(out, table, rows)
    merged_rows(table, rows)
    done = Converted()
    good: list[Row] = []
    for number, (row, located) in enumerate(zip(rows, found, strict=True), start=1):
        target, source = out / f"{row['filename']}.hdf5", session_path(root, located)
        try:
            with open_session(source) as session:
                (done.written if _write_if_missing(session, row, target) else done.kept).append(target)
            good.append(row)
        except (EmgPoseError, OSError) as error:
            done.leave_out(str(source), error)
        if on_progress is not None:
            on_progress(number, len(rows))
    if not good:
        raise DataError(f"{out}: not one of {len(rows)} recordings could be written. {done.reasons}")
    write_rows(table, merged_rows(table, good))
    return done


def _require_free(out: Path, table: Path, rows: Sequence[Row]) -> None:
    """Refuse a folder of something else; of what this function began, the table may be missing yet."""
    ours = {f"{row['filename']}.hdf5".partition("/")[0] for row in rows}
    foreign = sorted(path.name for path in out.iterdir() if not path.name.startswith(".") and path.name not in ours)
    if foreign and not table.exists():
        raise DataError(
            f"{out}: expected an empty folder or a data set with {table.name}; it holds {foreign[0]!a}: choose another"
        )


def _write_if_missing(session: Session, row: Row, target: Path) -> bool:
    """Write a recording unless it is there; say whether it was written."""
    facts = session.facts
    if target.exists():
        before = Emg2PoseReader(target).facts
        for key in ("n_samples", "sample_rate_hz", "session", "user", "stage", "side", "start_s"):
            mine, theirs = getattr(facts, key), getattr(before, key)
            if mine != theirs and (key != "start_s" or mine is not None):
                raise DataError(
                    f"{target}: its {key} is {theirs!r}, that of the recording to be written {mine!r}; nothing is "
                    "overwritten: move it away, or choose another folder"
                )
        if session.path is not None and was_changed(session.path, target):
            with open_session(target) as written:
                require_same_samples(session, written)
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    with Emg2PoseWriter(
        target,
        sample_rate_hz=facts.sample_rate_hz,
        user=facts.user or row["user"],
        stage=row["stage"],
        side=row["side"],
        session=facts.session,
        start_s=facts.start_s or 0.0,
        n_channels=session.n_channels,
        attributes=dict(facts.attributes),
    ) as writer:
        for piece in session.chunks():
            angles = piece.joint_angles if session.has_joint_angles else None
            # Where some joints are not known no label is valid; the others are kept all the same.
            writer.append(piece.emg, angles, valid=None if facts.missing_joints or angles is None else piece.valid)
    return True
