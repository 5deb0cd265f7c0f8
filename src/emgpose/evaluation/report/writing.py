"""Write a report: report.html, report.md and CSV tables, each whole or not at all."""

from pathlib import Path
from typing import Final

import pandas as pd

from emgpose.atomic import atomic_file, ready_folder, write_text_atomically
from emgpose.errors import DataError
from emgpose.evaluation.report.content import gather
from emgpose.evaluation.report.markdown import markdown
from emgpose.evaluation.report.page import page
from emgpose.evaluation.report.run_folder import Runs

# Degrees and millimetres with more digits would only be longer.
_CSV_FORMAT: Final = "%.6g"


def write_report(runs: Runs, folder: str | Path, *, title: str = "emgpose report") -> list[Path]:
    """Write all files of a report.

    Parameters
    ----------
    runs : Runs
        From `read_runs`.
    folder : path
        Made if it does not exist; may not be a folder that the report is about.
    title : str
        Heading of page and Markdown.

    Returns
    -------
    list of Path
        report.html, report.md, then the CSV tables that have rows.

    Raises
    ------
    DataError : the folder cannot be written to, or is one of the runs'.
    """
    own = {run.folder.resolve() for run in runs.all}
    if Path(folder).resolve() in own:
        raise DataError(f"{folder}: is the folder of a run, whose files must stay; choose another with --out")
    content = gather(runs)
    texts = {"report.html": page(content, title), "report.md": markdown(content, title)}
    path = ready_folder(folder)
    written = []
    for name, text in texts.items():
        write_text_atomically(path / name, text)
        written.append(path / name)
    for name, table in content.data.items():
        target = path / f"{name}.csv"
        if table.empty:
            # A table of an earlier report into the same folder would pass for this one's.
            target.unlink(missing_ok=True)
            continue
        _write_csv(table, target)
        written.append(target)
    return written


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    with atomic_file(path) as unfinished:
        table.to_csv(unfinished, index=False, float_format=_CSV_FORMAT)
