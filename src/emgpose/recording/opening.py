"""Find the reader for a file, by its first bytes where they tell, else by its ending."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from emgpose.errors import ConfigError, SessionFormatError
from emgpose.recording.annex import require_fetched
from emgpose.recording.bids import BidsReader, is_bids_recording, refuse_unjoined
from emgpose.recording.csv_rows import CsvRows
from emgpose.recording.emg2pose_hdf5 import Emg2PoseReader
from emgpose.recording.facts import SessionReader
from emgpose.recording.mapped_table import MappedTableReader
from emgpose.recording.mapping_file import TableMapping
from emgpose.recording.mat_file import MAT_MAGIC
from emgpose.recording.mne_raw import MneReader, is_mne_raw, read_mne_file
from emgpose.recording.ninapro import NinaproReader
from emgpose.recording.npz_arrays import NpzReader
from emgpose.recording.parquet import PARQUET_MAGIC, ParquetRows, open_parquet
from emgpose.recording.session import Session
from emgpose.recording.store import is_in_store, open_store, stored_session_at
from emgpose.recording.tables import CsvReader
from emgpose.recording.wfdb_record import WfdbReader
from emgpose.recording.xdf_file import XdfReader
from emgpose.recording.xdf_streams import XDF_SUFFIXES

Channels = Sequence[str | int] | None


@dataclass(frozen=True)
class FileFormat:
    """A file format that can be read.

    Parameters
    ----------
    name : str
    suffixes : tuple of str
        Endings of its files.
    magic : bytes
        First bytes of its files; empty where they do not tell.
    takes_rate : bool
        Whether its files may leave their sample rate to the user.
    open : callable (path, rate_hz, channels) -> SessionReader
    """

    name: str
    suffixes: tuple[str, ...]
    magic: bytes
    takes_rate: bool
    open: Callable[[Path, float | None, Channels], SessionReader]


FORMATS: Final = (
    FileFormat(
        "emg2pose HDF5",
        (".hdf5", ".h5"),
        b"\x89HDF\r\n\x1a\n",
        False,
        lambda path, _, names: Emg2PoseReader(path, names),
    ),
    # Known by the whole name of its files, see `is_bids_recording`: other BDF files are for MNE.
    FileFormat(
        "emg2pose BIDS", ("_task-emg2pose_emg.bdf",), b"", False, lambda path, _, names: BidsReader(path, names)
    ),
    FileFormat("NPZ", (".npz",), b"PK\x03\x04", True, NpzReader),
    FileFormat("WFDB", (".hea", ".dat"), b"", False, lambda path, _, names: WfdbReader(path, names)),
    FileFormat("Ninapro", (".mat",), MAT_MAGIC, True, NinaproReader),
    FileFormat("Parquet", (".parquet", ".pq"), PARQUET_MAGIC, True, open_parquet),
    FileFormat("XDF", XDF_SUFFIXES, b"XDF:", True, XdfReader),
    FileFormat("CSV", (".csv", ".tsv", ".txt"), b"", True, CsvReader),
    FileFormat(
        "MNE", (".fif", ".edf", ".bdf", ".vhdr", ".set"), b"", False, lambda path, _, names: read_mne_file(path, names)
    ),
)


def open_session(
    source: Any, *, rate_hz: float | None = None, channels: Channels = None, mapping: TableMapping | None = None
) -> Session:
    """Open a recording of any readable format.

    Parameters
    ----------
    source : path, MNE Raw or Session
        A file (emg2pose HDF5 or BIDS, WFDB record, CSV, Parquet, NPZ, Ninapro, XDF, or what MNE reads), an MNE Raw, or
        a session, which is given back.
    rate_hz : float, optional
        Sample rate [Hz] of a CSV or NPZ file that does not say it.
    channels : sequence of str or int, optional
        EMG channels in the order wanted, by name or by number from 0. By default all; for GRABMyo records the 16 that
        `WfdbReader` names.
    mapping : TableMapping, optional
        What the columns of a CSV or Parquet table mean, where they do not have our names; see `load_mapping`.

    Returns
    -------
    Session
        Lazy: samples are read when asked for.

    Raises
    ------
    SessionFormatError : no such file, an unknown format, or a damaged file.
    DataError : the numbers cannot be what they should be.
    ConfigError : an option does not fit the source.
    MissingExtraError : the format needs a library that is not installed.
    """
    if isinstance(source, Session):
        _refuse(source.name, rate_hz=rate_hz, channels=channels, mapping=mapping)
        return source
    if is_mne_raw(source):
        _refuse("an MNE Raw", rate_hz=rate_hz, mapping=mapping)
        return Session(MneReader(source, channels))
    try:
        path = Path(source)
        stored = stored_session_at(path)
        if stored is None:
            kind = format_of(path)
    except OSError as error:
        raise SessionFormatError(
            f"{str(source)[:200]}: expected the path of a recording that can be read: {error.strerror or error}"
        ) from None
    except (TypeError, ValueError) as error:
        raise SessionFormatError(
            f"{source!a}: expected the path of a recording, an MNE Raw or a Session: {error}"
        ) from None
    if stored is not None:
        what = f"{path}: a recording of a prepared store, which states its own rate,"
        _refuse(what, rate_hz=rate_hz, mapping=mapping)
        return open_store(stored[0]).session(stored[1], channels)
    if not kind.takes_rate:
        _refuse(f"{path}: a {kind.name} file, which states its own rate,", rate_hz=rate_hz)
    if mapping is not None:
        return Session(_open_mapped(path, kind, mapping, rate_hz, channels), path)
    return Session(kind.open(path, rate_hz, channels), path)


def _open_mapped(
    path: Path, kind: FileFormat, mapping: TableMapping, rate_hz: float | None, channels: Channels
) -> MappedTableReader:
    if kind.name not in ("CSV", "Parquet"):
        raise ConfigError(f"{path}: a mapping is for CSV and Parquet tables, this is a {kind.name} file; leave it out")
    rows = CsvRows(path, mapping.columns) if kind.name == "CSV" else ParquetRows(path)
    return MappedTableReader(rows, mapping, path, kind.name, rate_hz, channels)


def recording_exists(path: Path) -> bool:
    """Whether there is a recording to open: a file, a link that may be the pointer of one, or one held by a store.

    Raises
    ------
    DataError : it lies in a store that is damaged or unfinished, or in a BIDS data set where it may be one of the
        recordings that no row of the table could be found for; the message names the first of them.
    """
    if path.exists() or path.is_symlink() or is_in_store(path):
        return True
    refuse_unjoined(path)
    return False


def _refuse(what: str, **options: object) -> None:
    for name, value in options.items():
        if value is not None:
            raise ConfigError(f"{what} takes no {name}; leave it out")


def format_of(path: Path) -> FileFormat:
    """Tell the format of a file.

    Raises
    ------
    SessionFormatError : there is no such file, or its format is not known.
    """
    if path.is_dir():
        raise SessionFormatError(
            f"{path}: is a folder, expected one recording; emgpose check and evaluate take folders"
        )
    require_fetched(path)
    if not path.exists():
        # A WFDB record may be named without an ending.
        if path.with_name(f"{path.name}.hea").is_file():
            return _named("WFDB")
        refuse_unjoined(path)
        raise SessionFormatError(f"{path}: no such file")
    if not path.is_file():
        raise SessionFormatError(f"{path}: expected a regular file, got a device, pipe or socket")
    with path.open("rb") as file:
        start = file.read(8)
    if is_bids_recording(path):
        return _named("emg2pose BIDS")
    for kind in FORMATS:
        if (kind.magic and start.startswith(kind.magic)) or path.name.lower().endswith(kind.suffixes):
            return kind
    known = ", ".join(f"{kind.name} ({' '.join(kind.suffixes)})" for kind in FORMATS)
    raise SessionFormatError(f"{path}: its format is not known; readable are {known}, and an MNE Raw")


def _named(name: str) -> FileFormat:
    return next(kind for kind in FORMATS if kind.name == name)
