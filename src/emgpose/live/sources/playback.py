"""Play EMG that is there already, a recording or a simulation, as a device would deliver it."""

import math
from collections.abc import Callable
from typing import Final, Protocol

from emgpose.errors import ConfigError, SourceEnded
from emgpose.live.chunk import EmgChunk, SourceFacts

# Devices send packets of about this length.
PACKET_S: Final = 0.01
# Most that one read gives, so that a reader who was away for long gets it in pieces.
MOST_S: Final = 1.0
_ROUNDING_S: Final = 1e-9
AS_FAST_AS_POSSIBLE: Final = "max"


class Track(Protocol):
    """What is played."""

    @property
    def facts(self) -> SourceFacts:
        """What it is."""
        ...

    @property
    def n_samples(self) -> int | None:
        """Length, lost samples counted; None where there is no end."""
        ...

    def read(self, start: int, stop: int) -> EmgChunk | None:
        """Give the first samples of [start, stop) that were not lost, up to the next gap; None where all were lost."""
        ...

    def close(self) -> None:
        """Give back files and threads."""
        ...


def checked_speed(speed: float | str) -> float:
    """Give a speed as a number, 0 for as fast as possible.

    Raises
    ------
    ConfigError : neither a number of at least 0 nor "max".
    """
    try:
        number = 0.0 if speed == AS_FAST_AS_POSSIBLE else float(speed)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ConfigError(
            f"speed: expected a number such as 1 (real time), or 0 or 'max' for as fast as possible; got {speed!r}"
        )
    return number


class Pace:
    """Decides how far a device has come.

    Parameters
    ----------
    rate_hz : float
    speed : float
        1 is real time; 0 as fast as it is read.
    clock : callable
        Gives seconds; it starts to count for the pace at the first `wait`.
    sleep : callable
        Takes seconds.
    """

    def __init__(
        self, rate_hz: float, speed: float, clock: Callable[[], float], sleep: Callable[[float], object]
    ) -> None:
        self._played_hz = rate_hz * speed
        self._clock, self._sleep = clock, sleep
        self._packet_samples = max(1, round(rate_hz * PACKET_S))
        self._most_samples = max(self._packet_samples, round(rate_hz * MOST_S))
        self._began_s: float | None = None

    def wait(self, done: int, end: int | None, timeout_s: float) -> int:
        """Give the number of samples delivered; wait at most `timeout_s` for more than `done`.

        Parameters
        ----------
        done : int
            Samples taken already.
        end : int or None
            There are no more than these.
        timeout_s : float

        Returns
        -------
        int
            `done` where the next packet is not due in that time.
        """
        packet = self._packet_samples
        next_stop = _at_most((done // packet + 1) * packet, end)
        if not self._played_hz:
            return next_stop
        now_s = self._clock()
        if self._began_s is None:
            self._began_s = now_s - done / self._played_hz
        due_s = self._began_s + next_stop / self._played_hz
        if due_s > now_s:
            self._sleep(min(due_s - now_s, max(timeout_s, 0.0)))
            if due_s > now_s + timeout_s + _ROUNDING_S:
                return done
            now_s = max(self._clock(), due_s)
        # The small number keeps a packet that is due now from being missed by rounding.
        delivered = int((now_s - self._began_s) * self._played_hz + 1e-3)
        whole = delivered if end is not None and delivered >= end else delivered // packet * packet
        return _at_most(min(max(whole, next_stop), done + self._most_samples), end)

    def left_s(self, timeout_s: float, since_s: float) -> float:
        """Give what is left of a timeout that began at `since_s`."""
        return max(0.0, timeout_s - (self._clock() - since_s))

    def now_s(self) -> float:
        """Read the clock."""
        return self._clock()


def _at_most(number: int, end: int | None) -> int:
    return number if end is None else min(number, end)


class PlayedSource:
    """A `Source` that plays a track in packets of 10 ms.

    A reader who comes late gets what has become due since, at most 1 s of it at a time. A gap in the track takes its
    time too.

    Parameters
    ----------
    track : Track
    speed : float or "max"
        1 is real time; 0 or "max" gives one packet per read, without waiting.
    clock, sleep : callable
        `time.monotonic` and `time.sleep`, or those of a test.

    Raises
    ------
    ConfigError : an impossible speed.
    """

    def __init__(
        self,
        track: Track,
        *,
        speed: float | str,
        clock: Callable[[], float],
        sleep: Callable[[float], object],
    ) -> None:
        self._track = track
        self._facts = track.facts
        self._pace = Pace(self._facts.sample_rate_hz, checked_speed(speed), clock, sleep)
        self._done = 0
        self._closed = False

    @property
    def facts(self) -> SourceFacts:
        """What it is."""
        return self._facts

    def read(self, timeout_s: float) -> EmgChunk | None:
        """Give the samples that have become due since the last call; wait at most `timeout_s` for the first.

        Returns
        -------
        EmgChunk, or None where nothing became due in that time.

        Raises
        ------
        SourceEnded : all samples have been given, or the source was closed.
        DataError : the file is damaged there.
        """
        began_s = self._pace.now_s()
        while True:
            end = self._track.n_samples
            if self._closed or self._done == end:
                raise SourceEnded(f"{self._facts.name}: ended after {self._done} samples")
            stop = self._pace.wait(self._done, end, self._pace.left_s(timeout_s, began_s))
            if stop == self._done:
                return None
            chunk = self._track.read(self._done, stop)
            if chunk is not None:
                self._done = chunk.first_sample + len(chunk.emg)
                return chunk
            self._done = stop

    def close(self) -> None:
        """Give back files and threads; further calls do nothing."""
        if not self._closed:
            self._closed = True
            self._track.close()
