"""The engine: frames and their times, settings, and every fault of the table in its module. No clock, no sleeping."""

import itertools
import logging
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from emgpose.errors import ConfigError, DataError, RateMismatch, ShapeError, StreamError
from emgpose.hand import JOINT_LIMITS_RAD
from emgpose.kinematics import HandModel
from emgpose.live.calibration import Calibration
from emgpose.live.chunk import EmgChunk
from emgpose.live.engine import Engine
from emgpose.live.engine_settings import EngineSettings
from emgpose.live.pose_frame import PoseFrame
from emgpose.live.smoothing import OneEuro
from emgpose.models import EmgModel, build_model
from emgpose.models.hops import TorchHops
from emgpose.preprocessing import Bandpass, Preprocessing, Scale
from emgpose.signals import EMG2POSE_PREPROCESSING
from made_streams import PLAIN, RATE_HZ, angles, chunk, chunks, facts, made_emg, pushed
from small_models import small_model

pytestmark = pytest.mark.usefixtures("one_thread")

START = np.linspace(0.05, 0.4, 20).astype(np.float32)


@dataclass(frozen=True)
class Calibrated:
    """What the engine needs of a calibration."""

    noise_floor: tuple[float, ...] | None = None
    roll: int = 0
    gains: tuple[float, ...] | None = None
    initial_pose: Any = None


@pytest.fixture(scope="module")
def model() -> EmgModel:
    return small_model("tracking_vemg2pose", scale=0.05)


def engine_of(model: EmgModel, settings: EngineSettings = PLAIN, **changes: Any) -> Engine:
    return Engine(model, facts(**changes), settings=settings, initial_pose=START)


def static_hand() -> EmgModel:
    """Costs nothing, for tests in which the poses do not matter."""
    return build_model("static_tracking")


def reasons(frames: list[PoseFrame]) -> list[str]:
    return [frame.reason for frame in frames]


def faults(caplog: pytest.LogCaptureFixture, word: str) -> list[str]:
    """The lines logged so far that hold a word."""
    return [record.getMessage() for record in caplog.records if word in record.getMessage()]


@pytest.fixture(autouse=True)
def _heard(caplog):
    caplog.set_level(logging.INFO, logger="emgpose.live")


# --- frames


def test_frames_come_every_20_ms_from_the_first_samples_on(model) -> None:
    engine = engine_of(model)
    frames = pushed(engine, chunks(made_emg(3_000)))
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert {second.sample - first.sample for first, second in itertools.pairwise(frames)} == {40}
    ready = [frame for frame in frames if not frame.stale]
    assert ready[0].sample == model.left_context
    assert ready[-1].sample > 3_000 - 41
    np.testing.assert_allclose([f.time_s for f in frames], [100 + f.sample / RATE_HZ for f in frames], atol=1e-9)


def test_before_the_context_is_full_frames_hold_the_initial_pose_and_are_stale(model) -> None:
    engine = engine_of(model)
    frames = pushed(engine, chunks(made_emg(model.left_context)))
    assert len(frames) == engine.n_warm_up_frames == model.left_context // 40
    assert set(reasons(frames)) == {"warming up"}
    np.testing.assert_array_equal(angles(frames), np.tile(START, (len(frames), 1)))


def test_a_frame_comes_with_the_very_sample_that_completes_it(model) -> None:
    engine = engine_of(model)
    emg = made_emg(model.left_context + 1)
    assert not any(not frame.stale for frame in engine.push(chunk(emg, 0, model.left_context)))
    last = engine.push(chunk(emg, model.left_context, model.left_context + 1))
    assert [frame.stale for frame in last] == [False]


def test_landmarks_belong_to_the_angles_and_the_hand(model) -> None:
    hand = HandModel.generic("left").scaled_to(150)
    engine = Engine(model, facts(side="left"), settings=PLAIN, hand=hand)
    frame = pushed(engine, chunks(made_emg(2_000)))[-1]
    np.testing.assert_allclose(frame.landmarks, hand.landmarks(frame.joint_angles), atol=1e-4)
    assert Engine(model, facts(side="left")).hand.side == "left"
    assert Engine(model, facts()).hand.side == "right"


def test_truth_stands_beside_the_frame_where_it_is_valid(model) -> None:
    engine = engine_of(model)
    emg = made_emg(1_000)
    truth = np.arange(1_000, dtype=np.float32)[:, None] * np.ones(20, dtype=np.float32)
    truth[300:500] = np.nan
    frames = [frame for part in range(0, 1_000, 50) for frame in engine.push(chunk(emg, part, part + 50, truth))]
    for frame in frames:
        if 300 <= frame.sample < 500:
            assert frame.truth is None
        else:
            assert frame.truth is not None
            assert frame.truth[0] == frame.sample
    assert pushed(engine_of(model), chunks(emg))[0].truth is None


def test_one_long_chunk_is_the_same_as_many(model) -> None:
    emg = made_emg(22_000)
    whole = engine_of(model).push(chunk(emg, 0, len(emg)))
    parts = pushed(engine_of(model), chunks(emg, 997))
    assert [frame.sample for frame in whole] == [frame.sample for frame in parts]
    np.testing.assert_allclose(angles(whole), angles(parts), atol=1e-5)
    np.testing.assert_allclose([f.time_s for f in whole], [f.time_s for f in parts], atol=1e-6)


def test_hello_says_what_a_receiver_needs(model) -> None:
    hello = engine_of(model, side="left", is_simulated=True).hello
    assert (hello.model, hello.task, hello.source) == ("tracking_vemg2pose", "tracking", "made")
    assert (hello.rate_hz, hello.sample_rate_hz, hello.delay_s) == (50.0, 2000.0, 0.0)
    assert (hello.side, hello.trained_on, hello.is_simulated) == ("left", "none", True)
    assert hello.channel_names == tuple(f"ch{number}" for number in range(16))
    waits = small_model("tracking_vemg2pose", between="linear")
    assert engine_of(waits).hello.delay_s == 0.02


# --- which models and sources


@pytest.mark.parametrize("name", ["regression_neuropose", "regression_sensingdynamics"])
def test_a_model_that_needs_the_future_is_refused_with_the_reason(name: str) -> None:
    model = build_model(name)
    with pytest.raises(ConfigError, match=r"cannot run live.*causal"):
        Engine(model, facts())


def test_another_number_of_channels_is_refused_without_a_map(model) -> None:
    eight = tuple("abcdefgh")
    with pytest.raises(ConfigError, match=r"has 8 channels, tracking_vemg2pose needs 16.*0,0,1,1,2,2"):
        engine_of(model, channel_names=eight)
    settings = replace(PLAIN, channel_map=tuple(number // 2 for number in range(16)))
    engine = engine_of(model, settings, channel_names=eight)
    emg = made_emg(2_500, 8)
    frames = pushed(engine, chunks(emg))
    expected = pushed(engine_of(model), chunks(np.repeat(emg, 2, axis=1)))
    np.testing.assert_array_equal(angles(frames), angles(expected))
    assert engine.hello.channel_names[:4] == ("a#0", "a#1", "b#2", "b#3")


def test_channels_may_get_nothing_and_have_no_quality(model) -> None:
    settings = replace(PLAIN, channel_map=(*range(15), None))
    engine = engine_of(model, settings)
    emg = made_emg(2_500)
    frames = pushed(engine, chunks(emg))
    without = emg * np.array([1] * 15 + [0], dtype=np.float32)
    np.testing.assert_array_equal(angles(frames), angles(pushed(engine_of(model), chunks(without))))
    assert frames[-1].quality[15] == 0
    assert (frames[-1].quality[:15] == 1).all()
    assert "1 of 16 channels get no EMG" in " ".join(engine.warnings)
    assert engine.hello.channel_names[15] == "unused"


@pytest.mark.parametrize(
    ("channel_map", "what"),
    [((0, 1), "must have 16 entries"), ((16,) * 16, "names channel 16"), ((None,) * 16, "uses none of them")],
)
def test_a_channel_map_that_does_not_fit_is_refused(model, channel_map, what) -> None:
    with pytest.raises(ConfigError, match=what):
        engine_of(model, replace(PLAIN, channel_map=channel_map))


def test_another_rate_is_refused_unless_it_may_be_resampled(model) -> None:
    with pytest.raises(RateMismatch, match=r"sample rate is 2048 Hz.*needs 2000 Hz.*--resample"):
        engine_of(model, sample_rate_hz=2048.0)
    with pytest.raises(RateMismatch, match="below 1000 Hz"):
        engine_of(model, replace(PLAIN, resample=True), sample_rate_hz=200.0)
    engine = engine_of(model, replace(PLAIN, resample=True), sample_rate_hz=2048.0)
    assert "delays poses by 14.6 ms" in " ".join(engine.warnings)
    assert engine.hello.delay_s == pytest.approx(30 / 2048)


@pytest.mark.parametrize("rate_hz", [1000.0, 2048.0, 5000.0])
def test_a_resampled_frame_comes_with_the_sample_that_it_names(model, rate_hz: float) -> None:
    engine = engine_of(model, replace(PLAIN, resample=True), sample_rate_hz=rate_hz)
    emg = made_emg(3_000)
    frames = []
    for part in chunks(emg, 7):
        new = engine.push(part)
        assert all(part.first_sample <= frame.sample < part.first_sample + len(part.emg) for frame in new)
        frames += new
    assert len(frames) == pytest.approx(3_000 / rate_hz * 50, abs=2)
    assert np.diff([frame.sample for frame in frames]).mean() == pytest.approx(rate_hz / 50, abs=0.3)


def test_emg_that_is_not_scaled_needs_a_noise_floor(model) -> None:
    raw = {"preprocessing": Preprocessing(), "emg_unit": "V"}
    with pytest.raises(ConfigError, match=r"has not been scaled.*--calibrate.*--noise-floor"):
        engine_of(model, **raw)
    with pytest.raises(ConfigError, match="one number or one for each of 16 channels, got 3"):
        engine_of(model, replace(PLAIN, noise_floor=(1.0, 2.0, 3.0)), **raw)
    with pytest.raises(ConfigError, match="expected a number above 0"):
        engine_of(model, replace(PLAIN, noise_floor=(0.0,)), **raw)
    emg = made_emg(2_500)
    one = pushed(engine_of(model, replace(PLAIN, noise_floor=(1e-6,)), **raw), chunks(emg * 1e-6))
    each = replace(PLAIN, noise_floor=tuple(1e-6 * (1 + channel) for channel in range(16)))
    all_ = pushed(engine_of(model, each, **raw), chunks(emg * 1e-6 * (1 + np.arange(16, dtype=np.float32))))
    np.testing.assert_allclose(angles(one), angles(all_), atol=1e-4)


def test_only_the_steps_that_the_source_has_not_had_are_applied(model) -> None:
    scaled = facts(preprocessing=Preprocessing((Scale(),)))
    emg = made_emg(2_500)
    found = pushed(Engine(model, scaled, settings=PLAIN, initial_pose=START), chunks(emg))
    from emgpose.signals import Preprocessor

    filtered = Preprocessor((Bandpass(),), RATE_HZ, 16).process(emg)
    np.testing.assert_allclose(angles(found), angles(pushed(engine_of(model), chunks(filtered))), atol=1e-5)


def test_warnings_say_why_not_to_trust_the_poses(model) -> None:
    assert "untrained" in " ".join(engine_of(model).warnings)
    assert "depend on later ones" in " ".join(engine_of(model, is_causal=False).warnings)
    assert "not used" in " ".join(engine_of(model, replace(PLAIN, noise_floor=(1.0,))).warnings)
    calibrated = replace(PLAIN, calibration=Calibrated(noise_floor=(1.0,) * 16))
    assert "calibration's noise floor is not used" in " ".join(engine_of(model, calibrated).warnings)
    simulated = small_model()
    simulated.card = replace(simulated.card, trained_on="simulated")
    assert "simulated EMG only" in " ".join(engine_of(simulated).warnings)
    assert engine_of(simulated, is_simulated=True).warnings == []


def test_regression_starts_from_its_own_pose() -> None:
    model = small_model("regression_vemg2pose", scale=0.05)
    with pytest.raises(ConfigError, match="in regression"):
        engine_of(model)
    calibrated = replace(PLAIN, calibration=Calibrated(initial_pose=START))
    for settings in (PLAIN, calibrated):
        frame = Engine(model, facts(), settings=settings).push(chunk(made_emg(100), 0, 100))[0]
        np.testing.assert_array_equal(frame.joint_angles, 0)


@pytest.mark.parametrize("pose", [np.zeros(19), np.full(20, np.nan)])
def test_an_impossible_initial_pose_is_refused(model, pose) -> None:
    with pytest.raises((ShapeError, DataError), match="initial pose"):
        Engine(model, facts(), initial_pose=pose)


def test_a_chunk_of_another_shape_is_a_fault_of_the_source(model) -> None:
    with pytest.raises(StreamError, match=r"shape \(10, 3\).*channel=16"):
        engine_of(model).push(EmgChunk(0, np.zeros((10, 3), dtype=np.float32), 0.0))


@pytest.mark.parametrize("max_fill_s", [-0.1, 2.0, math.nan])
def test_an_impossible_gap_to_fill_is_refused(max_fill_s: float) -> None:
    with pytest.raises(ConfigError, match="max_fill_s"):
        EngineSettings(max_fill_s=max_fill_s)


# --- smoothing, limits, calibration


def test_smoothing_follows_the_models_poses_and_can_be_switched(model) -> None:
    emg = made_emg(6_000)
    plain = angles(pushed(engine_of(model), chunks(emg)))
    engine = engine_of(model, replace(PLAIN, smoothing=OneEuro(0.5, 0.1)))
    first = angles(pushed(engine, chunks(emg)[:200]))
    n = len(first)
    jerk = [np.abs(np.diff(poses[engine.n_warm_up_frames :], 3, axis=0)).mean() for poses in (first, plain[:n])]
    assert jerk[0] < 0.5 * jerk[1]
    engine.set_smoothing(None)
    assert engine.settings.smoothing is None
    np.testing.assert_array_equal(angles(pushed(engine, chunks(emg)[200:250])), plain[n : n + 25])
    engine.set_smoothing(OneEuro(0.5, 0.1))
    again = angles(pushed(engine, chunks(emg)[250:]))
    np.testing.assert_array_equal(again[0], plain[n + 25])
    assert np.abs(again[1:] - plain[n + 26 :]).max() > 1e-3


def test_limits_keep_angles_within_what_joints_can_do_and_can_be_switched() -> None:
    wild = small_model("tracking_vemg2pose", scale=2.0)
    emg = made_emg(4_000)
    engine = engine_of(wild, replace(PLAIN, joint_limits=True))
    low, high = JOINT_LIMITS_RAD.T.astype(np.float32)
    plain = angles(pushed(engine_of(wild), chunks(emg)))
    first = angles(pushed(engine, chunks(emg)[:150]))
    assert ((plain < low) | (plain > high)).any()
    np.testing.assert_array_equal(first, np.clip(plain[: len(first)], low, high))
    engine.set_joint_limits(False)
    np.testing.assert_array_equal(angles(pushed(engine, chunks(emg)[150:])), plain[len(first) :])


def test_a_calibration_turns_the_band_back_and_sets_gains_and_pose(model) -> None:
    emg = made_emg(2_500)
    gains = tuple(np.linspace(0.5, 2, 16))
    expected = angles(pushed(Engine(model, facts(), settings=PLAIN, initial_pose=START), chunks(emg)))
    # What the band gives: turned by two electrodes, each with a wrong amplification.
    given = np.roll(emg, -2, axis=1) / np.array(gains, dtype=np.float32)
    calibration = Calibration(roll=2, gains=gains, initial_pose=tuple(float(angle) for angle in START))
    settings = replace(PLAIN, calibration=calibration)
    found = angles(pushed(Engine(model, facts(), settings=settings), chunks(given)))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_calibrations_noise_floor_comes_first(model) -> None:
    raw = {"preprocessing": Preprocessing(EMG2POSE_PREPROCESSING.steps[:2]), "emg_unit": "V"}
    settings = replace(PLAIN, noise_floor=(5.0,), calibration=Calibrated(noise_floor=(2.0,) * 16))
    emg = made_emg(2_500)
    found = angles(pushed(engine_of(model, settings, **raw), chunks(2 * emg)))
    np.testing.assert_allclose(found, angles(pushed(engine_of(model), chunks(emg))), atol=1e-5)
    assert "the calibration has one" in " ".join(engine_of(model, settings, **raw).warnings)


def test_a_calibration_while_running_begins_again_from_its_pose(model) -> None:
    engine = engine_of(model)
    emg = made_emg(4_000)
    pushed(engine, chunks(emg)[:80])
    pose = START[::-1].copy()
    calibration = Calibrated(roll=1, gains=(2.0,) * 16, initial_pose=pose)
    engine.set_calibration(calibration)
    frames = pushed(engine, chunks(emg)[80:])
    assert frames[0].reason == "warming up"
    fresh = Engine(model, facts(), settings=replace(PLAIN, calibration=calibration))
    np.testing.assert_array_equal(angles(frames), angles(pushed(fresh, chunks(emg)[80:])))
    np.testing.assert_array_equal(frames[0].joint_angles, pose)
    assert not frames[-1].stale
    engine.set_calibration(None)
    np.testing.assert_array_equal(engine.away(0.0, "asked").joint_angles, 0)


def test_a_calibration_without_a_pose_leaves_the_one_that_was_given(model) -> None:
    engine = engine_of(model)
    pushed(engine, chunks(made_emg(2_500)))
    engine.set_calibration(Calibrated(roll=1))
    np.testing.assert_array_equal(engine.away(0.0, "asked").joint_angles, START)


@pytest.mark.parametrize("floor", [0.0, -1.0, math.nan, math.inf])
def test_an_impossible_noise_floor_is_refused_where_it_is_used(model, floor: float) -> None:
    raw = {"preprocessing": Preprocessing(), "emg_unit": "V"}
    floors = (5.0, floor, *(5.0,) * 14)
    with pytest.raises(ConfigError, match="noise floor of channel ch1 is"):
        engine_of(model, replace(PLAIN, noise_floor=floors), **raw)
    # What gets no EMG needs none.
    engine_of(model, replace(PLAIN, noise_floor=floors, channel_map=(0, None, *range(2, 16))), **raw)


def test_a_calibration_of_another_band_is_refused_also_where_nothing_is_scaled(model) -> None:
    with pytest.raises(ConfigError, match="for a band of 3 channels"):
        engine_of(model, replace(PLAIN, calibration=Calibrated(noise_floor=(1.0,) * 3)))


def test_a_calibration_that_does_not_fit_changes_nothing(model) -> None:
    engine = engine_of(model)
    before = engine.settings
    with pytest.raises(ConfigError, match="calibration's gains must be 16"):
        engine.set_calibration(Calibrated(gains=(2.0,) * 8))
    with pytest.raises(ShapeError, match="initial pose"):
        engine.set_calibration(Calibrated(roll=3, initial_pose=(0.0,) * 19))
    assert engine.settings is before
    emg = made_emg(2_500)
    np.testing.assert_array_equal(angles(pushed(engine, chunks(emg))), angles(pushed(engine_of(model), chunks(emg))))


def test_reset_begins_again_with_another_pose_and_goes_on_counting(model) -> None:
    engine = engine_of(model)
    emg = made_emg(6_000)
    before = pushed(engine, chunks(emg)[:150])
    engine.reset(np.zeros(20))
    after = pushed(engine, chunks(emg)[150:])
    assert after[0].index == before[-1].index + 1
    np.testing.assert_array_equal(after[0].joint_angles, 0)
    fresh = Engine(model, facts(), settings=PLAIN, initial_pose=np.zeros(20))
    np.testing.assert_array_equal(angles(after), angles(pushed(fresh, chunks(emg)[150:])))
    assert reasons(after)[0] == "warming up"


# --- faults


def test_lost_samples_are_filled_and_logged_once(model, caplog) -> None:
    engine = engine_of(model)
    emg = made_emg(8_000)
    stream = [part for number, part in enumerate(chunks(emg)) if number % 10]
    frames = pushed(engine, stream)
    assert engine.counts["samples_filled"] == 20 * (len(chunks(emg)) // 10 - 1)
    assert engine.counts["gaps"] == 0
    # The first chunk is lost before anything is known.
    in_gap = [(frame.sample // 20) % 10 == 0 for frame in frames]
    ready = [frame.sample - 20 >= model.left_context for frame in frames]
    for frame, filled, is_ready in zip(frames, in_gap, ready, strict=True):
        if is_ready:
            assert frame.reason == ("gap" if filled else "")
    assert len(faults(caplog, "EMG is missing")) == 1
    assert len({second.sample - first.sample for first, second in itertools.pairwise(frames)}) == 1


def test_a_long_gap_begins_again_from_the_last_pose(model, caplog) -> None:
    engine = engine_of(model)
    emg = made_emg(16_000)
    before = pushed(engine, chunks(emg)[:200])
    after = pushed(engine, chunks(emg)[206:])
    assert engine.counts["gaps"] == 1
    assert engine.counts["samples_lost"] == 6 * 20
    assert reasons(after)[: engine.n_warm_up_frames] == ["gap"] * engine.n_warm_up_frames
    assert set(reasons(after)[engine.n_warm_up_frames :]) == {""}
    np.testing.assert_array_equal(after[0].joint_angles, before[-1].joint_angles)
    fresh = Engine(model, facts(), settings=PLAIN, initial_pose=before[-1].joint_angles)
    np.testing.assert_array_equal(angles(after), angles(pushed(fresh, chunks(emg)[206:])))
    assert len(faults(caplog, "begins again")) == 1


def test_the_gap_that_is_filled_can_be_chosen(model) -> None:
    emg = made_emg(4_000)
    for max_fill_s, n_gaps in ((0.0, 1), (0.2, 0)):
        engine = engine_of(model, replace(PLAIN, max_fill_s=max_fill_s))
        pushed(engine, [*chunks(emg)[:100], *chunks(emg)[110:]])
        assert engine.counts["gaps"] == n_gaps


def test_duplicated_chunks_change_no_frame(model, caplog) -> None:
    emg = made_emg(6_000)
    expected = pushed(engine_of(model), chunks(emg))
    engine = engine_of(model)
    frames = pushed(engine, [twice for part in chunks(emg) for twice in (part, part)])
    np.testing.assert_array_equal(angles(frames), angles(expected))
    assert engine.counts["samples_late"] == 6_000
    assert len(faults(caplog, "twice or late")) == 1


def test_reordered_chunks_count_as_lost_and_late(model, caplog) -> None:
    stream = chunks(made_emg(6_000))
    for number in range(150, 290, 7):
        stream[number], stream[number + 1] = stream[number + 1], stream[number]
    engine = engine_of(model)
    frames = pushed(engine, stream)
    assert engine.counts["samples_late"] == engine.counts["samples_filled"] == 20 * 20
    assert engine.counts["gaps"] == 0
    assert [frame.sample for frame in frames] == sorted(frame.sample for frame in frames)
    assert all(np.isfinite(frame.joint_angles).all() for frame in frames)
    assert len(faults(caplog, "EMG is missing")) == len(faults(caplog, "twice or late")) == 1


@pytest.mark.parametrize("drift", [0.01, -0.01])
def test_a_drifting_rate_is_logged_once_and_poses_go_on(caplog, drift: float) -> None:
    engine = engine_of(static_hand())
    emg = made_emg(42_000)
    stream = [
        EmgChunk(start, emg[start : start + 100], 50 + (start + 99) / (RATE_HZ * (1 + drift)))
        for start in range(0, len(emg), 100)
    ]
    frames = pushed(engine, stream)
    assert set(reasons(frames)[engine.n_warm_up_frames :]) == {""}
    (line,) = faults(caplog, "sample rate")
    assert f"{drift:+.2%}" in line


def test_a_steady_rate_is_not_logged(caplog) -> None:
    pushed(engine_of(static_hand()), chunks(made_emg(30_000), 200))
    assert caplog.records == []


def test_a_source_lost_for_five_seconds_and_back(model, caplog) -> None:
    engine = engine_of(model)
    emg = made_emg(18_000)
    before = pushed(engine, chunks(emg)[:200])
    away = [engine.away(102.0 + 0.1 * tick, "source lost") for tick in range(50)]
    assert all(frame.stale and frame.reason == "source lost" for frame in away)
    assert [frame.index for frame in away] == list(range(before[-1].index + 1, before[-1].index + 51))
    assert {frame.sample for frame in away} == {before[-1].sample}
    assert away[-1].time_s == pytest.approx(106.9)
    for frame in away:
        np.testing.assert_array_equal(frame.joint_angles, before[-1].joint_angles)
    after = pushed(engine, chunks(emg)[700:])
    assert after[0].index == away[-1].index + 1
    assert set(reasons(after)[: engine.n_warm_up_frames]) == {"gap"}
    assert not after[-1].stale
    assert engine.counts["samples_lost"] == 10_000
    assert len(faults(caplog, "source lost")) == len(faults(caplog, "begins again")) == 1


def test_a_source_that_counts_anew_after_its_loss(model) -> None:
    engine = engine_of(model)
    emg = made_emg(9_000)
    pushed(engine, chunks(emg)[:200])
    engine.away(105.0, "source lost")
    after = pushed(engine, chunks(emg[4_000:]))
    assert engine.counts["restarts"] == 1
    assert after[0].reason == "gap"
    assert not after[-1].stale
    assert after[-1].sample == pytest.approx(5_000, abs=41)


def test_away_before_the_first_sample_holds_the_initial_pose(model) -> None:
    frame = engine_of(model).away(3.0, "waiting")
    np.testing.assert_array_equal(frame.joint_angles, START)
    assert (frame.index, frame.sample, frame.stale, frame.reason) == (0, -1, True, "waiting")


def test_a_burst_of_nan_on_a_few_channels_is_held(model, caplog) -> None:
    emg = made_emg(8_000)
    emg[5_000:5_400, :3] = np.nan
    emg[5_100, 4] = np.inf
    engine = engine_of(model)
    frames = pushed(engine, chunks(emg))
    assert all(np.isfinite(frame.joint_angles).all() for frame in frames)
    assert set(reasons(frames)[engine.n_warm_up_frames :]) == {""}
    for frame in frames:
        assert (frame.quality[:3] == 0).all() == (5_000 <= frame.sample < 5_400)
        assert frame.quality[5] == 1
    assert engine.counts["not_numbers"] == 3 * 400 + 1
    assert len(faults(caplog, "channels ch0, ch1, ch2: values that are no numbers")) == 1
    assert len(faults(caplog, "channel ch4: values that are no numbers")) == 1
    assert len(caplog.records) == 2


def test_a_burst_of_nan_on_most_channels_makes_poses_stale(model, caplog) -> None:
    emg = made_emg(8_000)
    emg[5_000:5_400, :9] = np.nan
    engine = engine_of(model)
    frames = pushed(engine, chunks(emg))
    for frame in frames[engine.n_warm_up_frames :]:
        assert frame.reason == ("signal" if 5_000 <= frame.sample < 5_400 else "")
    assert len(faults(caplog, "more than half")) == 1
    assert len(caplog.records) == 2


def test_nan_from_the_first_sample_on_is_survived(model) -> None:
    emg = np.full((4_000, 16), np.nan, dtype=np.float32)
    engine = engine_of(model)
    frames = pushed(engine, chunks(emg))
    assert set(reasons(frames)[engine.n_warm_up_frames :]) == {"signal"}
    assert np.isfinite(angles(frames)).all()


def test_a_dead_channel_has_no_quality_and_is_logged_once(model, caplog) -> None:
    emg = made_emg(10_000)
    emg[4_000:, 7] = 0.5
    engine = engine_of(model)
    frames = pushed(engine, chunks(emg))
    assert set(reasons(frames)[engine.n_warm_up_frames :]) == {""}
    assert all((frame.quality[7] == 0) == (frame.sample >= 4_199) for frame in frames)
    assert all((np.delete(frame.quality, 7) == 1).all() for frame in frames)
    (line,) = faults(caplog, "dead")
    assert "made: channel ch7" in line


def test_a_clipped_channel_has_no_quality_and_is_logged_once(model, caplog) -> None:
    emg = made_emg(10_000)
    # A slow offset that drives the amplifier to its limit for a part of each cycle.
    emg[:, 2] = np.clip(emg[:, 2] + 30 * np.sin(np.arange(10_000) / 30), -20, 20)
    engine = engine_of(model)
    frames = pushed(engine, chunks(emg))
    assert set(reasons(frames)[engine.n_warm_up_frames :]) == {""}
    assert all(frame.quality[2] == 0 for frame in frames if frame.sample > 1_000)
    (line,) = faults(caplog, "clipped")
    assert "channel ch2" in line


def test_a_fault_that_comes_back_later_is_logged_again(caplog) -> None:
    emg = made_emg(38_000)
    emg[1_000:2_000, 1] = 0
    emg[3_000:4_000, 1] = 0
    emg[37_000:, 1] = 0
    pushed(engine_of(static_hand()), chunks(emg, 200))
    assert len(faults(caplog, "dead")) == 2


class _Breaks(torch.nn.Module):
    """Gives NaN once, at a frame that the test names."""

    def __init__(self, model: EmgModel, frame: int) -> None:
        super().__init__()
        self.model, self.frame, self.seen = model, frame, 0

    def __getattr__(self, name: str) -> Any:
        if name in ("model", "frame", "seen"):
            return super().__getattr__(name)
        return getattr(self.model, name)

    def eval(self) -> "_Breaks":
        return self

    def hops(self, state):
        return TorchHops(self, state)

    def forward(self, emg, state):
        poses, state = self.model(emg, state)
        for column in range(poses.shape[-1]):
            if self.seen == self.frame:
                poses[..., column:] = np.nan
                state.pose = poses[..., -1]
            self.seen += 1
        return poses, state


@pytest.mark.parametrize("size", [20, 6_000])
def test_a_model_that_gives_no_numbers_begins_again_from_its_last_good_pose(model, caplog, size: int) -> None:
    emg = made_emg(12_000)
    breaks = _Breaks(model, 30)
    engine = Engine(breaks, facts(), settings=PLAIN, initial_pose=START)  # type: ignore[arg-type]
    frames = pushed(engine, chunks(emg, size))
    expected = pushed(engine_of(model), chunks(emg))
    broken = engine.n_warm_up_frames + 30
    np.testing.assert_allclose(angles(frames[:broken]), angles(expected[:broken]), atol=1e-5)
    assert frames[broken].reason == "signal"
    np.testing.assert_array_equal(frames[broken].joint_angles, frames[broken - 1].joint_angles)
    assert np.isfinite(angles(frames)).all()
    assert not frames[-1].stale
    assert engine.counts["broken_poses"] == 1
    assert len(faults(caplog, "no number; it begins again")) == 1
