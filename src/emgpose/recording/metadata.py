"""The metadata table of a data set: one row per recording, with its user, stage, side and split.

Source: emg2pose data set (Salter et al. 2024).
"""

import ast
import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emgpose.errors import DataError, SplitError
from emgpose.hand import SIDES
from emgpose.recording.annex import require_fetched
from emgpose.recording.bids import FETCHED_FILE, FILE_COLUMN, METADATA_FILE, bids_root, join_recordings
from emgpose.recording.store.layout import require_intact_metadata

if TYPE_CHECKING:
    import pandas as pd

FILE_NAMES: Final = ("metadata.csv", "emg2pose_metadata.csv")
REQUIRED_COLUMNS: Final = ("filename", "session", "user", "stage", "side", "split", "generalization")
SPLITS: Final = ("train", "val", "test")
GENERALIZATIONS: Final = ("user", "stage", "user_stage")
# A data set may have conditions of its own; these names would mix with groups that scores have anyway.
RESERVED_CONDITIONS: Final = ("all", *SPLITS)
_FLAGS: Final = ("moving_hand", "held_out_user", "held_out_stage")
# Methods of a column that a query may use; `str` leads to pandas' text methods.
_QUERY_METHODS: Final = ("isin", "between", "isna", "notna", "str")
# Ten thousand times the published table would still fit; anything larger is no metadata table.
_MAX_BYTES: Final = 1 << 30
_NAMED_FOLDERS: Final = 3


def metadata_path(root: Path) -> Path:
    """Find the metadata table of a data set.

    Parameters
    ----------
    root : Path
        The folder of the recordings, or the table itself.

    Raises
    ------
    DataError : there is none.
    """
    root = Path(root)
    if root.is_file():
        return root
    for name in (*FILE_NAMES, FETCHED_FILE, METADATA_FILE):
        require_fetched(root / name)
        if (root / name).is_file():
            return root / name
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; expected a data set with {FILE_NAMES[0]}")
    if bids_root(root) is not None:
        raise DataError(f"{root}: is a BIDS data set, expected its table {METADATA_FILE}, which is not there; fetch it")
    advice = advice_from_below(root) or "give the folder that holds the table"
    raise DataError(f"{root}: expected {' or '.join(FILE_NAMES)}, found neither; {advice}")


def holds_table(folder: Path) -> bool:
    """Whether a folder is that of a data set with a metadata table, fetched or not."""
    return any(
        (folder / name).is_file() or (folder / name).is_symlink() for name in (*FILE_NAMES, FETCHED_FILE, METADATA_FILE)
    )


def advice_from_below(root: Path) -> str:
    """Advise which folder to give where one has no metadata table and those in it do; empty where none does."""
    try:
        folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
        below = [folder for folder in folders if holds_table(folder)]
    except OSError:
        return ""
    return f"the table is one folder down: give {' or '.join(map(str, below[:_NAMED_FOLDERS]))}" if below else ""


def read_metadata(root: Path) -> "pd.DataFrame":
    """Read and check the metadata table.

    Parameters
    ----------
    root : Path
        The folder of the recordings, or the table itself.

    Returns
    -------
    DataFrame
        All columns of the file, text as text; `generalization` is empty in the train split; `start` and `end` [s] are
        numbers where present. For a BIDS data set one more, `bids_file`: the recording of the row, for `session_path`.

    Raises
    ------
    DataError : the table is missing or unreadable, lacks a column, or a row is wrong; the message names row and column.
    """
    path = metadata_path(root)
    require_intact_metadata(path)
    table = _read_text(path)
    missing = [column for column in REQUIRED_COLUMNS if column not in table.columns]
    if missing:
        raise DataError(f"{path}: column {missing[0]} is missing; expected {', '.join(REQUIRED_COLUMNS)}")
    if table.empty:
        raise DataError(f"{path}: expected one row per recording, found none")
    for column in ("filename", "user", "stage"):
        _require(path, table, column, table[column].map(_is_name), "a short printable text")
    _require(path, table, "filename", table["filename"].map(_is_file_name), "a file name below the data folder")
    _require(path, table, "filename", ~table["filename"].duplicated(), "a name that no other row has")
    _require(path, table, "side", table["side"].isin(SIDES), " or ".join(SIDES))
    _require(path, table, "split", table["split"].isin(SPLITS), ", ".join(SPLITS))
    allowed = table["generalization"].map(_is_name) & ~table["generalization"].isin(RESERVED_CONDITIONS)
    in_train = table["split"] == "train"
    _require(
        path,
        table,
        "generalization",
        allowed | (in_train & (table["generalization"] == "")),
        f"{', '.join(GENERALIZATIONS)} or another short text but {', '.join(RESERVED_CONDITIONS)} (empty in train "
        "only)",
    )
    return _with_recordings(path, _with_numbers(path, table))


def _with_recordings(path: Path, table: "pd.DataFrame") -> "pd.DataFrame":
    """Join the table of a BIDS data set with its recordings."""
    root = bids_root(path)
    if root is None:
        return table.drop(columns=FILE_COLUMN, errors="ignore")
    return table.assign(**{FILE_COLUMN: join_recordings(root, table["filename"].tolist())})


def _read_text(path: Path) -> "pd.DataFrame":
    import pandas as pd

    if path.stat().st_size > _MAX_BYTES:
        raise DataError(f"{path}: expected a table with one row per recording, got {path.stat().st_size} bytes")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *rows = list(csv.reader(file, strict=True)) or [[]]
    except (OSError, ValueError, MemoryError, csv.Error) as error:
        reason = " ".join(str(error).split())[:200].encode("ascii", "replace").decode()
        raise DataError(f"{path}: cannot be read as a CSV table: {reason}") from None
    repeated = next((name for name in header if header.count(name) > 1), None)
    if repeated is not None:
        raise DataError(f"{path}: column {repeated[:80]!a} stands twice in the header; expected distinct names")
    while rows and not rows[-1]:
        rows.pop()
    for number, row in enumerate(rows):
        if len(row) != len(header):
            raise DataError(
                f"{path}: row {number + 2}: expected {len(header)} cells as in the header, got {len(row)}; "
                "the file may be cut off there"
            )
    table = pd.DataFrame(rows, columns=header, dtype=str)
    # An edition may carry the row number of the table that it was made from.
    return table.drop(columns=[name for name in header if name == "" or name.startswith("Unnamed:")])


def _is_name(value: str) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 512 and value.isprintable() and value.strip() == value


def _is_file_name(value: str) -> bool:
    parts = value.replace("\\", "/").split("/")
    return not value.startswith("/") and ":" not in parts[0] and all(part not in ("", ".", "..") for part in parts)


def _require(path: Path, table: "pd.DataFrame", column: str, good: "pd.Series[bool]", expected: str) -> None:
    if bool(good.all()):
        return
    row = int((~good.to_numpy(dtype=bool)).argmax())
    raise DataError(
        f"{path}: row {row + 2}, column {column}: expected {expected}, got {str(table[column].iloc[row])[:80]!a}"
    )


def _with_numbers(path: Path, table: "pd.DataFrame") -> "pd.DataFrame":
    import pandas as pd

    for column in ("start", "end"):
        if column in table.columns:
            numbers = pd.to_numeric(table[column].replace("", "nan"), errors="coerce")
            good = np.isfinite(numbers) | table[column].str.lower().isin(["", "nan"])
            _require(path, table, column, good, "seconds")
            table[column] = numbers.astype("float64")
    for column in _FLAGS[1:]:
        if column in table.columns:
            words = table[column].str.lower()
            _require(path, table, column, words.isin(["true", "false"]), "True or False")
            table[column] = words == "true"
    return table


def select_sessions(
    table: "pd.DataFrame", *, split: str | None = None, generalization: str | None = None, where: str | None = None
) -> "pd.DataFrame":
    """Choose recordings from the metadata table.

    Parameters
    ----------
    table : DataFrame
        From `read_metadata`.
    split : str, optional
        `train`, `val` or `test`.
    generalization : str, optional
        `user`, `stage` or `user_stage`: what was held out; or another value that the table has.
    where : str, optional
        A pandas query over the columns, for example `side == 'left' and user in ['u1', 'u2']`.

    Returns
    -------
    DataFrame
        The rows, in the order of the table.

    Raises
    ------
    SplitError : a value does not exist, the query cannot be understood, or nothing is left.
    """
    chosen = table
    conditions = tuple(dict.fromkeys((*GENERALIZATIONS, *filter(None, table["generalization"]))))
    for column, value, known in (("split", split, SPLITS), ("generalization", generalization, conditions)):
        if value is None:
            continue
        if value not in known:
            raise SplitError(f"{column} {value!a}: expected one of {', '.join(known)}")
        chosen = chosen[chosen[column] == value]
    if where is not None:
        chosen = _query(chosen, where)
    if chosen.empty:
        wanted = {"split": split, "generalization": generalization, "where": where}
        said = ", ".join(f"{name} {value}" for name, value in wanted.items() if value is not None)
        counts = ", ".join(f"{name} {count}" for name, count in table["split"].value_counts().items())
        raise SplitError(f"no recording has {said or 'a row'}; the table has {counts or 'no rows'}")
    return chosen


def _query(table: "pd.DataFrame", where: str) -> "pd.DataFrame":
    try:
        _require_harmless(where)
        # Columns only: a query must not reach the variables of the program.
        mask: Any = table.eval(where, engine="python", local_dict={}, global_dict={})
        if getattr(mask, "dtype", None) != np.dtype(bool) or len(mask) != len(table):
            raise TypeError("it does not say yes or no for every row")
        return table[mask]
    except Exception as error:  # pandas raises almost any type on a query that it does not understand
        reason = " ".join(str(error).split())[:200]
        raise SplitError(
            f"query {where!a} cannot be understood: {reason}; the columns are {', '.join(table.columns)}, "
            "an example is: side == 'left' and user in ['u1', 'u2']"
        ) from None


def _require_harmless(where: str) -> None:
    """Let a query call only what compares: pandas' own methods would also write files."""
    names_quoted = re.sub(r"`[^`]*`", "column", where.strip())
    for node in ast.walk(ast.parse(names_quoted, mode="eval")):
        if isinstance(node, ast.Attribute):
            of_text = isinstance(node.value, ast.Attribute) and node.value.attr == "str"
            if node.attr not in _QUERY_METHODS and not of_text:
                raise ValueError(f"{node.attr!a} is not a supported function, only {', '.join(_QUERY_METHODS)}")


def session_path(root: Path, row: Any) -> Path:
    """Where the recording of a row lies.

    Parameters
    ----------
    root : Path
        The folder of the recordings or of the BIDS data set, or the metadata table in it.
    row : row of the metadata table (Series, mapping or named tuple)
    """
    root = Path(root)
    cells = row._asdict() if hasattr(row, "_asdict") else row
    if FILE_COLUMN in cells:
        return (bids_root(root) or root) / cells[FILE_COLUMN]
    filename = cells["filename"]
    return (root.parent if root.is_file() else root) / f"{filename}.hdf5"
