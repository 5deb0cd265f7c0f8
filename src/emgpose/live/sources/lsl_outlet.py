"""Offer EMG to the network as an LSL stream: the counterpart of `LslSource`, for tests and for other programs."""

from types import TracebackType
from typing import Self

import numpy as np

from emgpose.live.chunk import EmgChunk, SourceFacts
from emgpose.live.lsl_library import import_pylsl
from emgpose.live.sources.stream_description import own_description
from emgpose.recording.stream_header import EMG_TYPE, OWN_ELEMENT


class EmgOutlet:
    """An LSL stream of type EMG that says of itself all that its facts say.

    Stamps follow from sample numbers, so receivers count losses exactly. Works as a context manager.

    Parameters
    ----------
    facts : SourceFacts
    name : str
        Of the stream.

    Raises
    ------
    MissingExtraError : pylsl is not installed.
    """

    def __init__(self, facts: SourceFacts, name: str) -> None:
        self._pylsl = import_pylsl()
        self._rate_hz = facts.sample_rate_hz
        info = self._pylsl.StreamInfo(
            name, EMG_TYPE, facts.n_channels, facts.sample_rate_hz, "float32", source_id=f"emgpose {name}"
        )
        channels = info.desc().append_child("channels")
        for label in facts.channel_names:
            channel = channels.append_child("channel")
            for key, value in (("label", label), ("type", EMG_TYPE), ("unit", facts.emg_unit)):
                channel.append_child_value(key, value)
        own = info.desc().append_child(OWN_ELEMENT)
        for key, value in own_description(facts).items():
            own.append_child_value(key, value)
        self._outlet = self._pylsl.StreamOutlet(info)
        # The LSL time of sample number 0, known when the first chunk is sent.
        self._start_s: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def wait_for_reader(self, timeout_s: float) -> bool:
        """Wait until somebody reads the stream; tell whether somebody does."""
        return bool(self._outlet.wait_for_consumers(timeout_s))

    def push(self, chunk: EmgChunk) -> None:
        """Send samples."""
        last = chunk.first_sample + len(chunk.emg) - 1
        if self._start_s is None:
            self._start_s = self._pylsl.local_clock() - last / self._rate_hz
        emg = np.ascontiguousarray(chunk.emg, dtype=np.float32)
        self._outlet.push_chunk(emg, self._start_s + last / self._rate_hz)

    def close(self) -> None:
        """End the stream; further calls do nothing."""
        self._outlet = None
