"""EMG traces: what is drawn is the lowest and highest sample of each column of the last seconds."""

import re

import numpy as np
import pytest

from emgpose.live.viewer.traces import N_COLUMNS, ROW_HEIGHT, EmgTraces

RATE_HZ = 2000.0
COLUMN = 40  # samples


def noise(n_samples, seed=0):
    return np.random.default_rng(seed).standard_normal((n_samples, 2)).astype(np.float32)


def gathered(emg, lengths, first_sample=0):
    traces = EmgTraces(2, RATE_HZ)
    start = 0
    for length in lengths:
        traces.add(first_sample + start, emg[start : start + length])
        start += length
    return traces


def strokes(path):
    return [tuple(map(float, match)) for match in re.findall(r"M(\d+) ([\d.]+)v([\d.]+)", path)]


@pytest.mark.parametrize("lengths", [[4000], [20] * 200, [7, 993, 1, 2999], [8000], [20000]])
def test_columns_hold_the_last_seconds_however_the_samples_came(lengths):
    emg = noise(sum(lengths))
    low, high = gathered(emg, lengths).columns()
    n_columns = min(N_COLUMNS, len(emg) // COLUMN)
    newest = emg[: len(emg) // COLUMN * COLUMN][-n_columns * COLUMN :].reshape(n_columns, COLUMN, 2)
    np.testing.assert_array_equal(low[-n_columns:], newest.min(axis=1))
    np.testing.assert_array_equal(high[-n_columns:], newest.max(axis=1))
    assert np.isnan(low[:-n_columns]).all()


def test_lost_samples_leave_a_gap_and_missing_ones_are_left_aside():
    traces = EmgTraces(2, RATE_HZ)
    emg = noise(COLUMN)
    emg[3, 0] = np.nan
    emg[:, 1] = np.inf
    traces.add(0, emg)
    traces.add(5 * COLUMN, noise(COLUMN, 1))
    low, _ = traces.columns()
    assert low[-6, 0] == np.nanmin(emg[:, 0])
    assert np.isnan(low[-6, 1])
    assert np.isnan(low[-5:-1]).all()
    assert np.isfinite(low[-1]).all()


def test_a_source_that_counts_anew_or_leaps_far_ahead_is_no_trouble():
    traces = gathered(noise(4000), [4000])
    traces.add(10**12, noise(COLUMN))
    low, _ = traces.columns()
    assert np.isnan(low[:-1]).all()
    # The traces go on with the new count, rather than stand still until it has come as far.
    anew = noise(2 * COLUMN, 1)
    traces.add(0, anew)
    low, _ = traces.columns()
    assert np.isnan(low[:-2]).all()
    np.testing.assert_array_equal(low[-2:], anew.reshape(2, COLUMN, 2).min(axis=1))


def test_paths_stay_in_their_box_and_are_on_one_scale():
    emg = noise(6000)
    emg[:, 1] /= 10
    emg[:, 0] += 5000  # a device's offset
    loud, quiet = (strokes(path) for path in gathered(emg, [6000]).paths())
    for column, top, length in (*loud, *quiet):
        assert 0 <= column < N_COLUMNS
        assert top >= 0
        assert top + length <= ROW_HEIGHT + 0.5
    assert np.mean([length for *_, length in loud]) > 5 * np.mean([length for *_, length in quiet])


def test_no_samples_and_a_flat_channel_draw_no_nonsense():
    assert EmgTraces(2, RATE_HZ).paths() == ("", "")
    flat = gathered(np.zeros((400, 2), np.float32), [400]).paths()
    assert {top for _, top, _ in strokes(flat[0])} == {ROW_HEIGHT / 2}
