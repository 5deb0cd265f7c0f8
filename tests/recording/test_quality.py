"""Figures of each EMG channel."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgpose.errors import ShapeError
from emgpose.recording.quality import ChannelQuality, QualityMeter

RATE_HZ = 2000.0


def noise(n_samples: int = 10_000, n_channels: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n_samples, n_channels))


def qualities_of(emg: np.ndarray, rate_hz: float = RATE_HZ) -> tuple[ChannelQuality, ...]:
    meter = QualityMeter(emg.shape[1], rate_hz)
    meter.update(emg)
    return meter.channels()


def test_gaussian_noise_is_described_as_such() -> None:
    emg = noise() * [1.0, 2.0, 3.0, 4.0] + 100
    for channel, quality in enumerate(qualities_of(emg)):
        assert quality.offset == pytest.approx(100, abs=0.2)
        assert quality.rms == pytest.approx(channel + 1, rel=0.05)
        assert quality.noise_floor == pytest.approx(channel + 1, rel=0.1)
        assert quality.kurtosis == pytest.approx(3, abs=0.3)
        assert quality.median_frequency_hz == pytest.approx(510, abs=30)
        assert quality.power_line_share < 0.02
        assert quality.extreme_share == pytest.approx(2e-4)
        assert quality.flat_share == 0
        assert (quality.n_nan, quality.n_inf, quality.first_bad_sample) == (0, 0, None)
        assert quality.correlation < 0.1


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=5), fault=st.sampled_from([0.0, np.nan, np.inf, -np.inf])
)
def test_chunked_equals_whole(sizes: list[int], fault: float) -> None:
    emg = noise(7001, 3)
    emg[[0, 17, 3000, 7000], [0, 1, 1, 2]] = fault
    emg[4000:4100, 2] = emg[:, 2].max()
    whole = qualities_of(emg)
    meter = QualityMeter(3, RATE_HZ)
    start = turn = 0
    while start < len(emg):
        size = sizes[turn % len(sizes)]
        meter.update(emg[start : start + size])
        start, turn = start + size, turn + 1
    for one, other in zip(meter.channels(), whole, strict=True):
        assert flat(one) == pytest.approx(flat(other), rel=1e-6, nan_ok=True)


def flat(quality: ChannelQuality) -> dict[str, float]:
    values = quality.to_dict()
    shares = values.pop("power_line_shares")
    return {key: math.nan if value is None else value for key, value in {**values, **shares}.items()}


def test_numbers_that_are_none_are_counted_and_placed() -> None:
    emg = noise()
    emg[[5, 9], 1] = np.nan
    emg[7, 1] = np.inf
    emg[:, 2] = np.nan
    _, some, all_nan, _ = qualities_of(emg)
    assert (some.n_nan, some.n_inf, some.first_bad_sample) == (2, 1, 5)
    assert some.rms == pytest.approx(1, rel=0.05)
    assert all_nan.n_nan == 10_000
    assert math.isnan(all_nan.lowest)


@pytest.mark.parametrize("line_hz", [50.0, 60.0])
def test_a_power_line_is_told_by_its_frequency(line_hz: float) -> None:
    emg = noise()
    emg[:, 0] += np.sqrt(2) * np.sin(2 * np.pi * line_hz * np.arange(10_000) / RATE_HZ)
    quality = qualities_of(emg)[0]
    assert quality.power_line_shares[line_hz] == pytest.approx(0.5, abs=0.03)
    assert quality.power_line_shares[110 - line_hz] < 0.02


def test_a_copy_finds_its_original_at_any_gain() -> None:
    emg = noise()
    emg[:, 3] = -2.5 * emg[:, 1] + 7
    qualities = qualities_of(emg)
    assert qualities[3].closest_channel == 1
    assert qualities[3].correlation == pytest.approx(1, abs=1e-9)


def test_clipping_and_hanging_show_in_their_shares() -> None:
    emg = noise()
    emg[:, 0] = np.clip(emg[:, 0], -2, 2)
    emg[4000:9000, 1] = emg[3999, 1]
    emg[:, 2] = 5.0
    clipped, hanging, constant, _ = qualities_of(emg)
    assert clipped.extreme_share == pytest.approx(0.0455, abs=0.005)
    assert (clipped.lowest, clipped.highest) == (-2, 2)
    assert hanging.flat_share == pytest.approx(0.5, abs=0.001)
    assert constant.flat_share == 1
    assert hanging.stuck_share == pytest.approx(0.5, abs=0.001)
    assert (clipped.stuck_share, constant.stuck_share) == (0, 1)
    assert constant.rms < 1e-6


def test_every_figure_is_plain_json_even_where_it_cannot_be_known() -> None:
    for emg in (noise(3), np.full((3000, 2), np.nan), np.zeros((3000, 2)), np.full((3000, 1), 1e300)):
        for quality in qualities_of(emg):
            figures = quality.to_dict()
            assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_real_wrist_emg_gives_the_figures_known_of_it(shared) -> None:
    wfdb = pytest.importorskip("wfdb")
    record = wfdb.rdrecord(str(shared / "real/grabmyo/session1_participant1_gesture10_trial1"))
    wrist = [number for number, name in enumerate(record.sig_name) if name.startswith("W")]
    unused = [number for number, name in enumerate(record.sig_name) if name.startswith("U")]
    qualities = qualities_of(record.p_signal[:, wrist + unused] * 1000, record.fs)
    for quality in qualities[: len(wrist)]:
        assert 15 < quality.rms < 120  # uV
        assert 60 < quality.median_frequency_hz < 200
        assert 4 < quality.kurtosis < 12
        assert quality.power_line_share < 0.1
        assert quality.extreme_share < 1e-3
        assert quality.correlation < 0.9995
    for quality in qualities[len(wrist) :]:
        assert quality.rms == pytest.approx(5, abs=1)
        assert quality.kurtosis == pytest.approx(3, abs=0.3)


@pytest.mark.parametrize("shape", [(5,), (5, 0), (5, 3), (2, 4, 4)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="channel=4"):
        QualityMeter(4, RATE_HZ).update(np.zeros(shape))
