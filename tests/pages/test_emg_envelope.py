import numpy as np
import pytest

from emgpose.errors import ConfigError, ShapeError
from emgpose.pages import EmgEnvelope

NAMES = [f"emg{i}" for i in range(3)]


def noise(n_samples):
    return np.random.default_rng(3).standard_normal((n_samples, 3)).astype(np.float32)


def gathered(emg, chunk_lengths, rate_hz=2000.0, span_s=1.0):
    envelope = EmgEnvelope(NAMES, rate_hz, span_s)
    start = 0
    for length in chunk_lengths:
        envelope.add(emg[start : start + length])
        start += length
    return envelope


def test_columns_hold_the_lowest_and_highest_sample():
    emg = noise(1990)
    envelope = gathered(emg, [1990])
    assert envelope.samples_per_column == 20
    assert envelope.n_columns == 100
    np.testing.assert_array_equal(envelope.minimum[:99], emg[:1980].reshape(99, 20, 3).min(axis=1))
    np.testing.assert_array_equal(envelope.maximum[:99], emg[:1980].reshape(99, 20, 3).max(axis=1))
    np.testing.assert_array_equal(envelope.maximum[99], emg[1980:].max(axis=0))


@pytest.mark.parametrize("lengths", [[1] * 2000, [7, 0, 993, 1000], [1999, 1], [20] * 100])
def test_chunks_give_the_same_columns_as_the_whole(lengths):
    emg = noise(2000)
    whole, chunked = gathered(emg, [2000]), gathered(emg, lengths)
    np.testing.assert_array_equal(chunked.minimum, whole.minimum)
    np.testing.assert_array_equal(chunked.maximum, whole.maximum)


def test_samples_after_the_span_are_counted_but_not_kept():
    emg = noise(9000)
    envelope = gathered(emg, [1500, 1500, 6000])
    assert envelope.n_columns == 100
    assert envelope.duration_s == 4.5
    np.testing.assert_array_equal(envelope.maximum, gathered(emg, [2000]).maximum)


def test_a_missing_sample_leaves_its_column_and_a_missing_column_is_a_gap():
    emg = noise(2000)
    emg[5, 0] = np.nan
    emg[20:40, 1] = np.inf
    envelope = gathered(emg, [2000])
    assert np.isfinite(envelope.minimum[0]).all()
    assert np.isnan(envelope.minimum[1, 1])
    assert np.isnan(envelope.maximum[1, 1])
    assert np.isfinite(envelope.maximum[1, [0, 2]]).all()


def test_memory_does_not_grow_with_the_span():
    assert EmgEnvelope(NAMES, 2000, 36_000)._minimum.shape[0] <= 20_000


@pytest.mark.parametrize("shape", [(10,), (10, 4), (10, 3, 1)])
def test_a_chunk_of_another_shape_is_refused(shape):
    with pytest.raises(ShapeError, match="channel=3"):
        EmgEnvelope(NAMES, 2000).add(np.zeros(shape, dtype=np.float32))


@pytest.mark.parametrize(
    ("names", "rate_hz", "span_s", "unit"),
    [
        (NAMES, 0, 60, "uV"),
        (NAMES, 2000, -1, "uV"),
        (NAMES, np.nan, 60, "uV"),
        ([], 2000, 60, "uV"),
        (NAMES, 2000, 60, "V"),
    ],
)
def test_an_impossible_envelope_is_refused(names, rate_hz, span_s, unit):
    with pytest.raises(ConfigError, match=r"envelope needs|expected one of"):
        EmgEnvelope(names, rate_hz, span_s, unit=unit)
