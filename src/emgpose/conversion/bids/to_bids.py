"""Write recordings as a BIDS data set, in the layout of the BIDS edition of emg2pose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emgpose.conversion.bids.changed_source import require_same_samples, was_changed
from emgpose.conversion.bids.data_set_files import describe_folder, write_data_set_files
from emgpose.conversion.bids.metadata_table import Row, merged_rows, read_rows, write_rows
from emgpose.conversion.bids.names import existing_names, plan_names
from emgpose.conversion.bids.output_folder import claimed, require_outside
from emgpose.conversion.bids.recording_files import (
    MICRORADIANS_PER_RADIAN,
    is_written,
    remove_incomplete,
    write_recording,
)
from emgpose.conversion.bids.result import Converted, Progress
from emgpose.errors import ConfigError, DataError, EmgPoseError
from emgpose.hand import SIDES
from emgpose.recording import Session, open_session, read_metadata, session_path
from emgpose.recording.bids import FILE_COLUMN, METADATA_FILE
from emgpose.recording.bids.bdf_file import BdfFile
from emgpose.recording.bids.names import SIDECAR_SUFFIX, sibling, stem_of
from emgpose.recording.bids.sidecar import read_sidecar
from emgpose.recording.metadata import REQUIRED_COLUMNS


@dataclass(frozen=True)
class BidsRecording:
    """A recording to be written.

    Parameters
    ----------
    source : Path or Session
        A path is opened when its turn comes.
    row : mapping of str to str
        Its row of the metadata table, as text.
    """

    source: Path | Session
    row: Mapping[str, str]

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return str(self.source) if isinstance(self.source, Path) else self.source.name

    @property
    def source_path(self) -> Path | None:
        """The file that it comes from, if it is one."""
        return self.source if isinstance(self.source, Path) else self.source.path


def convert_to_bids(
    root: Path | str,
    out: Path | str,
    *,
    where: str | None = None,
    name: str = "emg2pose",
    license_name: str | None = None,
    on_progress: Progress | None = None,
) -> Converted:
    """Write a data set, such as a folder of HDF5 files, as a BIDS data set.

    Parameters
    ----------
    root : path
        What `read_metadata` takes.
    where : str, optional
        A pandas query on the metadata, to convert some of the recordings.
    out, name, license_name, on_progress
        As for `write_bids`.

    Raises
    ------
    ConfigError, DataError, SplitError : as `write_bids`; or the output lies in the data set, there is no metadata
        table, or nothing is selected.
    """
    root = Path(root)
    require_outside(Path(out), root.parent if root.is_file() else root)
    rows = read_rows(root, where)
    recordings = [
        BidsRecording(session_path(root, row), {key: cell for key, cell in row.items() if key != FILE_COLUMN})
        for row in rows
    ]
    return write_bids(recordings, out, name=name, license_name=license_name, on_progress=on_progress)


def write_bids(
    recordings: Sequence[BidsRecording],
    out: Path | str,
    *,
    name: str = "emg2pose",
    license_name: str | None = None,
    on_progress: Progress | None = None,
) -> Converted:
    """Write recordings as a BIDS data set; if it was begun there before, only what is missing.

    A recording that cannot be read or held by the format is left out, and the rest is written.

    Parameters
    ----------
    recordings : sequence of BidsRecording
    out : path
        Made if it does not exist; must be empty, or hold a data set that was written by this function.
    name : str
        Of the data set.
    license_name : str, optional
        For the description of the data set.
    on_progress : callable, optional
        Called with (done, total), recordings found complete included.

    Returns
    -------
    Converted

    Raises
    ------
    ConfigError : two recordings have the same name, or a row lacks a column.
    DataError : the folder holds something else, also under the name of one of the recordings; it cannot be written to;
        another conversion is at work there; or not one recording could be written.
    """
    out = Path(out)
    _check_rows(recordings)
    with claimed(out):
        describe_folder(out, name, license_name)
        return _write(recordings, out, name, on_progress)


def _write(recordings: Sequence[BidsRecording], out: Path, name: str, on_progress: Progress | None) -> Converted:
    table = out / METADATA_FILE
    merged_rows(table, [recording.row for recording in recordings])
    names = plan_names([recording.row for recording in recordings], existing_names(out))
    done = Converted()
    good: list[Row] = []
    for number, recording in enumerate(recordings, start=1):
        target = out / names[stem_of(recording.row["filename"])]
        try:
            (done.kept if not _write_if_missing(recording, target) else done.written).append(target)
            good.append(recording.row)
        except (EmgPoseError, OSError) as error:
            remove_incomplete(target)
            done.leave_out(recording.name, error)
        if on_progress is not None:
            on_progress(number, len(recordings))
    if not good:
        raise DataError(f"{out}: not one of {len(recordings)} recordings could be written. {done.reasons}")
    rows = merged_rows(table, good)
    write_rows(table, rows)
    write_data_set_files(out, name, rows, existing_names(out).values())
    read_metadata(out)
    return done


def _check_rows(recordings: Sequence[BidsRecording]) -> None:
    if not recordings:
        raise ConfigError("expected at least one recording to write, got none")
    stems: set[str] = set()
    for recording in recordings:
        missing = [column for column in REQUIRED_COLUMNS if column not in recording.row]
        if missing:
            raise ConfigError(f"{recording.name}: its row has no {missing[0]}; expected {', '.join(REQUIRED_COLUMNS)}")
        if recording.row["side"] not in SIDES:
            raise ConfigError(f"{recording.name}: side: expected left or right, got {recording.row['side']!a}")
        stem = stem_of(recording.row["filename"])
        if stem in stems:
            raise ConfigError(f"{recording.name}: two recordings are called {stem}; expected distinct file names")
        stems.add(stem)


def _write_if_missing(recording: BidsRecording, target: Path) -> bool:
    """Write a recording unless it is there; say whether it was written."""
    path = recording.source_path
    source_bytes = path.stat().st_size if path is not None and path.exists() else None
    if is_written(target):
        bdf = BdfFile(target)
        if path is not None and source_bytes is not None:
            _require_same(recording, path, source_bytes, bdf)
        return False
    if isinstance(recording.source, Session):
        write_recording(recording.source, recording.row, target, source_bytes)
        return True
    with open_session(recording.source) as session:
        write_recording(session, recording.row, target, source_bytes)
    return True


def _require_same(recording: BidsRecording, source: Path, source_bytes: int, bdf: BdfFile) -> None:
    """See that what stands there was made from the same file."""
    before = read_sidecar(sibling(bdf.path, SIDECAR_SUFFIX)).source_bytes
    if before is not None and before != source_bytes:
        raise DataError(
            f"{bdf.path}: was written from a file of {before} bytes, the one given has {source_bytes}; nothing is "
            "overwritten: remove it to have it written again, or choose another folder"
        )
    if not was_changed(source, bdf.path):
        return
    emg_step, angle_step = (
        max((abs(signal.gain) for signal in bdf.header.signals if signal.label.startswith(kind)), default=0.0)
        for kind in ("emg", "joint")
    )
    with open_session(recording.source) as given, open_session(bdf.path) as written:
        require_same_samples(given, written, emg_step, angle_step / MICRORADIANS_PER_RADIAN)
