"""Folders that a report is made of: what `evaluate --out` wrote, and train folders with evaluations inside."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from emgpose.errors import ConfigError, DataError
from emgpose.evaluation.published import CONDITION_TITLES
from emgpose.evaluation.result import ALL

# As many as have a colour, a marker and a dash pattern of their own.
MAX_EVALUATIONS: Final = 6
SEEN: Final = "seen"
_TEXT_COLUMNS: Final = (
    *("session", "user", "stage", "side", "split", "condition", "mode", "hand", "filename"),
    *("placement", "placement_split", "metric", "reduction", "example"),
)
_SCORES: Final = tuple(
    f"{prefix}{name}" for prefix in ("", "static_") for name in ("mae", "landmark_distance", "fingertip_distance")
)
_COLUMNS: Final = {
    "summary": ("condition", "metric", "reduction", "mean", "sd", "n_users", "n_windows"),
    "windows": ("session", "user", "stage", "side", "condition", "mode", "start_sample", *_SCORES),
    "drift": ("condition", "mode", "start_s", "stop_s", "mae", "static_mae"),
    "cdf": ("condition", "mode", "error_rad", "share", "static_share"),
    "examples": ("example", "filename", "start_sample", "time_s", "valid"),
}
_KEYS: Final = (("model", "name"), ("model", "task"), ("model", "trained_on"), ("primary_mode",), ("modes",), ("data",))
CURVE_COLUMNS: Final = ("step", "epoch", "train_loss", "val_loss", "lr", "windows_per_s")
# One per task of the model, such as val_tracking_mae_deg.
ERROR_COLUMN: Final = re.compile(r"val_(?:(\w+)_)?mae_deg")


@dataclass(frozen=True)
class EvaluationRun:
    """One scored model.

    Parameters
    ----------
    letter : str
        What tables and figures call it: A, B, ...
    title : str
        What readers know it by: as much of its path as tells it from the others.
    folder : Path
    document : dict
        Its run.json.
    summary, windows : DataFrame
        Of the primary mode and of all modes.
    drift, cdf, examples : DataFrame
        Empty where an older emgpose did not write them.
    """

    letter: str
    title: str
    folder: Path
    document: dict[str, Any]
    summary: pd.DataFrame
    windows: pd.DataFrame
    drift: pd.DataFrame
    cdf: pd.DataFrame
    examples: pd.DataFrame

    @property
    def model(self) -> dict[str, Any]:
        """What run.json says of the model."""
        return self.document["model"]

    @property
    def task(self) -> str:
        """Tracking or regression."""
        return str(self.model["task"])

    @property
    def mode(self) -> str:
        """The primary mode, which figures and differences show."""
        return str(self.document["primary_mode"])

    @property
    def modes(self) -> dict[str, str]:
        """Each mode and whether it is causal, in words."""
        return dict(self.document["modes"])

    @property
    def is_simulated(self) -> bool | None:
        """Whether all (True), some (None) or none of the recordings say that they were simulated."""
        said = self.document["data"].get("simulated")
        return said if said is None else bool(said)

    @property
    def data_label(self) -> str:
        """One word or two for tables."""
        return {True: "simulated", None: "partly simulated", False: "recorded"}[self.is_simulated]

    @property
    def conditions(self) -> list[str]:
        """Those with a score: seen, U, S, US, others by name, all."""
        return ordered_conditions(self.windows["condition"])

    def primary_windows(self) -> pd.DataFrame:
        """Windows of the primary mode."""
        return self.windows[self.windows["mode"] == self.mode]


@dataclass(frozen=True)
class TrainingRun:
    """One training: its run.json and learning curve."""

    letter: str
    title: str
    folder: Path
    document: dict[str, Any]
    curve: pd.DataFrame

    @property
    def errors(self) -> dict[str, str]:
        """Columns of the validation error [deg], and the task of each."""
        found = {str(column): ERROR_COLUMN.fullmatch(str(column)) for column in self.curve.columns}
        return {column: match[1] or "" for column, match in found.items() if match}


@dataclass(frozen=True)
class Runs:
    """All that a report shows, and what could not be shown."""

    evaluations: tuple[EvaluationRun, ...]
    trainings: tuple[TrainingRun, ...]
    notes: tuple[str, ...] = ()

    @property
    def all(self) -> "tuple[EvaluationRun | TrainingRun, ...]":
        """Evaluations, then trainings."""
        return (*self.evaluations, *self.trainings)

    @property
    def conditions(self) -> list[str]:
        """Conditions of all evaluations."""
        return ordered_conditions(pd.Series([name for run in self.evaluations for name in run.conditions], dtype=str))


def ordered_conditions(found: "pd.Series[str]") -> list[str]:
    """Conditions in the order of every table: seen, U, S, US, others by name, then `all`."""
    present = set(found)
    first = [name for name in (SEEN, *CONDITION_TITLES) if name in present]
    return [*first, *sorted(present - set(first) - {ALL}), ALL]


def condition_title(condition: str) -> str:
    """U, S or US; other conditions keep their names."""
    return CONDITION_TITLES.get(condition, condition)


def read_runs(folders: Sequence[str | Path]) -> Runs:
    """Read the folders of a report.

    Parameters
    ----------
    folders : sequence of path
        What `evaluate --out` wrote, or train folders; evaluations in a train folder (`evaluate*/`) are read with it.
        A folder given twice counts once.

    Raises
    ------
    ConfigError : no folder, or more evaluations than can be told apart on a page.
    DataError : a folder or file is missing, damaged, or not of a run.
    """
    if not folders:
        raise ConfigError("a report needs at least one run: a folder that `emgpose evaluate --out` or a training wrote")
    scored: dict[Path, Path] = {}
    trained: dict[Path, Path] = {}
    notes = []
    for folder in map(Path, folders):
        kind = _kind(folder)
        if kind == "evaluation":
            scored.setdefault(folder.resolve(), folder)
            continue
        trained.setdefault(folder.resolve(), folder)
        inside = [path for path in sorted(folder.glob("evaluate*")) if (path / "windows.csv").is_file()]
        scored.update({path.resolve(): path for path in inside if path.resolve() not in scored})
        if not inside:
            notes.append(f"{folder} holds no evaluation; write one with: emgpose evaluate --out {folder}/evaluate ...")
    if len(scored) > MAX_EVALUATIONS:
        raise ConfigError(f"a report shows at most {MAX_EVALUATIONS} evaluations side by side, got {len(scored)}")
    titles = _titles([*scored, *trained])
    evaluations = [_read_evaluation(path, "ABCDEF"[i], titles[key]) for i, (key, path) in enumerate(scored.items())]
    trainings = [_read_training(path, f"T{i}", titles[key]) for i, (key, path) in enumerate(trained.items(), start=1)]
    return Runs(tuple(evaluations), tuple(trainings), tuple(notes))


def _kind(folder: Path) -> str:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give one that `emgpose evaluate --out` or a training wrote")
    if not (folder / "run.json").is_file():
        raise DataError(f"{folder}: expected run.json, found none; this is no folder of an evaluation or a training")
    if (folder / "windows.csv").is_file():
        return "evaluation"
    if (folder / "metrics.csv").is_file():
        return "training"
    raise DataError(
        f"{folder}: expected windows.csv (of an evaluation) or metrics.csv (of a training) beside run.json, found "
        "neither; the run may not have got far enough to report on"
    )


def _titles(paths: Sequence[Path]) -> dict[Path, str]:
    """As many of the last parts of each path as tell it from the others; `evaluate` alone says nothing."""
    titles = {}
    for path in paths:
        n_parts = 2 if path.name.startswith("evaluate") else 1
        while n_parts < len(path.parts) and any(
            other != path and other.parts[-n_parts:] == path.parts[-n_parts:] for other in paths
        ):
            n_parts += 1
        titles[path] = "/".join(path.parts[-n_parts:])
    return titles


def _read_evaluation(folder: Path, letter: str, title: str) -> EvaluationRun:
    document = _read_document(folder)
    for keys in _KEYS:
        value: Any = document
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if value is None:
            raise DataError(f"{folder / 'run.json'}: expected the key {'.'.join(keys)}, found none; evaluate again")
    tables = {name: _read_table(folder / f"{name}.csv", name in ("summary", "windows")) for name in _COLUMNS}
    if tables["windows"].empty:
        raise DataError(f"{folder / 'windows.csv'}: expected at least one window, found none; evaluate again")
    return EvaluationRun(letter, title, folder, document, **tables)


def _read_training(folder: Path, letter: str, title: str) -> TrainingRun:
    path = folder / "metrics.csv"
    curve = _parsed(path)
    if "step" not in curve.columns:
        raise DataError(f"{path}: expected the column step, found {', '.join(map(str, curve.columns)) or 'none'}")
    for column in curve.columns:
        curve[column] = _numbers(path, curve, column)
    for column in CURVE_COLUMNS:
        if column not in curve.columns:
            curve[column] = np.nan
    return TrainingRun(letter, title, folder, _read_document(folder), curve)


def _read_document(folder: Path) -> dict[str, Any]:
    path = folder / "run.json"
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(document, dict):
        raise DataError(f"{path}: expected a JSON object, got {type(document).__name__}")
    return document


def _read_table(path: Path, needed: bool) -> pd.DataFrame:
    expected = _COLUMNS[path.stem]
    if not needed and not path.is_file():
        return pd.DataFrame(columns=list(expected))
    table = _parsed(path)
    missing = [column for column in expected if column not in table.columns]
    if missing:
        raise DataError(f"{path}: expected the column {missing[0]}, found none; evaluate again")
    for column in table.columns:
        if column not in _TEXT_COLUMNS and column != "valid":
            table[column] = _numbers(path, table, column)
    return table


def _parsed(path: Path) -> pd.DataFrame:
    text = dict.fromkeys(_TEXT_COLUMNS, str)
    try:
        header = pd.read_csv(path, nrows=0).columns
        # A user may be called NA or 007.
        empty = {column: ["", "nan", "NaN", "None"] for column in header if column not in _TEXT_COLUMNS}
        return pd.read_csv(path, dtype=text, keep_default_na=False, na_values=empty)
    except (OSError, ValueError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path}: cannot be read as a CSV table: {' '.join(str(error).split())[:200]}") from None


def _numbers(path: Path, table: pd.DataFrame, column: str) -> "pd.Series[float]":
    try:
        return pd.to_numeric(table[column]).astype(float)
    except (ValueError, TypeError):
        raise DataError(f"{path}: expected numbers in the column {column}, found other text; write it again") from None
