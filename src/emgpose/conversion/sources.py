"""What a conversion reads: a file, a data set with a metadata table, or a folder of files."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from emgpose.conversion.settings import ConversionSettings
from emgpose.errors import ConfigError, DataError
from emgpose.recording.check import RECORDING_SUFFIXES
from emgpose.recording.metadata import FILE_NAMES, read_metadata, session_path
from emgpose.recording.ninapro import NinaproReader
from emgpose.recording.ninapro_databases import db9_subject
from emgpose.recording.opening import open_session
from emgpose.recording.session import Session
from emgpose.recording.xdf_file import XdfReader
from emgpose.recording.xdf_streams import XDF_SUFFIXES

_MAT_SUFFIX: Final = ".mat"


@dataclass(frozen=True)
class Source:
    """One recording to convert.

    Parameters
    ----------
    path : Path
    name : str
        Of what is made from it, without ending.
    row : mapping
        What the metadata table of its data set says of it; empty where there is none.
    """

    path: Path
    name: str
    row: Mapping[str, str] = field(default_factory=dict)


def is_data_set(source: Path) -> bool:
    """Whether a folder is a data set with a metadata table, in HDF5 files or in the BIDS layout."""
    return source.is_dir() and (
        any((source / name).is_file() for name in FILE_NAMES) or (source / "dataset_description.json").is_file()
    )


def find_sources(source: Path) -> list[Source]:
    """List the recordings of a file, a data set or a folder, in a fixed order.

    Raises
    ------
    DataError : there is no such file or folder, or none in it.
    """
    if is_data_set(source):
        rows = read_metadata(source).to_dict("records")
        texts = [{str(key): str(value) for key, value in row.items()} for row in rows]
        return [Source(session_path(source, row), row["filename"], row) for row in texts]
    if not source.is_dir():
        return _named(source.parent, [source])
    files = [
        Path(folder) / name
        for folder, folders, names in os.walk(source)
        for name in names
        if name.lower().endswith(RECORDING_SUFFIXES) and not name.startswith(".") and _keep_visible(folders)
    ]
    if not files:
        raise DataError(f"{source}: expected recordings ({' '.join(RECORDING_SUFFIXES)}), found none")
    return _named(source, sorted(files))


def _keep_visible(folders: list[str]) -> bool:
    # os.walk goes into what is left in its list.
    folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
    return True


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
    path, channels = source.path, settings.channels
    is_xdf = path.name.lower().endswith(XDF_SUFFIXES)
    is_mat = path.suffix.lower() == _MAT_SUFFIX
    if settings.stream is not None and is_xdf:
        return Session(XdfReader(path, settings.input_rate_hz, channels, stream=settings.stream), path)
    if settings.angles is not None and is_mat:
        angles = _angles_file(path, settings.angles)
        return Session(NinaproReader(path, settings.input_rate_hz, channels, angles_path=angles), path)
    return open_session(path, rate_hz=settings.input_rate_hz, channels=channels, mapping=settings.mapping)


def _angles_file(path: Path, angles: Path) -> Path:
    """Find the file of DB9 for a file of DB2 or DB5; that both belong together is checked by their glove samples."""
    if angles.is_file():
        return angles
    if not angles.is_dir():
        raise ConfigError(f"--angles {angles}: no such file or folder")
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
