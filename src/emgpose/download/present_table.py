"""The metadata table of what a download brought: the rows of the published table whose recordings are there."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

from emgpose.download.bookkeeping import replace_text
from emgpose.errors import DataError
from emgpose.recording.metadata import FILE_NAMES


def require_replaceable(folder: Path, table_path: Path) -> None:
    """Refuse to write metadata.csv over one that says anything else than the published table.

    Raises
    ------
    DataError
    """
    path = folder / FILE_NAMES[0]
    try:
        is_ours = not path.exists() or set(_cells(path)) <= set(_cells(table_path))
    except (ValueError, csv.Error):
        is_ours = False
    if not is_ours:
        raise DataError(
            f"{path}: has rows that {table_path.name} has not, so it is not overwritten: move it away, or choose "
            "another folder"
        )


def write_table_of_present(folder: Path, table_path: Path, is_present: Callable[[str], bool]) -> None:
    """Write metadata.csv: the rows of the whole table whose recordings are there, every cell as it was; none, no table.

    Parameters
    ----------
    folder : Path
    table_path : Path
        The published table.
    is_present : callable (filename) -> bool
        Whether the recording of a row is there, by the row's cell in the column `filename`.
    """
    header, *rows = _cells(table_path)
    column = header.index("filename")
    present = [row for row in rows if is_present(row[column])]
    text = io.StringIO()
    csv.writer(text).writerows([header, *present])
    if present:
        replace_text(folder / FILE_NAMES[0], text.getvalue())


def _cells(path: Path) -> list[tuple[str, ...]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [tuple(row) for row in csv.reader(file) if row]
