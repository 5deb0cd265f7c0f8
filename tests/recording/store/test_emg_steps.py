import numpy as np
import pytest

from emgpose.recording.store.emg_steps import UnusedCount, from_counts, smallest_magnitudes, to_counts


def steps_of(emg):
    smallest = smallest_magnitudes(emg, None)
    return np.where(np.isfinite(smallest), smallest, np.float32(1))


@pytest.mark.parametrize("step", [2.0**-5, 0.1, 1 / 3, 7.3])
def test_emg_in_steps_comes_back_bit_for_bit(step):
    counts = np.random.default_rng(0).integers(-3000, 3000, (4000, 16))
    counts[0] = 1
    emg = counts.astype(np.float32) * np.float32(step)
    found = to_counts(emg, steps_of(emg))
    assert found is not None
    assert from_counts(found, steps_of(emg)).tobytes() == emg.tobytes()


def test_every_channel_has_a_step_of_its_own():
    counts = np.random.default_rng(1).integers(-100, 100, (500, 4))
    counts[:4] = np.eye(4)
    emg = counts.astype(np.float32) * np.array([0.5, 0.1, 3.0, 1e-3], dtype=np.float32)
    assert to_counts(emg, steps_of(emg)) is not None


def test_negative_zero_is_not_taken_for_zero():
    emg = np.array([[0.25], [-0.0], [0.0], [-0.5]], dtype=np.float32)
    counts = to_counts(emg, steps_of(emg), 77)
    assert counts.ravel().tolist() == [1, 77, 0, -2]
    assert from_counts(counts, steps_of(emg), 77).tobytes() == emg.tobytes()


def test_a_count_that_no_sample_has_stands_for_negative_zero():
    unused = UnusedCount()
    unused.update(np.array([2**15 - 1, -(2**15), 5, -1], dtype=np.int16))
    assert unused.largest() == 2**15 - 2
    unused.update(np.arange(-(2**15), 2**15).astype(np.int16))
    assert unused.largest() is None


def test_both_ends_of_a_converter_that_clips_are_counts():
    emg = np.array([[-1024.0], [32767 / 32], [1 / 32]], dtype=np.float32)
    assert to_counts(emg, steps_of(emg)).ravel().tolist() == [-(2**15), 2**15 - 1, 1]


@pytest.mark.parametrize(
    "emg",
    [[[0.1], [0.25]], [[1.0], [32_768.0]], [[1.0], [np.nan]], [[1.0], [np.nextafter(np.float32(2), np.float32(3))]]],
    ids=["off the grid", "too large", "NaN", "one bit off"],
)
def test_what_would_not_come_back_is_not_counted(emg):
    values = np.array(emg, dtype=np.float32)
    assert to_counts(values, np.array([np.nanmin(np.abs(values))], dtype=np.float32)) is None


def test_a_channel_of_zeros_is_whole_steps():
    emg = np.zeros((10, 2), dtype=np.float32)
    assert to_counts(emg, steps_of(emg)) is not None
