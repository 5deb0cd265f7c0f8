"""Channels that are dead, clipped, missing, and well."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgpose.errors import StreamError
from emgpose.live.channel_quality import ChannelQuality, Judged
from emgpose.recording import open_session
from emgpose.signals import Bandpass, Preprocessor

RATE_HZ = 2000.0
N = 4_000


def band(n: int = N, n_channels: int = 4) -> np.ndarray:
    """Noise with the spectrum of EMG, SD 1."""
    noise = np.random.default_rng(0).standard_normal((n, n_channels))
    filtered = Preprocessor((Bandpass(20, 300, 2),), RATE_HZ, n_channels).process(noise)
    return (filtered / filtered.std()).astype(np.float32)


def judged(emg: np.ndarray, missing: np.ndarray | None = None, cuts: list[int] | None = None) -> Judged:
    missing = np.zeros(emg.shape, dtype=np.bool_) if missing is None else missing
    quality = ChannelQuality(emg.shape[1], RATE_HZ)
    edges = sorted({0, *(cuts or []), len(emg)})
    parts = [quality.judge(emg[start:stop], missing[start:stop]) for start, stop in itertools.pairwise(edges)]
    names = ("quality", "is_bad", "is_dead", "is_clipped")
    return Judged(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def test_ordinary_channels_are_good() -> None:
    assert (judged(band()).quality == 1).all()


def test_real_wrist_emg_has_no_bad_channel(shared: Path) -> None:
    with open_session(shared / "real/grabmyo/session1_participant1_gesture12_trial1.hea") as session:
        assert (judged(session.emg()).quality == 1).all()


def test_a_coarse_converter_at_rest_is_no_fault() -> None:
    assert (judged(np.round(band() * 2) / 2).quality == 1).all()


def test_a_channel_without_change_is_dead_after_a_tenth_of_a_second() -> None:
    emg = band()
    emg[1_000:2_000, 2] = 0.25
    found = judged(emg)
    np.testing.assert_array_equal(np.flatnonzero(found.is_dead[:, 2]), np.arange(1_000 + 199, 2_000))
    assert (found.quality[1_199:2_000, 2] == 0).all()
    assert not found.is_bad[:, [0, 1, 3]].any()
    assert not found.is_clipped.any()


@pytest.mark.parametrize("step", [1e-4, 0.05, 0.4])
@pytest.mark.parametrize("rate_hz", [2000.0, 20.0])
def test_ordinary_samples_are_judged_as_all_others_are(
    step: float, rate_hz: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    emg = np.round(band() / step).astype(np.float32)
    emg[1_500:1_900, 1] = emg[1_499, 1]
    missing = np.zeros(emg.shape, dtype=np.bool_)
    missing[2_700:2_703, 2] = True
    parts = list(zip(np.split(emg, range(40, N, 40)), np.split(missing, range(40, N, 40)), strict=True))
    quality, plain = ChannelQuality(4, rate_hz), ChannelQuality(4, rate_hz)
    is_ordinary = ChannelQuality._is_ordinary
    answers = []
    for samples, are_missing in parts:
        monkeypatch.setattr(ChannelQuality, "_is_ordinary", lambda *_: False)
        expected = plain.judge(samples, are_missing)
        monkeypatch.setattr(
            ChannelQuality, "_is_ordinary", lambda *given: answers.append(is_ordinary(*given)) or answers[-1]
        )
        given = quality.judge(samples, are_missing)
        for name in ("quality", "is_bad", "is_dead", "is_clipped"):
            np.testing.assert_array_equal(getattr(given, name), getattr(expected, name))
            assert getattr(given, name).dtype == getattr(expected, name).dtype
        for name, array in plain.state().items():
            np.testing.assert_array_equal(quality.state()[name], array, err_msg=name)
            assert quality.state()[name].dtype == array.dtype
    assert not all(answers)
    assert any(answers) == (step < 0.4 and rate_hz > 100)


def test_quality_comes_back_within_a_quarter_of_a_second() -> None:
    emg = band()
    emg[1_000:2_000, 2] = 0.25
    quality = judged(emg).quality[:, 2]
    assert 0 < quality[2_050] < quality[2_250] < 1
    assert (quality[2_500:] == 1).all()


def test_a_channel_that_never_moves_is_dead_and_not_clipped() -> None:
    emg = band()
    emg[:, 0] = 7.0
    found = judged(emg)
    assert found.is_dead[199:, 0].all()
    assert not found.is_clipped.any()


@pytest.mark.parametrize("limits", [(-1.0, 1.0), (-9.0, 0.7), (-0.4, 0.4)])
def test_a_clipped_channel_is_found(limits: tuple[float, float]) -> None:
    emg = band()
    emg[:, 1] = np.clip(emg[:, 1], *limits)
    found = judged(emg)
    assert found.is_clipped[500:, 1].mean() > 0.5
    assert (found.quality[:, 1][found.is_clipped[:, 1]] == 0).all()
    assert not found.is_bad[:, [0, 2, 3]].any()


def test_rare_peaks_at_the_limit_are_no_clipping() -> None:
    assert not judged(np.clip(band(), -2.5, 2.5)).is_bad.any()


def test_values_that_were_filled_in_are_bad_while_they_last() -> None:
    emg, missing = band(), np.zeros((N, 4), dtype=np.bool_)
    missing[700:800, 3] = True
    emg[700:800, 3] = emg[699, 3]
    found = judged(emg, missing)
    np.testing.assert_array_equal(np.flatnonzero(found.is_bad[:, 3]), np.arange(700, 800))
    assert (found.quality[700:800, 3] == 0).all()
    assert found.quality[800, 3] == pytest.approx(1 - 99 / 500, abs=0.005)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(cuts=st.lists(st.integers(0, N), max_size=30))
def test_any_chunks_give_the_same_verdict(cuts: list[int]) -> None:
    emg, missing = band(), np.zeros((N, 4), dtype=np.bool_)
    emg[:, 0] = np.clip(emg[:, 0], -0.8, 0.8)
    emg[1_000:1_500, 1] = 0
    missing[200:260, 2] = True
    whole, parts = judged(emg, missing), judged(emg, missing, cuts)
    assert whole.is_bad[:, :3].any(axis=0).all()
    for name in ("quality", "is_bad", "is_dead", "is_clipped"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def test_its_state_goes_on_elsewhere() -> None:
    emg, missing = np.clip(band(), -1, 1), np.zeros((N, 4), dtype=np.bool_)
    first, second = ChannelQuality(4, RATE_HZ), ChannelQuality(4, RATE_HZ)
    first.judge(emg[:1_300], missing[:1_300])
    second.restore(first.state())
    expected, found = first.judge(emg[1_300:], missing[1_300:]), second.judge(emg[1_300:], missing[1_300:])
    np.testing.assert_array_equal(found.quality, expected.quality)
    assert found.is_clipped.any()
    with pytest.raises(StreamError, match="previous has shape"):
        second.restore({})
