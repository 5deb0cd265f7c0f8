"""`emgpose challenge-pack`: a model as a submission to the EMG-to-pose challenge, rehearsed before it is written."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emgpose.cli.options import Experiment, Json
from emgpose.errors import ConfigError

if TYPE_CHECKING:
    from emgpose.challenge.dry_run import DryRun
    from emgpose.challenge.packing import Pack


class Start(StrEnum):
    """How a window begins."""

    MIRROR = "mirror"
    ZEROS = "zeros"
    HOLD = "hold"


def challenge_pack(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A training run, a model folder, a published .ckpt, or hf:USER/NAME.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The ZIP to write.")],
    name: Annotated[str | None, typer.Option(help="What the submission calls itself; by default the model.")] = None,
    start: Annotated[
        Start, typer.Option(help="Before a window's first sample: its samples mirrored, zeros, or hold the first pose.")
    ] = Start.MIRROR,
    experiment: Experiment = None,
    rehearse: Annotated[
        bool, typer.Option("--dry-run/--no-dry-run", help="Run the submission in a fresh process before it is written.")
    ] = True,
    data_root: Annotated[
        Path | None, typer.Option("--data-root", help="Recordings to score on in the dry run, in the emg2pose layout.")
    ] = None,
    split: Annotated[str, typer.Option(help="Split to score: train, val, test, or all.")] = "test",
    force: Annotated[bool, typer.Option("--force", help="Replace the ZIP if it exists.")] = False,
    json: Json = False,
) -> None:
    """Pack a regression model as a submission to the NeurIPS 2026 EEG/EMG challenge, track 4."""
    from emgpose.challenge.dry_run import dry_run
    from emgpose.challenge.packing import pack_challenge
    from emgpose.checkpoints import load_model
    from emgpose.cli.model_source import model_of_run
    from emgpose.cli.terminal import progress_bar

    if data_root is not None and not rehearse:
        raise ConfigError("--data-root: scoring is part of the dry run; leave out --no-dry-run")
    model = load_model(model_of_run(run), experiment=experiment)
    rehearsals: list[DryRun] = []
    with progress_bar() as bar:
        shown = bar.add_task("dry run", total=None)

        def check(submission: Path) -> None:
            rehearsals.append(
                dry_run(
                    submission,
                    data_root,
                    split=None if split == "all" else split,
                    static_pose=model.card.median_pose,
                    progress=lambda done, total: bar.update(shown, completed=done, total=total),
                )
            )

        pack = pack_challenge(model, out, name=name, start=start.value, force=force, check=check if rehearse else None)
    _show(pack, rehearsals[0] if rehearsals else None, json)


def _show(pack: "Pack", rehearsal: "DryRun | None", json: bool) -> None:
    from emgpose.cli.terminal import err, print_json
    from emgpose.cli.terminal import out as console

    for note in (*pack.notes, *(rehearsal.notes if rehearsal else ())):
        err.print("warning:", style="bold yellow", end=" ")
        err.print(note)
    if json:
        print_json(_document(pack, rehearsal))
        return
    if rehearsal is not None:
        _print_rehearsal(rehearsal)
    console.print(f"written: {pack.path} ({pack.n_bytes / 1e6:.1f} MB, {pack.n_source_files} files of emgpose inside)")


def _print_rehearsal(rehearsal: "DryRun") -> None:
    from rich.table import Table

    from emgpose.cli.terminal import degrees
    from emgpose.cli.terminal import out as console

    table = Table("dry run", *(check.emg for check in rehearsal.checks))
    lines = {
        "shape (window, joint, time)": [str(check.shape) for check in rehearsal.checks],
        "largest angle [rad]": [f"{check.max_rad:.2f}" for check in rehearsal.checks],
        "within a hand's limits": [f"{check.share_in_limits:.1%}" for check in rehearsal.checks],
        "mean |error|": [degrees(check.mae_rad) for check in rehearsal.checks],
        "asked again: apart [rad]": [f"{check.repeat_rad:.1g}" for check in rehearsal.checks],
        "one window at a time: apart [rad]": [f"{check.single_rad:.1g}" for check in rehearsal.checks],
        "torch tensor: apart [rad]": [f"{check.tensor_rad:.1g}" for check in rehearsal.checks],
    }
    for what, cells in lines.items():
        table.add_row(what, *cells)
    console.print(table)
    times = ", ".join(f"{1000 * seconds:.0f} ms for {n}" for n, seconds in rehearsal.batch_s.items())
    console.print(f"{rehearsal.name}: loaded in {rehearsal.load_s:.1f} s; windows per batch on this CPU: {times}.")
    if scores := rehearsal.scores:
        kind = {True: "simulated", False: "recorded", None: "partly simulated"}[scores.is_simulated]
        still = "" if scores.static_mae_deg is None else f"; median hand {scores.static_mae_deg:.2f} deg"
        console.print(
            f"{scores.data} ({kind}), {scores.n_windows} windows: mean |error| {scores.mae_deg:.2f} deg, "
            f"in their first 1,790 samples {scores.first_mae_deg:.2f} deg{still}."
        )


def _document(pack: "Pack", rehearsal: "DryRun | None") -> dict[str, Any]:
    return {
        "path": str(pack.path),
        "n_bytes": pack.n_bytes,
        "n_source_files": pack.n_source_files,
        "notes": list(pack.notes),
        "dry_run": None if rehearsal is None else rehearsal.to_dict(),
    }
