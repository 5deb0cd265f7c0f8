"""Durations are counted right to 1 %, in memory that does not grow."""

import numpy as np
import pytest

from emgpose.live.latency import Durations


def test_quantiles_are_right_to_one_per_cent():
    values_s = np.random.default_rng(5).lognormal(-6, 1, 5000)
    durations = Durations()
    for value_s in values_s:
        durations.add(float(value_s))
    for share in (0.5, 0.9, 0.99, 0.999):
        assert durations.quantile_s(share) == pytest.approx(
            np.quantile(values_s, share, method="inverted_cdf"), rel=0.011
        )
    assert durations.mean_s == pytest.approx(values_s.mean())
    assert durations.max_s == values_s.max()
    assert durations.n == 5000


def test_nothing_and_extremes_are_no_trouble():
    durations = Durations()
    assert durations.summary_ms() == {"mean": 0, "p50": 0, "p99": 0, "p99.9": 0, "max": 0}
    for value_s in (0.0, 1e9):
        durations.add(value_s)
    assert durations.quantile_s(1.0) == pytest.approx(100, rel=0.02)
    assert durations.max_s == 1e9
