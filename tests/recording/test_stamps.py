"""Numbering samples by their time stamps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgpose.recording.stamps import StampCounter

RATE_HZ = 2000.0


def numbered(stamps_s, packet=20, rate_hz=RATE_HZ, late_s=0.01):
    """Number stamps packet by packet; each arrives a little after its last stamp."""
    counter = StampCounter(rate_hz)
    parts = [stamps_s[start : start + packet] for start in range(0, len(stamps_s), packet)]
    return np.concatenate([counter.number(part, part[-1] + late_s) for part in parts])


def test_without_losses_samples_are_numbered_one_by_one():
    assert numbered(5.0 + np.arange(1000) / RATE_HZ).tolist() == list(range(1000))


@settings(max_examples=60, deadline=None)
@given(
    packet=st.integers(1, 50),
    lost=st.lists(st.tuples(st.integers(2001, 5999), st.integers(1, 400)), max_size=5, unique_by=lambda pair: pair[0]),
)
def test_losses_in_exact_stamps_are_counted_one_by_one(packet, lost):
    kept = np.ones(6000, dtype=bool)
    for start, n in lost:
        kept[start : start + n] = False
    true = np.flatnonzero(kept)
    assert np.array_equal(numbered(true / RATE_HZ, packet), true)


def test_stamps_that_jitter_like_a_program_make_no_gaps():
    rng = np.random.default_rng(0)
    packets = np.arange(3000)
    # Each packet of 20 carries the time at which the program ran: up to 8 ms late, now and then 15 ms.
    late_s = rng.uniform(0, 0.008, len(packets)) + 0.007 * (rng.uniform(size=len(packets)) < 0.02)
    ends = (packets + 1) * 20 / RATE_HZ + late_s
    stamps = (ends[:, None] - np.arange(19, -1, -1) / RATE_HZ).ravel()
    numbers = numbered(stamps)
    assert np.array_equal(numbers, np.arange(len(stamps)))


def test_a_loss_that_stands_out_from_jitter_is_counted_to_within_the_jitter():
    rng = np.random.default_rng(1)
    ends = (np.arange(2000) + 1) * 0.01 + rng.uniform(0, 0.004, 2000)
    ends[1200:] += 0.3
    numbers = numbered((ends[:, None] - np.arange(19, -1, -1) / RATE_HZ).ravel())
    assert numbers[-1] - (2000 * 20 - 1) == pytest.approx(600, abs=0.004 * RATE_HZ)
    assert np.count_nonzero(np.diff(numbers) > 1) == 1


@pytest.mark.parametrize("drift", [0.99, 1.01])
def test_a_rate_that_is_off_by_one_percent_makes_no_gaps(drift):
    stamps = np.arange(20_000) / (RATE_HZ * drift)
    assert numbered(stamps)[-1] == len(stamps) - 1


def test_the_first_second_takes_only_long_gaps_because_the_jitter_is_not_known():
    stamps = np.arange(1000) / RATE_HZ
    stamps[300:] += 0.05
    stamps[600:] += 0.5
    numbers = numbered(stamps)
    assert numbers[599] == 599
    assert numbers[600] == 600 + 1000


def test_after_a_clock_was_set_back_losses_are_counted_by_arrival():
    counter = StampCounter(RATE_HZ)
    counter.number(50_000 + np.arange(20) / RATE_HZ, 7.0)
    numbers = counter.number(3 + np.arange(20) / RATE_HZ, 12.0)
    assert numbers[0] == 20 + 5 * RATE_HZ - 20
    assert np.array_equal(np.diff(numbers), np.ones(19))


def test_after_a_clock_was_set_forward_losses_are_counted_by_arrival():
    counter = StampCounter(RATE_HZ)
    counter.number(np.arange(20) / RATE_HZ, 7.0)
    numbers = counter.number(9e6 + np.arange(20) / RATE_HZ, 7.5)
    assert numbers[0] == 1000
    later = counter.number(9e6 + 0.01 + np.arange(20) / RATE_HZ, 7.51)
    assert later[0] == numbers[-1] + 1


def test_a_sender_that_was_away_for_5_s_has_them_counted():
    counter = StampCounter(RATE_HZ)
    counter.number(np.arange(20) / RATE_HZ, 7.0)
    assert counter.number(5 + np.arange(20) / RATE_HZ, 12.0)[0] == 5 * RATE_HZ


def test_numbers_always_rise_whatever_the_stamps():
    rng = np.random.default_rng(2)
    stamps = np.concatenate([rng.normal(0, scale, 500) for scale in (1e-4, 1e-2, 10.0)])
    assert (np.diff(numbered(stamps, packet=7)) >= 1).all()


def test_stamps_beyond_all_reason_make_no_gap():
    stamps = np.arange(3000) / RATE_HZ
    stamps[2500:2600] = 1e300
    assert StampCounter(RATE_HZ).number(stamps, 1.5)[-1] == len(stamps) - 1
