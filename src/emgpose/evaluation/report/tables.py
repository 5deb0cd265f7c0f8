"""Numbers of runs as tables, in degrees and millimetres: the same for the CSV files, the page and the Markdown."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from emgpose.evaluation.published import PUBLISHED_SCORES
from emgpose.evaluation.report.bootstrap import Difference
from emgpose.evaluation.report.pairing import Comparison
from emgpose.evaluation.report.run_folder import EvaluationRun, Runs, TrainingRun, ordered_conditions
from emgpose.evaluation.result import ALL
from emgpose.hand import FINGERS, JOINTS, JOINTS_OF_GROUP
from emgpose.metrics import DERIVATIVES

DEGREES: Final = 180 / math.pi
PLACEMENT_COLUMNS: Final = ("placement_split", "placement")
# Parts of the hand whose errors are listed, from the whole to the joint.
PARTS: Final = (*FINGERS, *JOINTS_OF_GROUP, *JOINTS)
PUBLISHED_DATA: Final = "recorded (emg2pose test split)"


def scores(runs: Runs) -> pd.DataFrame:
    """One row per run, mode and condition, then the static hands, then the published figures of the runs' tasks.

    Returns
    -------
    DataFrame with the columns run, kind, name, task, mode, causality, data, condition, reduction, mae_deg, sd_deg,
    landmark_distance_mm, landmark_distance_sd_mm, fingertip_distance_mm, n_users, n_windows
        Mean and SD (ddof = 1) over users; `pooled` has no SD.
    """
    rows: list[dict[str, Any]] = []
    for run in runs.evaluations:
        for mode in run.modes:
            rows += _measured(run, mode, static=False)
        rows += _measured(run, run.mode, static=True)
    for task in dict.fromkeys(run.task for run in runs.evaluations):
        rows += _published(task, runs)
    return pd.DataFrame(rows)


def _measured(run: EvaluationRun, mode: str, static: bool) -> list[dict[str, Any]]:
    prefix = "static_" if static else ""
    columns = [f"{prefix}{name}" for name in ("mae", "landmark_distance", "fingertip_distance")]
    windows = run.windows[run.windows["mode"] == mode]
    facts = {
        "run": run.letter,
        "kind": "static" if static else "model",
        "name": str(run.document.get("static_hand", {}).get("label", "static hand")) if static else run.title,
        "task": run.task,
        "mode": "" if static else mode,
        "causality": "does not move" if static else run.modes[mode],
        "data": run.data_label,
    }
    rows = []
    for condition in run.conditions:
        chosen = of_condition(windows, condition)
        users = chosen.groupby("user")[columns].mean()
        mean, spread = users.mean().to_numpy(), users.std(ddof=1).to_numpy()
        here = {**facts, "condition": condition, "n_users": len(users), "n_windows": len(chosen)}
        sizes = {"mae_deg": math.degrees(mean[0]), "sd_deg": math.degrees(spread[0])}
        sizes |= {"landmark_distance_mm": mean[1], "landmark_distance_sd_mm": spread[1]}
        rows.append({**here, "reduction": "per_user", **sizes, "fingertip_distance_mm": mean[2]})
        if mode == run.mode:
            rows.append({**here, "reduction": "pooled", **_pooled(run, condition, columns)})
    return rows


def _pooled(run: EvaluationRun, condition: str, columns: list[str]) -> dict[str, float]:
    """The published script's means, which summary.csv has for the primary mode."""
    table = run.summary[(run.summary["condition"] == condition) & (run.summary["reduction"] == "pooled")]
    error, landmarks, fingertips = table.set_index("metric")["mean"].reindex(columns).to_numpy()
    return {"mae_deg": math.degrees(error), "landmark_distance_mm": landmarks, "fingertip_distance_mm": fingertips}


def _published(task: str, runs: Runs) -> list[dict[str, Any]]:
    """Published figures of a task; landmark distances only where all runs used the published hand."""
    # A value of another metadata column may be called like a condition without being one.
    own: tuple[list[str], ...] = ([], ["generalization"])
    runs_of_task = [run for run in runs.evaluations if run.task == task and run.document["data"].get("by", []) in own]
    conditions = {condition for run in runs_of_task for condition in run.conditions}
    comparable = all(run.document.get("hand", {}).get("is_umetrack") for run in runs_of_task)
    return [
        {
            "run": "",
            "kind": "published",
            "name": method,
            "task": task,
            "mode": "",
            "causality": "as published",
            "data": PUBLISHED_DATA,
            "condition": condition,
            "reduction": "per_user",
            "mae_deg": score.mae_deg,
            "sd_deg": score.sd_deg,
            "landmark_distance_mm": score.landmark_distance_mm if comparable else math.nan,
        }
        for method, by_condition in PUBLISHED_SCORES.get(task, {}).items()
        for condition, score in by_condition.items()
        if condition in conditions
    ]


def of_condition(windows: pd.DataFrame, condition: str) -> pd.DataFrame:
    """Windows of a condition; all of them for `all`."""
    return windows if condition == ALL else windows[windows["condition"] == condition]


def users(runs: Runs) -> pd.DataFrame:
    """Errors of every user in every condition.

    Returns
    -------
    DataFrame with the columns run, condition, user, mae_deg, static_mae_deg, landmark_distance_mm, n_windows
    """
    return _grouped(runs, ["condition", "user"])


def stages(runs: Runs) -> pd.DataFrame:
    """Errors by condition and stage, mean and SD over users; columns as in `users`, with sd_deg and n_users."""
    return _over_users(runs, ["condition", "stage"])


def placements(runs: Runs) -> pd.DataFrame:
    """Errors by condition and placement of the band, mean and SD over users; empty where the data do not say."""
    have = [column for column in PLACEMENT_COLUMNS if all(column in run.windows for run in runs.evaluations)]
    return _over_users(runs, ["condition", have[0]]) if have and runs.evaluations else pd.DataFrame()


def _with_all(windows: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([windows, windows.assign(condition=ALL)], ignore_index=True)


def _grouped(runs: Runs, by: list[str]) -> pd.DataFrame:
    tables = []
    for run in runs.evaluations:
        groups = _with_all(run.primary_windows()).groupby(by, sort=False)
        means = groups[["mae", "static_mae", "landmark_distance"]].mean()
        table = pd.DataFrame(
            {
                "mae_deg": np.degrees(means["mae"]),
                "static_mae_deg": np.degrees(means["static_mae"]),
                "landmark_distance_mm": means["landmark_distance"],
                "n_windows": groups.size(),
            }
        ).reset_index()
        table.insert(0, "run", run.letter)
        tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _over_users(runs: Runs, by: list[str]) -> pd.DataFrame:
    of_users = _grouped(runs, [*by, "user"])
    if of_users.empty:
        return of_users
    groups = of_users.groupby(["run", *by], sort=False)
    table = groups[["mae_deg", "static_mae_deg", "landmark_distance_mm"]].mean()
    table.insert(1, "sd_deg", groups["mae_deg"].std(ddof=1))
    return table.assign(n_users=groups.size(), n_windows=groups["n_windows"].sum()).reset_index()


def joints(runs: Runs) -> pd.DataFrame:
    """Errors of fingers, groups and joints.

    Returns
    -------
    DataFrame with the columns run, condition, part, mae_deg, sd_deg, r2
        Mean and SD over users; R2 of single joints only.
    """
    columns = ["run", "condition", "part", "mae_deg", "sd_deg", "r2"]
    rows: list[dict[str, Any]] = []
    for run in runs.evaluations:
        per_user = run.summary[run.summary["reduction"] == "per_user"].to_dict("records")
        found = {(str(row["condition"]), str(row["metric"])): row for row in per_user}
        for condition in ordered_conditions(run.summary["condition"]):
            for part in PARTS:
                error = found.get((condition, f"mae_{part}"))
                if error is not None:
                    r2 = found.get((condition, f"r2_{part}"), {}).get("mean", math.nan)
                    size = {"mae_deg": math.degrees(error["mean"]), "sd_deg": math.degrees(error["sd"]), "r2": r2}
                    rows.append({"run": run.letter, "condition": condition, "part": part, **size})
    return pd.DataFrame(rows, columns=columns)


def smoothness(runs: Runs) -> pd.DataFrame:
    """Mean size of the derivatives, predicted and recorded, of the primary modes.

    Returns
    -------
    DataFrame with the columns run, condition, derivative, unit, predicted, recorded, ratio
        Degrees per second, second^2 and second^3; mean over users. NaN where an older emgpose did not write them.
    """
    columns = ["run", "condition", "derivative", "unit", "predicted", "recorded", "ratio"]
    names = [f"{prefix}{name}" for name in DERIVATIVES for prefix in ("", "recorded_")]
    rows: list[dict[str, Any]] = []
    for run in runs.evaluations:
        windows = _with_all(run.primary_windows()).reindex(columns=["condition", "user", *names])
        means = windows.groupby(["condition", "user"])[names].mean().groupby("condition").mean() * DEGREES
        for condition in run.conditions:
            sizes: dict[str, float] = dict(zip(names, means.loc[[condition]].to_numpy()[0].tolist(), strict=True))
            for order, name in enumerate(DERIVATIVES, start=1):
                predicted, recorded = sizes[name], sizes[f"recorded_{name}"]
                unit = "deg/s" + ("" if order == 1 else f"^{order}")
                ratio = predicted / recorded if recorded else math.nan
                values = (run.letter, condition, name, unit, predicted, recorded, ratio)
                rows.append(dict(zip(columns, values, strict=True)))
    return pd.DataFrame(rows, columns=columns)


def differences(comparisons: Sequence[Comparison], static: dict[str, dict[str, Difference]]) -> pd.DataFrame:
    """Paired differences in degrees, of runs and of each run from its static hand.

    Parameters
    ----------
    comparisons : sequence of Comparison
    static : dict of run letter -> condition -> Difference

    Returns
    -------
    DataFrame with the columns comparison, condition, n_users, difference_deg, low_deg, high_deg, percent, percent_low,
    percent_high
    """
    named = [(item.name, item.differences) for item in comparisons]
    named += [(f"{letter} − static hand", of_run) for letter, of_run in static.items()]
    rows = [
        {
            "comparison": name,
            "condition": condition,
            "n_users": found.n_users,
            "difference_deg": math.degrees(found.mean),
            "low_deg": math.degrees(found.low),
            "high_deg": math.degrees(found.high),
            "percent": found.percent,
            "percent_low": found.percent_low,
            "percent_high": found.percent_high,
        }
        for name, by_condition in named
        for condition, found in by_condition.items()
    ]
    return pd.DataFrame(rows)


def examples(runs: Runs) -> pd.DataFrame:
    """List the windows that are shown as moving hands.

    Returns
    -------
    DataFrame with the columns run, example, filename, user, stage, side, condition, start_sample, mae_deg,
    static_mae_deg
    """
    rows = []
    for run in runs.evaluations:
        if run.examples.empty or "filename" not in run.windows:
            continue
        windows = run.primary_windows()
        shown = run.examples[["example", "filename", "start_sample"]].drop_duplicates()
        for name, filename, start in shown.itertuples(index=False, name=None):
            found = windows[(windows["filename"] == filename) & (windows["start_sample"] == start)]
            if found.empty:
                continue
            window = found.to_dict("records")[0]
            rows.append(
                {
                    "run": run.letter,
                    "example": name,
                    "filename": filename,
                    **{column: window[column] for column in ("user", "stage", "side", "condition")},
                    "start_sample": int(start),
                    "mae_deg": math.degrees(window["mae"]),
                    "static_mae_deg": math.degrees(window["static_mae"]),
                }
            )
    return pd.DataFrame(rows)


def costs(runs: Runs) -> pd.DataFrame:
    """Size and computation of each model.

    Returns
    -------
    DataFrame with the columns run, model, n_parameters, left_context_ms, gflops_per_window, mflops_per_s
    """
    rows = []
    for run in runs.evaluations:
        model = run.model
        rate_hz = model.get("sample_rate_hz") or math.nan
        flops = model.get("flops_per_window") or math.nan
        window_s = (run.document.get("protocol", {}).get("window_samples") or math.nan) / rate_hz
        rows.append(
            {
                "run": run.letter,
                "model": model["name"],
                "n_parameters": model.get("n_parameters"),
                "left_context_ms": 1000 * (model.get("left_context") or 0) / rate_hz,
                "gflops_per_window": flops / 1e9,
                "mflops_per_s": flops / window_s / 1e6,
            }
        )
    return pd.DataFrame(rows)


def curves(trainings: Sequence[TrainingRun]) -> pd.DataFrame:
    """Learning curves of all trainings, one below the other."""
    tables = [run.curve.assign(run=run.letter) for run in trainings]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
