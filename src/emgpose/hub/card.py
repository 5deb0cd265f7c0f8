"""The page that the Hub shows for a model: a YAML header for its search, and a text for people.

What comes from a checkpoint or an evaluation is text of strangers. It stands in code spans, fenced blocks or quoted
YAML only, without control characters, so that it can neither add markup nor end the header.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from emgpose.hub.scores import ConditionScore, HubScores
from emgpose.models import EmgModel
from emgpose.models.emg_model import SCORED_SAMPLES

# Licences that the Hub knows by these names; others are "other" with a name of their own.
_LICENCES: Final = (
    *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "mpl-2.0", "cc0-1.0"),
    *("cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0"),
)
_TRAINED_ON: Final = {
    "none": "nothing: these weights are untrained",
    "simulated": "simulated EMG only",
    "recorded": "recorded EMG",
    "unknown": "unknown",
}
_CONDITIONS: Final = {
    "user": "people not trained on (U)",
    "stage": "movements not trained on (S)",
    "user_stage": "both not trained on (US)",
    "seen": "people and movements trained on",
    "all": "all of these",
}


def card_header(model: EmgModel, scores: Sequence[HubScores], datasets: Sequence[str]) -> str:
    """Write the YAML header, without its dashes."""
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="hand-pose-from-emg",
            task_name=f"Hand pose from wrist EMG ({_line(score.task)})",
            dataset_type=_slug(score.data),
            dataset_name=f"{_line(score.data)} ({_kind(score)}), {_line(condition.condition)}",
            # The Hub's library throws results together that differ in nothing but their name.
            dataset_config=f"{_line(condition.condition)}, {_line(score.task)}",
            dataset_split=_line(score.split),
            metric_type="mae",
            metric_name="mean joint-angle error [deg]",
            metric_value=round(condition.mae_deg, 2),
        )
        for score in scores
        for condition in score.conditions
        if math.isfinite(condition.mae_deg)
    ]
    causal = "causal" if "stream" in model.modes else "not-causal"
    tags = ["emgpose", "emg", "semg", "hand-pose-estimation", "biosignals", *model.tasks, causal]
    if model.card.trained_on == "simulated":
        tags.append("simulated-data")
    header: str = ModelCardData(
        library_name="emgpose",
        tags=tags,
        datasets=[_line(name) for name in datasets] or None,
        metrics=["mae"],
        model_name=_line(model.name),
        eval_results=results or None,
        **_licence(model.card.licence),
    ).to_yaml()
    return header


def card_text(
    model: EmgModel,
    scores: Sequence[HubScores] = (),
    recipe: Mapping[str, str] | None = None,
    datasets: Sequence[str] = (),
) -> str:
    """Write the whole card, header included.

    Parameters
    ----------
    model : EmgModel
    scores : sequence of HubScores
    recipe : mapping, optional
        Settings of the training run.
    datasets : sequence of str
        Names on the Hub of the data trained on.
    """
    parts = [
        f"---\n{card_header(model, scores, datasets)}\n---",
        f"# {_cell(model.name)}",
        "Hand pose from wrist surface EMG, by [emgpose](https://github.com/emgpose/emgpose).",
        f"## Use\n\n{_loading(model)}",
        "Without the Hub, `emgpose.load_model(folder)` reads the same files: safetensors, nothing unpickled.",
        "## Limits\n\n" + "\n".join(f"- {limit}" for limit in _limits(model, scores)),
        "## Model\n\n" + _list(_facts(model)),
        "## Scores\n\n" + ("\n\n".join(map(_score_table, scores)) or "None were given."),
        "## Training\n\n" + _list(_training(model)),
    ]
    if recipe:
        parts.append("Settings of the run:\n\n" + _fenced(f"{key}={value}" for key, value in recipe.items()))
    if model.card.notes:
        parts.append("Notes of whoever trained it:\n\n" + _fenced(model.card.notes.splitlines()))
    return "\n\n".join(parts) + "\n"


def _loading(model: EmgModel) -> str:
    """Write code that loads and runs it; the first poses are missing, which would go unnoticed."""
    lines = ["from emgpose.hub import HubModel", "", 'model = HubModel.from_pretrained("USER/NAME").model']
    if len(model.tasks) > 1:
        lines.append(f'model.set_task("regression")  # it begins with {model.tasks[0]}')
    start = "emg, initial_pose" if model.tasks == ("tracking",) else "emg"
    lines += [
        f"joint_angles = model.predict({start})",
        f"# EMG (time, channel={model.n_channels}) at {model.sample_rate_hz:,} Hz",
        f"# to (time - {model.left_context}, joint=20) [rad]; row 0 is sample {model.left_context}",
    ]
    return "\n".join(["```python", *lines, "```"])


def _limits(model: EmgModel, scores: Sequence[HubScores]) -> Iterator[str]:
    doubt = model.card.doubt(is_simulated=False)
    if doubt:
        # The card does not know whose EMG its reader has.
        yield f"{doubt[0].upper()}{doubt[1:]}.".replace(", as here,", "")
    if model.card.trained_on != "simulated" and any(score.kind != "recorded" for score in scores):
        yield "Some of the scores below are on simulated EMG; they say nothing about a person's."
    if model.tasks == ("tracking",):
        yield "It has to be given the pose that it starts from."
    if "stream" not in model.modes:
        yield f"It cannot run live: {model.why_not_causal}."
    yield "EMG that was recorded or prepared otherwise than said below gives poses that mean nothing."
    yield "It is no medical device."


def _facts(model: EmgModel) -> dict[str, str]:
    context_s = model.left_context / model.sample_rate_hz
    preprocessing = _code(model.card.preprocessing.describe())
    facts = {
        "Task": " and ".join(model.tasks),
        "Architecture": _code(model.name),
        "Parameters": f"{model.n_parameters:,}",
        "EMG in": f"{model.n_channels} channels at {model.sample_rate_hz:,} Hz; {preprocessing}",
        "Out": f"20 joint angles [rad]; a stream gives {model.sample_rate_hz / model.stride:g} poses per second",
        "Context": f"{model.left_context:,} samples ({context_s:.3f} s) before the first pose",
    }
    for mode in model.modes:
        ahead = model.look_ahead_samples(mode)
        window = f", over windows of {SCORED_SAMPLES + model.left_context:,} samples" if mode == "published" else ""
        causal = "causal" if ahead == 0 else f"looks {ahead:,} samples ahead{window}"
        facts[f"Mode {mode}"] = causal
    return facts


def _training(model: EmgModel) -> dict[str, str]:
    card = model.card
    return {
        "Trained on": _TRAINED_ON[card.trained_on],
        "Experiment": _code(card.experiment),
        "Data fingerprint": _code(card.data_fingerprint) if card.data_fingerprint else "not recorded",
        "Code": f"emgpose {_code(card.code_version)}" if card.code_version else "not recorded",
        "Licence": _code(card.licence) if card.licence else "not stated",
    }


def _score_table(score: HubScores) -> str:
    rows = [["condition", "mean error [deg] ± SD", "hand that does not move", "landmarks [mm]", "users", "windows"]]
    rows += [["---"] * len(rows[0]), *(_score_row(condition) for condition in score.conditions)]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    doubts = ["Only recordings that a query chose were scored."] if score.is_part else []
    if score.n_left_out:
        doubts.append(f"Recordings that could not be read, and so are not in it: {score.n_left_out}.")
    return (
        f"On **{score.kind}** EMG: {_code(score.data)}, split {_code(score.split)} (fingerprint "
        f"{_code(score.data_fingerprint)}). Task {_code(score.task)}, mode {_code(score.mode)} "
        f"({_code(score.causality)}), hand {_code(score.hand)}, hand that does not move "
        f"{_code(score.static_hand)}. {' '.join(['Mean and SD over users.', *doubts])}\n\n{table}"
    )


def _kind(score: HubScores) -> str:
    return f"{score.kind} EMG, part" if score.is_part else f"{score.kind} EMG"


def _score_row(score: ConditionScore) -> list[str]:
    figures = (score.mae_deg, score.sd_deg, score.static_mae_deg, score.landmark_mm)
    mae, sd, static, landmark = (f"{figure:.2f}" if math.isfinite(figure) else "-" for figure in figures)
    title = _CONDITIONS.get(score.condition) or _cell(score.condition)
    return [title, f"{mae} ± {sd}", static, landmark, str(score.n_users), str(score.n_windows)]


def _licence(text: str) -> dict[str, Any]:
    slug = _slug(text)
    if not text:
        return {}
    return {"license": slug} if slug in _LICENCES else {"license": "other", "license_name": slug}


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")[:80] or "unnamed"


def _list(facts: Mapping[str, str]) -> str:
    return "\n".join(f"- {key}: {value}" for key, value in facts.items())


def _line(text: str) -> str:
    """Keep printable characters in one line."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def _cell(text: str) -> str:
    """Keep letters, digits and what cannot mean anything in Markdown, not even the dots of an address."""
    return re.sub(r"[^\w ,%+-]", " ", _line(text)).strip().replace("_", "\\_") or "unnamed"


def _ticks(text: str, least: int) -> str:
    """Give a fence longer than any in the text."""
    return "`" * max(least, 1 + max(map(len, re.findall("`+", text)), default=0))


def _code(text: str) -> str:
    line = _line(text) or "-"
    fence = _ticks(line, 1)
    # The spaces are stripped when shown; without them a tick at the edge would belong to the fence.
    return f"{fence} {line} {fence}" if len(fence) > 1 else f"{fence}{line}{fence}"


def _fenced(lines: Any) -> str:
    kept = ["".join(character if character.isprintable() else " " for character in line) for line in lines]
    fence = _ticks("\n".join(kept), 3)
    return "\n".join([f"{fence}text", *kept, fence])
