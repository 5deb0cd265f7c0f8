"""Write an evaluation: tables, summary.md and run.json, each whole or not at all.

| file | what | units |
|---|---|---|
| summary.csv | one row per condition, metric and reduction, of the primary mode | rad, mm |
| windows.csv | one row per window and mode | rad, mm |
| drift.csv | error by time since the start of the scored span | rad, s |
| cdf.csv | share of errors of single samples and joints up to a size | rad |
| examples.csv | poses predicted and recorded in the best, the median and the worst window | rad, s |
| summary.md | the same for reading, with the published figures beside | deg, mm |
| run.json | command, configuration, versions, fingerprints, and what was left out | |

start_sample and stop_sample of windows.csv hold the whole window, the model's left context included, half-open, in
samples at the model's rate.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from emgpose.atomic import atomic_file, ready_folder, write_text_atomically
from emgpose.evaluation.comparison import (
    WEIGHTS_SEEN,
    causality_label,
    published_rows,
    recorded_label,
    score_rows,
    three_questions,
)
from emgpose.evaluation.examples import example_windows
from emgpose.evaluation.protocol import TEST_STRIDE_SAMPLES
from emgpose.evaluation.provenance import git_state, versions
from emgpose.evaluation.published import CONDITION_TITLES
from emgpose.evaluation.result import ALL, Evaluation
from emgpose.evaluation.summary import SUMMARY_UNITS, cdf_table, conditions_of, drift_table, figure, summarise
from emgpose.json_values import json_values
from emgpose.metrics import PUBLISHED_DERIVATIVES
from emgpose.models import Mode


def write_evaluation(
    evaluation: Evaluation,
    folder: str | Path,
    *,
    command: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
    checkpoint: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write all files of an evaluation.

    Parameters
    ----------
    evaluation : Evaluation
    folder : path
        Made if it does not exist.
    command : sequence of str
        The command line, for run.json.
    config : mapping, optional
        Its options, for run.json.
    checkpoint : mapping, optional
        Path and fingerprint of the model file, for run.json.

    Returns
    -------
    list of Path

    Raises
    ------
    DataError : the folder cannot be written to.
    """
    path = ready_folder(folder)
    written = []
    tables = {
        "summary": summarise(evaluation),
        "windows": evaluation.windows,
        "drift": drift_table(evaluation),
        "cdf": cdf_table(evaluation),
        "examples": example_windows(evaluation),
    }
    for name, table in tables.items():
        written.append(path / f"{name}.csv")
        with atomic_file(written[-1]) as unfinished:
            table.to_csv(unfinished, index=False)
    written.append(path / "summary.md")
    write_text_atomically(written[-1], summary_markdown(evaluation))
    written.append(path / "run.json")
    document = run_document(evaluation, command=command, config=config, checkpoint=checkpoint)
    write_text_atomically(written[-1], json.dumps(json_values(document), indent=2, allow_nan=False) + "\n")
    return written


def run_document(
    evaluation: Evaluation,
    *,
    command: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
    checkpoint: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything about a run that its scores depend on, and what was left out, for JSON."""
    model, hand = evaluation.model, evaluation.hand
    return {
        "command": list(command),
        "config": dict(config or {}),
        # The protocol draws nothing at random.
        "seed": None,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "git": git_state(),
        "checkpoint": dict(checkpoint or {}),
        "model": _model_facts(evaluation),
        "modes": {mode: causality_label(model, mode) for mode in evaluation.modes},
        "primary_mode": evaluation.modes[0],
        "protocol": {"window_samples": model.test_window, "stride_samples": TEST_STRIDE_SAMPLES, "skip_invalid": True},
        "hand": {"name": hand.name, "is_umetrack": hand.is_umetrack, "fingerprint": hand.fingerprint()},
        "static_hand": {
            "label": evaluation.static.label,
            "note": evaluation.static.note,
            "joint_angles_rad": evaluation.static.joint_angles,
        },
        "data": _data_facts(evaluation),
        "three_questions": dict(three_questions(evaluation)),
        "left_out": [{"path": str(item.path), "reason": item.reason} for item in evaluation.left_out],
        "without_window": [str(path) for path in evaluation.without_window],
        "users_without_window": evaluation.users_without_window(),
    }


def _model_facts(evaluation: Evaluation) -> dict[str, Any]:
    model = evaluation.model
    return {
        "name": model.name,
        "experiment": model.card.experiment,
        "task": evaluation.task,
        "tasks": list(model.tasks),
        "n_parameters": model.n_parameters,
        "flops_per_window": evaluation.flops_per_window,
        "sample_rate_hz": model.sample_rate_hz,
        "left_context": model.left_context,
        "trained_on": model.card.trained_on,
        "preprocessing": model.card.preprocessing.to_config(),
    }


def _data_facts(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "root": str(evaluation.data_root),
        "split": evaluation.split,
        "by": list(evaluation.by),
        "fingerprint": evaluation.data_fingerprint(),
        "simulated": evaluation.simulated,
        "n_recordings": evaluation.n_recordings,
        "n_recordings_scored": evaluation.n_scored,
        "n_windows": len(evaluation.windows) // len(evaluation.modes),
        "preparation": dict(evaluation.preparations),
    }


def summary_markdown(evaluation: Evaluation) -> str:
    """Scores for reading: degrees and millimetres, published figures beside, and what was left out."""
    model = evaluation.model
    facts = (
        f"Task: {evaluation.task}. Weights: {WEIGHTS_SEEN[model.card.trained_on]}. "
        f"Scored on {recorded_label(evaluation)}, split {evaluation.split or 'all'}. Hand: {evaluation.hand.name}. "
        f"Static hand: {evaluation.static.note} (`{evaluation.static.label}`)."
    )
    legend = (
        "Mean joint-angle error [deg] ± SD over users / landmark distance [mm]. `per_user`: mean over users of the "
        "mean over their windows. `pooled`: batches of 32 windows, as the published script does."
    )
    parts = [f"# {model.name} on {evaluation.data_root.name}", facts, "## Scores", legend, _score_table(evaluation)]
    parts += [_published_note(evaluation)] if published_rows(evaluation) else []
    parts += ["## Three questions"]
    parts += ["\n".join(f"- {question} {answer}." for question, answer in three_questions(evaluation))]
    parts += [_detail(evaluation, mode) for mode in evaluation.modes]
    parts += ["## Windows and what was left out", _coverage(evaluation)]
    return "\n\n".join(parts) + "\n"


def _score_table(evaluation: Evaluation) -> str:
    conditions = conditions_of(evaluation)
    titles = [CONDITION_TITLES.get(condition, condition) for condition in conditions]
    rows = [
        [row.name, row.label, *(row.cells.get(condition, "-") for condition in conditions)]
        for row in score_rows(evaluation)
    ]
    return _table(["model", "causal?", *titles], rows)


def _published_note(evaluation: Evaluation) -> str:
    note = (
        "Published rows are figures of their authors on the emg2pose test split (20 held-out users, 6 held-out "
        "stages); they compare with this run only if that is what was scored here."
    )
    if not evaluation.hand.is_umetrack:
        note += (
            " Published landmark distances use the UmeTrack generic hand, this run another, so they are not "
            "comparable; give that hand's JSON with `--hand`."
        )
    return note


def _detail(evaluation: Evaluation, mode: Mode) -> str:
    """Every metric of one mode, per user, by condition; R2 of single joints stands in summary.csv."""
    summary = summarise(evaluation, mode)
    conditions = conditions_of(evaluation)
    rows = []
    for metric, unit in SUMMARY_UNITS.items():
        if metric.startswith("r2_"):
            continue
        in_degrees = unit.startswith("rad") and metric not in PUBLISHED_DERIVATIVES
        figures = [figure(summary, condition, metric) for condition in conditions]
        cells = [_cell(*(math.degrees(value) if in_degrees else value for value in pair)) for pair in figures]
        rows.append([metric, unit.replace("rad", "deg", 1) if in_degrees else unit, *cells])
    titles = [CONDITION_TITLES.get(condition, condition) for condition in conditions]
    heading = f"## Mode {mode} ({causality_label(evaluation.model, mode)}), mean ± SD over users"
    return f"{heading}\n\n{_table(['metric', 'unit', *titles], rows)}"


def _cell(mean: float, sd: float) -> str:
    if math.isnan(mean):
        return "-"
    size = abs(mean)
    style = ".2f" if 0.1 <= size < 1000 else ".0f" if size >= 1000 else ".2g"
    return f"{mean:{style}}" + ("" if math.isnan(sd) else f" ± {sd:{style}}")


def _coverage(evaluation: Evaluation) -> str:
    windows = evaluation.windows[evaluation.windows["mode"] == evaluation.modes[0]]
    headline = (
        f"{len(windows)} windows from {evaluation.n_scored} of {evaluation.n_recordings} recordings "
        f"(window {evaluation.model.test_window} samples, every {TEST_STRIDE_SAMPLES}, labels all valid)."
    )
    lines = [headline, ""]
    for condition in conditions_of(evaluation):
        chosen = windows if condition == ALL else windows[windows["condition"] == condition]
        lines.append(f"- {condition}: {len(chosen)} windows, {chosen['user'].nunique()} users")
    lines += [f"- EMG: {how} ({count} recordings)" for how, count in evaluation.preparations.items()]
    for condition, users in evaluation.users_without_window().items():
        lines.append(f"- users without a window in {condition}: {', '.join(users)}")
    lines += _list("recordings without a window of valid labels", (p.name for p in evaluation.without_window))
    lines += _list("recordings left out", map(str, evaluation.left_out))
    return "\n".join(lines)


def _list(title: str, items: Iterable[str]) -> list[str]:
    named = list(items)
    return [f"- {title}: {len(named)}", *(f"  - {item}" for item in named)]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
