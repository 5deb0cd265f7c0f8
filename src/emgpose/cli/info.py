"""`emgpose info`: this installation, or the facts of a recording or a checkpoint."""

import contextlib
import platform
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from emgpose.cli.model_source import hub_or_path, model_of_run
from emgpose.cli.options import Experiment, Json, RateHz
from emgpose.errors import CheckpointError, ConfigError

# One library per extra tells whether the extra is there.
EXTRA_WITNESS = {
    "train": "lightning",
    "live": "viser",
    "bids": "mne",
    "export": "onnxruntime",
    "store": "numcodecs",
    "hub": "huggingface_hub",
}
LIBRARIES = ("torch", "numpy", "scipy", "h5py", "pandas", "safetensors", "omegaconf")


def info(
    path: Annotated[
        Path | None,
        typer.Argument(
            callback=hub_or_path,
            help="A recording, a model folder, a training run, a published .ckpt, or hf:USER/NAME; without it, this "
            "installation.",
        ),
    ] = None,
    experiment: Experiment = None,
    input_rate: RateHz = None,
    json: Json = False,
) -> None:
    """Tell versions, devices and extras; or what a recording or a checkpoint is."""
    from emgpose.cli.terminal import out, print_json

    model = _model_path(path)
    _refuse_idle_options(path, model is not None, experiment, input_rate)
    if path is None:
        facts = _installation()
    else:
        facts = _recording(path, input_rate) if model is None else _checkpoint(model, experiment)
    if json:
        print_json(facts)
        return
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        shown = ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else value
        shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else shown
        out.print(f"{name:<{width}}  {'-' if shown in (None, '') else shown}")


def _model_path(path: Path | None) -> Path | None:
    """Find the model that a path names; None for anything else."""
    if path is None or path.suffix == ".ckpt":
        return path
    if path.is_dir():
        with contextlib.suppress(CheckpointError):
            return model_of_run(path)
    return None


def _refuse_idle_options(
    path: Path | None, is_checkpoint: bool, experiment: str | None, input_rate: float | None
) -> None:
    """Refuse an option that would change nothing.

    Raises
    ------
    ConfigError
    """
    what = "nothing is named" if path is None else f"{path} is {'a checkpoint' if is_checkpoint else 'no checkpoint'}"
    if experiment is not None and not is_checkpoint:
        raise ConfigError(
            f"--experiment {experiment}: it says which experiment a published .ckpt is, but {what}; leave it out"
        )
    if input_rate is not None and (path is None or is_checkpoint):
        raise ConfigError(
            f"--input-rate {input_rate:g}: it is the sample rate of a recording that does not say it, but {what}; "
            "leave it out"
        )


def _installation() -> dict[str, Any]:
    import torch

    from emgpose.version import __version__

    devices = ["cpu"]
    if torch.cuda.is_available():
        devices += [f"cuda:{index} {torch.cuda.get_device_name(index)}" for index in range(torch.cuda.device_count())]
    return {
        "emgpose": __version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "devices": devices,
        "threads": torch.get_num_threads(),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "extras": {name: "yes" if find_spec(module) else "no" for name, module in EXTRA_WITNESS.items()},
    }


def _checkpoint(path: Path, experiment: str | None) -> dict[str, Any]:
    from emgpose.checkpoints import checkpoint_fingerprint, load_model

    model = load_model(path, experiment=experiment)
    card = model.card
    return {
        "checkpoint": str(path),
        "experiment": card.experiment,
        "task": model.config.task,
        "tasks": list(model.tasks),
        "parameters": model.n_parameters,
        "channels": model.n_channels,
        "sample_rate_hz": model.sample_rate_hz,
        "left_context": model.left_context,
        "stride": model.stride,
        "modes": [f"{mode} ({'causal' if model.is_causal(mode) else 'not causal'})" for mode in model.modes],
        "preprocessing": card.preprocessing.describe(),
        "trained_on": card.trained_on,
        "licence": card.licence,
        "sha256": checkpoint_fingerprint(path),
    }


def _recording(path: Path, input_rate: float | None) -> dict[str, Any]:
    from emgpose.recording import open_session

    with open_session(path, rate_hz=input_rate) as session:
        facts = session.facts
        runs = session.valid_runs()
        return {
            "recording": str(path),
            "format": facts.format,
            "session": facts.session,
            "user": facts.user,
            "stage": facts.stage,
            "side": facts.side,
            "sample_rate_hz": facts.sample_rate_hz,
            "samples": facts.n_samples,
            "duration_s": round(session.duration_s, 3),
            "channels": list(facts.channel_names),
            "emg_unit": facts.emg_unit,
            "preprocessing": facts.preprocessing.describe(),
            "joint_angles": facts.has_joint_angles,
            "valid_share": round(sum(stop - start for start, stop in runs) / max(1, facts.n_samples), 4),
            "valid_runs": len(runs),
            "notes": list(facts.notes),
        }
