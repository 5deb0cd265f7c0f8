"""From a rest and gestures to a calibration: scaling, gains, the first pose, and how the band is turned."""

import numpy as np
import pytest
from made_decoder import GESTURES, MadeDecoder, gesture_emg, pose_of

from emgpose.errors import ConfigError, DataError
from emgpose.live.calibrating import HeldGesture, calibrate, measure_rest, scaling_of
from emgpose.live.calibration import Calibration

MODEL = MadeDecoder()
REST_POSE = np.linspace(0, 0.4, 20).astype(np.float32)


def rest(scale=1.0, seconds: float = 3.0) -> HeldGesture:
    emg = gesture_emg(None, round(2000 * seconds), seed=9) * np.asarray(scale, dtype=np.float32)
    return HeldGesture("resting", emg, REST_POSE, settle_s=0.5)


def gestures(turn: int = 0, scale=1.0, seed: int = 0) -> list[HeldGesture]:
    scale = np.asarray(scale, dtype=np.float32)
    return [HeldGesture(name, gesture_emg(name, turn=turn, seed=seed) * scale, pose_of(name)) for name in GESTURES]


# --- rest


def test_a_rest_gives_each_channels_level_whatever_its_unit() -> None:
    scale = 1e-6 * np.arange(1, 17)
    measured = measure_rest(rest(scale).emg, 2000)
    assert measured.levels == pytest.approx(scale, rel=0.05)
    assert measured.bad_channels == ()
    assert measured.restlessness < 1.2


def test_a_short_twitch_moves_the_restlessness_and_not_the_level() -> None:
    emg = rest().emg.copy()
    emg[2000:2400] *= 8
    measured = measure_rest(emg, 2000)
    assert measured.levels == pytest.approx(np.ones(16), rel=0.05)
    assert measured.restlessness > 4


def test_silent_and_very_loud_channels_are_named_and_get_the_usual_scaling() -> None:
    scale = np.ones(16)
    scale[3], scale[11] = 0, 100
    measured = measure_rest(rest(scale).emg, 2000)
    assert measured.bad_channels == (3, 11)
    noise_floor, gains = scaling_of(measured, is_scaled=False)
    assert noise_floor == pytest.approx((1.0,) * 16, rel=0.05)
    assert gains is None


@pytest.mark.parametrize(
    ("seconds", "scale", "message"), [(0.9, 1.0, "at least 1 s"), (2.0, 0.0, "every channel is silent")]
)
def test_a_rest_that_tells_nothing_is_refused(seconds: float, scale: float, message: str) -> None:
    with pytest.raises(DataError, match=message):
        measure_rest(rest(scale, seconds).emg, 2000)


# --- scaling


def test_emg_that_is_scaled_as_it_says_is_left_alone() -> None:
    assert scaling_of(measure_rest(rest(1.3).emg, 2000), is_scaled=True) == (None, None)


def test_emg_that_is_not_scaled_as_it_says_gets_gains() -> None:
    scale = np.linspace(3, 9, 16)
    noise_floor, gains = scaling_of(measure_rest(rest(scale).emg, 2000), is_scaled=True)
    assert noise_floor is None
    assert gains == pytest.approx(1 / scale, rel=0.05)


# --- all of it


@pytest.mark.parametrize("turn", [-7, -3, -1, 0, 1, 3, 8])
def test_a_turned_band_is_turned_back(turn: int) -> None:
    scale = 1e-6 * np.linspace(1, 5, 16)
    found = calibrate(MODEL, rest(scale), gestures(turn, scale), is_scaled=False)
    assert (found.roll - turn) % 16 == 0
    assert found.noise_floor == pytest.approx(scale, rel=0.05)
    assert found.initial_pose == pytest.approx(REST_POSE)
    assert found.warnings == []
    for pattern in found.gestures:
        turned_back = np.roll(pattern.levels, found.roll)
        assert 0.1 * turned_back == pytest.approx(pose_of(pattern.name)[:16], rel=0.1)


@pytest.mark.parametrize("then", [0, 2])
@pytest.mark.parametrize("now", [-3, 0, 4])
def test_an_earlier_calibration_of_the_same_person_tells_the_turn(then: int, now: int) -> None:
    earlier = calibrate(MODEL, rest(), gestures(then), is_scaled=True)
    later = calibrate(MODEL, rest(), gestures(now, seed=1), is_scaled=True, earlier=earlier)
    assert (later.roll - now) % 16 == 0
    assert later.quality.likeness > 0.95
    assert later.quality.roll_errors_rad is None
    # Its gestures are what the next calibration is compared with, as if the band had been worn like this then.
    again = calibrate(MODEL, None, gestures(now - 2, seed=2), is_scaled=True, earlier=later)
    assert (again.roll - (now - 2)) % 16 == 0


def test_an_earlier_roll_that_was_wrong_by_choice_is_carried_along() -> None:
    earlier = calibrate(MODEL, rest(), gestures(), is_scaled=True)
    by_hand = Calibration(roll=5, gestures=earlier.gestures)
    assert calibrate(MODEL, None, gestures(1), is_scaled=True, earlier=by_hand).roll == 6


def test_gestures_that_do_not_tell_leave_the_band_where_it_is_and_say_so() -> None:
    silent = [HeldGesture(held.name, rest().emg[:5000], held.joint_angles) for held in gestures()]
    found = calibrate(MODEL, rest(), silent, is_scaled=True)
    assert found.roll == 0
    assert any("do not tell how the band is turned" in warning for warning in found.warnings)


def test_a_rest_alone_keeps_what_an_earlier_calibration_found() -> None:
    earlier = calibrate(MODEL, rest(), gestures(2), is_scaled=True)
    found = calibrate(MODEL, rest(4.0), is_scaled=True, earlier=earlier)
    assert found.roll == 2
    assert found.gestures == earlier.gestures
    assert found.gains == pytest.approx((0.25,) * 16, rel=0.05)


def test_gestures_alone_use_the_scaling_of_an_earlier_calibration() -> None:
    earlier = calibrate(MODEL, rest(1e-6), gestures(0, 1e-6), is_scaled=False)
    found = calibrate(MODEL, None, gestures(-2, 1e-6), is_scaled=False, earlier=earlier)
    assert found.roll == -2
    assert found.noise_floor == earlier.noise_floor


def test_without_a_rest_or_an_earlier_one_unscaled_emg_cannot_be_calibrated() -> None:
    with pytest.raises(ConfigError, match="needs a rest"):
        calibrate(MODEL, None, gestures(), is_scaled=False)


def test_gestures_too_short_to_be_judged_are_refused() -> None:
    hurried = [HeldGesture(held.name, held.emg[:1500], held.joint_angles) for held in gestures()]
    with pytest.raises(DataError, match=r"gesture open: 0\.75 s are too short"):
        calibrate(MODEL, rest(), hurried, is_scaled=True)
