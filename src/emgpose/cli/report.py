"""`emgpose report`: one or several runs as a page, as Markdown and as tables."""

from pathlib import Path
from typing import Annotated

import typer

from emgpose.cli.options import Json


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders of `evaluate --out` or of trainings, the reference first."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for report.html, report.md and CSV tables.")],
    title: Annotated[str, typer.Option(help="Heading of the report.")] = "emgpose report",
    json: Json = False,
) -> None:
    """Show runs side by side: scores, paired differences, errors on the hand, moving hands, learning curves."""
    from emgpose.cli.terminal import out as console
    from emgpose.cli.terminal import print_json
    from emgpose.evaluation.report import read_runs, write_report

    found = read_runs(runs)
    written = write_report(found, out, title=title)
    if json:
        shown = [{"run": run.letter, "title": run.title, "folder": run.folder} for run in found.all]
        print_json({"runs": shown, "notes": found.notes, "written": written})
        return
    for run in found.all:
        console.print(f"{run.letter}: {run.title}")
    for note in found.notes:
        console.print(f"note: {note}")
    console.print("written: " + ", ".join(str(path) for path in written))
