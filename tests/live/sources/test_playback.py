"""Playing EMG as a device would deliver it."""

import numpy as np
import pytest

from emgpose.errors import ConfigError, SourceEnded
from emgpose.live.chunk import EmgChunk, SourceFacts
from emgpose.live.sources.playback import PlayedSource


class CountingTrack:
    """Samples that say their own number; some numbers may be lost."""

    def __init__(self, n_samples=1000, rate_hz=1000.0, lost=()):
        self.facts = SourceFacts("counting", rate_hz, ("a",))
        self.n_samples = n_samples
        self.lost = set(lost)
        self.closed = 0

    def read(self, start, stop):
        there = [number for number in range(start, stop) if number not in self.lost]
        if not there:
            return None
        run = [number for place, number in enumerate(there) if number - there[0] == place]
        emg = np.array(run, dtype=np.float32)[:, None]
        return EmgChunk(run[0], emg, run[-1] / self.facts.sample_rate_hz)

    def close(self):
        self.closed += 1


def played(track, clock, speed=1.0):
    return PlayedSource(track, speed=speed, clock=clock, sleep=clock.sleep)


def read_all(source, timeout_s=1.0):
    chunks = []
    while True:
        try:
            chunk = source.read(timeout_s)
        except SourceEnded:
            return chunks
        if chunk is not None:
            chunks.append(chunk)


def test_packets_of_10_ms_come_every_10_ms(clock):
    source = played(CountingTrack(), clock)
    began_s = clock.now_s
    for number in range(5):
        chunk = source.read(1.0)
        assert (chunk.first_sample, len(chunk.emg)) == (10 * number, 10)
        assert clock.now_s - began_s == pytest.approx(0.01 * (number + 1))


def test_at_half_speed_packets_take_twice_as_long(clock):
    source = played(CountingTrack(), clock, speed=0.5)
    began_s = clock.now_s
    source.read(1.0)
    source.read(1.0)
    assert clock.now_s - began_s == pytest.approx(0.04)


@pytest.mark.parametrize("speed", [0, "max"])
def test_as_fast_as_possible_never_sleeps(clock, speed):
    chunks = read_all(played(CountingTrack(), clock, speed=speed))
    assert not clock.slept
    assert np.concatenate([chunk.emg for chunk in chunks])[:, 0].tolist() == list(range(1000))
    assert {len(chunk.emg) for chunk in chunks} == {10}


def test_a_short_timeout_gives_none_and_no_more_time_passes_than_that(clock):
    source = played(CountingTrack(), clock)
    assert source.read(0.004) is None
    assert clock.now_s == pytest.approx(100.004)
    assert source.read(0.1).first_sample == 0


def test_a_late_reader_gets_all_that_is_due_in_pieces_of_a_second(clock):
    source = played(CountingTrack(n_samples=3000), clock)
    source.read(1.0)
    clock.now_s += 1.505
    chunk = source.read(0.0)
    assert (chunk.first_sample, len(chunk.emg)) == (10, 1000)
    chunk = source.read(0.0)
    assert (chunk.first_sample, len(chunk.emg)) == (1010, 500)
    assert source.read(0.0) is None


def test_the_last_packet_is_short_and_then_the_source_has_ended(clock):
    source = played(CountingTrack(n_samples=25), clock)
    assert [len(chunk.emg) for chunk in read_all(source)] == [10, 10, 5]
    with pytest.raises(SourceEnded, match="counting: ended after 25 samples"):
        source.read(1.0)


def test_a_gap_takes_its_time_and_shows_as_a_jump(clock):
    source = played(CountingTrack(lost=range(15, 500)), clock)
    assert [source.read(1.0).first_sample for _ in range(2)] == [0, 10]
    assert source.read(0.2) is None
    assert source.read(0.2) is None
    chunk = source.read(0.2)
    assert chunk.first_sample == 500
    assert clock.now_s == pytest.approx(100.51)


def test_a_gap_takes_no_time_when_played_as_fast_as_possible(clock):
    chunks = read_all(played(CountingTrack(lost=range(15, 500)), clock, speed=0))
    assert [chunk.first_sample for chunk in chunks][:3] == [0, 10, 500]
    assert sum(len(chunk.emg) for chunk in chunks) == 515


def test_a_chunk_never_has_a_gap_inside(clock):
    source = played(CountingTrack(lost=[503]), clock)
    source.read(1.0)
    clock.now_s += 0.9
    assert len(source.read(0.0).emg) == 493
    assert source.read(0.0).first_sample == 504


def test_closing_twice_closes_once_and_reading_on_ends(clock):
    track = CountingTrack()
    source = played(track, clock)
    source.close()
    source.close()
    assert track.closed == 1
    with pytest.raises(SourceEnded):
        source.read(0.0)


@pytest.mark.parametrize("speed", [-1, float("nan"), float("inf"), "fast", None])
def test_an_impossible_speed_is_refused(clock, speed):
    with pytest.raises(ConfigError, match="speed: expected a number"):
        played(CountingTrack(), clock, speed=speed)
