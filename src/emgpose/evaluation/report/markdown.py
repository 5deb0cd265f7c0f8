"""A report as Markdown: the sentences and tables of the page without its figures."""

from collections.abc import Sequence

from emgpose.evaluation.report.content import Content, run_labels
from emgpose.evaluation.report.wording import NEW_LINE, Section, Table


def markdown(content: Content, title: str) -> str:
    """Write the whole report."""
    runs = content.runs
    lines = [f"- **{run.letter}** {run.title}: {'; '.join(run_labels(run))}" for run in runs.evaluations]
    lines += [
        f"- **{run.letter}** {run.title}: training, {run.document.get('status', 'status not said')}"
        for run in runs.trainings
    ]
    lines += [f"- {note}" for note in runs.notes]
    figures = "Figures and moving hands are in report.html, all numbers in the CSV files beside."
    parts = [f"# {title}", "\n".join(map(_text, lines)), figures]
    parts += [part for section in content.sections for part in _section(section)]
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> list[str]:
    parts = [f"## {section.title}", *map(_text, section.paragraphs)]
    parts += ["\n".join(f"- {_text(point)}" for point in section.points)] if section.points else []
    for table in section.tables:
        parts += [f"**{_text(table.caption)}**"] if table.caption else []
        parts.append(_table(table))
    return parts


def _table(table: Table) -> str:
    lines: list[Sequence[str]] = [table.header, ["---"] * len(table.header), *table.rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return _text(text.replace(NEW_LINE, "; ")).replace("|", "\\|")


def _text(text: str) -> str:
    """Names come from files: no line break, and no HTML."""
    return " ".join(text.split()).replace("<", "&lt;")
