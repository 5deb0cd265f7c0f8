"""A report as one self-contained HTML page: sections, figures by condition, and moving hands."""

import math
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

import numpy as np
import pandas as pd

from emgpose.evaluation.report import figures
from emgpose.evaluation.report.charts import swatch
from emgpose.evaluation.report.content import Content, run_labels
from emgpose.evaluation.report.hand_figure import error_hand
from emgpose.evaluation.report.run_folder import EvaluationRun, TrainingRun, condition_title
from emgpose.evaluation.report.wording import NEW_LINE, Section, Table
from emgpose.evaluation.result import ALL
from emgpose.hand import FINGERS, JOINTS
from emgpose.kinematics import HandModel
from emgpose.pages import Track
from emgpose.pages.html_file import escaped, filled, html_document, package_text
from emgpose.pages.payloads import hand_payload, track_payload
from emgpose.version import __version__

SCRIPTS: Final = ("hand.js", "hand_view.js")
# The condition that the page opens with: the first of these that the runs have.
FIRST_CONDITIONS: Final = ("user", "user_stage", "stage", ALL)
EXAMPLE_RATE_HZ: Final = 50.0


def page(content: Content, title: str) -> str:
    """Write the page.

    Parameters
    ----------
    content : Content
    title : str

    Returns
    -------
    str
        HTML that needs no other file and no network.
    """
    parts = {
        "TITLE": escaped(title),
        "VERSION": escaped(__version__),
        "RUNS": _run_cards(content),
        "NOTES": "".join(f"<li>{escaped(note)}</li>" for note in content.runs.notes),
        "CONTENTS": "".join(f'<a href="#{section.key}">{escaped(section.title)}</a>' for section in content.sections),
        "SECTIONS": "".join(_section(content, section) for section in content.sections),
    }
    body = filled(_own("report.html"), parts)
    script = "\n".join([*map(package_text, SCRIPTS), _own("report.js")])
    return html_document(title, body, style=_own("report.css"), script=script, data=example_payload(content))


def _own(name: str) -> str:
    return files("emgpose.evaluation.report").joinpath(name).read_text(encoding="utf-8")


def _run_cards(content: Content) -> str:
    cards = []
    for number, run in enumerate(content.runs.evaluations):
        labels = "".join(f"<li>{escaped(label)}</li>" for label in run_labels(run))
        simulated = "" if run.is_simulated is False else ' class="simulated"'
        cards.append(
            f"<article{simulated}><h3>{swatch(number)} {run.letter} <span>{escaped(run.title)}</span></h3>"
            f"<p>{escaped(run.model['name'])}</p><ul>{labels}</ul></article>"
        )
    for number, training in enumerate(content.runs.trainings):
        status = escaped(training.document.get("status", "status not said"))
        cards.append(
            f"<article><h3>{swatch(number)} {training.letter} <span>{escaped(training.title)}</span></h3>"
            f"<p>training</p><ul><li>{status}</li></ul></article>"
        )
    return "".join(cards)


def _section(content: Content, section: Section) -> str:
    body = "".join(f"<p>{escaped(text)}</p>" for text in section.paragraphs)
    listed = "".join(f"<li>{escaped(point)}</li>" for point in section.points)
    body += f"<ul>{listed}</ul>" if listed else ""
    drawn = {
        "conditions": _by_condition,
        "examples": _players,
        "curves": _learning_curves,
    }.get(section.key)
    body += drawn(content) if drawn is not None else ""
    body += "".join(_table(content, table) for table in section.tables)
    if section.folded:
        body = f"<details><summary>Show</summary>{body}</details>"
    return f'<section id="{section.key}"><h2>{escaped(section.title)}</h2>{body}</section>'


def _table(content: Content, table: Table) -> str:
    letters = {run.letter: number for number, run in enumerate(content.runs.evaluations)}
    caption = f"<caption>{escaped(table.caption)}</caption>" if table.caption else ""
    head = "".join(f'<th scope="col">{escaped(name)}</th>' for name in table.header)
    rows = []
    for first, *others in table.rows:
        number = letters.get(first.partition(" ")[0]) if table.of_runs else None
        sign = "" if number is None else swatch(number)
        cells = "".join(
            f'<td data-label="{escaped(name)}">{_cell(cell)}</td>'
            for name, cell in zip(table.header[1:], others, strict=True)
        )
        rows.append(f'<tr><th scope="row">{sign}{escaped(first)}</th>{cells}</tr>')
    inside = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    label = escaped(table.caption or "Table")
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">{inside}</div>'


def _cell(text: str) -> str:
    """A cell's lines; a number and its SD stay together."""
    return escaped(text).replace(" ± ", "\u00a0±\u00a0").replace(NEW_LINE, "<br>")


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{escaped(caption)}</figcaption></figure>" if svg else ""


def _by_condition(content: Content) -> str:
    """Figures of every condition; the page shows one condition at a time."""
    conditions = content.runs.conditions
    opened = next(name for name in FIRST_CONDITIONS if name in conditions)
    buttons = "".join(
        f'<button type="button" data-show="{escaped(name)}" aria-pressed="{"true" if name == opened else "false"}">'
        f"{escaped(condition_title(name))}</button>"
        for name in conditions
    )
    hint = (
        "Hands show the back of a right hand. Along each finger from the tip: DIP, PIP, MCP bending, MCP spreading; "
        "thumb: IP, MCP, CMC bending, CMC spreading. Dark is a small error, light a large one."
    )
    groups = "".join(_figures_of(content, name) for name in conditions)
    return (
        f'<div class="tools" role="group" aria-label="Condition">{buttons}</div>'
        f'<p class="legend">{_legend(content.runs.evaluations)}<span>{swatch(None)} static hand</span></p>'
        f'{groups}<p class="hint">{hint}</p>'
    )


def _figures_of(content: Content, condition: str) -> str:
    runs, data, title = content.runs, content.data, condition_title(condition)
    of_joints = data["joints"][data["joints"]["condition"] == condition]
    hands = "".join(
        _figure(_hand(of_joints, run, title), f"{run.letter}: mean error of each joint and finger, {title}")
        for run in runs.evaluations
    )
    drawn = _figure(figures.error_cdf(runs, condition), f"Error distribution, {title}; mean over users")
    drawn += _figure(figures.drift(runs, condition), f"Drift over the window, {title}; mean over users")
    drawn += _figure(figures.smoothness(runs, data["smoothness"], condition), f"Smoothness, {title}")
    drawn += _figure(figures.by_user(runs, data["users"], condition), f"Error by user, {title}")
    drawn += _figure(figures.by_stage(runs, data["stages"], condition), f"Error by stage, {title}")
    return (
        f'<div data-condition="{escaped(condition)}"><h3 class="condition">{escaped(title)}</h3>'
        f'<div class="figures hands">{hands}</div><div class="figures">{drawn}</div></div>'
    )


def _legend(runs: Sequence[EvaluationRun | TrainingRun]) -> str:
    return "".join(
        f"<span>{swatch(number)} {run.letter} {escaped(run.title)}</span>" for number, run in enumerate(runs)
    )


def _joint_limits(table: pd.DataFrame) -> tuple[float, float]:
    """Ends of the colour map: the smallest and largest error of any joint of any run."""
    errors = table.loc[table["part"].isin(JOINTS), "mae_deg"].dropna()
    return (0.0, 1.0) if errors.empty else (math.floor(errors.min()), math.ceil(errors.max()))


def _hand(table: pd.DataFrame, run: EvaluationRun, title: str) -> str:
    chosen = table[table["run"] == run.letter]
    errors = dict(zip(chosen["part"], chosen["mae_deg"], strict=True))
    if not any(joint in errors for joint in JOINTS):
        return ""
    return error_hand(f"Errors on the hand, run {run.letter}, {title}", errors, _joint_limits(table))


def _learning_curves(content: Content) -> str:
    drawn = "".join(_figure(svg, caption) for caption, svg in figures.learning_curves(content.runs.trainings))
    return f'<p class="legend">{_legend(content.runs.trainings)}</p><div class="figures">{drawn}</div>'


def _players(content: Content) -> str:
    """Places for the moving hands, which report.js fills."""
    shown = [run for run in content.runs.evaluations if run.letter in set(content.data["examples"].get("run", []))]
    if not shown:
        return ""
    options = "".join(f'<option value="{run.letter}">{run.letter} {escaped(run.title)}</option>' for run in shown)
    cards = "".join(
        '<figure class="player"><p class="names"><span>predicted</span><span>recorded</span></p>'
        '<canvas tabindex="0" role="img"></canvas><figcaption></figcaption></figure>'
        for _ in range(3)
    )
    return filled(_own("report.players.html"), {"OPTIONS": options, "CARDS": cards})


def example_payload(content: Content) -> dict[str, Any]:
    """Poses of the examples of all runs, and the hands that are drawn, for report.js."""
    table = content.data["examples"]
    found = []
    for run in content.runs.evaluations:
        for _, row in (table[table["run"] == run.letter] if len(table) else table).iterrows():
            poses = run.examples[run.examples["example"] == row["example"]]
            found.append(_example(run, row, poses))
    sides = sorted({str(example["side"]) for example in found})
    return {
        "joints": len(JOINTS),
        "fingers": FINGERS,
        "hands": {side: hand_payload(HandModel.generic(side)) for side in sides},
        "examples": found,
    }


def _example(run: EvaluationRun, row: "pd.Series[Any]", poses: pd.DataFrame) -> dict[str, Any]:
    times_s = poses["time_s"].to_numpy(dtype=np.float64)
    frames_s = times_s[0] + np.arange(int((times_s[-1] - times_s[0]) * EXAMPLE_RATE_HZ + 1e-6) + 1) / EXAMPLE_RATE_HZ
    valid = poses["valid"].astype(str).str.lower().eq("true").to_numpy()
    tracks = []
    for name in ("predicted", "recorded"):
        angles = poses[[f"{name}_{joint}" for joint in JOINTS]].to_numpy(dtype=np.float64)
        usable = valid if name == "recorded" else np.ones_like(valid)
        tracks.append(track_payload(Track(name, times_s, angles, usable), frames_s))
    caption = (
        f"{row['example'].capitalize()}: {row['mae_deg']:.2f} deg (static hand {row['static_mae_deg']:.2f}). "
        f"{condition_title(row['condition'])}, {row['user']}, {row['stage']}, {row['side']} hand."
    )
    return {
        "run": run.letter,
        "caption": caption,
        "side": row["side"],
        "n_frames": len(frames_s),
        "rate_hz": EXAMPLE_RATE_HZ,
        "tracks": tracks,
    }
