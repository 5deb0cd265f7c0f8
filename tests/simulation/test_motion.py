"""Movements stay anatomical, differ between performances but not in kind, and recorded ones are kept as they are."""

import dataclasses
import json

import numpy as np
import pytest

from emgpose.errors import ConfigError, DataError, ShapeError
from emgpose.hand import JOINT_INDEX, JOINT_LIMITS_RAD, LANDMARK_INDEX
from emgpose.kinematics import HandModel
from emgpose.simulation.hand_poses import POSES
from emgpose.simulation.motion import (
    STAGE_FAMILIES,
    Motion,
    MotionStyle,
    draw_style,
    motion_statistics,
    recorded_motion,
    simulate_motion,
)
from emgpose.simulation.motion_families import GESTURES
from emgpose.simulation.streams import rng_for

COUNTING = "CountingUpDownFaceSideAway"


def performed(stage: str = COUNTING, *, user: int = 0, repeat: int = 0, seconds: float = 10.0) -> Motion:
    style = draw_style(rng_for(5, "user", user, "style"))
    return simulate_motion(stage, style, seconds, rng_for(5, "motion", user, stage, repeat))


def recording(tmp_path, angles: np.ndarray, rate_hz: float = 30.0):
    path = tmp_path / "angles.npz"
    np.savez(path, joint_angles=angles.astype(np.float32), sample_rate_hz=rate_hz)
    return path


def test_there_are_29_stages_made_of_known_gestures_and_poses():
    assert len(STAGE_FAMILIES) == 29
    named = {
        name
        for family in STAGE_FAMILIES.values()
        for gesture in family.gestures
        for name in ((gesture,) if isinstance(gesture, str) else gesture)
    }
    assert named <= set(GESTURES)
    assert {step.pose for steps in GESTURES.values() for step in steps} <= {*POSES, "free"}


def test_every_gesture_and_pose_is_used():
    used = {name for f in STAGE_FAMILIES.values() for g in f.gestures for name in ((g,) if isinstance(g, str) else g)}
    assert used == set(GESTURES)
    assert {step.pose for steps in GESTURES.values() for step in steps} - {"free"} == set(POSES)


@pytest.mark.parametrize("stage", STAGE_FAMILIES)
def test_a_stage_stays_within_the_limits_of_the_joints(stage):
    motion = performed(stage)
    assert motion.joint_angles.shape == (2000, 20)
    assert motion.wrist.shape == (2000, 2)
    assert motion.load.shape == (2000, 5)
    assert (motion.joint_angles >= JOINT_LIMITS_RAD[:, 0]).all()
    assert (motion.joint_angles <= JOINT_LIMITS_RAD[:, 1]).all()
    assert 0 <= motion.load.min() <= motion.load.max() <= 1
    assert np.abs(motion.wrist).max() < np.radians(76)
    # Nobody moves a joint by more than 4000 degrees per second.
    assert np.abs(motion.velocity()).max() < np.radians(4000)


@pytest.mark.parametrize("name", POSES)
def test_a_named_pose_is_within_the_limits_of_the_joints(name):
    angles = POSES[name].joint_angles_rad(0.66)
    assert (angles >= JOINT_LIMITS_RAD[:, 0]).all()
    assert (angles <= JOINT_LIMITS_RAD[:, 1]).all()


@pytest.mark.parametrize("finger", ["INDEX", "MIDDLE", "RING", "PINKY"])
def test_thumb_and_finger_meet_in_a_pinch_and_not_in_the_open_hand(finger):
    def tips_apart_mm(name: str) -> float:
        points = HandModel.generic().landmarks(POSES[name].joint_angles_rad(0.66).astype(np.float32))
        return float(np.linalg.norm(points[LANDMARK_INDEX["THUMB_TIP"]] - points[LANDMARK_INDEX[f"{finger}_TIP"]]))

    assert tips_apart_mm(f"pinch_{finger.lower()}") < 13
    assert tips_apart_mm("open") > 80


def test_the_fingertips_of_a_fist_are_near_the_palm():
    points = HandModel.generic().landmarks(POSES["fist"].joint_angles_rad(0.66).astype(np.float32))
    for finger in ("INDEX", "MIDDLE", "RING", "PINKY"):
        assert np.linalg.norm(points[LANDMARK_INDEX[f"{finger}_TIP"]] - points[LANDMARK_INDEX["PALM"]]) < 55


def test_the_same_seed_gives_the_same_movement():
    first, second = performed(), performed()
    for name in ("joint_angles", "wrist", "load"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_two_repeats_differ_in_timing_but_not_in_kind():
    first, second, other_kind = performed(), performed(repeat=1), performed("WristFlexionAbduction")
    assert np.abs(first.joint_angles - second.joint_angles).mean() > np.radians(5)
    figures = [motion_statistics(each.joint_angles, each.rate_hz) for each in (first, second, other_kind)]
    ranges = [np.degrees(each.range_rad) for each in figures]
    assert np.abs(ranges[0] - ranges[1]).mean() < 15
    assert np.abs(ranges[0] - ranges[2]).mean() > 25


def test_a_longer_performance_begins_like_a_shorter_one():
    short, long = performed(seconds=5.0), performed(seconds=20.0)
    np.testing.assert_allclose(short.joint_angles, long.joint_angles[:1000], atol=1e-12)


def test_styles_differ_between_people_and_fit_into_json():
    styles = [draw_style(rng_for(0, "user", user)) for user in range(3)]
    assert len({style.tempo for style in styles}) == 3
    assert json.loads(json.dumps(dataclasses.asdict(styles[0])))["tempo"] == styles[0].tempo


@pytest.mark.parametrize(
    "values", [{"tempo": 0.0}, {"range": float("nan")}, {"habit": 1.5}, {"resting_offset_rad": (0.0,) * 3}]
)
def test_an_impossible_style_is_refused(values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        MotionStyle(**values)


def test_a_faster_person_moves_faster():
    def speed(tempo: float) -> float:
        motion = simulate_motion(COUNTING, MotionStyle(tempo=tempo, sloppiness=0.2), 30.0, rng_for(0, "motion", 0))
        return motion_statistics(motion.joint_angles, motion.rate_hz).speed_rad_s[95]

    assert speed(2.0) > 1.5 * speed(1.0)


def test_the_end_joint_follows_the_middle_joint_of_a_relaxed_finger():
    pose = POSES["resting"].joint_angles_rad(0.66)
    for finger in ("INDEX", "PINKY"):
        assert pose[JOINT_INDEX[f"{finger}_DIP_FE"]] == pytest.approx(0.66 * pose[JOINT_INDEX[f"{finger}_PIP_FE"]])


def test_neighbours_follow_a_finger_that_moves_alone():
    def ring_rad(enslaving: float) -> float:
        style = MotionStyle(enslaving=enslaving, rest_share=0.0, sloppiness=0.0, tremor_rad=0.0)
        motion = simulate_motion("IndividualFingerPointingSnap", style, 40.0, rng_for(0, "motion", 1))
        middle_out = motion.joint_angles[:, JOINT_INDEX["MIDDLE_MCP_FE"]] < np.radians(5)
        return float(np.median(motion.joint_angles[middle_out, JOINT_INDEX["RING_MCP_FE"]]))

    assert ring_rad(0.2) < ring_rad(0.0) - np.radians(4)


def test_thumb_and_finger_stay_together_while_a_person_pinches():
    motion = performed("PokePinchCloseFar", user=2, seconds=30.0)
    pinching = (motion.load[:, :2] > 0.15).all(axis=1)
    assert pinching.mean() > 0.05
    points = HandModel.generic().landmarks(motion.joint_angles[pinching].astype(np.float32))
    apart_mm = np.linalg.norm(points[:, LANDMARK_INDEX["THUMB_TIP"]] - points[:, LANDMARK_INDEX["INDEX_TIP"]], axis=1)
    assert np.median(apart_mm) < 25


def test_load_rises_with_grips_only():
    assert performed("DoorknobFingerGraspFistGrab").load.mean() > 3 * performed("FingerAbductionSeries").load.mean()


def test_raising_the_rate_keeps_the_angles_and_the_length():
    motion = performed(seconds=3.0)
    raised = motion.at(2000.0)
    assert raised.shape == (6000, 20)
    assert raised.dtype == np.float32
    np.testing.assert_allclose(raised[::10], motion.joint_angles, atol=1e-5)
    np.testing.assert_array_equal(raised[-9:], np.repeat(raised[-1:], 9, axis=0))


def test_velocity_and_acceleration_of_a_known_sine():
    at_s = np.arange(400)[:, None] / 200
    sine = np.sin(2 * np.pi * at_s) * np.ones(20)
    motion = Motion(sine, np.zeros((400, 2)), np.zeros((400, 5)), 200.0)
    turning = 2 * np.pi
    np.testing.assert_allclose(
        motion.velocity()[5:-5], (turning * np.cos(turning * at_s) * np.ones(20))[5:-5], atol=0.01
    )
    np.testing.assert_allclose(motion.acceleration()[5:-5], -(turning**2) * sine[5:-5], atol=0.1)


def test_a_motion_of_wrong_axes_or_values_is_refused():
    with pytest.raises(ShapeError, match="wrist"):
        Motion(np.zeros((5, 20)), np.zeros((5, 3)), np.zeros((5, 5)), 200.0)
    with pytest.raises(DataError, match="not finite"):
        Motion(np.full((5, 20), np.nan), np.zeros((5, 2)), np.zeros((5, 5)), 200.0)


@pytest.mark.parametrize(
    ("stage", "seconds", "rate_hz"), [("Counting", 5.0, 200.0), (COUNTING, 0.0, 200.0), (COUNTING, 5.0, float("nan"))]
)
def test_an_unknown_stage_or_an_impossible_length_is_refused(stage, seconds, rate_hz):
    with pytest.raises(ConfigError):
        simulate_motion(stage, MotionStyle(), seconds, rng_for(0, "motion", 0), rate_hz=rate_hz)


def test_recorded_angles_come_back_where_they_are_valid(tmp_path):
    at_s = np.arange(150)[:, None] / 30
    angles = 0.5 + 0.3 * np.sin(2 * np.pi * 0.7 * at_s + np.arange(20))
    angles[60:66] = 0
    motion = recorded_motion(recording(tmp_path, angles))
    assert motion.seconds == pytest.approx(5.0)
    assert not motion.valid[round(59.5 / 30 * 200) : round(65.5 / 30 * 200)].any()
    assert 0.9 < motion.valid.mean() < 0.97
    expected = 0.5 + 0.3 * np.sin(2 * np.pi * 0.7 * np.arange(1000)[:, None] / 200 + np.arange(20))
    assert np.abs(motion.joint_angles - expected)[motion.valid][100:].max() < 0.02


def test_a_bridge_over_missing_angles_is_smooth_and_stays_between_its_ends(tmp_path):
    angles = np.full((90, 20), 0.2)
    angles[40:] = 0.8
    angles[30:60] = 0
    motion = recorded_motion(recording(tmp_path, angles))
    bridge = motion.joint_angles[~motion.valid]
    assert bridge.min() > 0.19
    assert bridge.max() < 0.81
    assert np.abs(motion.velocity()).max() < 1.875 * 0.6 / (30 / 30)


def test_a_recording_is_played_again_from_its_start_after_a_smooth_join(tmp_path):
    angles = np.linspace(0.1, 1.0, 60)[:, None] * np.ones(20)
    motion = recorded_motion(recording(tmp_path, angles), seconds=7.0, start_s=1.0)
    assert motion.n_samples == 1400
    # 2 s of recording and a bridge of 0.6 s make one round.
    np.testing.assert_allclose(motion.joint_angles[520:1040], motion.joint_angles[:520], atol=1e-9)
    assert np.abs(np.diff(motion.joint_angles, axis=0)).max() < np.radians(1.5)
    assert motion.joint_angles[0] == pytest.approx(angles[30], abs=1e-3)


def test_a_recording_without_usable_angles_is_refused(tmp_path):
    with pytest.raises(DataError, match="two samples"):
        recorded_motion(recording(tmp_path, np.zeros((30, 20))))
    with pytest.raises(ConfigError, match="seconds"):
        recorded_motion(recording(tmp_path, np.ones((30, 20))), seconds=-1.0)


def test_statistics_of_a_known_movement():
    at_s = np.arange(3000) / 30
    angles = np.zeros((3000, 20))
    angles[:, 0] = np.sin(2 * np.pi * 0.1 * at_s)
    angles[:, 1] = 0.5 * np.cos(2 * np.pi * 0.1 * at_s)
    figures = motion_statistics(angles, 30.0)
    assert figures.explained[0] == pytest.approx(0.8, abs=1e-6)
    assert figures.explained[1] == pytest.approx(1.0)
    assert figures.range_rad[:3] == pytest.approx([2.0, 1.0, 0.0], abs=2e-3)
    # The fastest percent is the fastest fifth of the first joint: where its phase is within 0.1 pi of crossing zero.
    assert figures.speed_rad_s[99] == pytest.approx(2 * np.pi * 0.1 * np.cos(0.1 * np.pi), rel=0.01)
    assert figures.speed_rad_s[50] == 0.0


def test_statistics_leave_out_what_is_not_valid():
    angles = np.random.default_rng(0).normal(size=(100, 20))
    valid = np.ones(100, dtype=bool)
    valid[40:50] = False
    spoilt = angles.copy()
    spoilt[40:50] = 99.0
    figures, expected = motion_statistics(spoilt, 30.0, valid), motion_statistics(angles, 30.0, valid)
    assert figures.n_samples == 90
    assert figures.speed_rad_s == expected.speed_rad_s
    with pytest.raises(DataError):
        motion_statistics(angles, 30.0, np.zeros(100, dtype=bool))


def test_simulated_counting_is_near_the_real_one(shared):
    real = recorded_motion(shared / "real" / "emg2pose_angles" / "joint_angle_predictions.csv", 29.968)
    theirs = motion_statistics(real.at(30.0), 30.0)
    ours = [motion_statistics(performed(user=user, seconds=58.6).at(30.0), 30.0) for user in range(6)]
    assert np.mean([each.explained[5] for each in ours]) == pytest.approx(theirs.explained[5], abs=0.03)
    for percent in (50, 75, 90, 95, 99):
        ratio = np.mean([each.speed_rad_s[percent] for each in ours]) / theirs.speed_rad_s[percent]
        assert 0.6 < ratio < 1.6
    assert np.mean([each.range_rad.mean() for each in ours]) == pytest.approx(theirs.range_rad.mean(), rel=0.15)
