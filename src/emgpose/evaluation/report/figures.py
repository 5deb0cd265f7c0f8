"""The figures of a report, each for one condition with every run in it."""

import math
from collections.abc import Sequence
from typing import Final

import pandas as pd

from emgpose.evaluation.report.charts import BOTTOM, TOP, Chart
from emgpose.evaluation.report.run_folder import EvaluationRun, Runs, TrainingRun, condition_title
from emgpose.metrics import DERIVATIVES

# Rows of the chart over users carry names up to here.
NAMED_ROWS: Final = 45
LONGEST_NAME: Final = 14
MAX_CURVE_POINTS: Final = 400
MAX_CURVE_MARKERS: Final = 60


def error_cdf(runs: Runs, condition: str) -> str:
    """Draw the share of errors up to a size, for runs and the first run's static hand; empty without data."""
    shown = [(i, run, _rows(run.cdf, run, condition)) for i, run in enumerate(runs.evaluations)]
    shown = [(i, run, table) for i, run, table in shown if not table.empty]
    if not shown:
        return ""
    # Up to where nearly all errors lie: the last hundredth would squeeze the rest.
    edges = [
        table.loc[(table[["share", "static_share"]].min(axis=1) >= 0.99), "error_rad"].min() for *_, table in shown
    ]
    stop = math.degrees(max(edge if math.isfinite(edge) else math.pi for edge in edges))
    chart = Chart(
        f"Error distribution, {condition_title(condition)}",
        (0, stop),
        (0, 1),
        "absolute joint-angle error [deg]",
        "share of samples and joints",
        y_ticks=[(i / 5, f"{20 * i} %") for i in range(6)],
    )

    def points(table: pd.DataFrame, column: str) -> list[tuple[float, float]]:
        inside = [(math.degrees(x), y) for x, y in zip(table["error_rad"], table[column], strict=True)]
        return [(x, y) for x, y in inside if x <= stop + 1e-9]

    chart.line(points(shown[0][2], "static_share"), None)
    for i, run, table in shown:
        line = points(table, "share")
        chart.line(line, i, run.letter)
        for x, y in _some(line, i, len(shown)):
            chart.marker(x, y, i, f"{run.letter}: {100 * y:.0f} % of errors are at most {x:.0f} deg")
    return chart.svg()


def drift(runs: Runs, condition: str) -> str:
    """Draw the error against time since the start of the scored span; empty without data."""
    shown = [(i, run, _rows(run.drift, run, condition)) for i, run in enumerate(runs.evaluations)]
    shown = [(i, run, table) for i, run, table in shown if not table.empty]
    if not shown:
        return ""
    highest = math.degrees(max(table[["mae", "static_mae"]].max().max() for *_, table in shown))
    stop = max(table["stop_s"].max() for *_, table in shown)
    chart = Chart(
        f"Drift over the window, {condition_title(condition)}",
        (0, stop),
        (0, 1.08 * highest),
        "time since the start of the scored span [s]",
        "mean error [deg]",
    )

    def points(table: pd.DataFrame, column: str) -> list[tuple[float, float]]:
        middle = (table["start_s"] + table["stop_s"]) / 2
        return [(x, math.degrees(y)) for x, y in zip(middle, table[column], strict=True)]

    chart.line(points(shown[0][2], "static_mae"), None)
    for i, run, table in shown:
        line = points(table, "mae")
        chart.line(line, i, run.letter)
        for x, y in line:
            chart.marker(x, y, i, f"{run.letter}: {y:.2f} deg at {x:g} s")
    return chart.svg()


def by_user(runs: Runs, users: pd.DataFrame, condition: str) -> str:
    """Draw one row per user, the first run's easiest user on top."""
    return _rows_chart(runs, users, condition, "user")


def by_stage(runs: Runs, stages: pd.DataFrame, condition: str) -> str:
    """Draw one row per stage, the first run's easiest stage on top; the line is the SD over users."""
    return _rows_chart(runs, stages, condition, "stage")


def _rows_chart(runs: Runs, table: pd.DataFrame, condition: str, what: str) -> str:
    chosen = table[table["condition"] == condition]
    if chosen.empty:
        return ""
    order = _order(runs, chosen, what)
    stage = what == "stage"
    named = stage or len(order) <= NAMED_ROWS
    row_height = 36 if stage else 18 if named else 7
    columns = ["mae_deg", "static_mae_deg"]
    spread = chosen["sd_deg"].fillna(0) if "sd_deg" in chosen else 0
    high = max(chosen[columns].max().max(), (chosen["mae_deg"] + spread).max())
    low = min(chosen[columns].min().min(), (chosen["mae_deg"] - spread).min())
    margin = 0.05 * (high - low) or 1.0
    chart = Chart(
        f"Error by {what}, {condition_title(condition)}",
        (max(0.0, low - margin), high + margin),
        # The first row stands at the top.
        (len(order) - 0.5, -0.5),
        "mean error [deg]" + (", line: SD over users" if stage else ""),
        height=TOP + BOTTOM + row_height * len(order),
        left=14 if stage or not named else 104,
        y_ticks=[(i, "" if stage or not named else _short(name)) for i, name in enumerate(order)],
    )
    for place, name in enumerate(order):
        _row(chart, runs, chosen[chosen[what] == name], place, name, stage)
    return chart.svg()


def _row(chart: Chart, runs: Runs, rows: pd.DataFrame, place: int, name: str, stage: bool) -> None:
    level = place + 0.2 if stage else place
    if stage:
        chart.text(chart.left + 2, chart.y(place) - 6, name, "tick")
    for i, run in enumerate(runs.evaluations):
        found = rows[rows["run"] == run.letter]
        if found.empty:
            continue
        row = found.iloc[0]
        if i == 0:
            still = row["static_mae_deg"]
            chart.marker(still, level, None, f"{name}, static hand of {run.letter}: {still:.2f} deg")
        if stage:
            chart.interval(row["mae_deg"] - row["sd_deg"], row["mae_deg"] + row["sd_deg"], level, i)
        chart.marker(row["mae_deg"], level, i, f"{name}, {run.letter}: {row['mae_deg']:.2f} deg")


def _order(runs: Runs, table: pd.DataFrame, what: str) -> list[str]:
    """Names by the first run's error; those that only later runs have follow by theirs."""
    names: dict[str, None] = {}
    for run in runs.evaluations:
        of_run = table[table["run"] == run.letter].sort_values("mae_deg", kind="stable")
        names |= dict.fromkeys(of_run[what])
    return list(names)


def smoothness(runs: Runs, table: pd.DataFrame, condition: str) -> str:
    """Draw how much faster or slower the prediction moves than the recorded hand, on a logarithmic axis."""
    chosen = table[(table["condition"] == condition) & (table["ratio"] > 0)]
    if chosen.empty:
        return ""
    logs = [math.log10(ratio) for ratio in chosen["ratio"]]
    low, high = min(-0.5, *logs) - 0.1, max(0.5, *logs) + 0.1
    marks = (
        [0.1, 0.3, 1, 3, 10]
        if high - low < 2.4
        else [10.0**power for power in range(math.ceil(low), math.floor(high) + 1)]
    )
    chart = Chart(
        f"Smoothness, {condition_title(condition)}",
        (low, high),
        (len(DERIVATIVES) - 0.5, -0.5),
        "predicted / recorded (1: moves as much as the hand did)",
        height=TOP + BOTTOM + 40 * len(DERIVATIVES),
        left=82,
        x_ticks=[(math.log10(mark), f"{mark:g}") for mark in marks if low <= math.log10(mark) <= high],
        y_ticks=[(i, name) for i, name in enumerate(DERIVATIVES)],
    )
    chart.vertical(0)
    n_runs = len(runs.evaluations)
    for i, run in enumerate(runs.evaluations):
        for place, name in enumerate(DERIVATIVES):
            row = chosen[(chosen["run"] == run.letter) & (chosen["derivative"] == name)]
            if not row.empty:
                ratio = float(row["ratio"].iloc[0])
                level = place + 0.6 * ((i + 0.5) / n_runs - 0.5)
                chart.marker(math.log10(ratio), level, i, f"{run.letter}, {name}: {ratio:.2f} times the recorded")
    return chart.svg()


def learning_curves(trainings: Sequence[TrainingRun]) -> list[tuple[str, str]]:
    """Draw loss, validation error and learning rate over the steps of all trainings: (caption, SVG)."""
    tasks = dict.fromkeys(task for run in trainings for task in run.errors.values())
    panels = [("Loss (line: training, markers: validation)", "loss", {"train_loss"}, {"val_loss"})]
    for task in tasks:
        columns = {column for run in trainings for column, of_task in run.errors.items() if of_task == task}
        panels.append((f"Validation error {task}".strip(), "mean error [deg]", columns, columns))
    panels.append(("Learning rate", "", {"lr"}, set()))
    drawn = [(panel[0], _curve(trainings, *panel)) for panel in panels]
    return [(caption, svg) for caption, svg in drawn if svg]


def _curve(trainings: Sequence[TrainingRun], title: str, label: str, lines: set[str], markers: set[str]) -> str:
    shown = [
        (i, run, column, _points(run.curve, column))
        for i, run in enumerate(trainings)
        for column in sorted(lines | markers)
        if column in run.curve
    ]
    shown = [item for item in shown if item[3]]
    if not shown:
        return ""
    values = [value for *_, points in shown for _, value in points]
    bottom, high = min(0.0, *values), max(values)
    last_step = max(points[-1][0] for *_, points in shown)
    limits = (bottom, high + 0.05 * ((high - bottom) or 1))
    chart = Chart(title, (0.0, max(1.0, last_step)), limits, "step", label, left=62)
    for i, run, column, points in shown:
        if column in lines:
            chart.line(points[:: _stride(points, MAX_CURVE_POINTS)], i, run.letter)
        for step, value in points[:: _stride(points, MAX_CURVE_MARKERS)] if column in markers else ():
            chart.marker(step, value, i, f"{run.letter}, step {step:g}: {column} {value:.4g}")
    return chart.svg()


def _points(curve: pd.DataFrame, column: str) -> list[tuple[float, float]]:
    """Steps and values of a column without its gaps: not every row has every figure."""
    pairs = zip(curve["step"].tolist(), curve[column].tolist(), strict=True)
    return [(step, value) for step, value in pairs if math.isfinite(step) and math.isfinite(value)]


def _stride(points: Sequence[object], most: int) -> int:
    return max(1, math.ceil(len(points) / most))


def _rows(table: pd.DataFrame, run: EvaluationRun, condition: str) -> pd.DataFrame:
    return table[(table["condition"] == condition) & (table["mode"] == run.mode)]


def _some(points: list[tuple[float, float]], number: int, n_runs: int) -> list[tuple[float, float]]:
    """About six points of a line, at other places for every run, for its markers."""
    step = max(1, len(points) // 6)
    return points[1 + (number * step) // n_runs :: step]


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
