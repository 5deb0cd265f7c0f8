"""`emgpose check`: judge recordings and data sets before anything is trained or scored on them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emgpose.cli.options import Channels, Json, RateHz, channel_list
from emgpose.errors import ConfigError

if TYPE_CHECKING:
    from emgpose.recording.findings import DatasetReport, Finding, SessionReport

    Report = SessionReport | DatasetReport

COLOURS = {"error": "bold red", "warning": "bold yellow"}


def check(
    paths: Annotated[list[Path], typer.Argument(help="Recordings, folders with a metadata.csv, or prepared stores.")],
    channels: Channels = None,
    input_rate: RateHz = None,
    json: Json = False,
) -> None:
    """Judge files and data sets: exit 0 if all is well, 1 on findings. One broken file never stops the rest."""
    from emgpose.cli.terminal import print_json, progress_bar
    from emgpose.recording.check import check_dataset, check_session
    from emgpose.recording.check_prepared import check_prepared
    from emgpose.recording.facts import MAX_RATE_HZ, MIN_RATE_HZ
    from emgpose.recording.store.layout import is_store

    of_one_file = "is for single recordings, whose format leaves it open; leave it out for"
    for option, value in (("--channels", channels), ("--input-rate", input_rate)):
        folder = next((path for path in paths if path.is_dir()), None)
        if value is not None and folder is not None:
            raise ConfigError(f"{option}: {of_one_file} {folder}")
    if input_rate is not None and not MIN_RATE_HZ <= input_rate <= MAX_RATE_HZ:
        raise ConfigError(
            f"--input-rate {input_rate:g}: expected a rate between {MIN_RATE_HZ:g} and {MAX_RATE_HZ:g} Hz"
        )
    reports: list[Report] = []
    with progress_bar() as bar:
        for path in paths:
            task = bar.add_task(f"checking {path.name}", total=None)
            if path.is_dir():

                def show(done: int, total: int, task: object = task) -> None:
                    bar.update(task, completed=done, total=total)  # type: ignore[arg-type]

                judge = check_prepared if is_store(path) else check_dataset
                reports.append(judge(path, on_progress=show))
            else:
                reports.append(check_session(path, rate_hz=input_rate, channels=channel_list(channels)))
    if json:
        print_json({"reports": [report.to_dict() for report in reports]})
    else:
        _print(reports)
    if any(report.findings for report in reports):
        raise typer.Exit(1)


def _print(reports: "list[Report]") -> None:
    from emgpose.cli.terminal import out
    from emgpose.recording.findings import DatasetReport

    for report in reports:
        n_errors = sum(finding.severity == "error" for finding in report.findings)
        n_warnings = len(report.findings) - n_errors
        verdict = f"{n_errors} errors, {n_warnings} warnings" if report.findings else "ok"
        size = _size_line(report) if isinstance(report, DatasetReport) else _facts_line(report)
        out.print(f"{report.path}: {verdict} ({size})")
        for finding in report.findings:
            _print_finding(finding)


def _size_line(report: "DatasetReport") -> str:
    if "n_shards" not in report.figures:
        return f"{len(report.sessions)} recordings"
    line = f"store of {report.figures['n_sessions']} recordings in {report.figures['n_shards']} shards"
    return f"{line}, {report.figures['n_left_out']} left out when it was prepared"


def _facts_line(report: "SessionReport") -> str:
    facts = report.facts
    if facts is None:
        return "not readable"
    line = f"{facts.format}, {report.figures.get('duration_s', 0):.1f} s at {facts.sample_rate_hz:g} Hz"
    line += f", {len(facts.channel_names)} EMG channels"
    if "invalid_share" in report.figures:
        line += f", {report.figures['invalid_share']:.1%} of the labels invalid"
    return line


def _print_finding(finding: "Finding") -> None:
    from emgpose.cli.terminal import out

    out.print(f"  {finding.severity}", style=COLOURS[finding.severity], end=" ")
    # What cannot be opened names itself already.
    out.print(f"{finding.code}: {finding.where}: {finding.message.removeprefix(f'{finding.where}: ')}")
