"""What an LSL stream says about itself."""

import numpy as np
import pytest

from emgpose.errors import ConfigError, RateMismatch, StreamError
from emgpose.live.chunk import SourceFacts
from emgpose.live.sources.stream_description import describe_source, own_description
from emgpose.recording.stream_header import StreamDescription
from emgpose.signals import EMG2POSE_PREPROCESSING


def stream(n=2, rate_hz=2000.0, channels=(), own=None):
    return StreamDescription("Band", "EMG", n, rate_hz, tuple(channels), own or {})


def test_a_stream_that_says_nothing_has_numbered_channels_of_unknown_unit():
    facts, chosen = describe_source(stream(3), "lsl:Band")
    assert facts == SourceFacts("lsl:Band", 2000.0, ("ch0", "ch1", "ch2"))
    assert chosen.columns == (0, 1, 2)


@pytest.mark.parametrize(
    ("unit", "expected", "factor"),
    [
        ("microvolts", "uV", 1.0),
        ("µV", "uV", 1.0),
        ("μV", "uV", 1.0),
        ("-6", "uV", 1.0),
        ("mV", "uV", 1e3),
        ("Volts", "uV", 1e6),
        ("noise_floor", "noise_floor", 1.0),
        ("counts", "unknown", 1.0),
        ("", "unknown", 1.0),
    ],
)
def test_voltages_become_microvolts_and_other_units_stay(unit, expected, factor):
    facts, chosen = describe_source(stream(channels=[{"unit": unit}] * 2), "lsl:Band")
    assert facts.emg_unit == expected
    assert np.array_equal(chosen.take(np.array([[1, 2]], dtype=np.int16)), [[factor, 2 * factor]])


def test_each_channel_is_brought_to_microvolts_by_its_own_unit():
    _, chosen = describe_source(stream(channels=[{"unit": "uV"}, {"unit": "mV"}]), "lsl:Band")
    assert chosen.take(np.ones((1, 2))).tolist() == [[1.0, 1000.0]]


def test_units_that_are_partly_unknown_change_nothing():
    facts, chosen = describe_source(stream(channels=[{"unit": "mV"}, {}]), "lsl:Band")
    assert facts.emg_unit == "unknown"
    assert chosen.take(np.ones((1, 2))).tolist() == [[1.0, 1.0]]


def test_channels_of_other_types_are_left_out_unless_they_are_named():
    channels = [{"label": "A", "type": "emg"}, {"label": "T", "type": "trigger"}, {"label": "B", "type": "EMG"}]
    assert describe_source(stream(3, channels=channels), "x")[0].channel_names == ("A", "B")
    facts, chosen = describe_source(stream(3, channels=channels), "x", channels=["T", 0])
    assert (facts.channel_names, chosen.columns) == (("T", "A"), (1, 0))


def test_a_list_of_channels_of_the_wrong_length_is_not_believed():
    facts, _ = describe_source(stream(3, channels=[{"label": "A"}]), "x")
    assert facts.channel_names == ("ch0", "ch1", "ch2")


def test_a_channel_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="there is no channel 'F9'"):
        describe_source(stream(), "lsl:Band", channels=["F9"])


def test_a_stream_without_a_rate_is_refused_by_name():
    with pytest.raises(RateMismatch, match=r"lsl:Band: stream 'Band' has a nominal rate of 0 .*--input-rate"):
        describe_source(stream(rate_hz=0.0), "lsl:Band")
    assert describe_source(stream(rate_hz=0.0), "x", input_rate_hz=500.0)[0].sample_rate_hz == 500.0


def test_a_rate_for_a_stream_that_states_its_own_is_refused():
    with pytest.raises(ConfigError, match="leave the input rate out"):
        describe_source(stream(), "lsl:Band", input_rate_hz=500.0)


@pytest.mark.parametrize("rate_hz", [float("nan"), -5.0, 1e9])
def test_an_impossible_rate_is_refused(rate_hz):
    with pytest.raises(StreamError, match="lsl:Band: nominal rate"):
        describe_source(stream(rate_hz=rate_hz), "lsl:Band")


def test_own_facts_come_back_as_they_were_given():
    facts = SourceFacts("x", 2000.0, ("ch0", "ch1"), EMG2POSE_PREPROCESSING, "unknown", "left", True, False)
    assert describe_source(stream(own=own_description(facts)), "x")[0] == facts


@pytest.mark.parametrize("text", ["{", "5", '[{"step": "magic"}]', "[" * 100_000])
def test_preprocessing_that_cannot_be_read_is_refused(text):
    with pytest.raises(StreamError, match="expected a list of preprocessing steps"):
        describe_source(stream(own={"preprocessing": text}), "lsl:Band")
