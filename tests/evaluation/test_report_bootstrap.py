"""Paired differences with bootstrap intervals over users."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from emgpose.evaluation.report import paired_difference


def test_a_constant_difference_has_an_interval_of_no_width():
    reference = pd.Series(np.arange(10.0) + 5, index=list("abcdefghij"))
    found = paired_difference(reference, reference - 2)
    assert (found.n_users, found.mean, found.low, found.high) == (10, -2, -2, -2)
    assert found.percent == pytest.approx(100 * -2 / 9.5)
    assert found.is_clear


def test_the_interval_is_the_percentile_interval_of_scipy():
    rng = np.random.default_rng(3)
    reference, change = pd.Series(rng.normal(15, 2, 20)), rng.normal(-0.4, 1, 20)
    found = paired_difference(reference, reference + change)
    expected = stats.bootstrap((change,), np.mean, method="percentile", n_resamples=20_000, rng=1).confidence_interval
    assert found.low == pytest.approx(expected.low, abs=0.03)
    assert found.high == pytest.approx(expected.high, abs=0.03)


def test_the_same_numbers_give_the_same_interval_whatever_their_order():
    rng = np.random.default_rng(1)
    reference, other = (pd.Series(rng.random(9), index=list("abcdefghi")) for _ in range(2))
    assert paired_difference(reference, other) == paired_difference(
        reference[::-1], other.sample(frac=1, random_state=2)
    )


def test_users_are_paired_by_name_and_the_others_left_out():
    found = paired_difference(pd.Series({"a": 1.0, "b": 2.0, "x": 90.0}), pd.Series({"b": 3.0, "a": 2.0, "y": -50.0}))
    assert (found.n_users, found.mean, found.percent) == (2, 1.0, pytest.approx(100 / 1.5))


def test_one_user_has_no_interval_and_none_no_difference():
    one = paired_difference(pd.Series({"a": 4.0}), pd.Series({"a": 3.0}))
    assert (one.n_users, one.mean, math.isnan(one.low), one.is_clear) == (1, -1, True, False)
    none = paired_difference(pd.Series({"a": 4.0}), pd.Series({"b": 3.0}))
    assert none.n_users == 0
    assert math.isnan(none.mean)
