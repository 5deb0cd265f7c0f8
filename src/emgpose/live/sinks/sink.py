"""What a sink is: something that takes poses, or EMG, while they come."""

from typing import Protocol, runtime_checkable

from emgpose.live.chunk import EmgChunk, SourceFacts
from emgpose.live.pose_frame import Hello, PoseFrame


class Sink(Protocol):
    """Takes poses. Use it from one thread; only `send` is called while the hand moves, and it never waits."""

    @property
    def name(self) -> str:
        """For messages and logs, with the address, such as `ws://127.0.0.1:8765`."""

    def open(self, hello: Hello) -> None:
        """Get ready: bind, connect, start threads.

        Raises
        ------
        ConfigError : the address cannot be used.
        StreamError : the system refuses it, as where a port is taken.
        """

    def send(self, frame: PoseFrame) -> None:
        """Pass a pose on, without waiting for any receiver; one that is slow misses poses."""

    def close(self) -> None:
        """Let go of everything; further calls do nothing."""


@runtime_checkable
class ChunkSink(Protocol):
    """Takes the EMG as it arrived, before the engine. Use it from one thread."""

    @property
    def name(self) -> str:
        """For messages and logs."""

    def open(self, source: SourceFacts) -> None:
        """Get ready.

        Raises
        ------
        ConfigError : the source's EMG does not suit it.
        DataError : a file cannot be written.
        """

    def record(self, chunk: EmgChunk) -> None:
        """Take the samples that arrived together; does not wait for a disk.

        Raises
        ------
        DataError, StreamError : an earlier chunk could not be kept.
        """

    def close(self) -> None:
        """Finish what was taken; further calls do nothing.

        Raises
        ------
        DataError, StreamError : it could not be finished.
        """
