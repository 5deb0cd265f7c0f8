"""`emgpose hub`: put a model on the Hugging Face Hub, write what would go there, or fetch one."""

import dataclasses
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emgpose.cli.options import Experiment
from emgpose.errors import ConfigError, DataError

if TYPE_CHECKING:
    from emgpose.hub import HubModel

hub = typer.Typer(
    help="Models on the Hugging Face Hub (extra: hub).", no_args_is_help=True, pretty_exceptions_enable=False
)
Run = Annotated[
    Path, typer.Argument(metavar="RUN", help="A training run, a model folder, a published .ckpt, or hf:USER/NAME.")
]
Repository = Annotated[str, typer.Argument(metavar="USER/NAME", help="Its name on the Hub.")]
Scores = Annotated[
    list[Path] | None,
    typer.Option("--scores", help="A folder of emgpose evaluate for the card; may be given several times."),
]
DataSets = Annotated[
    list[str] | None, typer.Option("--dataset", help="A data set on the Hub that it was trained on, for the card.")
]
Licence = Annotated[str | None, typer.Option("--licence", help="Licence of the weights, where their card states none.")]
Force = Annotated[bool, typer.Option("--force", help="Write into a folder that is not empty.")]


@hub.command()
def save(
    run: Run,
    out: Annotated[Path, typer.Option("--out", help="Folder to write; made if need be.")],
    scores: Scores = None,
    dataset: DataSets = None,
    licence: Licence = None,
    experiment: Experiment = None,
    force: Force = False,
) -> None:
    """Write the folder that `push` would upload, card included; no network."""
    from emgpose.cli.terminal import out as console

    _require_room(out, force)
    _hub_model(run, scores, dataset, licence, experiment).save_pretrained(out)
    console.print(f"written: {out} (README.md is the card; emgpose.load_model reads the folder)")


@hub.command()
def push(
    run: Run,
    repository: Repository,
    scores: Scores = None,
    dataset: DataSets = None,
    licence: Licence = None,
    experiment: Experiment = None,
    public: Annotated[bool, typer.Option("--public/--private", help="Who may see a repository that is new.")] = False,
    branch: Annotated[str | None, typer.Option("--branch", help="Branch to commit to; it must be there.")] = None,
    message: Annotated[str, typer.Option("--message", help="The commit's.")] = "Upload of a model by emgpose",
) -> None:
    """Upload a model. The token is what `hf auth login` stored, or HF_TOKEN."""
    from emgpose.cli.terminal import err
    from emgpose.cli.terminal import out as console

    model = _hub_model(run, scores, dataset, licence, experiment)
    if not model.model.card.licence:
        err.print("warning:", style="bold yellow", end=" ")
        err.print("the weights state no licence, so others may not use them; give --licence")
    address = model.push_to_hub(repository, private=not public, branch=branch, commit_message=message)
    console.print(f"uploaded: {address}")


@hub.command()
def fetch(
    repository: Repository,
    out: Annotated[Path, typer.Option("--out", help="Folder to write; made if need be.")],
    revision: Annotated[str | None, typer.Option("--revision", help="A branch, a tag or a commit.")] = None,
    local_only: Annotated[bool, typer.Option("--local-only", help="Take it from this machine's cache.")] = False,
    force: Force = False,
) -> None:
    """Bring a model from the Hub into a folder, after it has been checked."""
    from emgpose.checkpoints import load_model
    from emgpose.cli.terminal import out as console
    from emgpose.hub import fetch_model

    _require_room(out, force)
    folder = fetch_model(repository, revision=revision, local_files_only=local_only)
    model = load_model(folder)
    _copy(folder, out)
    console.print(f"written: {out} ({model.name}, {' and '.join(model.tasks)}, trained on: {model.card.trained_on})")


def _hub_model(
    run: Path,
    evaluations: list[Path] | None,
    datasets: list[str] | None,
    licence: str | None,
    experiment: str | None,
) -> "HubModel":
    from emgpose.checkpoints import checkpoint_fingerprint, load_model
    from emgpose.cli.model_source import model_of_run
    from emgpose.hub import HubModel, read_recipe, read_scores

    path = model_of_run(run)
    model = load_model(path, experiment=experiment)
    if licence is not None:
        if model.card.licence and model.card.licence != licence:
            raise ConfigError(f"--licence {licence}: the weights come with {model.card.licence}; leave the option out")
        model.card = dataclasses.replace(model.card, licence=licence)
    fingerprint = checkpoint_fingerprint(path)
    scores = [read_scores(folder, fingerprint) for folder in evaluations or []]
    # The model of a run lies in its folder, or is given as RUN/best.
    homes = [home for home in (run, path.parent) if (home / "run.json").is_file()]
    recipe = read_recipe(homes[0]) if homes else None
    return HubModel(model, scores=scores, recipe=recipe, datasets=datasets or ())


def _require_room(out: Path, force: bool) -> None:
    if out.is_dir() and any(out.iterdir()) and not force:
        raise ConfigError(f"{out}: the folder is not empty; choose another with --out, or replace with --force")


def _copy(folder: Path, out: Path) -> None:
    """Copy a model's files, and no others that were cached, whole or not at all; the configuration last."""
    from emgpose.atomic import atomic_file
    from emgpose.checkpoints import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{out}: cannot be the folder of a model: {error.strerror}") from None
    for name in (CARD_FILE, WEIGHTS_FILE, CONFIG_FILE):
        if (folder / name).is_file():
            with atomic_file(out / name) as unfinished:
                shutil.copyfile(folder / name, unfinished)
