"""The LSL source, on an inlet that does what the test says."""

import numpy as np
import pytest

from emgpose.errors import SourceEnded, SourceLost, StreamError
from emgpose.live.chunk import SourceFacts
from emgpose.live.sources.lsl import LslSource
from emgpose.recording.stream_header import ChosenChannels

RATE_HZ = 1000.0


class ScriptedInlet:
    """Gives what was put in; waiting moves the clock on."""

    def __init__(self, clock):
        self.clock = clock
        self.coming = []
        self.correction = 0.0
        self.closed = 0

    def put(self, first, n, *, at_s=0.0):
        numbers = np.arange(first, first + n)
        self.coming.append((np.stack([numbers, -numbers], axis=1).astype(np.int16), at_s + numbers / RATE_HZ))

    def pull(self, timeout_s):
        if not self.coming:
            self.clock.now_s += timeout_s
            return np.empty((0, 2), np.int16), np.empty(0)
        got = self.coming.pop(0)
        if isinstance(got, Exception):
            raise got
        return got

    def correction_s(self):
        return self.correction

    def close(self):
        self.closed += 1


@pytest.fixture
def inlet(clock):
    return ScriptedInlet(clock)


@pytest.fixture
def source(inlet, clock):
    facts = SourceFacts("lsl:Band", RATE_HZ, ("a", "b"))
    channels = ChosenChannels((1, 0), np.array([2.0, 1.0], dtype=np.float32))
    return LslSource(facts, channels, inlet, clock=clock)


def test_samples_come_as_float32_in_the_channels_chosen(source, inlet):
    inlet.put(0, 3)
    chunk = source.read(0.1)
    assert chunk.emg.dtype == np.float32
    assert chunk.emg.tolist() == [[0.0, 0.0], [-2.0, 1.0], [-4.0, 2.0]]
    assert (chunk.first_sample, chunk.joint_angles) == (0, None)


def test_times_are_stamps_plus_the_clock_correction(source, inlet):
    inlet.correction = 5.5
    inlet.put(0, 10, at_s=100.0)
    assert source.read(0.1).time_s == pytest.approx(100.009 + 5.5)


def test_a_gap_divides_what_came_together_and_nothing_is_lost_of_the_rest(source, inlet, clock):
    for first in range(0, 2000, 100):
        inlet.put(first, 100)
        clock.now_s += 0.1
        assert source.read(0.1).first_sample == first
    inlet.put(2000, 100)
    before, stamps_before = inlet.coming.pop()
    kept = np.r_[0:40, 60:100]
    inlet.coming.append((before[kept], stamps_before[kept]))
    chunks = [source.read(0.0), source.read(0.0)]
    assert [(chunk.first_sample, len(chunk.emg)) for chunk in chunks] == [(2000, 40), (2060, 40)]
    assert chunks[1].emg[0].tolist() == [-2 * 2060, 2060]
    assert chunks[1].time_s == pytest.approx(2.099)
    assert source.read(0.0) is None


def test_a_short_silence_gives_none(source):
    assert source.read(0.5) is None
    assert source.read(1.0) is None


def test_two_seconds_of_silence_are_a_lost_source_until_samples_come_again(source, inlet, clock):
    inlet.put(0, 100)
    source.read(0.1)
    assert source.read(1.9) is None
    for _ in range(3):
        with pytest.raises(SourceLost, match=r"lsl:Band: expected samples, nothing came for \d+\.\d s"):
            source.read(0.2)
    clock.now_s += 2.4
    inlet.put(5100, 100)
    chunk = source.read(0.1)
    assert (chunk.first_sample, len(chunk.emg)) == (5100, 100)
    assert source.read(0.1) is None


def test_the_silence_can_be_set(inlet, clock):
    facts = SourceFacts("lsl:Band", RATE_HZ, ("a",))
    source = LslSource(facts, ChosenChannels((0,), np.ones(1, np.float32)), inlet, silence_s=10.0, clock=clock)
    assert source.read(9.0) is None
    with pytest.raises(SourceLost):
        source.read(1.0)


def test_a_closed_stream_is_lost_and_read_on_when_it_is_back(source, inlet):
    inlet.put(0, 10)
    inlet.coming.append(SourceLost("lsl:Band: the sender closed the stream"))
    inlet.put(10, 10)
    source.read(0.1)
    with pytest.raises(SourceLost, match="closed the stream"):
        source.read(0.1)
    assert source.read(0.1).first_sample == 10


def test_time_stamps_that_are_no_numbers_are_refused(source, inlet):
    inlet.coming.append((np.zeros((2, 2)), np.array([1.0, np.nan])))
    with pytest.raises(StreamError, match="lsl:Band: expected time stamps in seconds"):
        source.read(0.1)


def test_closing_twice_closes_the_inlet_once_and_reading_on_ends(source, inlet):
    source.close()
    source.close()
    assert inlet.closed == 1
    with pytest.raises(SourceEnded):
        source.read(0.0)
