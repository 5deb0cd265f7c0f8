"""What `emgpose live` puts together from its options: source, start, receivers, signals and log."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emgpose.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emgpose.live.calibration import Calibration
    from emgpose.live.chunk import EmgChunk, Source, SourceFacts
    from emgpose.live.engine import Engine
    from emgpose.live.engine_settings import EngineSettings
    from emgpose.live.guided_calibration import Cue
    from emgpose.live.pose_frame import Hello, PoseFrame
    from emgpose.live.run import Controls
    from emgpose.models import EmgModel

REPLAY = "replay:"


@dataclass(frozen=True)
class Where:
    """Which EMG, from where; as `open_source` takes it.

    Parameters
    ----------
    spec, speed, channels, input_rate_hz, seed
        As `emgpose.live.sources.opening.open_source`; `speed` may be a number in words.
    loop : bool
        Whether what ends begins again.
    """

    spec: str
    speed: str
    channels: list[str | int] | None
    input_rate_hz: float | None
    seed: int
    loop: bool

    def open(self, on_again: Callable[[], object]) -> "Source":
        """Open it.

        Parameters
        ----------
        on_again : callable
            Called when what is played in a loop begins again.

        Raises
        ------
        EmgPoseError : as `open_source`.
        """
        from emgpose.live.looped import LoopedSource

        if self.loop and not self.spec.startswith((REPLAY, "xdf:")):
            raise ConfigError(
                f"--loop: {self.spec} has no end from which it could begin again; it is for replay and xdf"
            )
        return LoopedSource(self._open_once, on_again) if self.loop else self._open_once()

    def _open_once(self) -> "Source":
        from emgpose.live.sources.opening import open_source

        return open_source(
            self.spec,
            speed=_speed(self.speed),
            channels=self.channels,
            input_rate_hz=self.input_rate_hz,
            seed=self.seed,
        )


def _speed(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        if text != "max":
            raise ConfigError(f"--speed {text}: expected a number, or max") from None
        return text


def channel_places(text: str | None) -> tuple[int | None, ...] | None:
    """Read `--channel-map`: a preset such as `8to16`, or numbers of the source's channels, and - for none.

    Raises
    ------
    ConfigError : anything else.
    """
    from emgpose.recording.channel_map import parse_channel_map

    return None if text is None else parse_channel_map(text)


def facts_of(source: "Source", side: str | None) -> "SourceFacts":
    """Give a source's facts, with the side that the user says where the source does not.

    Raises
    ------
    ConfigError : the source says the other one.
    """
    facts = source.facts
    if side is None or facts.side == side:
        return facts
    if facts.side is not None:
        raise ConfigError(f"--side {side}: source {facts.name} says that it is on the {facts.side} hand; leave it out")
    return replace(facts, side=side)


def choose_start(
    model: "EmgModel", where: Where, task: str | None, choice: str | None, calibration: "Calibration | None"
) -> tuple["NDArray[Any] | None", str]:
    """Set the model's task and choose the pose to start from.

    Without a choice the calibration's pose is taken, else a recording's own, else the model's. A multitask model
    tracks where a pose is known, and finds the pose by itself where none is.

    Returns
    -------
    (pose, source) : None for the engine's own choice; the source in words.

    Raises
    ------
    ConfigError : the task or the choice is not open to the model or the source.
    DataError : the pose's file cannot be used.
    """
    from emgpose.prediction import given_pose

    calibrated = calibration is not None and calibration.initial_pose is not None
    if where.spec.startswith(REPLAY) and not (calibrated and choice is None):
        return _recorded_start(model, where, task, choice)
    if choice == "recorded":
        raise ConfigError(f"--initial-pose recorded: {where.spec} holds no pose to start from; it is for replay:FILE")
    if task is None and len(model.tasks) > 1:
        task = "tracking" if calibrated or choice is not None else "regression"
    if task is not None:
        model.set_task(task)
    if choice is not None:
        pose = given_pose(choice)
        return pose.joint_angles, pose.source
    uses_calibration = calibrated and model.task == "tracking"
    return None, "the calibration's" if uses_calibration else "the model's own"


def _recorded_start(
    model: "EmgModel", where: Where, task: str | None, choice: str | None
) -> tuple["NDArray[Any] | None", str]:
    from emgpose.prediction import choose_initial_pose, choose_task
    from emgpose.recording import open_session

    path = Path(where.spec.removeprefix(REPLAY))
    with open_session(path, rate_hz=where.input_rate_hz, channels=where.channels) as session:
        model.set_task(task or choose_task(session, model, initial_pose=choice)[0])
        pose = choose_initial_pose(choice, session, model)
    # In regression the engine starts from the same pose, and is not told it.
    return (None if model.task == "regression" else pose.joint_angles), pose.source


def can_be_asked(spec: str) -> bool:
    """Say whether somebody wears the band and can do what a calibration asks for."""
    return not spec.startswith((REPLAY, "xdf:", "simulate"))


def check_calibrate(spec: str, path: Path) -> None:
    """Refuse a calibration that cannot be done or written, before anybody is asked to do anything.

    Raises
    ------
    ConfigError, DataError
    """
    from emgpose.atomic import require_writable

    if not can_be_asked(spec):
        raise ConfigError(
            f"--calibrate: {spec} does not do what it is asked for; it is for a person who wears the band"
        )
    require_writable(path)


def calibrate_now(source: "Source", model: "EmgModel", settings: "EngineSettings", path: Path) -> "Calibration":
    """Ask for a rest and gestures on the terminal, and write the calibration.

    Raises
    ------
    EmgPoseError : as `calibrate_first`, or the source does not suit the model.
    """
    from emgpose.cli.terminal import err
    from emgpose.live.calibration_run import calibrate_first, describe
    from emgpose.live.guided_calibration import GuidedCalibration

    guide = GuidedCalibration(model, source.facts, settings, earlier=settings_calibration(settings))
    asked: list[str] = []

    def show(cue: "Cue", left_s: float) -> None:
        if asked[-1:] != [cue.text]:
            asked.append(cue.text)
            err.print(f"{left_s:4.0f} s  {cue.text}")

    calibration = calibrate_first(source, guide, show)
    calibration.write(path)
    err.print(f"{describe(calibration)}; written to {path}")
    return calibration


def settings_calibration(settings: "EngineSettings") -> "Calibration | None":
    """Give the earlier calibration, where it is a whole one."""
    from emgpose.live.calibration import Calibration

    return settings.calibration if isinstance(settings.calibration, Calibration) else None


def recover_recording(part: Path, json: bool, *, alone: bool) -> None:
    """Finish a recording whose process was killed, and say what was made.

    Raises
    ------
    ConfigError : something else is asked for too; or the name is no unfinished recording's.
    DataError : as `emgpose.live.sinks.finishing.recover`.
    """
    from emgpose.cli.terminal import err, out, print_json
    from emgpose.live.sinks.finishing import recover

    if not alone:
        raise ConfigError("--recover: only finishes an earlier recording; leave --source, --sink and --bench out")
    recovered = recover(part)
    if recovered.n_bytes_left:
        err.print("warning:", style="bold yellow", end=" ")
        err.print(f"{part}: its last {recovered.n_bytes_left:,} bytes are not whole and were left out; it is kept")
    if json:
        print_json({**vars(recovered), "duration_s": recovered.duration_s})
        return
    out.print(f"written    {recovered.path}, {recovered.duration_s:.1f} s")


class Announcer:
    """The last receiver to be opened: says on stderr what runs, and where it can be reached."""

    def __init__(self, engine: "Engine", start: str, addresses: dict[str, Any]) -> None:
        self._engine, self._start, self._addresses = engine, start, addresses

    def open(self, hello: "Hello", source: "SourceFacts") -> None:
        """Say it."""
        from emgpose.cli.terminal import err

        for warning in self._engine.warnings:
            err.print("warning:", style="bold yellow", end=" ")
            err.print(warning)
        lines = {
            "source": f"{source.name}, {source.n_channels} channels at {source.sample_rate_hz:g} Hz",
            "model": f"{hello.model} ({hello.task}), trained on: {hello.trained_on}; initial pose: {self._start}",
            "poses": f"{hello.rate_hz:g} per second, {1000 * hello.delay_s:g} ms behind the newest sample",
        }
        # Addresses are known once the sinks are open.
        lines |= {name: address() for name, address in self._addresses.items()}
        for name, value in lines.items():
            err.print(f"{name:<8} {value}")

    def send(self, frame: "PoseFrame") -> None:
        """Poses are others' affair."""

    def record(self, chunk: "EmgChunk") -> None:
        """So is EMG."""

    def close(self) -> None:
        """Nothing to let go of."""


@contextmanager
def stopping(controls: "Controls") -> Iterator[None]:
    """Let Ctrl-C and a request to terminate end the run in order; a second one ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, _: object) -> None:
        controls.stop()
        signal.signal(number, before[signal.Signals(number)])

    try:
        for number in before:
            signal.signal(number, stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _TerminalHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        from emgpose.cli.terminal import err

        is_error = record.levelno >= logging.ERROR
        err.print("error:" if is_error else "warning:", style="bold red" if is_error else "bold yellow", end=" ")
        err.print(record.getMessage())


@contextmanager
def logged() -> Iterator[None]:
    """Show the log of the live parts on stderr."""
    logger, handler = logging.getLogger("emgpose.live"), _TerminalHandler(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
