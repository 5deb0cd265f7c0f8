"""`emgpose live`: EMG from a device, stream or recording in; a moving hand, poses and a recording out."""

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from emgpose.cli.live_parts import (
    Announcer,
    Where,
    calibrate_now,
    can_be_asked,
    channel_places,
    check_calibrate,
    choose_start,
    facts_of,
    logged,
    recover_recording,
    stopping,
)
from emgpose.cli.options import (
    Channels,
    Checkpoint,
    Experiment,
    HandFile,
    Json,
    RateHz,
    Task,
    channel_list,
    number_list,
)
from emgpose.errors import ConfigError

if TYPE_CHECKING:
    from emgpose.kinematics import HandModel
    from emgpose.live.calibration import Calibration
    from emgpose.live.calibration_run import CalibrationDesk
    from emgpose.live.engine import Engine
    from emgpose.live.engine_settings import EngineSettings
    from emgpose.live.run import Controls, LiveReport, Receiver
    from emgpose.live.sinks.several import Sinks
    from emgpose.live.viewer.app import Viewer
    from emgpose.models import EmgModel

EXIT_FAILED_SINK = 1
TOKEN_VARIABLE = "EMGPOSE_TOKEN"  # noqa: S105 - the variable's name, not a token


def live(
    source: Annotated[
        str | None,
        typer.Option("--source", help="lsl, lsl:NAME, replay:FILE, xdf:FILE, simulate or simulate:STAGE."),
    ] = None,
    checkpoint: Checkpoint = None,
    experiment: Experiment = None,
    task: Annotated[
        Task | None,
        typer.Option(help="For a multitask model; tracking where a pose to start from is known."),
    ] = None,
    initial_pose: Annotated[
        str | None, typer.Option("--initial-pose", help="recorded, rest, or a file with 20 angles in radians.")
    ] = None,
    view: Annotated[bool, typer.Option("--view", help="Show the hand in a browser on this machine.")] = False,
    view_host: Annotated[str, typer.Option("--view-host", help="Loopback address of the viewer.")] = "127.0.0.1",
    view_port: Annotated[
        int, typer.Option("--view-port", help="Port of the viewer, or the next free one; 0 for any.")
    ] = 8080,
    sink: Annotated[
        list[str] | None,
        typer.Option(
            "--sink",
            help="ws, ws:PORT, ws:HOST:PORT, udp:HOST:PORT, osc:HOST:PORT, lsl, lsl:NAME, record:FILE.hdf5; repeat it.",
        ),
    ] = None,
    ws_token: Annotated[
        str | None, typer.Option("--ws-token", help=f"What WebSocket clients must know; better in {TOKEN_VARIABLE}.")
    ] = None,
    ws_origin: Annotated[
        list[str] | None, typer.Option("--ws-origin", help="Origin of web pages that may connect too; repeat it.")
    ] = None,
    channels: Channels = None,
    input_rate: RateHz = None,
    channel_map: Annotated[
        str | None,
        typer.Option(
            "--channel-map",
            help="For each channel of the model the source's, counted from 0, or - for none: 0,0,1,1,...; or 8to16.",
        ),
    ] = None,
    resample: Annotated[bool, typer.Option("--resample", help="Allow a source of another rate.")] = False,
    noise_floor: Annotated[
        str | None,
        typer.Option("--noise-floor", help="SD at rest after the filters, in the source's unit: one, or per channel."),
    ] = None,
    calibration: Annotated[Path | None, typer.Option("--calibration", help="Use a calibration file (JSON).")] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option("--calibrate", help="First ask for a rest and gestures, write what is measured here, and use it."),
    ] = None,
    bench: Annotated[
        bool, typer.Option("--bench", help="Only measure how long the model takes per hop; needs no source.")
    ] = False,
    smoothing: Annotated[bool, typer.Option("--smoothing/--no-smoothing", help="Smooth the poses (1-Euro).")] = True,
    limits: Annotated[bool, typer.Option("--limits/--no-limits", help="Keep angles within what joints can do.")] = True,
    hand: HandFile = None,
    speed: Annotated[str, typer.Option("--speed", help="Of what is played: 1 is real time; or max.")] = "1",
    loop: Annotated[bool, typer.Option("--loop", help="Play a recording again when it ends.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="For simulate: another person, band and performance.")] = 0,
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="End after so many seconds of EMG, or without any.")
    ] = None,
    recover: Annotated[
        Path | None,
        typer.Option("--recover", help="Only finish a recording whose process was killed: FILE.hdf5.part."),
    ] = None,
    user: Annotated[str, typer.Option("--user", help="For record: who it is.")] = "unknown",
    stage: Annotated[str, typer.Option("--stage", help="For record: what is done.")] = "live",
    side: Annotated[
        str | None, typer.Option("--side", help="Which hand: left or right, where the source does not say.")
    ] = None,
    json: Json = False,
) -> None:
    """Run a hand live, until Ctrl-C or the source's end."""
    from emgpose.checkpoints import load_model
    from emgpose.live.calibration import Calibration
    from emgpose.live.calibration_run import CalibrationDesk
    from emgpose.live.engine import Engine
    from emgpose.live.one_thread import use_one_thread
    from emgpose.live.run import Controls, run_live

    if recover is not None:
        recover_recording(recover, json, alone=source is None and not sink and not bench)
        return
    if seconds is not None and not seconds > 0:
        raise ConfigError(f"--seconds {seconds:g}: expected a number above 0")
    if view:
        _check_view(view_host, view_port)
    use_one_thread()
    model = load_model(checkpoint, experiment=experiment)
    if bench:
        _bench(model, task, json)
        return
    if source is None:
        raise ConfigError("--source: say where the EMG comes from: lsl, replay:FILE, xdf:FILE or simulate")
    if calibrate is not None:
        check_calibrate(source, calibrate)
    calibrated = known = Calibration.read(calibration) if calibration else None
    where = Where(source, speed, channel_list(channels), input_rate, seed, loop)
    settings = _engine_settings(channel_map, resample, noise_floor, calibrated, smoothing, limits)
    # Made before anybody is asked for anything, so that a wrong option is told at once.
    recorded_by = RecordedBy(user, stage, side)
    sinks = _sinks(sink or [], settings, ws_token, ws_origin, recorded_by)
    if task is not None:
        model.set_task(task.value)
    controls = Controls()
    # A recording that is played again begins with its own pose again.
    on_again = partial(controls.ask, lambda engine: engine.reset())
    with logged(), closing(where.open(on_again)) as stream:
        facts = facts_of(stream, side)
        if calibrate is not None:
            calibrated = calibrate_now(stream, model, settings, calibrate)
            settings = replace(settings, calibration=calibrated)
            sinks = _sinks(sink or [], settings, ws_token, ws_origin, recorded_by)
        pose, start = choose_start(model, where, task.value if task else None, initial_pose, calibrated)
        hand_model = _hand(hand, facts.side)
        engine = Engine(model, facts, settings=settings, initial_pose=pose, hand=hand_model)
        desk = None
        if view and can_be_asked(source):
            desk = CalibrationDesk(model, settings, controls, calibrate, earlier=known)
        viewer = _viewer(engine, controls, desk, view_host, view_port) if view else None
        announcer = _announcer(engine, start, sinks, viewer)
        receivers: list[Receiver] = [part for part in (sinks, viewer, desk, announcer) if part is not None]
        with stopping(controls):
            report = run_live(
                stream, engine, receivers, controls=controls, seconds=seconds, stay=view and seconds is None
            )
    report.failed_sinks = dict(sinks.failures)
    _show(report, json)
    if report.failed_sinks:
        raise typer.Exit(EXIT_FAILED_SINK)


def _bench(model: "EmgModel", task: Task | None, json: bool) -> None:
    from emgpose.cli.terminal import out as console
    from emgpose.cli.terminal import print_json
    from emgpose.live.bench import run_bench

    if task is not None:
        model.set_task(task.value)
    report = run_bench(model)
    if json:
        print_json(report.to_dict())
    else:
        console.print(report.text())


class RecordedBy(NamedTuple):
    """What a recording says of itself."""

    user: str
    stage: str
    side: str | None


def _check_view(host: str, port: int) -> None:
    from emgpose.live.viewer.server import check_host

    check_host(host, port)


def _engine_settings(
    channel_map: str | None,
    resample: bool,
    noise_floor: str | None,
    calibration: "Calibration | None",
    smoothing: bool,
    limits: bool,
) -> "EngineSettings":
    from emgpose.live.engine_settings import EngineSettings
    from emgpose.live.smoothing import DEFAULT_SMOOTHING

    floor = number_list("--noise-floor", noise_floor)
    return EngineSettings(
        smoothing=DEFAULT_SMOOTHING if smoothing else None,
        joint_limits=limits,
        channel_map=channel_places(channel_map),
        resample=resample,
        noise_floor=None if floor is None else tuple(floor),
        calibration=calibration,
    )


def _sinks(
    specs: list[str], engine: "EngineSettings", token: str | None, origins: list[str] | None, by: RecordedBy
) -> "Sinks":
    from emgpose.live.sinks.opening import SinkSettings
    from emgpose.live.sinks.recording import RecordingSettings
    from emgpose.live.sinks.several import Sinks

    calibrated = engine.calibration.noise_floor if engine.calibration else None
    recording = RecordingSettings(
        user=by.user,
        stage=by.stage,
        side=by.side,
        # As for the engine, what was measured on this user comes first.
        noise_floor=calibrated or engine.noise_floor,
        channel_map=engine.channel_map,
        resample=engine.resample,
    )
    token = token or os.environ.get(TOKEN_VARIABLE) or None
    return Sinks.from_specs(specs, SinkSettings(token, tuple(origins or ()), recording))


def _hand(path: Path | None, side: str | None) -> "HandModel | None":
    from emgpose.kinematics import HandModel

    if path is None:
        return None
    hand = HandModel.load(path)
    return hand.mirrored() if side == "left" else hand


def _viewer(engine: "Engine", controls: "Controls", desk: "CalibrationDesk | None", host: str, port: int) -> "Viewer":
    from emgpose.live.viewer.app import Viewer
    from emgpose.live.viewer.hand_mesh import HandMesh

    return Viewer(
        HandMesh.of(engine.hand),
        controls,
        engine.settings,
        desk=desk,
        warnings=tuple(engine.warnings),
        host=host,
        port=port,
    )


def _announcer(engine: "Engine", start: str, sinks: "Sinks", viewer: "Viewer | None") -> Announcer:
    addresses: dict[str, Callable[[], str]] = {}
    if viewer is not None:
        addresses["viewer"] = lambda: viewer.url
    if sinks.names:
        addresses["sinks"] = lambda: ", ".join(sinks.names)
    return Announcer(engine, start, addresses)


def _show(report: "LiveReport", json: bool) -> None:
    from emgpose.cli.terminal import degrees, print_json
    from emgpose.cli.terminal import out as console

    if json:
        print_json(report.to_dict())
        return
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in report.stale_reasons.items())
    faults = ", ".join(f"{count:,} {fault.replace('_', ' ')}" for fault, count in report.faults.items() if count)
    compute, latency = (
        f"{ms['p50']:.2f} ms, p99 {ms['p99']:.2f}, at most {ms['max']:.2f}"
        for ms in (report.compute_ms, report.latency_ms)
    )
    lines = {
        "ended": f"{report.ended}, after {report.emg_s:.1f} s of EMG",
        "poses": f"{report.n_frames:,}, of them {report.n_stale:,} stale" + (f" ({reasons})" if reasons else ""),
        "computing": compute,
        "latency": f"{latency}; model and filters add {1000 * report.delay_s:g}",
        "error": f"{degrees(report.mae_rad)} over {report.n_truth:,} poses" if report.n_truth else "",
        "faults": faults,
    }
    for name, value in lines.items():
        if value:
            console.print(f"{name:<10} {value}")
