"""A recording that begins again when it ends, for demonstrations."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from emgpose.errors import SourceEnded, StreamError
from emgpose.live.chunk import EmgChunk, Source, SourceFacts

# Between two rounds; longer than the engine fills, so that it begins again as after any gap.
PAUSE_S: Final = 1.0


class LoopedSource:
    """Plays a source that ends again and again; to those behind it, each round comes after 1 s without EMG.

    Parameters
    ----------
    reopen : callable
        Opens the source at its beginning.
    on_again : callable, optional
        Called when another round begins.

    Raises
    ------
    EmgPoseError : as `reopen`.
    """

    def __init__(self, reopen: Callable[[], Source], on_again: Callable[[], object] | None = None) -> None:
        self._reopen, self._on_again = reopen, on_again
        self._source = reopen()
        self._offset_samples = self._next_sample = 0
        self._offset_s = self._newest_s = 0.0

    @property
    def facts(self) -> SourceFacts:
        """Those of the source."""
        return self._source.facts

    def read(self, timeout_s: float) -> EmgChunk | None:
        """Give samples as the source does, numbered on from round to round.

        Raises
        ------
        SourceLost : as the source.
        StreamError : a round without a single sample.
        """
        try:
            chunk = self._source.read(timeout_s)
        except SourceEnded:
            self._begin_again()
            return None
        if chunk is None:
            return None
        chunk = replace(
            chunk, first_sample=chunk.first_sample + self._offset_samples, time_s=chunk.time_s + self._offset_s
        )
        self._next_sample, self._newest_s = chunk.first_sample + len(chunk.emg), chunk.time_s
        return chunk

    def close(self) -> None:
        """Let go of the source."""
        self._source.close()

    def _begin_again(self) -> None:
        if self._next_sample == self._offset_samples:
            raise StreamError(f"source {self.facts.name}: ended without a single sample; it cannot be played in a loop")
        self._source.close()
        self._source = self._reopen()
        self._offset_samples = self._next_sample + round(PAUSE_S * self.facts.sample_rate_hz)
        self._offset_s = self._newest_s + PAUSE_S
        if self._on_again is not None:
            self._on_again()
