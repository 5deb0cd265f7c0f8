import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgpose.conversion.bids.bdf_scale import scale_for
from emgpose.errors import DataError

PEAKS = st.floats(0, 9_999_998)


@given(peak=PEAKS, share=st.floats(-1, 1))
def test_a_value_comes_back_within_half_a_step_and_then_exactly(peak: float, share: float) -> None:
    value = np.float64(np.float32(peak * share))
    scale = scale_for(max(peak, abs(value)), "channel")
    back = np.float32(scale.digital(np.array([value]))[0] * scale.step)
    assert abs(float(back) - value) <= scale.step / 2
    again = scale.digital(np.array([back], dtype=np.float64))[0] * scale.step
    assert np.float32(again) == back
    assert scale_for(float(abs(back)), "channel").step <= scale.step


@given(peak=PEAKS)
def test_the_ends_of_the_range_fit_the_header_and_their_step_is_exact(peak: float) -> None:
    scale = scale_for(peak, "channel")
    assert len(f"-{scale.physical_text}") <= 8
    assert 0 < scale.digital_max <= 8_388_607
    # As any reader computes it.
    low, high = -float(scale.physical_text), float(scale.physical_text)
    assert (high - low) / (2 * scale.digital_max) == scale.step
    assert low + scale.digital_max * scale.step == 0
    assert np.log2(scale.step).is_integer()


@given(peak=st.floats(1.0, 8_388_607))
def test_the_step_is_the_finest_that_24_bits_allow_but_for_four_percent_and_the_power_of_two(peak: float) -> None:
    assert scale_for(peak, "channel").step <= 2.0 * peak / 8_388_607 * 1.04


def test_a_constant_zero_has_the_finest_step() -> None:
    assert scale_for(0.0, "channel").step == 2.0**-23


def test_values_that_no_header_can_hold_are_refused() -> None:
    with pytest.raises(DataError, match=r"emg3: expected values up to 9999998 .*, got 1e\+08"):
        scale_for(1e8, "emg3")


def test_what_is_not_finite_becomes_zero() -> None:
    assert scale_for(1.0, "c").digital(np.array([np.nan, np.inf, -np.inf])).tolist() == [0, 0, 0]
