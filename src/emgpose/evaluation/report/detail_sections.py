"""Sections on what lies behind the scores: joints, smoothness, examples, learning curves, cost, configuration."""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from emgpose.evaluation.report.run_folder import EvaluationRun, Runs, TrainingRun, condition_title
from emgpose.evaluation.report.tables import PARTS
from emgpose.evaluation.report.wording import NEW_LINE, NOTHING, Section, Table, three_digits, with_spread
from emgpose.evaluation.result import ALL

# Parts of run.json that other sections show.
_SHOWN_ELSEWHERE: Final = ("three_questions", "left_out", "without_window", "users_without_window")


def conditions(runs: Runs) -> Section:
    """Where the figures by condition stand."""
    first = runs.evaluations[0].letter
    text = f"Primary modes; the dotted grey line or bar is the static hand of {first}. The CSV files have the numbers."
    return Section("conditions", "Where the errors are", [text])


def joints(runs: Runs, table: pd.DataFrame) -> Section:
    """Errors of fingers, groups and joints, a column per run."""
    chosen = table[table["condition"] == ALL] if len(table) else table
    rows = []
    for part in PARTS:
        cells = []
        for run in runs.evaluations:
            found = chosen[(chosen["part"] == part) & (chosen["run"] == run.letter)] if len(chosen) else chosen
            cells.append(NOTHING if found.empty else _joint_cell(found.iloc[0]))
        rows.append((part, *cells))
    header = ("part", *(run.letter for run in runs.evaluations))
    text = "Mean error [deg] ± SD over users over all windows; R² of single joints. joints.csv has every condition."
    return Section("joints", "Fingers and joints", [text], tables=[Table(header, rows)], folded=True)


def _joint_cell(row: "pd.Series[Any]") -> str:
    explained = "" if math.isnan(row["r2"]) else f" (R² {row['r2']:.2f})"
    return with_spread(row["mae_deg"], row["sd_deg"]) + explained


def smoothness(table: pd.DataFrame) -> Section:
    """Derivatives of prediction and recording."""
    rows = []
    for row in table[table["condition"] == ALL].to_dict("records"):
        values = [three_digits(row[column]) for column in ("predicted", "recorded", "ratio")]
        rows.append((f"{row['run']} {row['derivative']} [{row['unit']}]", *values))
    text = (
        "Mean size of the derivatives of all joint angles over all windows. A ratio above 1 shakes more than the hand "
        "did, below 1 it smooths. Mode stream holds each pose until the next, 20 ms later: such steps show as large "
        "acceleration and jerk."
    )
    header = ("run and derivative", "predicted", "recorded", "ratio")
    return Section("smoothness", "Smoothness", [text], tables=[Table(header, rows, of_runs=True)])


def examples(runs: Runs, table: pd.DataFrame) -> Section:
    """The windows that are shown as moving hands."""
    title = "Best, median and worst windows"
    without = [run.letter for run in runs.evaluations if run.examples.empty]
    points = [f"Run {letter} has no examples.csv; evaluate again to see its hands." for letter in without]
    if table.empty:
        return Section("examples", title, [], points)
    rows = [
        (
            f"{row['run']} {row['example']}",
            f"{row['mae_deg']:.2f}",
            f"{row['static_mae_deg']:.2f}",
            condition_title(row["condition"]),
            *(str(row[name]) for name in ("user", "stage", "side", "start_sample")),
        )
        for row in table.to_dict("records")
    ]
    header = ("run and window", "error [deg]", "static [deg]", "condition", "user", "stage", "side", "start sample")
    text = "By the mean error of the window, primary mode; predicted beside recorded, 50 poses a second."
    return Section("examples", title, [text], points, [Table(header, rows, of_runs=True)])


def curves(runs: Runs) -> Section:
    """What the learning curves come to."""
    header = ("training", "status", "steps", "last epoch", "lowest val. loss", "lowest val. error [deg]", "windows/s")
    rows = [_curve_row(run) for run in runs.trainings]
    return Section("curves", "Learning curves", tables=[Table(header, rows)])


def _curve_row(run: TrainingRun) -> tuple[str, ...]:
    curve = run.curve
    return (
        f"{run.letter} {run.title}",
        str(run.document.get("status", "not said")),
        _whole(curve["step"].max()),
        _whole(curve["epoch"].max()),
        NOTHING if math.isnan(loss := curve["val_loss"].min()) else f"{loss:.4g}",
        NEW_LINE.join(_lowest(curve[column], task) for column, task in run.errors.items()) or NOTHING,
        three_digits(curve["windows_per_s"].median()),
    )


def _lowest(errors: "pd.Series[float]", task: str) -> str:
    lowest = errors.min()
    return f"{task} {NOTHING if math.isnan(lowest) else f'{lowest:.2f}'}".strip()


def _whole(value: float) -> str:
    return NOTHING if math.isnan(value) else f"{value:,.0f}"


def costs(table: pd.DataFrame) -> Section:
    """Parameters and floating-point operations."""
    columns = ("left_context_ms", "gflops_per_window", "mflops_per_s")
    rows = [
        (
            f"{row['run']} {row['model']}",
            _whole(row["n_parameters"]),
            *(three_digits(row[column]) for column in columns),
        )
        for row in table.to_dict("records")
    ]
    header = ("run", "parameters", "left context [ms]", "GFLOP per window", "MFLOP per second of EMG")
    text = (
        "FLOP: matrix products and convolutions of one test window in the primary mode, a multiplication and an "
        "addition counted as two."
    )
    return Section("costs", "Size and computation", [text], tables=[Table(header, rows, of_runs=True)])


def left_out(runs: Runs) -> Section:
    """How much was scored, and what was not."""
    points = [point for run in runs.evaluations for point in _left_out_points(run)]
    return Section("left-out", "Windows and what was left out", points=points)


def _left_out_points(run: EvaluationRun) -> list[str]:
    document, data = run.document, run.document["data"]
    left, without = document.get("left_out", []), document.get("without_window", [])
    scored, in_all = data.get("n_recordings_scored", "?"), data.get("n_recordings", "?")
    counts = f"{len(run.primary_windows())} windows from {scored} of {in_all} recordings"
    points = [f"{run.letter}: {counts}; {len(without)} without a window, {len(left)} left out."]
    points += [f"{run.letter} left out: {item.get('reason', '') if isinstance(item, dict) else item}" for item in left]
    for condition, users in document.get("users_without_window", {}).items():
        points.append(f"{run.letter}: users without a window in {condition_title(condition)}: {', '.join(users)}")
    return points


def configuration(runs: Runs) -> Section:
    """What run.json says, run by run."""
    found = []
    for run in runs.all:
        shown = {key: value for key, value in run.document.items() if key not in _SHOWN_ELSEWHERE}
        rows: list[tuple[str, ...]] = [("folder", str(run.folder)), *flat(shown)]
        found.append(Table(("key", "value"), rows, f"{run.letter} {run.title}"))
    text = "run.json of each folder: command, configuration, seed, versions, commit, checkpoint and data fingerprint."
    return Section("configuration", "Configuration", [text], tables=found, folded=True)


def flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested values as dotted keys; lists stay in one line."""
    rows: list[tuple[str, str]] = []
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping) and item:
            rows += flat(item, f"{name}.")
        else:
            rows.append((name, item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)))
    return rows
