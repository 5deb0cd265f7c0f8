"""EMG from the network through the Lab Streaming Layer (LSL).

Losses are counted from the sender's time stamps (see `emgpose.recording.stamps`). Times are on this machine's LSL
clock: stamps plus the clock correction that LSL measures.
"""

import itertools
from collections.abc import Callable
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import SourceEnded, SourceLost, StreamError
from emgpose.live.chunk import EmgChunk, SourceFacts
from emgpose.recording.stamps import StampCounter
from emgpose.recording.stream_header import ChosenChannels

# A stream that sends nothing for this long counts as lost.
SILENCE_S: Final = 2.0


class Inlet(Protocol):
    """The receiving end of one stream."""

    def pull(self, timeout_s: float) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
        """Give the samples that have arrived, shape (time, channel), and their stamps; wait for the first.

        Raises
        ------
        SourceLost : the stream has gone; a later call may find it again.
        """
        ...

    def correction_s(self) -> float:
        """Give what to add to a stamp to have it on this machine's clock."""
        ...

    def close(self) -> None:
        """Give back the connection."""
        ...


class LslSource:
    """A `Source` that reads an LSL stream.

    Parameters
    ----------
    facts : SourceFacts
    channels : ChosenChannels
    inlet : Inlet
    silence_s : float
        A stream that sends nothing for this long counts as lost.
    clock : callable
        Gives seconds.
    """

    def __init__(
        self,
        facts: SourceFacts,
        channels: ChosenChannels,
        inlet: Inlet,
        *,
        silence_s: float = SILENCE_S,
        clock: Callable[[], float],
    ) -> None:
        self._facts, self._channels, self._inlet = facts, channels, inlet
        self._silence_s, self._clock = silence_s, clock
        self._counter = StampCounter(facts.sample_rate_hz)
        self._heard_s = clock()
        # Samples that were pulled together with others on the near side of a gap.
        self._waiting: list[EmgChunk] = []
        self._closed = False

    @property
    def facts(self) -> SourceFacts:
        """What the stream said of itself when it was opened."""
        return self._facts

    def read(self, timeout_s: float) -> EmgChunk | None:
        """Give the samples that have arrived since the last call, up to the next gap; wait for the first.

        Returns
        -------
        EmgChunk, or None where nothing came in that time.

        Raises
        ------
        SourceLost : nothing came for `silence_s`, or the sender closed the stream. Reading on finds it when it is back;
            until then each call that brings nothing raises this again.
        SourceEnded : the source was closed.
        StreamError : its time stamps are no numbers.
        """
        if self._closed:
            raise SourceEnded(f"{self._facts.name}: was closed")
        if self._waiting:
            return self._waiting.pop(0)
        samples, stamps_s = self._inlet.pull(timeout_s)
        now_s = self._clock()
        if not len(samples):
            if now_s - self._heard_s >= self._silence_s:
                raise SourceLost(
                    f"{self._facts.name}: expected samples, nothing came for {now_s - self._heard_s:.1f} s; is the "
                    "device on and its program running? It is taken up again when it is back"
                )
            return None
        if not np.isfinite(stamps_s).all():
            raise StreamError(f"{self._facts.name}: expected time stamps in seconds, got some that are no numbers")
        self._heard_s = now_s
        self._waiting = self._chunks(self._channels.take(samples), stamps_s, now_s)
        return self._waiting.pop(0)

    def close(self) -> None:
        """Let go of the stream; further calls do nothing."""
        if not self._closed:
            self._closed = True
            self._inlet.close()

    def _chunks(self, emg: NDArray[np.float32], stamps_s: NDArray[np.float64], now_s: float) -> list[EmgChunk]:
        """Divide what came at its gaps."""
        numbers = self._counter.number(stamps_s, now_s)
        correction_s = self._inlet.correction_s()
        edges = [0, *(np.flatnonzero(np.diff(numbers) > 1) + 1).tolist(), len(numbers)]
        return [
            EmgChunk(int(numbers[start]), emg[start:stop], float(stamps_s[stop - 1]) + correction_s)
            for start, stop in itertools.pairwise(edges)
        ]
