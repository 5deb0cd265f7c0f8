"""The 1-Euro filter against the paper's algorithm written out for one number, and what it is for."""

import math

import numpy as np
import pytest

from emgpose.errors import ConfigError, StreamError
from emgpose.live.smoothing import DEFAULT_SMOOTHING, OneEuro, OneEuroFilter

RATE_HZ = 50.0


def smoothed(poses: np.ndarray, parameters: OneEuro) -> np.ndarray:
    one_euro = OneEuroFilter(parameters, RATE_HZ)
    return np.array([one_euro(pose) for pose in poses])


def some_poses(n: int = 60) -> np.ndarray:
    return np.cumsum(np.random.default_rng(0).standard_normal((n, 20)), axis=0).astype(np.float32) * 0.1


def paper(values: np.ndarray, parameters: OneEuro) -> list[float]:
    """Algorithm 1 of Casiez et al. 2012 for a single value, with the speed against the last filtered value."""

    def alpha(cutoff: float) -> float:
        tau = 1 / (2 * math.pi * cutoff)
        return 1 / (1 + tau * RATE_HZ)

    filtered = [float(values[0])]
    speed = 0.0
    for value in values[1:]:
        raw_speed = (float(value) - filtered[-1]) * RATE_HZ
        weight = alpha(parameters.speed_cutoff_hz)
        speed = weight * raw_speed + (1 - weight) * speed
        weight = alpha(parameters.min_cutoff_hz + parameters.beta * abs(speed))
        filtered.append(weight * float(value) + (1 - weight) * filtered[-1])
    return filtered


@pytest.mark.parametrize("parameters", [DEFAULT_SMOOTHING, OneEuro(0.3, 5.0, 4.0), OneEuro(10.0, 0.0)])
def test_every_joint_is_filtered_as_in_the_paper(parameters: OneEuro) -> None:
    poses = some_poses()
    expected = np.array([paper(poses[:, joint], parameters) for joint in range(20)]).T
    np.testing.assert_allclose(smoothed(poses, parameters), expected, rtol=0, atol=1e-5)


def test_a_hand_at_rest_stays_exactly_where_it_is() -> None:
    pose = np.full((40, 20), 0.3, dtype=np.float32)
    np.testing.assert_array_equal(smoothed(pose, DEFAULT_SMOOTHING), pose)


def test_jitter_at_rest_shrinks() -> None:
    jitter = np.random.default_rng(1).standard_normal((500, 20)).astype(np.float32) * 0.01
    after = smoothed(jitter, DEFAULT_SMOOTHING)
    assert np.abs(np.diff(after, axis=0)).mean() < 0.35 * np.abs(np.diff(jitter, axis=0)).mean()


def test_beta_makes_fast_movement_less_late() -> None:
    ramp = np.repeat(np.arange(50)[:, None] * 0.1, 20, axis=1).astype(np.float32)
    late = [ramp[-1, 0] - smoothed(ramp, OneEuro(1.0, beta))[-1, 0] for beta in (0.0, 1.0, 10.0)]
    assert late[0] > 2 * late[1] > 4 * late[2] > 0


def test_parameters_change_without_a_jump() -> None:
    one_euro = OneEuroFilter(OneEuro(0.5, 0.0), RATE_HZ)
    poses = some_poses()
    before = [one_euro(pose) for pose in poses[:30]][-1]
    one_euro.parameters = OneEuro(0.01, 0.0)
    assert np.abs(one_euro(poses[30]) - before).max() < 0.01


def test_state_goes_on_in_another_filter_bit_for_bit() -> None:
    poses = some_poses()
    first, second = (OneEuroFilter(DEFAULT_SMOOTHING, RATE_HZ) for _ in range(2))
    for pose in poses[:30]:
        first(pose)
    second.restore(first.state())
    for pose in poses[30:]:
        np.testing.assert_array_equal(second(pose), first(pose))
    first.reset()
    second.restore(first.state())
    np.testing.assert_array_equal(second(poses[0]), poses[0])


def test_a_state_of_something_else_is_refused() -> None:
    one_euro = OneEuroFilter(DEFAULT_SMOOTHING, RATE_HZ)
    for state in ({}, {"pose": np.zeros(20)}, {"speed": np.zeros(20), "pose": np.zeros(3)}):
        with pytest.raises(StreamError, match="smoothing's state"):
            one_euro.restore(state)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"min_cutoff_hz": 0.0}, "min_cutoff_hz"),
        ({"min_cutoff_hz": math.nan}, "min_cutoff_hz"),
        ({"beta": -1.0}, "beta"),
        ({"beta": math.inf}, "beta"),
        ({"speed_cutoff_hz": -2.0}, "speed_cutoff_hz"),
    ],
)
def test_impossible_parameters_are_refused(changes: dict[str, float], name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        OneEuro(**changes)


def test_a_cutoff_beyond_all_numbers_lets_everything_through() -> None:
    smoothing = OneEuroFilter(OneEuro(beta=1e308), 50.0)
    with np.errstate(over="ignore"):
        for angle_rad in (0.0, 1.0, 3.0):
            pose = np.full(20, angle_rad, dtype=np.float32)
            assert np.array_equal(smoothing(pose), pose)
