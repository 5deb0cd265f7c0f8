"""A calibration on a stream: cues by the samples that came, gaps, and the same result as from arrays."""

import numpy as np
import pytest
from made_decoder import gesture_emg

from emgpose.errors import ConfigError, DataError
from emgpose.hand import JOINT_LIMITS_RAD
from emgpose.live import guided_calibration
from emgpose.live.calibration import Calibration
from emgpose.live.chunk import EmgChunk
from emgpose.live.engine import Engine
from emgpose.live.engine_settings import EngineSettings
from emgpose.live.guided_calibration import REST, Cue, GuidedCalibration
from emgpose.models import build_model
from emgpose.preprocessing import Bandpass, Preprocessing
from made_streams import chunks, cut, facts, made_emg
from small_models import small_model

pytestmark = pytest.mark.usefixtures("one_thread")

CUES = (Cue("resting", "Rest.", 2.0), Cue("fist", "Fist.", 2.0), Cue("open", "Open.", 2.0))


@pytest.fixture(scope="module")
def model():
    return small_model("emgpose50")


def test_cues_change_when_their_samples_have_come_whatever_the_chunks(model) -> None:
    guided = GuidedCalibration(model, facts(), cues=CUES)
    assert guided.total_s == 6
    asked = [(guided.elapsed_s, guided.push(part)) for part in chunks(made_emg(12_000), 37)]
    changes = [now for now in asked if now[1] is not None and now[1] is not asked[asked.index(now) - 1][1]]
    assert [cue.pose for _, cue in changes] == ["resting", "fist", "open"]
    assert [began_s for began_s, _ in changes] == pytest.approx([0, 2, 4], abs=37 / 2000)
    assert asked[-1][1] is None
    assert guided.elapsed_s == 6


def test_the_result_is_the_same_for_every_way_of_cutting_the_stream(model) -> None:
    emg = made_emg(12_000)
    results = []
    for parts in (chunks(emg, 12_000), cut(emg, [1, 777, 4000, 4001, 9000])):
        guided = GuidedCalibration(model, facts(), cues=CUES)
        for part in parts:
            guided.push(part)
        results.append(guided.result())
    assert results[0] == results[1]
    assert [pattern.name for pattern in results[0].gestures] == ["fist", "open"]
    assert results[0].initial_pose == pytest.approx(CUES[0].joint_angles)


def test_a_source_in_volts_gets_its_noise_floor_and_the_engine_takes_it(model) -> None:
    volts = facts(preprocessing=Preprocessing((Bandpass(),)), emg_unit="V")
    scale = 1e-6 * np.linspace(1, 4, 16)
    parts = [gesture_emg(None, 4000), made_emg(8000)]
    guided = GuidedCalibration(model, volts, cues=CUES)
    for part in chunks(np.concatenate(parts) * scale.astype(np.float32), 400):
        guided.push(part)
    found = guided.result()
    assert found.noise_floor == pytest.approx(scale, rel=0.1)
    engine = Engine(model, volts, settings=EngineSettings(calibration=found))
    assert not any("noise floor" in warning for warning in engine.warnings)


def test_a_long_gap_asks_for_everything_anew_and_a_short_one_is_filled(model) -> None:
    emg = made_emg(6000)
    guided = GuidedCalibration(model, facts(), cues=CUES)
    guided.push(EmgChunk(0, emg[:5000], 2.5))
    assert guided.cue.pose == "fist"
    guided.push(EmgChunk(5400, emg[5000:5100], 2.75))
    assert guided.elapsed_s == 2.75
    guided.push(EmgChunk(20_000, emg[5100:5200], 10.0))
    assert guided.elapsed_s == 0.05
    assert guided.cue.pose == "resting"


def test_with_an_earlier_calibration_the_band_is_turned_back_on_the_stream(model) -> None:
    def calibrated(turn: int, earlier: Calibration | None = None) -> Calibration:
        guided = GuidedCalibration(model, facts(), cues=CUES, earlier=earlier)
        held = [gesture_emg(name, 4000, turn=turn, seed=turn + 9) for name in ("fist", "open")]
        for part in chunks(np.concatenate([gesture_emg(None, 4000), *held]), 1000):
            guided.push(part)
        return guided.result()

    usual = calibrated(0)
    assert calibrated(-3, usual).roll - usual.roll == -3


def test_too_little_emg_gives_no_calibration(model) -> None:
    guided = GuidedCalibration(model, facts(), cues=CUES)
    guided.push(EmgChunk(0, made_emg(2500), 1.25))
    with pytest.raises(DataError, match="at least 1 s"):
        guided.result()


def test_a_model_that_looks_ahead_cannot_be_calibrated_for() -> None:
    with pytest.raises(ConfigError, match="cannot run in mode 'stream'"):
        GuidedCalibration(build_model("regression_neuropose"), facts())


@pytest.mark.parametrize("cue", [REST, *guided_calibration.GESTURES], ids=lambda cue: cue.pose)
def test_every_cue_shows_a_pose_that_hands_can_take_and_says_it_in_words(cue: Cue) -> None:
    low, high = np.asarray(JOINT_LIMITS_RAD).T
    assert cue.joint_angles.shape == (20,)
    assert ((cue.joint_angles >= low) & (cue.joint_angles <= high)).all()
    assert cue.text.endswith(".")
    assert cue.hold_s > 2
