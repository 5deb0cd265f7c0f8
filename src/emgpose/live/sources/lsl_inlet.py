"""Find an EMG stream with pylsl, connect to it, and find it again when it was lost."""

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError, SourceLost, StreamError
from emgpose.live.lsl_library import import_pylsl
from emgpose.live.sources.lsl import SILENCE_S, LslSource
from emgpose.live.sources.stream_description import describe_source
from emgpose.recording.stream_header import EMG_TYPE, OWN_ELEMENT, StreamDescription

RESOLVE_TIMEOUT_S: Final = 5.0
# After the first stream was found, others that fit are waited for this long, which is two rounds of questions by LSL:
# which one is meant must be clear.
_OTHERS_S: Final = 1.1
_CONNECT_S: Final = 5.0
_CORRECTION_S: Final = 2.0
# Kept by LSL while nobody reads; older samples are lost, and counted.
_BUFFER_S: Final = 10
# After the first sample of a packet, its others are there within this time; without it, packets fall apart.
_PACKET_S: Final = 0.0005
_MOST_PULLED_S: Final = 1.0
# LSL counts its buffer in hundreds of samples where a stream has no rate.
_SAMPLES_PER_UNIT: Final = 100


def open_lsl(
    name: str | None = None,
    *,
    channels: Sequence[str | int] | None = None,
    input_rate_hz: float | None = None,
    resolve_timeout_s: float = RESOLVE_TIMEOUT_S,
    silence_s: float = SILENCE_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> LslSource:
    """Find an LSL stream and connect to it.

    Parameters
    ----------
    name : str, optional
        Of the stream; by default the only stream whose type is EMG.
    channels : sequence of str or int, optional
        By label or number; by default those of type EMG where the stream gives types, else all.
    input_rate_hz : float, optional
        For a stream that states no rate.
    resolve_timeout_s : float
        How long to look for the stream.
    silence_s : float
        A stream that sends nothing for this long counts as lost.
    clock, sleep : callable

    Returns
    -------
    LslSource

    Raises
    ------
    StreamError : no such stream, it does not answer, or it holds text.
    RateMismatch : the stream states no rate, and none is given.
    ConfigError : several streams fit, or a channel does not exist.
    MissingExtraError : pylsl is not installed.
    """
    pylsl = import_pylsl()
    predicate = _predicate(name)
    wanted = f"the name {name!a}" if name else f"the type {EMG_TYPE}"
    found = pylsl.resolve_bypred(predicate, 1, resolve_timeout_s)
    if not found:
        raise StreamError(
            f"lsl: expected a stream with {wanted}, none was found within {resolve_timeout_s:g} s; on the network: "
            f"{_shown(pylsl.resolve_streams(_OTHERS_S))}. Start the device's program, or name one as lsl:NAME"
        )
    found = pylsl.resolve_bypred(predicate, 2, _OTHERS_S) or found
    if len(found) > 1:
        raise ConfigError(f"lsl: expected one stream with {wanted}, found {_shown(found)}; name one as lsl:NAME")
    inlet = PylslInlet(pylsl, found[0], predicate, sleep)
    try:
        stream = inlet.describe()
        facts, chosen = describe_source(stream, f"lsl:{stream.name}", channels=channels, input_rate_hz=input_rate_hz)
        inlet.start(facts.sample_rate_hz)
    except BaseException:
        inlet.close()
        raise
    return LslSource(facts, chosen, inlet, silence_s=silence_s, clock=clock)


def _predicate(name: str | None) -> str:
    """Give the XPath predicate that a stream must meet."""
    if name is None:
        return f"type='{EMG_TYPE}' or type='{EMG_TYPE.lower()}' or type='{EMG_TYPE.title()}'"
    if "'" in name and '"' in name:
        raise ConfigError(f"lsl:{name}: a name with both kinds of quotation marks cannot be looked for")
    return f'name="{name}"' if "'" in name else f"name='{name}'"


def _shown(streams: Sequence[Any]) -> str:
    return ", ".join(f"{stream.name()!a} (type {stream.type()!a})" for stream in streams[:8]) or "no stream at all"


class PylslInlet:
    """An `Inlet` on a pylsl stream.

    LSL itself finds a stream again that names its source; one that does not is looked for here.

    Parameters
    ----------
    pylsl : module
    found : pylsl.StreamInfo
    predicate : str
        Finds the stream again.
    sleep : callable
        Takes seconds.

    Raises
    ------
    StreamError : the stream holds text.
    """

    def __init__(self, pylsl: Any, found: Any, predicate: str, sleep: Callable[[float], object]) -> None:
        self._pylsl, self._found, self._predicate, self._sleep = pylsl, found, predicate, sleep
        dtypes = {
            pylsl.cf_float32: np.float32,
            pylsl.cf_double64: np.float64,
            pylsl.cf_int8: np.int8,
            pylsl.cf_int16: np.int16,
            pylsl.cf_int32: np.int32,
            pylsl.cf_int64: np.int64,
        }
        if found.channel_format() not in dtypes:
            raise StreamError(f"lsl:{found.name()}: expected a stream of numbers, it holds text")
        self._dtype = dtypes[found.channel_format()]
        self._inlet: Any = self._connected(found)
        self._search: Any = None
        self._correction_s = 0.0
        self._buffer = np.empty((0, found.channel_count()), dtype=self._dtype)

    def describe(self) -> StreamDescription:
        """Ask the stream what it is.

        Raises
        ------
        StreamError : it does not answer.
        """
        try:
            info = self._inlet.info(timeout=_CONNECT_S)
        except RuntimeError as error:
            raise self._silent(error) from None
        listed = info.desc().child("channels").child("channel")
        channels = []
        while not listed.empty():
            channels.append({key: listed.child_value(key) for key in ("label", "type", "unit")})
            listed = listed.next_sibling("channel")
        own, element = {}, info.desc().child(OWN_ELEMENT).first_child()
        while not element.empty():
            own[element.name()] = element.child_value()
            element = element.next_sibling()
        return StreamDescription(
            info.name(), info.type(), info.channel_count(), info.nominal_srate(), tuple(channels), own
        )

    def start(self, rate_hz: float) -> None:
        """Have the samples sent from now on.

        Raises
        ------
        StreamError : the stream does not answer.
        """
        self._buffer = np.empty((max(1, round(rate_hz * _MOST_PULLED_S)), self._buffer.shape[1]), dtype=self._dtype)
        try:
            self._inlet.open_stream(timeout=_CONNECT_S)
        except RuntimeError as error:
            raise self._silent(error) from None
        self._measure_correction(_CORRECTION_S)

    def pull(self, timeout_s: float) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
        """Give the samples that have arrived and their stamps; wait for the first.

        Raises
        ------
        SourceLost : the stream has gone; a later call may find it again.
        """
        if self._inlet is None:
            self._look_again(timeout_s)
        try:
            # pylsl waits until as many samples came as were asked for: ask for one, then for what else is there.
            first = self._pull_into(self._buffer[:1], timeout_s)
            rest = []
            if first:
                self._sleep(_PACKET_S)
                rest = self._pull_into(self._buffer[1:], 0.0)
        except self._pylsl.util.LostError:
            self._inlet, self._search = None, self._pylsl.ContinuousResolver(pred=self._predicate)
            raise SourceLost(f"lsl:{self._found.name()}: the sender closed the stream; looking for it") from None
        stamps = np.array([*first, *rest], dtype=np.float64)
        return self._buffer[: len(stamps)], stamps

    def correction_s(self) -> float:
        """Give what to add to a stamp to have it on this machine's LSL clock."""
        self._measure_correction(0.0)
        return self._correction_s

    def close(self) -> None:
        """Drop the connection."""
        if self._inlet is not None:
            self._inlet.close_stream()
        self._inlet = self._search = None

    def _connected(self, found: Any) -> Any:
        seconds = _BUFFER_S
        if not found.nominal_srate():
            # No rate is known yet: room for 10 s at 5 kHz.
            seconds = _BUFFER_S * 5000 // _SAMPLES_PER_UNIT
        return self._pylsl.StreamInlet(found, max_buflen=seconds, recover=True)

    def _pull_into(self, room: NDArray[np.generic], timeout_s: float) -> list[float]:
        if not len(room):
            return []
        _, stamps = self._inlet.pull_chunk(timeout=timeout_s, max_samples=len(room), dest_obj=room)
        return list(stamps)

    def _look_again(self, timeout_s: float) -> None:
        """Connect to the stream if it is back.

        Raises
        ------
        SourceLost : it is not.
        """
        found = self._search.results()
        if not found:
            self._sleep(timeout_s)
            found = self._search.results()
        shape = (self._found.channel_count(), self._found.nominal_srate(), self._found.channel_format())
        same = [info for info in found if (info.channel_count(), info.nominal_srate(), info.channel_format()) == shape]
        if not same:
            raise SourceLost(f"lsl:{self._found.name()}: the stream has gone; looking for one of its name and shape")
        self._inlet, self._search = self._connected(same[0]), None

    def _measure_correction(self, timeout_s: float) -> None:
        # Until LSL has measured it, and while a stream is away, the last one stands.
        with contextlib.suppress(RuntimeError):
            self._correction_s = self._inlet.time_correction(timeout=timeout_s)

    def _silent(self, error: Exception) -> StreamError:
        return StreamError(
            f"lsl:{self._found.name()}: the stream was found but does not answer within {_CONNECT_S:g} s ({error}); "
            "check the firewall and the program that sends it"
        )
