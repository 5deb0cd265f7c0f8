"""Simulated EMG has the published scale, follows the tissue, and is the same for the same seeds."""

import dataclasses
import time

import numpy as np
import pytest
from scipy import signal

from emgpose.errors import ConfigError
from emgpose.simulation.anatomy import ELECTRODE_STEP_RAD, N_ELECTRODES, Placement, draw_user
from emgpose.simulation.emg import ADC_STEP, noise_gain, simulate_emg
from emgpose.simulation.motion import draw_style, simulate_motion
from emgpose.simulation.motor_units import motor_units
from emgpose.simulation.muscles import MUSCLES
from emgpose.simulation.streams import rng_for
from emgpose.simulation.volume_conductor import action_potentials
from made_motion import FIST, OPEN, at_rest, step_to

ANATOMY = draw_user(rng_for(0, "user", 0))
UNITS = motor_units(ANATOMY)


def emg_of(motion, placement=None, *, anatomy=ANATOMY, firing_seed=0, noise_seed=0, **options):
    rngs = {
        "motor_units_rng": rng_for(firing_seed, "motor_units", 0),
        "noise_rng": rng_for(noise_seed, "noise", 0),
    }
    return simulate_emg(motion, anatomy, placement or Placement(), **rngs, **options)


def median_frequency_hz(emg, rate_hz=2000.0):
    frequency, power = signal.welch(emg, rate_hz, nperseg=1000, axis=0)
    share = np.cumsum(power.sum(axis=1)) / power.sum()
    return frequency[np.searchsorted(share, 0.5)]


def test_rest_is_noise_of_standard_deviation_1_in_every_channel():
    emg = emg_of(at_rest(seconds=20))
    assert emg.shape == (40_000, N_ELECTRODES)
    assert emg.dtype == np.float32
    assert emg.std() == pytest.approx(1, abs=0.005)
    assert emg.std(axis=0) == pytest.approx(np.ones(N_ELECTRODES), abs=0.03)


def test_the_noise_gain_is_that_of_the_band():
    white = np.random.default_rng(0).standard_normal(400_000)
    sections = signal.butter(4, (20, 850), "bandpass", fs=2000, output="sos")
    assert noise_gain(2000.0) == pytest.approx(signal.sosfilt(sections, white).std(), rel=0.005)


def test_samples_are_whole_steps_of_a_16_bit_converter():
    emg = emg_of(step_to(FIST, load=1.0))
    steps = emg / ADC_STEP
    assert np.array_equal(steps, np.rint(steps))
    assert np.abs(steps).max() <= 2**15


def test_the_same_seeds_give_the_same_samples_and_each_stream_changes_its_own_part():
    motion = step_to(FIST)
    first = emg_of(motion)
    assert np.array_equal(first, emg_of(motion))
    other_noise, other_firings = emg_of(motion, noise_seed=1), emg_of(motion, firing_seed=1)
    # Before the movement there is only noise.
    assert np.array_equal(first[:1200], other_firings[:1200])
    assert not np.array_equal(first[3000:], other_firings[3000:])
    assert (first - other_noise).std() == pytest.approx(np.sqrt(2), rel=0.02)


def test_movement_stands_out_of_the_noise_and_rest_follows_the_delay():
    emg = emg_of(step_to(FIST, start_s=1.0)).astype(np.float64)
    level = np.sqrt((emg.reshape(-1, 20, N_ELECTRODES) ** 2).mean(axis=(1, 2)))
    assert level[:90].max() < 1.3
    assert level[120:].mean() > 4
    onset_s = np.flatnonzero(level > 1.5)[0] * 0.01
    assert 0.9 < onset_s < 1.15


def test_opening_the_hand_shows_on_the_back_and_flexing_on_the_palm():
    opened, closed = (emg_of(step_to(change))[4000:].std(axis=0) for change in (OPEN, FIST))
    ratio = opened / closed
    dorsal, palmar = ratio[[7, 8, 9]], ratio[[15, 0, 1]]
    assert dorsal.min() > 2 * palmar.max()


def test_power_lies_inside_the_band():
    emg = emg_of(step_to(OPEN, seconds=6))[4000:]
    frequency, power = signal.welch(emg, 2000.0, nperseg=1000, axis=0)
    total = power.sum()
    assert power[frequency < 16].sum() < 0.02 * total
    assert 70 < median_frequency_hz(emg) < 180


def test_a_rotation_by_one_electrode_puts_channel_k_where_channel_k_plus_1_was():
    usual = action_potentials(UNITS, ANATOMY, Placement(), 2000.0)
    turned = action_potentials(UNITS, ANATOMY, Placement(rotation_rad=ELECTRODE_STEP_RAD), 2000.0)
    assert np.allclose(turned, np.roll(usual, -1, axis=2), rtol=1e-4, atol=1e-6 * usual.max())


def test_placements_see_the_same_firings():
    motion = step_to(OPEN)
    usual = emg_of(motion)
    turned = emg_of(motion, Placement(rotation_rad=2 * ELECTRODE_STEP_RAD))
    agreement = [np.corrcoef(turned[3000:, k], usual[3000:, (k + 2) % N_ELECTRODES])[0, 1] for k in range(N_ELECTRODES)]
    assert min(agreement) > 0.85
    assert np.corrcoef(turned[3000:].T, usual[3000:].T)[:16, 16:].diagonal().min() < 0.8


def test_gains_scale_the_signal_and_leave_the_noise():
    motion = step_to(OPEN)
    usual = emg_of(motion)
    weak = emg_of(motion, Placement(gains=(0.5,) * N_ELECTRODES))
    assert weak[:1200].std() == pytest.approx(usual[:1200].std(), rel=1e-3)
    assert weak[4000:].std() / usual[4000:].std() == pytest.approx(0.5, abs=0.05)


def test_a_shift_along_the_arm_changes_the_action_potentials():
    usual, shifted = (action_potentials(UNITS, ANATOMY, Placement(shift_mm=mm), 2000.0) for mm in (0.0, 8.0))
    change = np.abs(shifted - usual).max() / np.abs(usual).max()
    assert 0.05 < change < 2


def test_depth_and_fat_make_potentials_smaller_slower_and_wider():
    def seen(depth_mm, fat_mm):
        units = dataclasses.replace(UNITS, depth_mm=np.full_like(UNITS.depth_mm, depth_mm))
        anatomy = dataclasses.replace(ANATOMY, fat_mm=fat_mm)
        own = list(MUSCLES).index("EDC_MIDDLE")
        potentials = action_potentials(units, anatomy, Placement(), 2000.0)[UNITS.muscle == own].astype(np.float64)
        power = np.abs(np.fft.rfft(potentials, 512, axis=1)).mean(axis=0) ** 2
        share = np.cumsum(power.sum(axis=1)) / power.sum()
        around = np.sort(potentials.std(axis=(0, 1)))[::-1]
        return around[0], np.searchsorted(share, 0.5) * 2000 / 512, around[4] / around[0]

    shallow, deep, fat = seen(4.0, 2.0), seen(10.0, 2.0), seen(4.0, 7.0)
    for other in (deep, fat):
        assert other[0] < 0.7 * shallow[0]
        assert other[1] < shallow[1]
        assert other[2] > 1.2 * shallow[2]


def test_action_potentials_have_died_out_at_their_last_lag():
    potentials = np.abs(action_potentials(UNITS, ANATOMY, Placement(), 2000.0))
    assert potentials[:, -1].max() < 0.01 * potentials.max()


def test_other_rates_take_the_same_shape():
    with pytest.raises(ConfigError, match="sample rate"):
        emg_of(at_rest(), rate_hz=1000.0)
    slow, fast = emg_of(step_to(OPEN)), emg_of(step_to(OPEN), rate_hz=4000.0)
    assert len(fast) == 2 * len(slow)
    assert fast[8000:].std() == pytest.approx(slow[4000:].std(), rel=0.1)


def test_sessions_of_several_people_have_about_the_published_standard_deviation():
    powers = []
    for user in range(6):
        for stage in ("CountingUpDownFaceSideAway", "GraspPunchCloseFar", "AllFingerPinchesThumbSwipeThumbRotate"):
            style = draw_style(rng_for(0, "user", user, "style"))
            motion = simulate_motion(stage, style, 5.0, rng_for(0, "motion", user, stage))
            emg = emg_of(motion, anatomy=draw_user(rng_for(0, "user", user)))
            powers.append(np.mean(emg.astype(np.float64) ** 2))
    assert 10 < np.sqrt(np.mean(powers)) < 30


def test_ten_times_real_time_on_one_core():
    motion = step_to(FIST, seconds=20.0, load=0.5)
    emg_of(at_rest())
    start = time.process_time()
    emg_of(motion)
    assert time.process_time() - start < 2.0
