"""Filters, resampling, noise floors and the record of them."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgpose.errors import ConfigError, DataError, ShapeError
from emgpose.signals import (
    EMG2POSE_PREPROCESSING,
    STEPS,
    Bandpass,
    Highpass,
    NoiseFloor,
    Notch,
    Preprocessing,
    Preprocessor,
    Resample,
    Scale,
    estimate_noise_floor,
    measure_noise_floor,
    missing_steps,
    resample,
    resampled_length,
)

EVERY_STEP = Preprocessing((Notch(50.0), Resample(2000.0), Bandpass(), Highpass(10.0, order=2), Scale()))
RATES = [(2048, 2000), (2000, 2048), (1000, 2000), (4000, 2000), (2148.148148, 2000), (1925.9259, 2000), (5000, 2000)]


def noise(n_samples: int, n_channels: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n_samples, n_channels)).astype(np.float32)


def in_chunks(preprocessor: Preprocessor, signal: np.ndarray, sizes: list[int]) -> np.ndarray:
    parts, start, turn = [], 0, 0
    while start < len(signal):
        size = sizes[turn % len(sizes)]
        parts.append(preprocessor.process(signal[start : start + size]))
        start, turn = start + size, turn + 1
    return np.concatenate([*parts, preprocessor.flush()])


def amplitude(steps: tuple, frequency_hz: float, rate_hz: float = 2000.0) -> float:
    t = np.arange(int(3 * rate_hz)) / rate_hz
    preprocessor = Preprocessor(steps, rate_hz, 1)
    out = preprocessor.process(np.sin(2 * np.pi * frequency_hz * t)[:, None])
    return float(np.sqrt(2) * out[len(out) // 2 :].std())


# ---- the record


@pytest.mark.parametrize("preprocessing", [EVERY_STEP, EMG2POSE_PREPROCESSING, Preprocessing()])
def test_a_record_survives_its_config(preprocessing: Preprocessing) -> None:
    assert Preprocessing.from_config(preprocessing.to_config()) == preprocessing


def test_every_step_is_in_the_table_by_its_name() -> None:
    assert {step.name for step in EVERY_STEP} == set(STEPS)


def test_the_models_expect_2_khz_20_to_850_hz_and_a_noise_floor_of_one() -> None:
    assert EMG2POSE_PREPROCESSING.to_config() == [
        {"step": "resample", "rate_hz": 2000.0},
        {"step": "bandpass", "low_hz": 20.0, "high_hz": 850.0, "order": 4},
        {"step": "scale", "to": "noise_floor"},
    ]
    assert EMG2POSE_PREPROCESSING.describe() == (
        "resample to 2000 Hz, band-pass 20-850 Hz (order 4), scale to a noise floor of SD 1"
    )
    assert Preprocessing().describe() == "none"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ([{"step": "bandpas"}], "did you mean 'bandpass'"),
        ([{"step": "bandpass", "low": 20}], "did you mean 'low_hz'"),
        ([{"step": "notch"}], "give frequency_hz"),
        ([{"step": "highpass", "cutoff_hz": -1}], "cutoff_hz must be a positive number, got -1"),
        ([{"step": "highpass", "cutoff_hz": "20"}], "cutoff_hz must be a positive number"),
        ([{"step": "resample", "rate_hz": float("nan")}], "rate_hz must be a positive number"),
        ([{"step": "bandpass", "low_hz": 900}], "low_hz must lie below high_hz"),
        ([{"step": "bandpass", "order": 2.5}], "order must be a whole number"),
        ([{"step": "scale", "to": "max"}], "must be 'noise_floor'"),
        ([{"step": ["x"]}], "unknown step"),
        ([{"low_hz": 20}], "the key 'step'"),
        (["bandpass"], "must be a mapping"),
        ({"step": "bandpass"}, "must be a list"),
        (None, "must be a list"),
    ],
)
def test_a_wrong_config_is_refused_with_the_reason(config: object, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Preprocessing.from_config(config)


def test_a_record_holds_steps_only() -> None:
    with pytest.raises(ConfigError, match="is no step"):
        Preprocessing(("bandpass",))  # type: ignore[arg-type]


def test_only_steps_that_were_not_had_are_to_be_applied() -> None:
    to_apply, skipped = missing_steps(EMG2POSE_PREPROCESSING, Preprocessing((Bandpass(),)), 2048.0)
    assert to_apply.steps == (Resample(2000.0), Scale())
    assert skipped.steps == (Bandpass(),)


def test_a_filter_with_other_parameters_does_not_count_as_had() -> None:
    to_apply, skipped = missing_steps(EMG2POSE_PREPROCESSING, Preprocessing((Bandpass(20.0, 450.0), Scale())), 2000.0)
    assert to_apply.steps == (Bandpass(),)
    assert skipped.steps == (Resample(2000.0), Scale())


# ---- resampling


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
def test_resampling_keeps_a_sine_in_the_pass_band(from_hz: float, to_hz: float) -> None:
    n = 2 * round(from_hz) + 13
    t_in, t_out = np.arange(n) / from_hz, np.arange(resampled_length(n, from_hz, to_hz)) / to_hz
    for share in (0.005, 0.1, 0.3, 0.42):  # of the lower rate; the pass band ends at 0.425
        frequency_hz = share * min(from_hz, to_hz)
        out = resample(np.sin(2 * np.pi * frequency_hz * t_in + 0.3), from_hz, to_hz)
        error = np.abs(out - np.sin(2 * np.pi * frequency_hz * t_out + 0.3))
        assert error[200:-200].max() < 1e-3


def test_resampling_2048_to_2000_hz_leaves_no_alias() -> None:
    t = np.arange(4096) / 2048
    out = resample(np.sin(2 * np.pi * 1005 * t), 2048, 2000)
    assert np.abs(out[200:-200]).max() < 1e-3


def test_a_constant_stays_that_constant_to_both_ends() -> None:
    np.testing.assert_allclose(resample(np.full(1000, 7.0), 2048, 2000), 7.0, rtol=1e-6)


@pytest.mark.parametrize(("n_in", "n_out"), [(10_240, 10_000), (128, 125), (129, 126), (1, 1), (0, 0)])
def test_resampling_gives_the_samples_at_times_before_the_end(n_in: int, n_out: int) -> None:
    assert resampled_length(n_in, 2048, 2000) == n_out
    assert resample(noise(n_in), 2048, 2000).shape == (n_out, 2)


def test_the_look_ahead_of_resampling_is_as_declared() -> None:
    step = np.zeros((2048, 1))
    step[1024:] = 1
    preprocessor = Preprocessor((Resample(2000.0),), 2048.0, 1)
    ready = preprocessor.process(step[:1024])
    # Output m lies at input time 1.024 m; sample 1023 is the newest.
    last, following = (int(m * 2048 / 2000) for m in (len(ready) - 1, len(ready)))
    assert last + preprocessor.delay_samples <= 1023 < following + preprocessor.delay_samples
    assert preprocessor.delay_samples == 30
    assert not ready.any()
    whole = np.concatenate([ready, preprocessor.process(step[1024:]), preprocessor.flush()])
    np.testing.assert_array_equal(whole, resample(step, 2048, 2000))


def test_filters_alone_do_not_look_ahead() -> None:
    assert Preprocessor((Bandpass(), Notch(50.0)), 2000.0, 1).delay_samples == 0


@pytest.mark.parametrize(
    ("from_hz", "to_hz"),
    [(2048, 0), (-1, 2000), (float("nan"), 2000), (1e308, 1e-308), (1e-308, 1e308), ("2048", 2000)],
)
def test_impossible_rates_are_refused(from_hz: float, to_hz: float) -> None:
    with pytest.raises(ConfigError, match=r"sample rate must be|cannot resample"):
        resample(noise(10), from_hz, to_hz)


# ---- filters


def test_the_band_pass_is_3_db_down_at_its_edges() -> None:
    assert amplitude((Bandpass(),), 20.0) == pytest.approx(np.sqrt(0.5), rel=0.01)
    assert amplitude((Bandpass(),), 850.0) == pytest.approx(np.sqrt(0.5), rel=0.01)
    assert amplitude((Bandpass(),), 150.0) == pytest.approx(1.0, rel=0.01)
    assert amplitude((Bandpass(),), 5.0) < 0.01


def test_the_high_pass_and_notch_take_out_what_they_name() -> None:
    assert amplitude((Highpass(20.0),), 20.0) == pytest.approx(np.sqrt(0.5), rel=0.01)
    assert amplitude((Notch(50.0),), 50.0) < 0.01
    assert amplitude((Notch(50.0),), 60.0) == pytest.approx(1.0, rel=0.02)


def test_an_offset_gives_no_transient() -> None:
    out = Preprocessor((Resample(2000.0), Bandpass()), 2048.0, 1).process(np.full((2048, 1), 1e4))
    assert np.abs(out).max() < 1e-3


def test_filters_are_causal() -> None:
    signal = noise(2000)
    changed = signal.copy()
    changed[1000:] = 0
    one, other = (Preprocessor((Bandpass(), Notch(50.0)), 2000.0, 2).process(x) for x in (signal, changed))
    np.testing.assert_array_equal(one[:1000], other[:1000])
    assert (one[1000] != other[1000]).any()


@pytest.mark.parametrize("step", [Bandpass(), Highpass(500.0), Notch(500.0)])
def test_a_filter_above_half_the_rate_is_refused(step: Bandpass | Highpass | Notch) -> None:
    with pytest.raises(ConfigError, match="resample it first"):
        Preprocessor((step,), 1000.0, 1)


@pytest.mark.parametrize(
    "step", [Highpass(1e-12, order=16), Bandpass(1e-9), Notch(1e-3), Notch(50.0, q=1e300), Notch(50.0, q=1e-300)]
)
def test_a_filter_that_cannot_be_computed_well_is_refused(step: Bandpass | Highpass | Notch) -> None:
    with pytest.raises(ConfigError, match=r"stably|computed well"):
        Preprocessor((step,), 2000.0, 1)


# ---- the preprocessor


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 700), min_size=1, max_size=6).filter(any),
    n_samples=st.integers(0, 3000),
    rate_hz=st.sampled_from([2048.0, 2000.0, 5000.0, 2148.148148]),
)
def test_chunked_equals_whole(sizes: list[int], n_samples: int, rate_hz: float) -> None:
    signal = noise(n_samples) + 3
    whole, chunked = (Preprocessor(EVERY_STEP, rate_hz, 2, noise_floor=[2.0, 0.5]) for _ in range(2))
    expected = np.concatenate([whole.process(signal), whole.flush()])
    assert len(expected) == resampled_length(n_samples, rate_hz, 2000.0)
    np.testing.assert_allclose(in_chunks(chunked, signal, sizes), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_a_copy_goes_on_from_the_same_state(duplicate) -> None:
    signal = noise(3000)
    original = Preprocessor(EVERY_STEP, 2048.0, 2, noise_floor=[1.0, 1.0])
    original.process(signal[:1111])
    twin = duplicate(original)
    expected = original.process(signal[1111:])
    np.testing.assert_array_equal(twin.process(signal[1111:]), expected)
    np.testing.assert_array_equal(twin.flush(), original.flush())


def test_the_state_goes_on_in_another_preprocessor_bit_for_bit() -> None:
    signal = noise(4_000)
    first, second = (Preprocessor(EVERY_STEP, 2048.0, 2, [1.0, 2.0]) for _ in range(2))
    second.restore(first.state())
    for part in (signal[:1], signal[1:1_503], signal[1_503:]):
        expected = first.process(part)
        np.testing.assert_array_equal(second.process(part), expected)
        third = Preprocessor(EVERY_STEP, 2048.0, 2, [1.0, 2.0])
        third.restore(first.state())
        second = third
    np.testing.assert_array_equal(second.flush(), first.flush())
    third.restore(first.state())
    with pytest.raises(DataError, match="has ended"):
        third.process(signal)


def test_the_state_of_another_preprocessor_is_refused() -> None:
    whole = Preprocessor(EVERY_STEP, 2048.0, 2, [1.0, 2.0])
    whole.process(noise(100))
    state = whole.state()
    wrong = [{}, {"counters": np.zeros(5)}, state | {"9.sections": np.zeros(3)}, state | {"0.sections": np.zeros(3)}]
    wrong += [state | {"x": np.zeros(3)}, state | {"1.tail": np.zeros((5, 7))}]
    for entry in wrong:
        with pytest.raises(DataError, match="not the state of a Preprocessor"):
            whole.restore(entry)


def test_the_input_is_left_as_it_was() -> None:
    signal = noise(500)
    before = signal.copy()
    Preprocessor(EVERY_STEP, 2048.0, 2, noise_floor=[1.0, 1.0]).process(signal)
    np.testing.assert_array_equal(signal, before)


def test_no_steps_give_the_signal_back() -> None:
    signal = noise(10)
    preprocessor = Preprocessor(Preprocessing(), 2000.0, 2)
    np.testing.assert_array_equal(preprocessor.process(signal), signal)
    assert preprocessor.flush().shape == (0, 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_named(bad: float) -> None:
    signal = noise(30)
    preprocessor = Preprocessor((Bandpass(),), 2000.0, 2)
    preprocessor.process(signal)
    signal[4, 1] = bad
    with pytest.raises(DataError, match=r"channel 1 is (nan|inf) at sample 34"):
        preprocessor.process(signal)


def test_a_value_that_outgrows_float32_is_refused() -> None:
    with pytest.raises(DataError, match="too large"):
        Preprocessor((Scale(),), 2000.0, 2, noise_floor=[1e-30, 1.0]).process(np.full((5, 2), 1e30))


@pytest.mark.parametrize("shape", [(5,), (5, 3), (2, 5, 2)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="channel=2"):
        Preprocessor((), 2000.0, 2).process(np.zeros(shape))


def test_a_signal_that_has_ended_cannot_go_on() -> None:
    preprocessor = Preprocessor((), 2000.0, 2)
    preprocessor.flush()
    with pytest.raises(DataError, match="flushed"):
        preprocessor.process(noise(5))


def test_scaling_asks_for_a_usable_noise_floor() -> None:
    with pytest.raises(ConfigError, match="needs noise_floor"):
        Preprocessor((Scale(),), 2000.0, 2)
    with pytest.raises(ShapeError, match="channel=2"):
        Preprocessor((Scale(),), 2000.0, 2, noise_floor=[1.0, 1.0, 1.0])
    with pytest.raises(DataError, match=r"channel\(s\) 1 is 0"):
        Preprocessor((Scale(),), 2000.0, 2, noise_floor=[1.0, 0.0])
    with pytest.raises(ConfigError, match="2 numbers"):
        Preprocessor((Scale(),), 2000.0, 2, noise_floor=["a", "b"])


# ---- noise floors


def test_the_measured_floor_is_the_standard_deviation_of_rest() -> None:
    rest = noise(5000) * [2.0, 3.0] + 1000
    expected = rest.std(axis=0)
    np.testing.assert_allclose(measure_noise_floor(rest), expected, rtol=1e-9)
    np.testing.assert_allclose(measure_noise_floor(iter(np.split(rest, 10))), expected, rtol=1e-9)
    with pytest.raises(DataError, match="span of rest"):
        measure_noise_floor(rest[:1])


@settings(max_examples=20, deadline=None)
@given(size=st.integers(1, 3000), n_samples=st.integers(500, 9000))
def test_the_estimated_floor_is_the_5th_percentile_of_the_rms(size: int, n_samples: int) -> None:
    signal = noise(n_samples) * np.linspace(0.5, 9, n_samples)[:, None] * [1.0, 1e-6]
    windows = signal[: n_samples // 500 * 500].reshape(-1, 500, 2)
    expected = np.percentile(np.sqrt((windows**2).mean(axis=1)), 5, axis=0)
    chunks = (signal[start : start + size] for start in range(0, n_samples, size))
    np.testing.assert_allclose(estimate_noise_floor(chunks, 2000.0), expected, rtol=6e-4)


def test_a_dead_channel_has_a_floor_of_exactly_zero() -> None:
    signal = noise(4000)
    signal[:, 1] = 0
    assert estimate_noise_floor([signal], 2000.0)[1] == 0.0


def test_too_little_signal_gives_no_estimate() -> None:
    with pytest.raises(DataError, match="499 samples"):
        estimate_noise_floor([noise(499)], 2000.0)
    with pytest.raises(DataError, match="no samples"):
        estimate_noise_floor([], 2000.0)


def test_the_estimate_takes_the_same_memory_for_any_length() -> None:
    floor = NoiseFloor(2, 2000.0)
    floor.update(noise(2000))
    before = len(pickle.dumps(floor))
    for seed in range(20):
        floor.update(noise(2000, seed=seed))
    assert len(pickle.dumps(floor)) <= before + 100
