"""What a conversion reads: a file, a data set with a metadata table, or a folder of files."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from emgpose.conversion.settings import ConversionSettings
from emgpose.errors import ConfigError, DataError, SessionFormatError
from emgpose.recording.check import RECORDING_SUFFIXES
from emgpose.recording.metadata import holds_table, read_metadata, session_path
from emgpose.recording.ninapro import NinaproReader
from emgpose.recording.ninapro_databases import DB2_OR_DB3, db9_subject
from emgpose.recording.opening import FORMATS, format_of, open_session
from emgpose.recording.session import Session
from emgpose.recording.store import stored_session_at
from emgpose.recording.xdf_file import XdfReader

# Formats that an option is for.
_ONLY_FOR: Final = {
    "mapping": ("CSV", "Parquet"),
    "stream": ("XDF",),
    "database": ("Ninapro",),
    "angles": ("Ninapro",),
    "input_rate_hz": tuple(kind.name for kind in FORMATS if kind.takes_rate),
}
_OPTIONS: Final = {"input_rate_hz": "input-rate"}
# How far above a recording its data set is looked for; the BIDS edition needs four.
_LEVELS: Final = 5


@dataclass(frozen=True)
class Source:
    """One recording to convert.

    Parameters
    ----------
    path : Path
    name : str
        Of what is made from it, without ending.
    row : mapping
        What the metadata table of its data set, which may be that of a folder above, says of it; empty where none does.
    """

    path: Path
    name: str
    row: Mapping[str, str] = field(default_factory=dict)


def is_data_set(source: Path) -> bool:
    """Whether a folder is a data set with a metadata table, in HDF5 files or in the BIDS layout."""
    return source.is_dir() and (holds_table(source) or (source / "dataset_description.json").is_file())


def find_sources(source: Path) -> list[Source]:
    """List the recordings of a file, a data set or a folder, in a fixed order.

    Raises
    ------
    DataError : there is no such file or folder, or none in it; or a folder below has a metadata table of its own.
    """
    if is_data_set(source):
        return _in_table(source)
    root, files = (source, sorted(_files_in(source))) if source.is_dir() else (source.parent, [source])
    rows = _rows_above(source)
    return [replace(found, row=rows.get(found.path.absolute(), {})) for found in _named(root, files)]


def _in_table(root: Path) -> list[Source]:
    rows = [{str(key): str(value) for key, value in row.items()} for row in read_metadata(root).to_dict("records")]
    return [Source(session_path(root, row), row["filename"], row) for row in rows]


def _rows_above(source: Path) -> dict[Path, Mapping[str, str]]:
    """Find what the table of the data set that a recording or folder lies in says, by recording."""
    root = next((folder for folder in list(source.absolute().parents)[:_LEVELS] if holds_table(folder)), None)
    try:
        return {found.path: found.row for found in _in_table(root)} if root is not None else {}
    except SessionFormatError:  # a table that was not fetched
        raise
    except DataError:  # a table of something else
        return {}


def _files_in(source: Path) -> list[Path]:
    files: list[Path] = []
    for name, folders, names in os.walk(source):
        folder = Path(name)
        if holds_table(folder):
            raise DataError(
                f"{source}: the data set in {folder} has a metadata table of its own, whose splits would be lost; "
                f"convert that folder alone: give {folder}"
            )
        # os.walk goes into what is left in its list.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files += [folder / name for name in names if name.lower().endswith(RECORDING_SUFFIXES) and name[0] != "."]
    if not files:
        raise DataError(f"{source}: expected recordings ({' '.join(RECORDING_SUFFIXES)}), found none")
    return files


def _named(root: Path, files: Iterable[Path]) -> list[Source]:
    """Name each file by its path below the root; two of one name keep their ending, and a number if need be."""
    stems = {file: "__".join(file.relative_to(root).with_suffix("").parts) for file in files}
    counts = Counter(stems.values())
    sources: dict[str, Source] = {}
    # Names that nothing else has go first, so that none of them is taken by a name with an ending.
    for file in sorted(stems, key=lambda file: counts[stems[file]] > 1):
        stem = stems[file]
        name = stem if counts[stem] == 1 else f"{stem}_{file.suffix[1:]}"
        number = 2
        while name in sources:
            name = f"{name.removesuffix(f'_{number - 1}')}_{number}"
            number += 1
        sources[name] = Source(file, name)
    return sorted(sources.values(), key=lambda source: source.path)


def open_source(source: Source, settings: ConversionSettings) -> Session:
    """Open a recording with the options that its format takes.

    Raises
    ------
    ConfigError, DataError, MissingExtraError : as `open_session`.
    """
    path, channels, rate_hz = source.path, settings.channels, settings.input_rate_hz
    kind = _format_name(path)
    if settings.stream is not None and kind == "XDF":
        return Session(XdfReader(path, rate_hz, channels, stream=settings.stream), path)
    if kind == "Ninapro" and settings.mapping is None:
        angles = _angles_file(path, settings.angles) if settings.angles is not None else None
        reader = NinaproReader(path, rate_hz, channels, angles_path=angles, database=settings.database)
        if reader.facts.format.endswith(DB2_OR_DB3.name):
            raise ConfigError(
                f"{path}: is of Ninapro DB2 (intact) or DB3 (amputees), which are laid out alike; say which "
                "(--database DB2), or keep it in a folder with the published name, such as DB2_s1"
            )
        return Session(reader, path)
    return open_session(path, rate_hz=rate_hz, channels=channels, mapping=settings.mapping)


def _format_name(path: Path) -> str | None:
    """Name the format of a file; None where none is known, or there is no such file."""
    if stored_session_at(path) is not None:
        return "prepared store"
    try:
        return format_of(path).name
    except (DataError, OSError):
        return None


def require_applicable(sources: Sequence[Source], root: Path, settings: ConversionSettings) -> None:
    """Refuse an option that would change nothing.

    Raises
    ------
    ConfigError : it is for a format that none of the recordings has, or for recordings without a metadata table.
    """
    if any(source.row for source in sources) and (settings.split, settings.generalization) != ("train", ""):
        raise ConfigError(f"--split, --generalization: for {root} the metadata table says them; leave them out")
    given = {name: kinds for name, kinds in _ONLY_FOR.items() if getattr(settings, name) is not None}
    found = {_format_name(source.path) for source in sources} if given else set()
    for name, kinds in given.items():
        # What is no file, or of no format, is another matter.
        if None not in found and found.isdisjoint(kinds):
            has = f"{root} is" if root.is_file() else f"in {root} there are only"
            raise ConfigError(
                f"--{_OPTIONS.get(name, name)}: is for {', '.join(kinds)}, {has} {', '.join(sorted(map(str, found)))}; "
                "leave it out"
            )


def _angles_file(path: Path, angles: Path) -> Path:
    """Find the file of DB9 for a file of DB2 or DB5; that both belong together is checked by their glove samples."""
    if angles.is_file():
        return angles
    facts = NinaproReader(path).facts
    database, subject = facts.format.rpartition(" ")[2], facts.attributes.get("subject")
    in_name = {"exercise", "acquisition"} <= facts.attributes.keys()
    number = db9_subject(database, subject) if isinstance(subject, int) and in_name else None
    if number is None:
        raise ConfigError(
            f"--angles {angles}: a folder is searched for files of DB2 and DB5 with names such as S1_E1_A1.mat, got "
            f"{path.name} ({facts.format}); give the file of DB9 itself, or leave the option out"
        )
    name = f"S{number}_E{facts.attributes['exercise']}_A{facts.attributes['acquisition']}.mat"
    found = sorted(angles.rglob(name))
    if len(found) != 1:
        raise DataError(f"{angles}: expected {name}, the calibrated angles of {path.name}, found {len(found)}")
    return found[0]
