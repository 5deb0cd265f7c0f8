"""The loop: source -> engine -> sinks and viewer, in one thread.

EMG that has come goes through the engine, and poses to sinks and viewer. While none comes, the newest pose goes out
again, stale: after `SILENT_S`, every `AWAY_PERIOD_S`. The viewer asks for changes through `Controls`; they are made
between two chunks.
"""

import logging
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from emgpose.errors import EmgPoseError, SourceEnded, SourceLost
from emgpose.live.chunk import EmgChunk, Source, SourceFacts
from emgpose.live.latency import Durations
from emgpose.live.pose_frame import Hello, PoseFrame

if TYPE_CHECKING:
    from emgpose.live.engine import Engine

Clock = Callable[[], float]

READ_TIMEOUT_S: Final = 0.05
SILENT_S: Final = 0.2
AWAY_PERIOD_S: Final = 0.1
SOURCE_SILENT: Final = "source silent"
SOURCE_LOST: Final = "source lost"
SOURCE_ENDED: Final = "source ended"
PAUSED: Final = "paused"
_LOG = logging.getLogger("emgpose.live")


class Controls:
    """What people ask of a running loop; may be used from any thread.

    Attributes
    ----------
    compute, latency : Durations
        As `LiveReport.compute_ms` and `latency_ms`, so far.
    """

    def __init__(self) -> None:
        self._asked: deque[Callable[[Engine], None]] = deque()
        self._paused = False
        self._stopped = False
        self.compute, self.latency = Durations(), Durations()

    @property
    def paused(self) -> bool:
        """Whether poses are held."""
        return self._paused

    @property
    def stopped(self) -> bool:
        """Whether the loop has been asked to end."""
        return self._stopped

    def pause(self, paused: bool) -> None:
        """Hold the pose for every receiver, marked stale, or go on; EMG goes on being read, recorded and used."""
        self._paused = paused

    def stop(self) -> None:
        """End the loop after the chunk at hand."""
        self._stopped = True

    def ask(self, change: Callable[["Engine"], None]) -> None:
        """Have `change` called with the engine between two chunks; what it cannot do is logged."""
        self._asked.append(change)

    def carry_out(self, engine: "Engine") -> None:
        """Make the changes that have been asked for, in their order."""
        while self._asked:
            try:
                self._asked.popleft()(engine)
            except EmgPoseError as error:
                _LOG.error("%s", error)


@dataclass
class LiveReport:
    """How a live run went.

    Parameters
    ----------
    model, task, source : str
    ended : str
        Why it ended: "source ended", "stopped", or "time over".
    emg_s : float
        Seconds of EMG read.
    n_samples, n_frames, n_stale : int
    stale_reasons : dict
        Number of stale frames by reason.
    delay_s : float
        Algorithmic delay of a pose behind the newest sample that it used [s].
    compute_ms : dict
        From the arrival of a chunk that completes a pose until its poses had gone out: mean, p50, p99, p99.9, max [ms].
    latency_ms : dict
        From the last sample of a pose that is not stale until it had gone out, if the newest sample of a chunk has just
        been taken by the device: what the chunks and the computing add to `delay_s` [ms].
    mae_rad : float or None
        Mean absolute error of the poses that are not stale where the truth is known [rad].
    n_truth : int
        Poses that it is the mean of.
    faults : dict
        What the engine counted.
    failed_sinks : dict
        What became of sinks that failed on the way, by name.
    warnings : list of str
    """

    model: str
    task: str
    source: str
    ended: str = ""
    emg_s: float = 0.0
    n_samples: int = 0
    n_frames: int = 0
    n_stale: int = 0
    stale_reasons: Counter[str] = field(default_factory=Counter)
    delay_s: float = 0.0
    compute_ms: dict[str, float] = field(default_factory=dict)
    latency_ms: dict[str, float] = field(default_factory=dict)
    mae_rad: float | None = None
    n_truth: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    failed_sinks: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values, for JSON."""
        values = vars(self) | {"stale_reasons": dict(self.stale_reasons)}
        return values | {"mae_deg": None if self.mae_rad is None else math.degrees(self.mae_rad)}


class Receiver(Protocol):
    """What gets poses and EMG: all sinks as one (`emgpose.live.sinks.several.Sinks`), or the viewer."""

    def open(self, hello: Hello, source: SourceFacts) -> None:
        """Get ready."""

    def send(self, frame: PoseFrame) -> None:
        """Take a pose, without waiting for anybody."""

    def record(self, chunk: EmgChunk) -> None:
        """Take EMG as it came."""

    def close(self) -> None:
        """Let go of everything."""


def run_live(
    source: Source,
    engine: "Engine",
    receivers: Sequence[Receiver] = (),
    *,
    controls: Controls | None = None,
    seconds: float | None = None,
    stay: bool = False,
    clock: Clock = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> LiveReport:
    """Run until the source ends, `controls.stop()`, or the time is over.

    Parameters
    ----------
    source : Source
        Stays open.
    engine : Engine
    receivers : sequence of Receiver
        Opened here, in their order, and closed at the end whatever happens.
    controls : Controls, optional
    seconds : float, optional
        End after so many seconds of EMG, or so long without any [s].
    stay : bool
        Hold the last pose when the source has ended, as for people who look at it.
    clock, sleep : callable
        `time.monotonic` and `time.sleep`, or those of a test.

    Returns
    -------
    LiveReport

    Raises
    ------
    StreamError : the stream cannot go on.
    EmgPoseError : a receiver cannot be opened.
    """
    loop = _Loop(source, engine, receivers, controls or Controls(), seconds, stay, clock, sleep)
    with ExitStack() as opened:
        for receiver in receivers:
            receiver.open(engine.hello, source.facts)
            opened.callback(receiver.close)
        loop.run()
    return loop.report_at_end()


class _Loop:
    """One run at work."""

    def __init__(
        self,
        source: Source,
        engine: "Engine",
        receivers: Sequence[Receiver],
        controls: Controls,
        seconds: float | None,
        stay: bool,
        clock: Clock,
        sleep: Callable[[float], object],
    ) -> None:
        self._source, self._engine, self._receivers, self._controls = source, engine, receivers, controls
        self._seconds, self._stay, self._clock, self._sleep = seconds, stay, clock, sleep
        hello = engine.hello
        self.report = LiveReport(hello.model, hello.task, hello.source, delay_s=hello.delay_s)
        self._error_sum_rad = 0.0
        self._newest_s = 0.0  # the source's clock at the newest sample
        self._arrived_s = self._away_s = clock()
        self._held: PoseFrame | None = None

    def run(self) -> None:
        """Read until there is a reason to end."""
        while not self.report.ended:
            self._controls.carry_out(self._engine)
            try:
                chunk = self._source.read(READ_TIMEOUT_S)
            except SourceEnded:
                if not self._stay:
                    self.report.ended = SOURCE_ENDED
                    return
                self._wait_for_source(SOURCE_ENDED)
            except SourceLost:
                self._wait_for_source(SOURCE_LOST)
            else:
                if chunk is None:
                    self._give_away(SOURCE_SILENT)
                else:
                    self._take(chunk)
            self.report.ended = self._why_end()

    def _wait_for_source(self, reason: str) -> None:
        self._give_away(reason)
        # It may be said at once; looking for the source again must not keep a core busy.
        self._sleep(READ_TIMEOUT_S)

    def _why_end(self) -> str:
        if self._controls.stopped:
            return "stopped"
        if self._seconds is None:
            return ""
        over = max(self.report.emg_s, self._clock() - self._arrived_s) >= self._seconds
        return "time over" if over else ""

    def _take(self, chunk: EmgChunk) -> None:
        began_s = self._arrived_s = self._clock()
        self._newest_s = chunk.time_s
        self.report.n_samples += len(chunk.emg)
        self.report.emg_s = self.report.n_samples / self._source.facts.sample_rate_hz
        frames = self._engine.push(chunk)
        for frame in frames:
            self._send(frame)
            # Samples that waited while the engine was made warm up at once; nobody follows those poses.
            if not frame.stale:
                self._controls.latency.add(self._clock() - began_s + max(0.0, chunk.time_s - frame.time_s))
        if frames:
            self._controls.compute.add(self._clock() - began_s)
        # What people do not wait for comes last.
        for receiver in self._receivers:
            receiver.record(chunk)

    def _give_away(self, reason: str) -> None:
        """While no EMG comes, give the newest pose again from time to time."""
        now_s = self._clock()
        silent_s = now_s - self._arrived_s
        if silent_s >= SILENT_S and now_s - self._away_s >= AWAY_PERIOD_S:
            self._away_s = now_s
            self._send(self._engine.away(self._newest_s + silent_s, reason))

    def _send(self, frame: PoseFrame) -> None:
        if self._controls.paused:
            frame = self._as_held(frame)
        else:
            self._held = None
        self._count(frame)
        for receiver in self._receivers:
            receiver.send(frame)

    def _as_held(self, frame: PoseFrame) -> PoseFrame:
        """Give the pose at which the pause began in place of a new one."""
        if self._held is None:
            self._held = frame
        held = self._held
        return replace(
            frame, joint_angles=held.joint_angles, landmarks=held.landmarks, truth=held.truth, stale=True, reason=PAUSED
        )

    def _count(self, frame: PoseFrame) -> None:
        self.report.n_frames += 1
        if frame.stale:
            self.report.n_stale += 1
            self.report.stale_reasons[frame.reason] += 1
        elif frame.truth is not None:
            self._error_sum_rad += float(np.abs(frame.joint_angles - frame.truth).mean())
            self.report.n_truth += 1

    def report_at_end(self) -> LiveReport:
        """Give what was counted."""
        report = self.report
        report.compute_ms = self._controls.compute.summary_ms()
        report.latency_ms = self._controls.latency.summary_ms()
        report.faults = dict(self._engine.counts)
        report.warnings = list(self._engine.warnings)
        if report.n_truth:
            report.mae_rad = self._error_sum_rad / report.n_truth
        return report
