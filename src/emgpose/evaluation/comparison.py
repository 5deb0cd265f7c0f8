"""Scores in words: causality labels, the table with the published figures beside, three questions of every number."""

import math
from dataclasses import dataclass

import pandas as pd

from emgpose.evaluation.published import CONDITION_TITLES, PUBLISHED_SCORES
from emgpose.evaluation.result import ALL, Evaluation
from emgpose.evaluation.summary import conditions_of, figure, summarise
from emgpose.models import EmgModel, Mode

NOT_COMPARABLE = "not comparable"
WEIGHTS_SEEN = {
    "none": "untrained weights",
    "simulated": "trained on simulated EMG only",
    "recorded": "trained on recorded EMG",
    "unknown": "training data unknown",
}


@dataclass(frozen=True)
class ScoreRow:
    """One line of the comparison: what it is, and its cells by condition, ready to print."""

    name: str
    label: str
    cells: dict[str, str]


def causality_label(model: EmgModel, mode: Mode) -> str:
    """Say whether a model in a mode uses EMG that comes after the sample it scores."""
    if model.is_causal(mode):
        return "causal"
    look_ahead = model.look_ahead_samples(mode)
    if look_ahead >= model.test_window - model.left_context - 1:
        return "not causal: sees the whole window"
    return f"not causal: looks up to {1000 * look_ahead / model.sample_rate_hz:g} ms ahead"


def score_rows(evaluation: Evaluation) -> list[ScoreRow]:
    """List the run in every mode and reduction, its static hand, and the published scores of the same task if any.

    Cells read `mean ± SD over users deg / landmark distance mm`. Published landmark distances stand there only when the
    hand is the published one.
    """
    conditions = conditions_of(evaluation)
    rows = []
    for mode in evaluation.modes:
        summary, label = summarise(evaluation, mode), causality_label(evaluation.model, mode)
        for reduction in ("per_user", "pooled"):
            cells = {c: _measured(summary, c, reduction) for c in conditions}
            rows.append(ScoreRow(f"{evaluation.model.name}, {mode}, {reduction}", label, cells))
    summary = summarise(evaluation)
    cells = {c: _measured(summary, c, "per_user", "static_") for c in conditions}
    rows.append(ScoreRow(f"{evaluation.static.label}, per_user", "does not move", cells))
    return [*rows, *published_rows(evaluation)]


def _measured(summary: pd.DataFrame, condition: str, reduction: str, prefix: str = "") -> str:
    mae, sd = figure(summary, condition, f"{prefix}mae", reduction)
    distance, _ = figure(summary, condition, f"{prefix}landmark_distance", reduction)
    # The released checkpoint's reference figures have four decimals; pooled rows are compared with those.
    digits = 4 if reduction == "pooled" else 2
    spread = "" if math.isnan(sd) else f" ± {math.degrees(sd):.2f}"
    return f"{math.degrees(mae):.{digits}f}{spread} / {distance:.{digits}f}"


def published_rows(evaluation: Evaluation) -> list[ScoreRow]:
    """List the published scores of the same task; none where no condition of the run is one of theirs."""
    conditions = set(conditions_of(evaluation))
    # A value of another metadata column may be called like a condition without being one.
    if evaluation.by not in ((), ("generalization",)) or conditions.isdisjoint(CONDITION_TITLES):
        return []
    rows = []
    comparable = evaluation.hand.is_umetrack
    for method, scores in PUBLISHED_SCORES[evaluation.task].items():
        cells = {
            condition: f"{score.mae_deg:.2f} ± {score.sd_deg:.2f} / "
            + (f"{score.landmark_distance_mm:.2f}" if comparable else NOT_COMPARABLE)
            for condition, score in scores.items()
        }
        rows.append(ScoreRow(method, "published, emg2pose test split", cells))
    return rows


def three_questions(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Ask of every number what a static or a looking-ahead evaluation hides (benchmark.md section 6)."""
    causal = "; ".join(f"{mode}: {causality_label(evaluation.model, mode)}" for mode in evaluation.modes)
    against = f"Does it beat the static hand ({evaluation.static.label}), in mode {evaluation.modes[0]}?"
    return [
        ("Is the model causal?", causal),
        (against, "; ".join(_against_static(evaluation))),
        ("Is the split by user and stage?", _split_answer(evaluation)),
    ]


def _against_static(evaluation: Evaluation) -> list[str]:
    summary = summarise(evaluation)
    answers = []
    for condition in conditions_of(evaluation):
        mae, static = (figure(summary, condition, metric)[0] for metric in ("mae", "static_mae"))
        verdict = "yes" if mae < static else "no"
        change = (
            f"{abs(100 * (mae / static - 1)):.1f} % {'below' if mae < static else 'above'}" if static else "static is 0"
        )
        answers.append(
            f"{condition}: {verdict}, {change} ({math.degrees(mae):.2f} against {math.degrees(static):.2f} deg)"
        )
    return answers


def _split_answer(evaluation: Evaluation) -> str:
    if evaluation.by:
        columns = ", ".join(evaluation.by)
        return f"conditions are the values of {columns}; whether they were held out depends on the training"
    conditions = [condition for condition in conditions_of(evaluation) if condition != ALL]
    held_out = [condition for condition in conditions if condition in CONDITION_TITLES]
    if evaluation.split in ("test", "val") and held_out:
        others = [condition for condition in conditions if condition not in held_out]
        but = f"; {', '.join(others)} (and so {ALL}) not, as far as the metadata say" if others else ""
        return f"yes, by the metadata: {evaluation.split} split, held out by {', '.join(held_out)}{but}"
    return f"no: split {evaluation.split or 'all'}, with recordings of users and stages that training may have seen"


def recorded_label(evaluation: Evaluation) -> str:
    """Say whether the data scored was simulated, as far as the recordings say."""
    if evaluation.simulated is None:
        return f"partly simulated data ({evaluation.n_simulated} of {len(evaluation.recordings)} recordings)"
    return "simulated data" if evaluation.simulated else "data that does not say that it is simulated"
