"""The loop, with sources, engines and receivers small enough to read, and a clock that only tests turn."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from emgpose.errors import ConfigError, SourceEnded, SourceLost, StreamError
from emgpose.hand import N_JOINTS, N_LANDMARKS
from emgpose.live.chunk import EmgChunk, SourceFacts
from emgpose.live.looped import PAUSE_S, LoopedSource
from emgpose.live.pose_frame import Hello, PoseFrame
from emgpose.live.run import AWAY_PERIOD_S, READ_TIMEOUT_S, SILENT_S, Controls, run_live

FACTS = SourceFacts("made", 2000.0, ("a", "b"))
HELLO = Hello("model", "tracking", "made", "hand", 50.0, 2000.0, ("a", "b"), 0.01, "right", "none", False)
HOP = 40


class Clock:
    """Moves only when something waits."""

    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds


class Source:
    """Gives what a script says: chunks of so many samples, None for silence, or a fault."""

    facts = FACTS

    def __init__(self, clock, script):
        self.clock, self.script, self.n_samples, self.closed = clock, list(script), 0, False

    def read(self, timeout_s):
        step = self.script.pop(0) if self.script else SourceEnded("over")
        if isinstance(step, Exception):
            raise step
        if step is None:
            self.clock.sleep(timeout_s)
            return None
        self.clock.sleep(step / FACTS.sample_rate_hz)
        first, self.n_samples = self.n_samples, self.n_samples + step
        truth = np.full((step, N_JOINTS), 0.1, dtype=np.float32)
        return EmgChunk(first, np.zeros((step, 2), np.float32), self.n_samples / FACTS.sample_rate_hz, truth)

    def close(self):
        self.closed = True


class Engine:
    """A pose every 40 samples, whose angles are its number."""

    hello, warnings = HELLO, ["a doubt"]

    def __init__(self, clock=None, compute_s=0.0):
        self.counts = {"gaps": 0}
        self.n, self.n_samples, self.clock, self.compute_s = 0, 0, clock, compute_s
        self.changes = []

    def _frame(self, time_s, reason, truth=None):
        self.n += 1
        angles = np.full(N_JOINTS, self.n, dtype=np.float32)
        landmarks, quality = np.zeros((N_LANDMARKS, 3), np.float32), np.ones(2, np.float32)
        return PoseFrame(self.n - 1, self.n_samples, time_s, angles, landmarks, quality, bool(reason), reason, truth)

    def push(self, chunk):
        if self.compute_s:
            self.clock.sleep(self.compute_s)
        n_before, self.n_samples = self.n_samples, self.n_samples + len(chunk.emg)
        hops = range(n_before // HOP + 1, self.n_samples // HOP + 1)
        return [self._frame(hop * HOP / 2000, "", chunk.joint_angles[0]) for hop in hops]

    def away(self, now_s, reason):
        return self._frame(now_s, reason)


class Receiver:
    def __init__(self):
        self.frames, self.chunks, self.calls = [], [], []

    def open(self, hello, source):
        self.calls.append(("open", hello, source))

    def send(self, frame):
        self.frames.append(frame)

    def record(self, chunk):
        self.chunks.append(chunk)

    def close(self):
        self.calls.append("close")


def live(script, **options):
    clock = Clock()
    engine = options.pop("engine", Engine)(clock)
    receiver, source = Receiver(), Source(clock, script)
    report = run_live(source, engine, [receiver], clock=clock, sleep=clock.sleep, **options)
    return SimpleNamespace(report=report, receiver=receiver, engine=engine, clock=clock, source=source)


def test_each_pose_and_each_chunk_reaches_the_receivers_in_order():
    ran = live([40, 20, 20, 80])
    assert [frame.index for frame in ran.receiver.frames] == [0, 1, 2, 3]
    assert [len(chunk.emg) for chunk in ran.receiver.chunks] == [40, 20, 20, 80]
    assert ran.receiver.calls == [("open", HELLO, FACTS), "close"]
    assert ran.report.ended == "source ended"
    assert not ran.source.closed


def test_the_report_counts_emg_poses_and_error():
    report = live([40] * 10).report
    assert (report.n_samples, report.n_frames, report.n_stale, report.n_truth) == (400, 10, 0, 10)
    assert report.emg_s == 0.2
    assert report.mae_rad == pytest.approx(5.5 - 0.1)
    assert report.warnings == ["a doubt"]
    assert report.faults == {"gaps": 0}
    assert report.to_dict()["mae_deg"] == pytest.approx(np.degrees(5.4))


def test_a_silent_source_turns_poses_stale_but_not_at_once():
    n_silent = round(0.6 / READ_TIMEOUT_S)
    ran = live([40] + [None] * n_silent + [40])
    stale = [frame for frame in ran.receiver.frames if frame.stale]
    assert [frame.reason for frame in stale] == ["source silent"] * len(stale)
    # On the source's clock, which stood at 0.02 s when it fell silent.
    assert 0.02 + SILENT_S <= stale[0].time_s <= 0.02 + SILENT_S + 1.01 * READ_TIMEOUT_S
    periods_s = np.diff([frame.time_s for frame in stale])
    assert ((periods_s > 0.99 * AWAY_PERIOD_S) & (periods_s < AWAY_PERIOD_S + 1.01 * READ_TIMEOUT_S)).all()
    assert not ran.receiver.frames[0].stale
    assert not ran.receiver.frames[-1].stale
    assert ran.report.stale_reasons == {"source silent": len(stale)}


def test_a_lost_source_is_looked_for_again_without_keeping_a_core_busy():
    n_tries = round(5 / READ_TIMEOUT_S)
    ran = live([40] + [SourceLost("gone")] * n_tries + [40])
    assert ran.clock.now_s == pytest.approx(100 + 5.04)
    assert set(ran.report.stale_reasons) == {"source lost"}
    assert 30 <= ran.report.n_stale <= 50
    assert not ran.receiver.frames[-1].stale


def test_the_run_ends_after_the_seconds_of_emg_asked_for():
    report = live([40] * 100, seconds=0.5).report
    assert report.ended == "time over"
    assert report.emg_s == 0.5


def test_the_run_ends_after_the_seconds_without_any_emg():
    ran = live([40] + [None] * 1000, seconds=2.0)
    assert ran.report.ended == "time over"
    assert ran.clock.now_s == pytest.approx(102.02, abs=READ_TIMEOUT_S)


def test_stopping_ends_the_run_after_the_chunk_at_hand():
    controls = Controls()

    class Stopping(Engine):
        def push(self, chunk):
            controls.stop()
            return super().push(chunk)

    ran = live([40, 40], controls=controls, engine=Stopping)
    assert ran.report.ended == "stopped"
    assert len(ran.receiver.frames) == 1


def test_who_stays_holds_the_last_pose_when_the_source_has_ended():
    ran = live([40], stay=True, seconds=1.0)
    assert ran.report.ended == "time over"
    assert set(ran.report.stale_reasons) == {"source ended"}


def test_a_pause_holds_the_pose_for_everybody_while_the_engine_goes_on():
    controls = Controls()

    class Pausing(Engine):
        def push(self, chunk):
            controls.pause(self.n in (1, 2))
            return super().push(chunk)

    frames = live([40] * 5, controls=controls, engine=Pausing).receiver.frames
    assert [frame.reason for frame in frames] == ["", "paused", "paused", "", ""]
    assert [float(frame.joint_angles[0]) for frame in frames] == [1, 2, 2, 4, 5]
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]


def test_changes_are_made_between_two_chunks_and_in_their_order():
    controls = Controls()
    controls.ask(lambda engine: engine.changes.append(("first", engine.n)))
    controls.ask(lambda engine: engine.changes.append(("second", engine.n)))
    assert live([40], controls=controls).engine.changes == [("first", 0), ("second", 0)]


def test_a_change_that_cannot_be_made_is_logged_and_the_run_goes_on(caplog):
    controls = Controls()

    def refused(engine):
        raise ConfigError("no such calibration")

    controls.ask(refused)
    assert live([40], controls=controls).report.n_frames == 1
    assert "no such calibration" in caplog.text


def test_computing_and_latency_are_measured_on_the_clock_given():
    class Slow(Engine):
        def __init__(self, clock):
            super().__init__(clock, compute_s=0.003)

    report = live([80] * 20, engine=Slow).report
    assert report.compute_ms["p50"] == pytest.approx(3, rel=0.01)
    # Of two poses in a chunk the first has waited for 20 ms of samples.
    assert report.latency_ms["max"] == pytest.approx(23, rel=0.01)
    assert report.latency_ms["mean"] == pytest.approx(13, rel=0.01)


def test_the_latency_is_that_of_poses_that_can_be_relied_on():
    class WarmingUp(Engine):
        def push(self, chunk):
            return [replace(frame, stale=True, reason="warming up") for frame in super().push(chunk)]

    report = live([40] * 20, engine=WarmingUp).report
    assert report.n_frames == 20
    assert report.latency_ms["max"] == 0


def test_receivers_that_were_opened_are_closed_where_a_later_one_cannot_be():
    first, second = Receiver(), Receiver()

    def refuse(hello, source):
        raise ConfigError("port taken")

    second.open = refuse
    clock = Clock()
    with pytest.raises(ConfigError, match="port taken"):
        run_live(Source(clock, []), Engine(), [first, second], clock=clock, sleep=clock.sleep)
    assert first.calls[-1] == "close"
    assert second.calls == []


def test_receivers_are_closed_when_the_stream_cannot_go_on():
    clock, receiver = Clock(), Receiver()
    with pytest.raises(StreamError, match="broken"):
        run_live(Source(clock, [40, StreamError("broken")]), Engine(), [receiver], clock=clock, sleep=clock.sleep)
    assert receiver.calls[-1] == "close"


def test_a_looped_source_counts_on_after_a_gap():
    clock, opened = Clock(), []

    def reopen():
        opened.append(Source(clock, [40, 40]))
        return opened[-1]

    rounds = []
    source = LoopedSource(reopen, lambda: rounds.append(len(opened)))
    chunks = [chunk for chunk in (source.read(0.05) for _ in range(6)) if chunk is not None]
    assert rounds == [2, 3]
    pause = round(PAUSE_S * 2000)
    assert [chunk.first_sample for chunk in chunks] == [0, 40, 80 + pause, 120 + pause]
    assert chunks[2].time_s == pytest.approx(0.04 + PAUSE_S + 0.02)
    assert opened[0].closed
    source.close()
    assert opened[-1].closed


def test_a_source_without_samples_cannot_be_looped():
    source = LoopedSource(lambda: Source(Clock(), []))
    with pytest.raises(StreamError, match="without a single sample"):
        source.read(0.05)
