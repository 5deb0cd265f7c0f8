"""The metadata table as text, row by row, and what becomes of it when recordings are added to a data set."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from emgpose.atomic import write_text_atomically
from emgpose.errors import DataError
from emgpose.recording.bids import FILE_COLUMN
from emgpose.recording.metadata import metadata_path, read_metadata, select_sessions

Row = Mapping[str, str]


def read_rows(root: Path, where: str | None = None) -> list[dict[str, str]]:
    """Read the rows of a data set's table, checked, with every cell as it is written there.

    Parameters
    ----------
    root : Path
        What `read_metadata` takes.
    where : str, optional
        A pandas query over the columns.

    Raises
    ------
    DataError : there is no table, or it is wrong.
    SplitError : the query cannot be understood, or selects nothing.
    """
    table = read_metadata(root)
    chosen = set(select_sessions(table, where=where)["filename"])
    files = dict(zip(table["filename"], table.get(FILE_COLUMN, table["filename"]), strict=True))
    rows = [row for row in _text_rows(metadata_path(root)) if row["filename"] in chosen]
    # `session_path` needs to know where the recording of a row lies.
    return [{**row, FILE_COLUMN: files[row["filename"]]} for row in rows] if FILE_COLUMN in table else rows


def _text_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [dict(row) for row in csv.DictReader(file)]
    return [{key: cell for key, cell in row.items() if key and not key.startswith("Unnamed:")} for row in rows]


def merged_rows(path: Path, rows: Sequence[Row]) -> list[Row]:
    """Give the rows of a table that may exist, followed by those that it has not.

    Raises
    ------
    DataError : the table has other columns, or other cells for one of the recordings; nothing is overwritten.
    """
    before = _text_rows(path) if path.exists() else []
    by_name = {row["filename"]: row for row in before}
    for row in rows:
        other = by_name.get(row["filename"])
        columns = set(before[0]) if before else set(rows[0])
        if set(row) != columns:
            differing = sorted(set(row) ^ columns)
            raise DataError(f"{path}: expected the same columns as in the table to be added, {differing[0]} differs")
        if other is not None and other != row:
            column = next(key for key in row if other[key] != row[key])
            raise DataError(
                f"{path}: recording {row['filename']}: {column} is {other[column]!a} there and {row[column]!a} in what "
                "is to be added; nothing is overwritten: correct either, or choose another folder"
            )
    return [*before, *(row for row in rows if row["filename"] not in by_name)]


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write a table, unless it stands there already."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_if_changed(path, text.getvalue())


def write_if_changed(path: Path, text: str) -> None:
    """Write a text file whole, unless it has this content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8", errors="replace") != text:
        write_text_atomically(path, text)
