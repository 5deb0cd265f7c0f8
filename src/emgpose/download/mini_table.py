"""A metadata.csv for the mini edition, whose archive has none: its split is a matter of file names.

Source: emg2pose, the mini edition's split: recordings 1, 2 and 3 are train, val and test.
"""

import csv
import io
import re
from pathlib import Path
from typing import Any, Final

from emgpose.download.bookkeeping import replace_text
from emgpose.recording.metadata import FILE_NAMES, REQUIRED_COLUMNS
from emgpose.recording.opening import open_session

_NAME: Final = re.compile(r"(?P<session>.+-recording-(?P<number>[0-9]+))_(?P<side>left|right)")
_SPLITS: Final = {"1": "train", "2": "val", "3": "test"}
# The three recordings are of one person, so nothing is held out but the recording.
_CONDITION: Final = "seen"


def add_mini_table(files: list[Path]) -> str:
    """Write a metadata.csv beside the recordings of the mini edition, unless there is one.

    Parameters
    ----------
    files : list of Path
        What came out of the archive.

    Returns
    -------
    str
        What was done, one sentence for the user.

    Raises
    ------
    DataError : a recording cannot be read.
    """
    # Archives made on macOS may hold a "._NAME" of the Finder's beside each file.
    recordings = sorted(file for file in files if file.suffix == ".hdf5" and not file.name.startswith("._"))
    folders = {file.parent for file in recordings}
    if len(folders) != 1:
        return "no metadata.csv was made: the archive holds no folder of recordings"
    folder = folders.pop()
    if any((folder / name).exists() for name in FILE_NAMES):
        return f"{folder}: a table of the recordings is there"
    rows = [row for row in map(_row, recordings) if row is not None]
    if not rows:
        return "no metadata.csv was made: no recording is named as those of the mini edition's split"
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=REQUIRED_COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    replace_text(folder / FILE_NAMES[0], text.getvalue())
    left_out = f"; {len(recordings) - len(rows)} other recordings have no split" if len(recordings) > len(rows) else ""
    return (
        f"{folder / FILE_NAMES[0]}: made from the file names: recording 1 is train, 2 val, 3 test; the condition is "
        f"called {_CONDITION!a}, since one person is in all three{left_out}"
    )


def _row(file: Path) -> dict[str, Any] | None:
    """Describe a recording; None where its name gives it no split."""
    match = _NAME.fullmatch(file.stem)
    if match is None or match["number"] not in _SPLITS:
        return None
    with open_session(file) as session:
        facts = session.facts
    split = _SPLITS[match["number"]]
    return {
        "filename": file.stem,
        "session": match["session"],
        "user": facts.user or "unknown",
        "stage": facts.stage or "unknown",
        "side": facts.side or match["side"],
        "split": split,
        "generalization": "" if split == "train" else _CONDITION,
    }
