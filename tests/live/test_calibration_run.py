"""A guided calibration, with a guide and sources small enough to read."""

import threading

import numpy as np
import pytest

from emgpose.errors import DataError, SourceEnded, SourceLost, StreamError
from emgpose.live import guided_calibration
from emgpose.live.calibration import Calibration, CalibrationQuality
from emgpose.live.calibration_run import PATIENCE_S, CalibrationDesk, calibrate_first, describe
from emgpose.live.chunk import EmgChunk, SourceFacts
from emgpose.live.engine_settings import EngineSettings
from emgpose.live.guided_calibration import Cue
from emgpose.live.run import Controls

FACTS = SourceFacts("made", 2000.0, ("a", "b"))
CUES = (Cue("resting", "Rest.", 1.0), Cue("fist", "Fist.", 1.0))
FOUND = Calibration(roll=2, initial_pose=(0.1,) * 20)


class Guide:
    """Asks for a rest and a fist, a second each."""

    total_s = 2.0

    def __init__(self, *_, result=FOUND, earlier=None):
        self.elapsed_s, self._result, self.earlier = 0.0, result, earlier

    @property
    def cue(self):
        return CUES[int(self.elapsed_s)] if self.elapsed_s < 2 else None

    def push(self, chunk):
        self.elapsed_s += len(chunk.emg) / 2000
        return self.cue

    def result(self):
        if callable(self._result):
            return self._result(self)
        if isinstance(self._result, Exception):
            raise self._result
        return self._result


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds


class Source:
    facts = FACTS

    def __init__(self, clock, script):
        self.clock, self.script = clock, list(script)

    def read(self, timeout_s):
        step = self.script.pop(0) if self.script else SourceEnded("over")
        if isinstance(step, Exception):
            raise step
        self.clock.sleep(timeout_s)
        return step


def chunk(n_samples=1000):
    return EmgChunk(0, np.zeros((n_samples, 2), np.float32), 0.0)


def test_each_cue_is_shown_with_the_time_that_is_left():
    clock, shown = Clock(), []
    source = Source(clock, [chunk(), None, SourceLost("away"), chunk(), chunk(), chunk()])
    found = calibrate_first(
        source, Guide(), lambda cue, left_s: shown.append((cue.pose, left_s)), clock=clock, sleep=clock.sleep
    )
    assert found == FOUND
    assert shown == [
        ("resting", 2.0),
        ("resting", 1.5),
        ("resting", 1.5),
        ("resting", 1.5),
        ("fist", 1.0),
        ("fist", 0.5),
    ]


def test_a_source_that_ends_too_early_cannot_calibrate():
    clock = Clock()
    with pytest.raises(StreamError, match=r"ended after 0.5 s, a calibration takes 2 s"):
        calibrate_first(Source(clock, [chunk()]), Guide(), lambda *_: None, clock=clock, sleep=clock.sleep)


def test_silence_ends_the_calibration_after_a_while():
    clock = Clock()
    with pytest.raises(StreamError, match="no EMG for 10 s"):
        calibrate_first(Source(clock, [None] * 1000), Guide(), lambda *_: None, clock=clock, sleep=clock.sleep)
    assert clock.now_s == pytest.approx(PATIENCE_S, abs=0.1)


class Settable:
    calibration = None

    def set_calibration(self, calibration):
        self.calibration = calibration


@pytest.fixture
def desk_of(monkeypatch):
    def made(result=FOUND, path=None, earlier=None):
        monkeypatch.setattr(
            guided_calibration, "GuidedCalibration", lambda *_, earlier: Guide(result=result, earlier=earlier)
        )
        controls = Controls()
        desk = CalibrationDesk(None, EngineSettings(), controls, path, earlier=earlier)
        desk.open(None, FACTS)
        return desk, controls

    return made


def test_beside_a_running_hand_the_calibration_is_used_and_written(desk_of, tmp_path):
    desk, controls = desk_of(path=tmp_path / "me.json")
    assert (desk.cue, desk.text) == (None, "")
    desk.record(chunk())
    desk.begin()
    assert desk.cue == CUES[0]
    assert desk.text == "Rest. (2 s to go)"
    for _ in range(4):
        desk.record(chunk())
    desk.close()
    engine = Settable()
    controls.carry_out(engine)
    assert engine.calibration == FOUND
    assert Calibration.read(tmp_path / "me.json") == FOUND
    assert "turned by 2 electrodes" in desk.text


def test_a_cancelled_calibration_changes_nothing(desk_of):
    desk, controls = desk_of()
    desk.begin()
    desk.record(chunk())
    desk.cancel()
    for _ in range(5):
        desk.record(chunk())
    desk.close()
    engine = Settable()
    controls.carry_out(engine)
    assert (engine.calibration, desk.text) == (None, "")


def test_a_calibration_cancelled_while_it_is_computed_changes_nothing(desk_of, tmp_path):
    desks = []

    def computed(guide):
        desks[0].cancel()
        return FOUND

    desk, controls = desk_of(computed, tmp_path / "me.json")
    desks.append(desk)
    desk.begin()
    for _ in range(4):
        desk.record(chunk())
    desk.close()
    engine = Settable()
    controls.carry_out(engine)
    assert (engine.calibration, desk.text) == (None, "")
    assert not (tmp_path / "me.json").exists()


def test_a_calibration_at_the_end_of_the_run_is_finished(desk_of, tmp_path):
    def computed(guide):
        # The run ends meanwhile, in the thread that reads.
        released.wait(10)
        return FOUND

    released = threading.Event()
    desk, _ = desk_of(computed, tmp_path / "me.json")
    desk.begin()
    for _ in range(4):
        desk.record(chunk())
    threading.Timer(0.05, released.set).start()
    desk.close()
    assert Calibration.read(tmp_path / "me.json") == FOUND


def test_an_earlier_calibration_of_the_same_person_is_used(desk_of):
    given = []
    earlier = Calibration(roll=1)
    desk, _ = desk_of(lambda guide: given.append(guide.earlier) or FOUND, earlier=earlier)
    desk.begin()
    for _ in range(4):
        desk.record(chunk())
    desk.close()
    assert given == [earlier]


def test_a_calibration_that_fails_says_so_and_changes_nothing(desk_of, caplog):
    desk, controls = desk_of(result=DataError("every channel is silent"))
    desk.begin()
    for _ in range(4):
        desk.record(chunk())
    desk.close()
    engine = Settable()
    controls.carry_out(engine)
    assert engine.calibration is None
    assert "every channel is silent" in caplog.text


def test_doubts_are_part_of_what_people_are_told():
    assert describe(Calibration()) == "Calibrated: the band sits as usual"
    restless = Calibration(quality=CalibrationQuality(restlessness=9.0))
    assert "rest again" in describe(restless)
