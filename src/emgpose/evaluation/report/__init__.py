"""Reports: one or several runs as a self-contained page, as Markdown and as CSV tables."""

from emgpose.evaluation.report.bootstrap import Difference, paired_difference
from emgpose.evaluation.report.run_folder import Runs, read_runs
from emgpose.evaluation.report.writing import write_report

__all__ = ["Difference", "Runs", "paired_difference", "read_runs", "write_report"]
