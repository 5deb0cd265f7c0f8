"""Arguments that several commands take, declared once."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from emgpose.cli.model_source import hub_or_path
from emgpose.errors import ConfigError

LONGEST_NUMBER = 6


class Mode(StrEnum):
    """How a model is run."""

    PUBLISHED = "published"
    STREAM = "stream"


class Task(StrEnum):
    """What a model is asked: to follow from a known pose, or to find the pose."""

    TRACKING = "tracking"
    REGRESSION = "regression"


Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; everything else on stderr.")]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        callback=hub_or_path,
        help="A model folder (emgpose format), a published .ckpt, or hf:USER/NAME on the Hub; without it the model "
        "that comes with emgpose, trained on simulated EMG only.",
    ),
]
Experiment = Annotated[
    str | None, typer.Option("--experiment", help="Which experiment a published .ckpt is, where the file cannot tell.")
]
HandFile = Annotated[
    Path | None, typer.Option("--hand", help="UmeTrack hand model JSON; without it, emgpose's own generic hand.")
]
Channels = Annotated[
    str | None, typer.Option("--channels", help="EMG channels in band order, by name or number, separated by commas.")
]
RateHz = Annotated[
    float | None, typer.Option("--input-rate", help="Sample rate [Hz] of a file that does not say it (CSV, NPZ).")
]


def channel_list(text: str | None) -> list[str | int] | None:
    """Split `--channels`: numbers stay numbers, everything else is a name."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ConfigError(f"--channels {text}: expected names or numbers separated by commas")
    # Longer digits are no channel's number; as a name they are refused with the names that there are.
    return [int(part) if part.isdecimal() and len(part) <= LONGEST_NUMBER else part for part in parts]


def number_list(option: str, text: str | None) -> list[float] | None:
    """Split an option that holds numbers separated by commas."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"{option} {text}: expected numbers separated by commas") from None
