"""All that a report shows but its figures: every number as a table, and the sections for reading."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from emgpose.evaluation.comparison import WEIGHTS_SEEN
from emgpose.evaluation.report import detail_sections, score_sections, tables
from emgpose.evaluation.report.pairing import Comparison, against_static, compare
from emgpose.evaluation.report.run_folder import EvaluationRun, Runs
from emgpose.evaluation.report.wording import Section


@dataclass(frozen=True)
class Content:
    """The numbers and words of a report.

    Parameters
    ----------
    runs : Runs
    data : dict of name -> DataFrame
        The CSV files; tables without rows are empty.
    sections : tuple of Section
    """

    runs: Runs
    data: dict[str, pd.DataFrame]
    sections: tuple[Section, ...]


def gather(runs: Runs) -> Content:
    """Compute all numbers of a report, and say what they are."""
    comparisons = tuple(compare(runs.evaluations[0], other) for other in runs.evaluations[1:])
    static = {run.letter: against_static(run) for run in runs.evaluations}
    data = {
        "scores": tables.scores(runs),
        "differences": tables.differences(comparisons, static),
        "unpaired": _unpaired(comparisons),
        "users": tables.users(runs),
        "stages": tables.stages(runs),
        "placements": tables.placements(runs),
        "joints": tables.joints(runs),
        "smoothness": tables.smoothness(runs),
        "examples": tables.examples(runs),
        "costs": tables.costs(runs),
        "learning_curves": tables.curves(runs.trainings),
    }
    sections: list[Section] = []
    if runs.evaluations:
        sections += [score_sections.scores(runs, data["scores"]), score_sections.questions(runs, static)]
        sections += [score_sections.differences(comparisons)] if comparisons else []
        sections += [score_sections.placements(runs, data["placements"])] if len(data["placements"]) else []
        sections += [detail_sections.conditions(runs), detail_sections.joints(runs, data["joints"])]
        sections += [detail_sections.smoothness(data["smoothness"]), detail_sections.examples(runs, data["examples"])]
    sections += [detail_sections.curves(runs)] if runs.trainings else []
    sections += [detail_sections.costs(data["costs"]), detail_sections.left_out(runs)] if runs.evaluations else []
    return Content(runs, data, (*sections, detail_sections.configuration(runs)))


def run_labels(run: EvaluationRun) -> list[str]:
    """What a reader must know of a run before its numbers: task, data, weights, causality of the primary mode."""
    return [
        run.task,
        f"{run.data_label} data",
        WEIGHTS_SEEN.get(str(run.model["trained_on"]), "training data unknown"),
        f"{run.mode}: {run.modes.get(run.mode, 'causality unknown')}",
    ]


def _unpaired(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    found = [item.unpaired.assign(comparison=item.name) for item in comparisons]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()
