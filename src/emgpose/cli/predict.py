"""`emgpose predict`: a recording in, joint angles (and landmarks, and a page) out."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emgpose.cli.options import (
    Channels,
    Checkpoint,
    Experiment,
    HandFile,
    Json,
    Mode,
    RateHz,
    Task,
    channel_list,
    number_list,
)
from emgpose.errors import ConfigError

if TYPE_CHECKING:
    from emgpose.prediction import PredictionReport
    from emgpose.recording import Session

CSV_RATE_HZ = 50.0
PAGE_SUFFIXES = (".html", ".htm")


def predict(
    recording: Annotated[Path, typer.Argument(help="A recording in any format that emgpose reads.")],
    out: Annotated[Path, typer.Option("--out", help="Where to write: .csv, .npz, .h5 or .hdf5, in rad and mm.")],
    checkpoint: Checkpoint = None,
    experiment: Experiment = None,
    mode: Annotated[
        Mode, typer.Option(help="stream: causal, fixed grid. published: one rollout over the whole recording.")
    ] = Mode.STREAM,
    rate: Annotated[
        float | None, typer.Option("--rate", help="Rows per second; 50 for CSV, else the model's own rate.")
    ] = None,
    landmarks: Annotated[bool, typer.Option("--landmarks", help="Also write the 21 landmarks, in mm.")] = False,
    task: Annotated[
        Task | None,
        typer.Option(help="For a multitask model; tracking where a pose to start from is given or recorded."),
    ] = None,
    initial_pose: Annotated[
        str | None, typer.Option("--initial-pose", help="recorded, rest, or a file with 20 angles in radians.")
    ] = None,
    hand: HandFile = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write a self-contained page with the moving hand.")
    ] = None,
    html_span: Annotated[
        float, typer.Option("--html-span", help="Seconds that the page shows, from the start.")
    ] = 60.0,
    channels: Channels = None,
    channel_map: Annotated[
        str | None,
        typer.Option("--channel-map", help="8to16, or for each channel of the model the recorded one: 0,0,1,1,2,2,..."),
    ] = None,
    input_rate: RateHz = None,
    noise_floor: Annotated[
        str | None,
        typer.Option("--noise-floor", help="Noise floor SD in the recording's unit: one number, or one per channel."),
    ] = None,
    rest_span: Annotated[
        tuple[float, float] | None,
        typer.Option("--rest-span", help="START STOP (seconds) of a rest to measure the noise floor in."),
    ] = None,
    json: Json = False,
) -> None:
    """Predict joint angles through a whole recording; memory does not grow with its length."""
    from emgpose.atomic import require_writable
    from emgpose.checkpoints import load_model, shipped_model_path
    from emgpose.cli.terminal import progress_bar
    from emgpose.kinematics import HandModel
    from emgpose.prediction import (
        PageCollector,
        choose_initial_pose,
        choose_task,
        doubts,
        open_pose_writer,
        predict_recording,
    )
    from emgpose.recording import open_session, prepare_session

    checkpoint = checkpoint or shipped_model_path()
    _protect_inputs({"--out": out, "--html": html}, (recording, checkpoint, hand, initial_pose))
    model = load_model(checkpoint, experiment=experiment)
    hand_model = HandModel.load(hand) if hand else HandModel.generic()
    rate = CSV_RATE_HZ if rate is None and out.suffix == ".csv" else rate
    with open_session(recording, rate_hz=input_rate, channels=channel_list(channels)) as opened:
        raw = _on_model_channels(opened, channel_map)
        hand_model = hand_model.mirrored() if raw.side == "left" else hand_model
        floor = number_list("--noise-floor", noise_floor)
        session = prepare_session(raw, model.card.preprocessing, noise_floor=floor, rest_span=rest_span)
        chosen, reason = (task.value, "") if task else choose_task(session, model, initial_pose=initial_pose)
        model.set_task(chosen)
        pose = choose_initial_pose(initial_pose, session, model)
        page = None
        if html is not None:
            require_writable(html)
            first_pose_s = model.left_context / model.sample_rate_hz
            page = PageCollector(session, html_span, rate or model.sample_rate_hz, first_pose_s)
        facts = {
            "recording": str(recording),
            "checkpoint": str(checkpoint),
            "mode": mode.value,
            "hand": hand_model.name,
        }
        with progress_bar() as bar, open_pose_writer(out, facts) as writer:
            shown = bar.add_task(f"predicting {recording.name}", total=session.n_samples)
            report = predict_recording(
                session,
                model,
                writer,
                initial_pose=pose,
                hand=hand_model,
                mode=mode.value,
                rate_hz=rate,
                landmarks=landmarks,
                on_rows=page.on_rows if page else None,
                on_emg=page.on_emg if page else None,
                on_progress=lambda done: bar.update(shown, completed=done),
            )
        report.warnings += doubts(model, raw)
        if page is not None and html is not None:
            page.write(html, report, hand_model, title=raw.name, facts=_page_facts(report, model, checkpoint))
    _show(report, out, html, json, reason)


def _on_model_channels(opened: "Session", channel_map: str | None) -> "Session":
    if channel_map is None:
        return opened
    from emgpose.recording import Session
    from emgpose.recording.channel_map import ChannelMapReader, parse_channel_map

    return Session(ChannelMapReader(opened.reader, parse_channel_map(channel_map)), opened.path)


def _protect_inputs(outputs: Mapping[str, Path | None], inputs: Iterable[Path | str | None]) -> None:
    """Refuse to write over what is read, or two outputs into one file.

    Raises
    ------
    ConfigError : an output is an input or another output, or the page's name does not end in .html.
    """
    taken = [Path(path) for path in inputs if path is not None]
    for option, path in outputs.items():
        if path is None:
            continue
        if option == "--html" and path.suffix not in PAGE_SUFFIXES:
            raise ConfigError(f"{option} {path}: expected a name ending in {' or '.join(PAGE_SUFFIXES)}")
        if any(_same_file(path, other) for other in taken):
            raise ConfigError(f"{option} {path}: this file is read or written already; choose another name")
        taken.append(path)


def _same_file(path: Path, other: Path) -> bool:
    return path.resolve() == other.resolve() or (path.exists() and other.exists() and path.samefile(other))


def _page_facts(report: "PredictionReport", model: Any, checkpoint: Path) -> dict[str, str]:
    return {
        "model": f"{report.model} ({checkpoint.name})",
        "task": report.task,
        "mode": f"{report.mode}, {report.causality}",
        "weights": f"trained on: {model.card.trained_on}",
        "preprocessing": report.preparation,
        "initial pose": report.initial_pose,
        "error": _error_line(report),
    }


def _error_line(report: "PredictionReport") -> str:
    from emgpose.cli.terminal import degrees

    if report.mae_rad is None:
        return "no valid recorded pose to compare with"
    return (
        f"{degrees(report.mae_rad)} over {report.n_valid:,} rows with a valid label, in one rollout; "
        f"initial pose held: {degrees(report.static_mae_rad)}"
    )


def _show(report: "PredictionReport", out: Path, html: Path | None, json: bool, reason: str) -> None:
    from emgpose.cli.terminal import err, print_json
    from emgpose.cli.terminal import out as console

    for warning in report.warnings:
        err.print("warning:", style="bold yellow", end=" ")
        err.print(warning)
    if json:
        print_json(report.to_dict() | {"out": str(out), "html": str(html) if html else None})
        return
    because = f", because {reason}; --task chooses" if reason else ""
    lines = {
        "model": f"{report.model} ({report.task}{because}), mode {report.mode}, {report.causality}",
        "preparation": report.preparation,
        "initial pose": report.initial_pose,
        "hand": report.hand,
        "rows": f"{report.n_rows:,} at {report.rate_hz:g} Hz, samples {report.first_sample} to {report.last_sample}",
        "mean error": _error_line(report),
        "written": ", ".join(str(path) for path in (out, html) if path),
    }
    for name, value in lines.items():
        console.print(f"{name:<13} {value}")
