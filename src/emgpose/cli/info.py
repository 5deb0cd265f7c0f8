"""`emgpose info`: this installation, or the facts of a recording or a checkpoint."""

import platform
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from emgpose.cli.options import Experiment, Json, RateHz

# One library per extra tells whether the extra is there.
EXTRA_WITNESS = {
    "train": "lightning",
    "live": "viser",
    "bids": "mne",
    "report": "plotly",
    "export": "onnxruntime",
    "store": "zarr",
    "hub": "huggingface_hub",
}
LIBRARIES = ("torch", "numpy", "scipy", "h5py", "pandas", "safetensors", "omegaconf")


def info(
    path: Annotated[
        Path | None, typer.Argument(help="A recording or a checkpoint; without it, this installation.")
    ] = None,
    experiment: Experiment = None,
    input_rate: RateHz = None,
    json: Json = False,
) -> None:
    """Tell versions, devices and extras; or what a recording or a checkpoint is."""
    from emgpose.cli.terminal import out, print_json

    if path is None:
        facts = _installation()
    elif path.suffix == ".ckpt" or (path / "config.json").is_file():
        facts = _checkpoint(path, experiment)
    else:
        facts = _recording(path, input_rate)
    if json:
        print_json(facts)
        return
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        shown = ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else value
        shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else shown
        out.print(f"{name:<{width}}  {'-' if shown in (None, '') else shown}")


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
        "task": model.task,
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
