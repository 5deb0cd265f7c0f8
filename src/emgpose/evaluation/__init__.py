"""The test protocol, its reductions, and what it writes."""

from emgpose.evaluation.comparison import ScoreRow, causality_label, recorded_label, score_rows, three_questions
from emgpose.evaluation.outputs import run_document, summary_markdown, write_evaluation
from emgpose.evaluation.protocol import choose_modes, evaluate
from emgpose.evaluation.published import CONDITION_TITLES, PUBLISHED_SCORES
from emgpose.evaluation.result import Evaluation, LeftOut, ReadRecording
from emgpose.evaluation.summary import cdf_table, conditions_of, drift_table, summarise

__all__ = [
    "CONDITION_TITLES",
    "PUBLISHED_SCORES",
    "Evaluation",
    "LeftOut",
    "ReadRecording",
    "ScoreRow",
    "causality_label",
    "cdf_table",
    "choose_modes",
    "conditions_of",
    "drift_table",
    "evaluate",
    "recorded_label",
    "run_document",
    "score_rows",
    "summarise",
    "summary_markdown",
    "three_questions",
    "write_evaluation",
]
