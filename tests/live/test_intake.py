"""Which samples arrived, which were lost."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgpose.errors import StreamError
from emgpose.live.intake import COUNTS, Intake, RateWatch

FILL, LATE = 10, 200
EMG = (1 + np.arange(1000)[:, None] * 3 + np.arange(3)).astype(np.float32)


def intake() -> Intake:
    return Intake(3, FILL, LATE)


def counted(**counts: int) -> dict[str, int]:
    return dict.fromkeys(COUNTS, 0) | counts


def test_samples_in_order_pass_as_they_are() -> None:
    takes = intake()
    for start in range(0, 100, 7):
        taken = takes.take(start, EMG[start : start + 7])
        assert taken is not None
        assert taken.first_sample == start
        np.testing.assert_array_equal(taken.emg, EMG[start : start + 7])
        assert not (taken.is_filled.any())
        assert not (taken.is_missing.any())
        assert not (taken.begins_again)
    assert takes.counts == counted()


def test_the_first_chunk_may_have_any_number() -> None:
    taken = intake().take(5_000, EMG[:5])
    assert taken is not None
    assert (taken.first_sample, taken.begins_again) == (5_000, False)


def test_a_short_gap_is_filled_with_the_last_sample() -> None:
    takes = intake()
    takes.take(0, EMG[:20])
    taken = takes.take(30, EMG[30:34])
    assert taken is not None
    assert (taken.first_sample, taken.begins_again) == (20, False)
    np.testing.assert_array_equal(taken.emg, np.concatenate([np.repeat(EMG[19:20], 10, axis=0), EMG[30:34]]))
    np.testing.assert_array_equal(taken.is_filled, [True] * 10 + [False] * 4)
    assert taken.is_missing[:10].all()
    assert not taken.is_missing[10:].any()
    assert takes.counts == counted(samples_filled=10)


def test_a_longer_gap_begins_again() -> None:
    takes = intake()
    takes.take(0, EMG[:20])
    taken = takes.take(31, EMG[31:34])
    assert taken is not None
    assert (taken.first_sample, taken.begins_again, len(taken.emg)) == (31, True, 3)
    assert takes.counts == counted(samples_lost=11, gaps=1)


def test_samples_that_came_before_are_dropped() -> None:
    takes = intake()
    takes.take(0, EMG[:20])
    assert takes.take(0, EMG[:20]) is None
    assert takes.take(15, EMG[15:20]) is None
    taken = takes.take(10, EMG[10:25])
    assert taken is not None
    assert taken.first_sample == 20
    np.testing.assert_array_equal(taken.emg, EMG[20:25])
    assert takes.counts == counted(samples_late=20 + 5 + 10)


def test_chunks_that_change_places_lose_the_late_one() -> None:
    takes = intake()
    takes.take(0, EMG[:20])
    swapped = takes.take(25, EMG[25:30])
    assert swapped is not None
    assert swapped.is_filled.sum() == 5
    assert takes.take(20, EMG[20:25]) is None
    after = takes.take(30, EMG[30:35])
    assert after is not None
    assert after.first_sample == 30
    assert takes.counts == counted(samples_filled=5, samples_late=5)


def test_a_source_that_counts_anew_begins_again() -> None:
    takes = intake()
    takes.take(0, EMG[:300])
    taken = takes.take(0, EMG[:20])
    assert taken is not None
    assert (taken.first_sample, taken.begins_again) == (0, True)
    after = takes.take(20, EMG[20:40])
    assert after is not None
    assert not after.begins_again
    assert takes.counts == counted(restarts=1)


def test_one_wrong_number_does_not_stop_the_stream() -> None:
    takes = intake()
    takes.take(0, EMG[:20])
    takes.take(10**12, EMG[20:40])
    assert takes.take(40, EMG[40:60]) is not None
    assert takes.take(60, EMG[60:80]) is not None


def test_no_samples_change_nothing() -> None:
    takes = intake()
    assert takes.take(0, EMG[:0]) is None
    takes.take(0, EMG[:20])
    for number in (25, 10**6, -(10**6)):
        assert takes.take(number, EMG[:0]) is None
    taken = takes.take(20, EMG[20:25])
    assert taken is not None
    assert taken.first_sample == 20
    assert takes.counts == counted()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 3e9])
def test_values_that_are_no_measurement_are_held(bad: float) -> None:
    emg = EMG[:12].copy()
    emg[4:8, 1] = bad
    emg[0, 2] = bad
    takes = intake()
    first, second = takes.take(0, emg[:6]), takes.take(6, emg[6:])
    assert first is not None
    assert second is not None
    held = np.concatenate([first.emg, second.emg])
    np.testing.assert_array_equal(held[4:8, 1], [EMG[3, 1]] * 4)
    np.testing.assert_array_equal(held[8:], EMG[8:12])
    assert held[0, 2] == 0
    np.testing.assert_array_equal(np.concatenate([first.is_missing, second.is_missing]), emg != EMG[:12])
    assert takes.counts == counted(not_numbers=5)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(cuts=st.lists(st.integers(0, 200)), bad=st.lists(st.integers(0, 199), max_size=50))
def test_any_chunks_give_the_same_samples(cuts: list[int], bad: list[int]) -> None:
    emg = EMG[:200].copy()
    emg[bad, 1] = np.nan
    whole = intake().take(0, emg)
    takes = intake()
    edges = [0, *sorted(cuts), 200]
    parts = [takes.take(start, emg[start:stop]) for start, stop in itertools.pairwise(edges)]
    assert whole is not None
    np.testing.assert_array_equal(np.concatenate([part.emg for part in parts if part]), whole.emg)
    np.testing.assert_array_equal(np.concatenate([part.is_missing for part in parts if part]), whole.is_missing)


def test_its_state_goes_on_elsewhere() -> None:
    first, second = intake(), intake()
    first.take(0, EMG[:20])
    first.take(25, EMG[25:30])
    second.restore(first.state())
    assert second.counts == first.counts
    for takes in (first, second):
        taken = takes.take(35, EMG[35:40])
        assert taken is not None
        np.testing.assert_array_equal(taken.emg[0], EMG[29])
    with pytest.raises(StreamError, match="intake's state"):
        second.restore({"last": np.zeros(5)})


def test_drift_is_measured_every_ten_seconds() -> None:
    watch = RateWatch(2000.0)
    found = {}
    for number in range(25 * 50):
        drift = watch.drift(number * 40, 100.0 + number * 0.02 / 1.01)
        if drift is not None:
            found[number] = drift
    assert len(found) == 2
    assert min(found) == math.ceil(10 * 1.01 / 0.02)
    np.testing.assert_allclose(list(found.values()), 0.01, atol=1e-4)


def test_drift_is_not_measured_over_a_break() -> None:
    watch = RateWatch(2000.0)
    watch.drift(0, 0.0)
    watch.restart()
    assert watch.drift(100, 300.0) is None
    assert watch.drift(20_100, 310.0) == pytest.approx(0.0)
    assert watch.drift(30_000, math.nan) is None
