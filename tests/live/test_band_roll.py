"""How the band is turned: errors of each roll, their middle, and the turn between two performances."""

import numpy as np
import pytest
import torch
from made_decoder import MadeDecoder, gesture_emg, pose_of

from emgpose.errors import ConfigError, DataError
from emgpose.live.band_roll import centre_of_errors, roll_errors, turn_between
from emgpose.live.calibration import GesturePattern
from emgpose.models import build_model
from emgpose.simulation.anatomy import ELECTRODE_STEP_RAD, Placement, draw_user
from emgpose.simulation.emg import simulate_emg
from emgpose.simulation.motion import draw_style, simulate_motion
from made_streams import made_emg
from small_models import small_model

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", ["tracking_vemg2pose", "regression_vemg2pose", "emgpose50"])
def test_the_error_of_each_roll_is_that_of_the_stream_with_its_electrodes_rolled(name: str) -> None:
    model = small_model(name)
    emg = made_emg(2600)
    wanted = np.full((2600, 20), np.nan, dtype=np.float32)
    wanted[2000:] = 0.3
    pose = np.full(20, 0.1, dtype=np.float32)
    errors = roll_errors(model, emg, wanted, pose)
    for roll in (0, 1, 15):
        rolled = np.roll(emg, roll, axis=1)
        state = model.initial_state(torch.from_numpy(pose[None]) if model.task == "tracking" else None)
        with torch.inference_mode():
            poses, _ = model(torch.from_numpy(rolled.T[None].copy()), state)
        rows = model.frame_grid.left_context + 40 * np.arange(poses.shape[-1])
        expected = np.abs(poses[0].T.numpy()[rows >= 2000] - 0.3).mean()
        assert errors[roll] == pytest.approx(expected, abs=1e-5)


def test_a_roll_by_the_turn_has_the_least_error() -> None:
    emg = gesture_emg("point", turn=3)
    wanted = np.tile(pose_of("point"), (len(emg), 1))
    assert roll_errors(MadeDecoder(), emg, wanted).argmin() == 3


def test_without_a_pose_to_compare_there_is_no_error() -> None:
    with pytest.raises(DataError, match="too short"):
        roll_errors(MadeDecoder(), gesture_emg(None, 400), np.full((400, 20), np.nan))


def test_models_that_look_ahead_are_refused() -> None:
    with pytest.raises(ConfigError, match="cannot run in mode 'stream'"):
        roll_errors(build_model("regression_neuropose"), made_emg(4000), np.zeros((4000, 20)))


@pytest.mark.parametrize("middle", range(-8, 8))
def test_the_middle_of_a_flat_valley_is_found_wherever_it_lies(middle: int) -> None:
    errors = np.full(16, 0.5)
    # The smallest error lies at its edge.
    errors[[(middle + offset) % 16 for offset in range(-2, 3)]] = (0.20, 0.19, 0.20, 0.19, 0.18)
    roll, margin = centre_of_errors(errors)
    assert (roll - middle) % 16 == 0
    assert -8 <= roll <= 8
    assert margin == pytest.approx(0.5 / 0.2 - 1)


def test_errors_that_are_all_alike_have_no_margin() -> None:
    _, margin = centre_of_errors(np.full(16, 0.3))
    assert margin == pytest.approx(0)


@pytest.mark.parametrize("n_channels", [1, 2, 8])
def test_bands_of_other_numbers_of_electrodes_can_be_turned_too(n_channels: int) -> None:
    errors = np.full(n_channels, 0.5)
    errors[n_channels - 1] = 0.1
    roll, margin = centre_of_errors(errors)
    assert roll % n_channels == n_channels - 1
    assert np.isfinite(margin)


def test_gestures_of_other_names_or_channels_cannot_be_compared() -> None:
    fist, point = GesturePattern("fist", (1.0, 2.0)), GesturePattern("point", (1.0, 2.0))
    for earlier in ([point], [fist]):
        with pytest.raises(ConfigError, match="fewer than two of these gestures"):
            turn_between([fist], earlier)
    with pytest.raises(ConfigError, match="another number of channels"):
        turn_between([fist, point], [GesturePattern(name, (1.0,) * 3) for name in ("fist", "point")])


@pytest.mark.parametrize("turn", [-5, 0, 1])
def test_what_stays_with_an_electrode_does_not_hold_the_band_back(turn: int) -> None:
    rng = np.random.default_rng(6)
    levels, contact = 1 + 3 * rng.random((4, 16)), np.exp(0.7 * rng.standard_normal(16))

    def patterns(rolled: np.ndarray) -> list[GesturePattern]:
        return [GesturePattern(str(row), tuple(one)) for row, one in enumerate((rolled * contact).tolist())]

    roll, likeness = turn_between(patterns(np.roll(levels, -turn, axis=1)), patterns(levels))
    assert roll == turn
    assert likeness > 0.9


def test_a_simulated_band_turned_by_two_electrodes_needs_a_roll_of_two() -> None:
    motion = simulate_motion("GraspPunchCloseFar", draw_style(np.random.default_rng(1)), 4.0, np.random.default_rng(2))
    anatomy = draw_user(np.random.default_rng(3))

    def patterns(electrodes: int, seed: int) -> list[GesturePattern]:
        emg = simulate_emg(
            motion,
            anatomy,
            Placement(electrodes * ELECTRODE_STEP_RAD, 1.0, (0.9,) * 16),
            motor_units_rng=np.random.default_rng(4),
            noise_rng=np.random.default_rng(seed),
        )
        levels = np.sqrt((emg.reshape(8, -1, 16) ** 2).mean(axis=1))
        return [GesturePattern(str(part), tuple(row)) for part, row in enumerate(levels.tolist())]

    roll, likeness = turn_between(patterns(2, 5), patterns(0, 6))
    assert roll == 2
    assert likeness > 0.95
