"""Small motor units start first, fire at plausible rates, and always belong to the same person."""

import numpy as np
import pytest

from emgpose.simulation.anatomy import draw_user
from emgpose.simulation.motor_units import INTERVAL_CV, MINIMUM_RATE_HZ, PEAK_RATE_HZ, firings, motor_units
from emgpose.simulation.muscles import MUSCLES, N_MUSCLES
from emgpose.simulation.streams import rng_for

ANATOMY = draw_user(rng_for(0, "user", 0))
UNITS = motor_units(ANATOMY)
RATE_HZ = 200.0


def rng():
    return rng_for(0, "motor_units", 1)


def test_the_units_of_a_person_are_always_the_same():
    again = motor_units(ANATOMY)
    assert all(np.array_equal(vars(again)[name], values) for name, values in vars(UNITS).items())
    other = motor_units(draw_user(rng_for(0, "user", 1)))
    assert not np.array_equal(other.angle_rad, UNITS.angle_rad)


def test_larger_units_have_higher_thresholds():
    for muscle in range(N_MUSCLES):
        own = UNITS.muscle == muscle
        assert own.sum() == list(MUSCLES.values())[muscle].n_units
        assert (np.diff(UNITS.threshold[own]) > 0).all()
        assert (np.diff(UNITS.size[own]) > 0).all()
        assert UNITS.threshold[own].max() < 1


def test_units_are_recruited_in_the_order_of_their_size():
    ramp = np.linspace(0, 1, round(20 * RATE_HZ))[:, None] * np.ones(N_MUSCLES)
    times_s, fired = firings(ramp, RATE_HZ, UNITS, rng())
    assert (np.diff(times_s) >= 0).all()
    own = np.flatnonzero(UNITS.muscle == 0)
    starts_s = [times_s[fired == unit].min() for unit in own]
    assert np.corrcoef(starts_s, UNITS.threshold[own])[0, 1] > 0.95


def test_a_constant_excitation_gives_the_rate_and_the_spread_of_intervals(monkeypatch):
    monkeypatch.setattr("emgpose.simulation.motor_units.COMMON_DRIVE_CV", 0.0)
    activation = np.full((round(30 * RATE_HZ), N_MUSCLES), 0.3)
    times_s, fired = firings(activation, RATE_HZ, UNITS, rng())
    active = np.flatnonzero(UNITS.threshold <= 0.3)
    assert set(fired) == set(active)
    intervals_s = [np.diff(times_s[fired == unit]) for unit in active[::20]]
    rates_hz = np.array([1 / own.mean() for own in intervals_s])
    assert rates_hz.min() > 0.9 * MINIMUM_RATE_HZ
    assert rates_hz.max() < 1.05 * PEAK_RATE_HZ
    assert np.median([own.std() / own.mean() for own in intervals_s]) == pytest.approx(INTERVAL_CV, rel=0.1)
    # Rate coding: what started earlier fires faster.
    assert np.corrcoef(rates_hz, UNITS.threshold[active[::20]])[0, 1] < -0.9


def test_without_excitation_nothing_fires():
    times_s, fired = firings(np.zeros((400, N_MUSCLES)), RATE_HZ, UNITS, rng())
    assert len(times_s) == len(fired) == 0


def test_one_muscle_does_not_disturb_the_firings_of_another():
    alone = np.zeros((400, N_MUSCLES))
    alone[:, 3] = 0.2
    both = alone.copy()
    both[:, 7] = 0.5
    results = [firings(activation, RATE_HZ, UNITS, rng()) for activation in (alone, both)]
    own = [times_s[UNITS.muscle[fired] == 3] for times_s, fired in results]
    assert np.array_equal(own[0], own[1])
