"""`emgpose evaluate`: the benchmark's test protocol on a data set."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emgpose.cli.options import Checkpoint, Experiment, HandFile, Json, Mode, Task

if TYPE_CHECKING:
    from emgpose.evaluation import Evaluation


def evaluate(
    data: Annotated[Path, typer.Option("--data", help="A folder with metadata.csv, a prepared store, or a BIDS root.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for CSV tables, summary.md and run.json.")],
    checkpoint: Checkpoint = None,
    experiment: Experiment = None,
    split: Annotated[str, typer.Option(help="train, val, test, or all.")] = "test",
    mode: Annotated[
        Mode | None,
        typer.Option(help="Score in this mode only; without it in every mode of the model, published first."),
    ] = None,
    task: Annotated[
        Task | None, typer.Option(help="Which task of a multitask model to score; tracking if it has that.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", help="Metadata columns to group by, separated by commas, instead of U / S / US."),
    ] = None,
    where: Annotated[
        str | None, typer.Option("--where", help="A pandas query on the metadata, such as \"side == 'left'\".")
    ] = None,
    hand: HandFile = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Windows predicted at once.")] = 32,
    device: Annotated[str, typer.Option(help="cpu, or cuda where there is one.")] = "cpu",
    json: Json = False,
) -> None:
    """Score a model on a split: U / S / US beside the static hand and the published table.

    Exit 1 if a recording had to be left out; the rest is scored all the same.
    """
    from emgpose.atomic import ready_folder
    from emgpose.checkpoints import checkpoint_fingerprint, load_model, shipped_model_path
    from emgpose.cli.terminal import progress_bar
    from emgpose.evaluation import evaluate as run_protocol
    from emgpose.evaluation import run_document, write_evaluation
    from emgpose.kinematics import HandModel

    columns = tuple(column.strip() for column in by.split(",")) if by else ()
    require_device(device)
    checkpoint = checkpoint or shipped_model_path()
    model = load_model(checkpoint, experiment=experiment)
    hand_model = HandModel.load(hand) if hand else HandModel.generic()
    ready_folder(out)
    with progress_bar() as bar:
        shown = bar.add_task(f"evaluating {model.name}", total=None)
        evaluation = run_protocol(
            model,
            data,
            split=None if split == "all" else split,
            hand=hand_model,
            modes=None if mode is None else (mode.value,),
            task=None if task is None else task.value,
            by=columns,
            where=where,
            batch_size=batch_size,
            device=device,
            progress=lambda done, total: bar.update(shown, completed=done, total=total),
        )
    config = {
        "split": split,
        "mode": mode,
        "task": evaluation.task,
        "by": columns,
        "where": where,
        "hand": hand,
        "batch_size": batch_size,
        "device": device,
    }
    identity = {"path": str(checkpoint), "sha256": checkpoint_fingerprint(checkpoint)}
    written = write_evaluation(evaluation, out, command=sys.argv, config=config, checkpoint=identity)
    document = run_document(evaluation, command=sys.argv, config=config, checkpoint=identity)
    _show(evaluation, written, document if json else None)
    if evaluation.left_out:
        raise typer.Exit(1)


def require_device(device: str) -> None:
    """Refuse a device that this machine lacks, rather than switch to another.

    Raises
    ------
    ConfigError : torch does not know it or cannot use it.
    """
    import torch

    from emgpose.errors import ConfigError

    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"--device {device}: not usable here ({reason}); use --device cpu") from None


def _show(evaluation: "Evaluation", written: list[Path], document: dict[str, Any] | None) -> None:
    """Print the scores, or the document where one is asked for."""
    from emgpose.cli.terminal import err, print_json
    from emgpose.evaluation import summarise

    if doubt := evaluation.model.card.doubt(evaluation.simulated is True):
        err.print("warning:", style="bold yellow", end=" ")
        err.print(doubt)
    for item in evaluation.left_out:
        err.print("left out:", style="bold yellow", end=" ")
        # Most reasons name the file already.
        err.print(item.reason if item.path.name in item.reason else f"{item.path}: {item.reason}")
    if document is not None:
        document["summary"] = summarise(evaluation).to_dict("records")
        document["written"] = written
        print_json(document)
        return
    _print_scores(evaluation)
    _print_files(written)


def _print_scores(evaluation: "Evaluation") -> None:
    from rich.table import Table

    from emgpose.cli.terminal import out
    from emgpose.evaluation import CONDITION_TITLES, conditions_of, recorded_label, score_rows, three_questions

    conditions = conditions_of(evaluation)
    table = Table("model", "causal?", *(CONDITION_TITLES.get(name, name) for name in conditions))
    for row in score_rows(evaluation):
        table.add_row(row.name, row.label, *(row.cells.get(name, "-") for name in conditions))
    out.print(table)
    out.print("Mean joint-angle error [deg] ± SD over users / landmark distance [mm].")
    others = [f"--task {task}" for task in evaluation.model.tasks if task != evaluation.task]
    also = f" (the model can also be scored with {', '.join(others)})" if others else ""
    out.print(f"Task: {evaluation.task}{also}.")
    out.print(f"Scored on {recorded_label(evaluation)}; hand: {evaluation.hand.name}.")
    for question, answer in three_questions(evaluation):
        out.print(f"{question} {answer}.")
    n_windows = len(evaluation.windows) // len(evaluation.modes)
    out.print(
        f"{n_windows} windows from {evaluation.n_scored} of {evaluation.n_recordings} recordings; "
        f"{len(evaluation.without_window)} without a window, {len(evaluation.left_out)} left out."
    )


def _print_files(written: list[Path]) -> None:
    from emgpose.cli.terminal import out

    out.print("written: " + ", ".join(str(path) for path in written))
