"""All sinks of a session as one: what fails is let go of, and the hand moves on."""

import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from emgpose.errors import ConfigError, EmgPoseError
from emgpose.live.chunk import EmgChunk, SourceFacts
from emgpose.live.pose_frame import Hello, PoseFrame
from emgpose.live.sinks.opening import SinkSettings, open_sink
from emgpose.live.sinks.sink import ChunkSink, Sink

_log = logging.getLogger("emgpose.live.sinks")


class Sinks:
    """Several sinks at once.

    Once open, a sink that raises is logged once and gets nothing more; it is closed with the others, which go on.

    Parameters
    ----------
    sinks : sequence of Sink or ChunkSink

    Attributes
    ----------
    failures : dict of str to str
        Why sinks failed, while the hand moved or when they were closed, by their names.
    """

    def __init__(self, sinks: Sequence[Sink | ChunkSink]) -> None:
        self._sinks = tuple(sinks)
        self._opened: list[Sink | ChunkSink] = []
        self._for_poses: list[Sink] = []
        self._for_chunks: list[ChunkSink] = []
        self.failures: dict[str, str] = {}

    @classmethod
    def from_specs(cls, specs: Iterable[str], settings: SinkSettings | None = None) -> "Sinks":
        """Make the sinks that specifications ask for; see `open_sink`.

        Raises
        ------
        ConfigError, MissingExtraError : as `open_sink`; and where the same is asked for twice.
        """
        sinks: dict[str, Sink | ChunkSink] = {}
        for spec in specs:
            sink = open_sink(spec, settings)
            # By name, since `ws` and `ws:8765` are the same.
            if sink.name in sinks:
                raise ConfigError(f"--sink {spec}: {sink.name} is given twice; once is enough")
            sinks[sink.name] = sink
        return cls(list(sinks.values()))

    @property
    def names(self) -> tuple[str, ...]:
        """Their names; addresses are complete once they are open."""
        return tuple(sink.name for sink in self._sinks)

    def open(self, hello: Hello, source: SourceFacts) -> None:
        """Open all of them, or none: where one cannot be opened, those before it are closed again.

        Raises
        ------
        ConfigError, DataError, StreamError : as `Sink.open` and `ChunkSink.open`.
        """
        try:
            for sink in self._sinks:
                if isinstance(sink, ChunkSink):
                    sink.open(source)
                    self._for_chunks.append(sink)
                else:
                    sink.open(hello)
                    self._for_poses.append(sink)
                self._opened.append(sink)
        except BaseException:
            for sink in self._opened:
                # Those before it may say that they had nothing to do, which is beside the point.
                with contextlib.suppress(Exception):
                    sink.close()
            self._opened, self._for_poses, self._for_chunks = [], [], []
            raise

    def send(self, frame: PoseFrame) -> None:
        """Give a pose to each sink that takes poses."""
        self._for_poses = [sink for sink in self._for_poses if self._done(sink, partial(sink.send, frame))]

    def record(self, chunk: EmgChunk) -> None:
        """Give EMG to each sink that takes EMG."""
        self._for_chunks = [sink for sink in self._for_chunks if self._done(sink, partial(sink.record, chunk))]

    def close(self) -> None:
        """Close all; raises nothing, see `failures`."""
        opened, self._opened = self._opened, []
        self._for_poses, self._for_chunks = [], []
        for sink in opened:
            self._done(sink, sink.close)

    def _done(self, sink: Sink | ChunkSink, action: Callable[[], None]) -> bool:
        """Do what may fail, and say so where it does."""
        try:
            action()
        except Exception as error:  # whatever one sink does, the hand and the other sinks go on
            self._note(sink, error)
            return False
        return True

    def _note(self, sink: Sink | ChunkSink, error: Exception) -> None:
        reason = str(error) if isinstance(error, EmgPoseError) else f"{type(error).__name__}: {error}"
        if sink.name in self.failures:
            return
        self.failures[sink.name] = reason
        # A fault of ours comes with its traceback, one that is explained does not.
        _log.error("%s failed: %s", sink.name, reason, exc_info=not isinstance(error, EmgPoseError))
