"""`emgpose export`: a model as a file for other runtimes, with the contract that says how to run it."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emgpose.cli.options import Checkpoint, Experiment, Json, RateHz, Task
from emgpose.errors import ConfigError

if TYPE_CHECKING:
    from emgpose.live.export import Difference, ExportReport
    from emgpose.models import EmgModel


class Format(StrEnum):
    """What an export is written as."""

    ONNX = "onnx"


def export(
    out: Annotated[Path, typer.Option("--out", help="Folder for model.onnx and contract.json; made if need be.")],
    checkpoint: Checkpoint = None,
    experiment: Experiment = None,
    format_: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.ONNX,
    int8: Annotated[
        bool, typer.Option("--int8", help="Also write model.int8.onnx, with 8-bit matrix products; its error is shown.")
    ] = False,
    task: Annotated[
        Task | None,
        typer.Option(help="For a multitask model: whether the host gives the pose to start from; by default tracking."),
    ] = None,
    check_with: Annotated[
        Path | None,
        typer.Option("--check-with", help="A recording to compare on (60 s at most), in place of simulated EMG."),
    ] = None,
    input_rate: RateHz = None,
    json: Json = False,
) -> None:
    """Write one step of a model's stream as an ONNX graph: chunk and state in, joint angles and state out."""
    from emgpose.checkpoints import checkpoint_fingerprint, load_model, shipped_model_path
    from emgpose.live.export import export_onnx, recorded_signal

    if input_rate is not None and check_with is None:
        raise ConfigError(f"--input-rate {input_rate:g}: it is the rate of a recording; give --check-with too")
    checkpoint = checkpoint or shipped_model_path()
    model = load_model(checkpoint, experiment=experiment)
    if task is not None:
        model.set_task(task.value)
    report = export_onnx(
        model,
        out,
        int8=int8,
        signal=None if check_with is None else recorded_signal(check_with, model, rate_hz=input_rate),
        checkpoint_sha256=checkpoint_fingerprint(checkpoint),
    )
    _show(report, model, format_, json)


def _show(report: "ExportReport", model: "EmgModel", format_: Format, json: bool) -> None:
    from emgpose.cli.terminal import out as console
    from emgpose.cli.terminal import print_json

    if json:
        print_json(_document(report, model, format_))
        return
    plan, rate_hz = report.plan, model.sample_rate_hz
    poses = "a pose" if plan.frames_per_call == 1 else f"{plan.frames_per_call} poses"
    lines = {
        "model": f"{model.name} ({model.task}); trained on: {model.card.trained_on}",
        "each call": f"{plan.chunk_samples} samples ({1000 * plan.chunk_samples / rate_hz:g} ms) give {poses}; "
        f"the first pose comes with sample {plan.first_frame_sample + 1:,}",
        "float32": _size(report.files["float32"]) + f"at most {report.from_model.max_rad:.1g} rad from the model over "
        f"{report.signal.seconds:.1f} s of {report.signal.name}",
    }
    if report.from_float32 is not None:
        lines["int8"] = _size(report.files["int8"]) + _int8_error(report.from_float32)
    lines["written"] = f"{report.folder} (contract.json says how to run it)"
    for name, value in lines.items():
        console.print(f"{name:<10} {value}")


def _size(path: Path) -> str:
    return f"{path.name}, {path.stat().st_size / 1e6:.1f} MB; "


def _int8_error(difference: "Difference") -> str:
    from emgpose.cli.terminal import degrees

    line = f"{degrees(difference.mean_rad)} from float32 on average, at most {degrees(difference.max_rad)}"
    if difference.mae_rad is None:
        return line
    return f"{line}; from the true pose {degrees(difference.mae_rad)}, float32 {degrees(difference.reference_mae_rad)}"


def _document(report: "ExportReport", model: "EmgModel", format_: Format) -> dict[str, Any]:
    plan = report.plan
    return {
        "format": format_.value,
        "out": str(report.folder),
        "model": model.name,
        "task": model.task,
        "trained_on": model.card.trained_on,
        "chunk_samples": plan.chunk_samples,
        "frames_per_call": plan.frames_per_call,
        "first_frame_sample": plan.first_frame_sample,
        "files": {precision: str(path) for precision, path in report.files.items()},
        "checked_with": report.signal.name,
        "checked_s": report.signal.seconds,
        "float32_from_model": report.from_model.to_dict(),
        "int8_from_float32": report.from_float32.to_dict() if report.from_float32 else None,
    }
