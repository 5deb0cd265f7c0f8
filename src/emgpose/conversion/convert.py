"""A folder of recordings in the emg2pose format, made from a file, a folder or a data set in other formats.

What was made is never made again, and nothing that stands in the folder is written over: a conversion that was
interrupted goes on where it stopped when it is started again with the same settings.
"""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from emgpose.atomic import write_text_atomically
from emgpose.conversion.bids.output_folder import claimed, require_outside
from emgpose.conversion.bids.result import Converted
from emgpose.conversion.settings import ConversionSettings
from emgpose.conversion.sources import Source, find_sources, require_applicable
from emgpose.conversion.to_format import NOTE_SEPARATOR, source_version, write_in_format
from emgpose.errors import DataError, EmgPoseError
from emgpose.recording.bids import FILE_COLUMN
from emgpose.recording.emg2pose_hdf5 import Emg2PoseReader
from emgpose.recording.metadata import FILE_NAMES

# Says what the folder is made from before its first recording is complete, so that no two conversions mix in it.
SETTINGS_FILE: Final = "conversion.json"
_COLUMNS: Final = (
    *("filename", "session", "user", "stage", "side", "moving_hand", "held_out_user", "held_out_stage"),
    *("split", "generalization", "start", "end"),
)

Progress = Callable[[int, int], None]


def convert_to_hdf5(
    source: Path, out: Path, settings: ConversionSettings | None = None, *, on_progress: Progress | None = None
) -> Converted:
    """Write recordings as files of the emg2pose format with a metadata table.

    Parameters
    ----------
    source : Path
        A recording of any readable format, a folder of them, or a data set with a metadata table.
    out : Path
        Made if it does not exist; must be empty, or hold this conversion, complete or not.
    settings : ConversionSettings, optional
    on_progress : callable (done, in all), optional

    Returns
    -------
    Converted
        A recording that cannot be converted is left out, with the reason, and the rest is converted all the same.

    Raises
    ------
    DataError : there is nothing to convert, nothing could be converted, or the folder holds something else or another
        conversion is at work in it.
    ConfigError : an option suits no recording, or not the only one, or the folder lies in the source.
    MissingExtraError : the format of the only recording needs a library that is not installed.
    """
    settings = settings or ConversionSettings()
    sources = checked_sources(source, out, settings)
    with claimed(out):
        return fill_folder(sources, source, out, settings, on_progress)


def checked_sources(source: Path, out: Path, settings: ConversionSettings) -> list[Source]:
    """List the recordings to convert, before anything is written.

    Raises
    ------
    DataError : there are none.
    ConfigError : an option suits none of them, or the output lies in the source.
    """
    require_outside(out, source)
    sources = find_sources(source)
    require_applicable(sources, source, settings)
    return sources


def fill_folder(
    sources: list[Source], source: Path, out: Path, settings: ConversionSettings, on_progress: Progress | None
) -> Converted:
    """Do the work of `convert_to_hdf5` in a folder that the caller has claimed."""
    _claim(out, source, settings)
    try:
        return _converted(sources, out, settings, source, on_progress)
    except (EmgPoseError, OSError):
        _give_up(out)
        raise


def _converted(
    sources: list[Source], out: Path, settings: ConversionSettings, source: Path, on_progress: Progress | None
) -> Converted:
    converted = Converted()
    rows = []
    for number, recording in enumerate(sources):
        target = out / f"{recording.name}.hdf5"
        try:
            _require_printable(recording)
            if _is_made(target, recording):
                converted.kept.append(target)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                write_in_format(recording, target, settings)
                converted.written.append(target)
            rows.append(_row(target, recording, settings))
        except (EmgPoseError, OSError) as error:
            if len(sources) == 1:
                raise
            converted.leave_out(recording.path.name, error)
        if on_progress is not None:
            on_progress(number + 1, len(sources))
    if not rows:
        raise DataError(f"{source}: none of {len(sources)} recordings could be converted: {converted.reasons}")
    write_text_atomically(out / FILE_NAMES[0], _table(rows))
    return converted


def what_was_done(files: Iterable[Path]) -> dict[str, int]:
    """Say what was done to recordings, and what a user should know of them: one line each -> number of recordings."""
    lines: Counter[str] = Counter()
    for path in files:
        stated = Emg2PoseReader(path).facts.attributes
        lines[f"{stated.get('converted_format')}: {stated.get('preparation')}"] += 1
        lines.update(note for note in str(stated.get("notes", "")).split(NOTE_SEPARATOR) if note)
    return dict(lines)


def _claim(out: Path, source: Path, settings: ConversionSettings) -> None:
    """Write down what the folder is made from, or see that it is meant to be made from the same."""
    document = {"source": os.path.realpath(source), "settings": settings.to_dict()}
    try:
        entries = [path.name for path in out.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise DataError(f"{out}: cannot be used as a folder: {error.strerror}; choose another") from None
    if SETTINGS_FILE in entries:
        before = (out / SETTINGS_FILE).read_text(encoding="utf-8", errors="replace")
        if _parsed(before) != document:
            raise DataError(
                f"{out}: holds another conversion (see {SETTINGS_FILE} in it); give the source and options that it was "
                "begun with, or another folder"
            )
        return
    if entries:
        raise DataError(f"{out}: expected an empty folder or a conversion that was begun; choose another folder")
    write_text_atomically(out / SETTINGS_FILE, json.dumps(document, indent=2, sort_keys=True) + "\n")


def _give_up(out: Path) -> None:
    """Leave a folder in which nothing was made to the next attempt, perhaps with other options."""
    if [path.name for path in out.iterdir()] == [SETTINGS_FILE]:
        (out / SETTINGS_FILE).unlink()
        out.rmdir()


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _require_printable(source: Source) -> None:
    if not source.name.isprintable():
        raise DataError(
            f"{source.path.name!a}: expected a name that a metadata table can hold; rename the file or its folder"
        )


def _is_made(target: Path, source: Source) -> bool:
    """Whether a recording was converted before.

    Raises
    ------
    DataError : the file that stands there is not what would be written.
    """
    if not target.exists():
        return False
    stated = Emg2PoseReader(target).facts.attributes
    version = source_version(source.path)
    if any(stated.get(name) != value for name, value in version.items()):
        raise DataError(
            f"{target}: was made from another version of {source.path.name}; nothing is written over: delete it to "
            "convert that recording again"
        )
    return True


def _row(target: Path, source: Source, settings: ConversionSettings) -> dict[str, Any]:
    """Give the metadata of a file, from the file itself; a data set's own row goes before."""
    facts = Emg2PoseReader(target).facts
    generalization = source.row.get("generalization", settings.generalization)
    row: Mapping[str, Any] = {
        "filename": source.name,
        "session": facts.session,
        "user": facts.user,
        "stage": facts.stage,
        "side": facts.side,
        "moving_hand": facts.side,
        # As in the published table; of a condition by another name nothing is known.
        "held_out_user": generalization in ("user", "user_stage"),
        "held_out_stage": generalization in ("stage", "user_stage"),
        "split": settings.split,
        "generalization": settings.generalization,
        "start": facts.attributes.get("start"),
        "end": facts.attributes.get("end"),
    }
    return {**row, **{name: value for name, value in source.row.items() if name not in ("filename", FILE_COLUMN)}}


def _table(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    # A data set may have columns of its own, which a recording beside it has not.
    columns = dict.fromkeys([*_COLUMNS, *(name for row in rows for name in row)])
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
