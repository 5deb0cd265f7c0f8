"""Sections on how good the runs are: scores, the three questions, paired differences, placements."""

import math
from collections.abc import Sequence

import pandas as pd

from emgpose.evaluation.comparison import NOT_COMPARABLE
from emgpose.evaluation.report.bootstrap import FEW_USERS, Difference
from emgpose.evaluation.report.pairing import REASONS, Comparison
from emgpose.evaluation.report.run_folder import Runs, condition_title
from emgpose.evaluation.report.tables import PLACEMENT_COLUMNS
from emgpose.evaluation.report.wording import (
    NEW_LINE,
    NOTHING,
    Section,
    Table,
    counted,
    difference_text,
    listed,
    verdict,
    with_spread,
)
from emgpose.evaluation.result import ALL


def scores(runs: Runs, table: pd.DataFrame) -> Section:
    """One table per task: runs, static hands, published figures."""
    legend = (
        "Mean joint-angle error [deg] ± SD over users, landmark distance, number of users. A user's score is the mean "
        "over their windows; the SD has ddof = 1. U, S, US: users, stages, or both held out."
    )
    paragraphs = [legend]
    if any(run.is_simulated is not False for run in runs.evaluations):
        paragraphs.append(
            "Simulated EMG is no evidence about people: scores on it compare with one another, never with published "
            "ones."
        )
    found, other_hand = [], []
    for task in dict.fromkeys(run.task for run in runs.evaluations):
        rows = table[(table["task"] == task) & (table["reduction"] == "per_user")]
        published = rows[rows["kind"] == "published"]
        if len(published) and published["landmark_distance_mm"].isna().all():
            other_hand.append(task)
        found.append(_score_table(task, runs, rows))
    if other_hand:
        paragraphs.append(
            f"Published landmark distances ({', '.join(other_hand)}) use the UmeTrack hand and these runs another: "
            f"{NOT_COMPARABLE}."
        )
    return Section("scores", "Scores", paragraphs, tables=found)


def _score_table(task: str, runs: Runs, rows: pd.DataFrame) -> Table:
    conditions = [name for name in runs.conditions if name in set(rows["condition"])]
    lines: list[tuple[str, ...]] = []
    keys = ["run", "kind", "name", "mode", "causality", "data"]
    for key, group in rows.groupby(keys, sort=False):
        run, kind, name, mode, causality, data = map(str, key)
        named = {
            "model": f"{run} {name}, {mode}",
            "static": f"static hand of {run} ({name})",
            "published": f"published: {name}",
        }[kind]
        lines.append((named, causality, data, *(_score_cell(group, condition) for condition in conditions)))
    header = ("run", "causal?", "data", *map(condition_title, conditions))
    return Table(header, lines, f"Task: {task}", of_runs=True)


def _score_cell(rows: pd.DataFrame, condition: str) -> str:
    row = rows[rows["condition"] == condition]
    if row.empty:
        return NOTHING
    names = ("mae_deg", "sd_deg", "landmark_distance_mm", "n_users")
    error, spread, distance, n_users = (float(row[name].iloc[0]) for name in names)
    lines = [with_spread(error, spread)]
    lines += [] if math.isnan(distance) else [f"{distance:.1f} mm"]
    lines += [] if math.isnan(n_users) else [counted(n_users, "user")]
    return NEW_LINE.join(lines)


def questions(runs: Runs, static: dict[str, dict[str, Difference]]) -> Section:
    """Causality, static hand and split of every run (benchmark.md section 6)."""
    rows: list[tuple[str, ...]] = []
    for run in runs.evaluations:
        causal = NEW_LINE.join(f"{mode}: {label}" for mode, label in run.modes.items())
        verdicts = [
            f"{condition_title(name)}: {verdict(found)}, {difference_text(found).replace(NEW_LINE, ', ')}"
            for name, found in static[run.letter].items()
        ]
        label = run.document.get("static_hand", {}).get("label", "static hand")
        asked = run.document.get("three_questions", {})
        split = next((answer for question, answer in asked.items() if "split" in question), "run.json does not say")
        rows += [
            (f"{run.letter} Is the model causal?", causal),
            (f"{run.letter} Does it beat the static hand ({label})?", NEW_LINE.join(verdicts)),
            (f"{run.letter} Is the split by user and stage?", str(split)),
        ]
    paragraph = (
        "What a static or a looking-ahead evaluation hides. Differences are of the primary mode from the static hand "
        "on the same windows, with 95 % bootstrap intervals over users; below zero is better than a hand that never "
        "moves."
    )
    table = Table(("question", "answer"), rows, of_runs=True)
    return Section("questions", "Three questions", [paragraph], tables=[table])


def differences(comparisons: Sequence[Comparison]) -> Section:
    """Every run against the first, and what could not be paired."""
    conditions = list(dict.fromkeys(name for item in comparisons for name in item.differences))
    conditions = [name for name in conditions if name != ALL] + [ALL] * (ALL in conditions)
    rows = []
    for item in comparisons:
        found = [item.differences.get(name) for name in conditions]
        rows.append((item.name, *(NOTHING if cell is None else difference_text(cell) for cell in found)))
    points = [point for item in comparisons for point in (*item.caveats, *_unpaired_points(item))]
    counts = [found.n_users for item in comparisons for found in item.differences.values()]
    if counts and min(counts) < FEW_USERS:
        points.append(f"Intervals over fewer than {FEW_USERS} users are too narrow to rely on.")
    paragraph = (
        "Mean error of a run minus that of the first, paired on user and condition over the recordings that both "
        "scored, primary modes. In brackets: 95 % bootstrap interval over users. Below zero: better than the first run."
    )
    table = Table(("difference", *map(condition_title, conditions)), rows)
    return Section("differences", "Paired differences", [paragraph], points, [table] if conditions else [])


def _unpaired_points(item: Comparison) -> list[str]:
    """Say what could not be paired, widest reason first."""
    first, second = item.n_paired_windows
    if not first:
        found = [f"{item.name}: no recording is in both; nothing can be paired."]
    elif item.unpaired.empty:
        found = [f"{item.name}: every recording is in both; {first} windows paired."]
    else:
        found = [f"{item.name}: {first} windows paired with {second}."]
    for reason, noun in REASONS.items():
        for letter, group in item.unpaired[item.unpaired["reason"] == reason].groupby("run", sort=False):
            titles = [condition_title(name) for name in group["condition"]]
            names = {
                "condition": titles,
                "user": list(group["user"]),
                "unit": [f"{user} in {title}" for user, title in zip(group["user"], titles, strict=True)],
                "recording": list(group["recording"]),
            }[reason]
            n_windows = counted(group["n_windows"].sum(), "window")
            found.append(
                f"{item.name}: only {letter} has the {noun} {listed(names, 'unpaired.csv')}; {n_windows} not paired."
            )
    return found


def placements(runs: Runs, table: pd.DataFrame) -> Section:
    """Scores by the placement of the band."""
    column = next(name for name in PLACEMENT_COLUMNS if name in table)
    conditions = [name for name in runs.conditions if name in set(table["condition"])]
    rows = []
    for (letter, placement), group in table.groupby(["run", column], sort=False):
        cells = group.set_index("condition")[["mae_deg", "sd_deg"]].reindex(conditions)
        rows.append((f"{letter} {column} {placement}", *(with_spread(*cell) for cell in cells.to_numpy())))
    paragraph = (
        f"Mean error [deg] ± SD over users by the metadata's {column}, primary modes. Unless a training's "
        "configuration leaves some placements out, it saw all of them."
    )
    header = ("run", *map(condition_title, conditions))
    found = Table(header, rows, of_runs=True)
    return Section("placements", "Placement of the band", [paragraph], tables=[found])
