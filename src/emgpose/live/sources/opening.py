"""Open a source by its name: `lsl`, `lsl:NAME`, `replay:FILE`, `xdf:FILE`, `simulate`, `simulate:STAGE`."""

import difflib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from emgpose.errors import ConfigError
from emgpose.live.chunk import Source
from emgpose.live.sources.lsl import SILENCE_S
from emgpose.live.sources.playback import PlayedSource, Track, checked_speed

Channels = Sequence[str | int] | None
_FORMS: Final = {
    "lsl": "lsl or lsl:NAME",
    "replay": "replay:FILE",
    "xdf": "xdf:FILE or xdf:FILE#STREAM",
    "simulate": "simulate or simulate:STAGE",
}


def open_source(
    spec: str,
    *,
    speed: float | str = 1.0,
    channels: Channels = None,
    input_rate_hz: float | None = None,
    seed: int = 0,
    silence_s: float = SILENCE_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Source:
    """Open a source of live EMG.

    Parameters
    ----------
    spec : str
        `lsl` (the only LSL stream of type EMG), `lsl:NAME`, `replay:FILE` (any readable recording), `xdf:FILE`,
        `xdf:FILE#STREAM`, `simulate` or `simulate:STAGE`.
    speed : float or "max"
        Of what is played: 1 is real time, 0 or "max" as fast as it is read. An LSL stream has its own.
    channels : sequence of str or int, optional
        EMG channels in the order wanted, by name or by number from 0.
    input_rate_hz : float, optional
        Sample rate of a file or stream that does not say it.
    seed : int
        Of a simulation: another one gives another person, band and performance.
    silence_s : float
        An LSL stream that sends nothing for this long counts as lost.
    clock, sleep : callable
        `time.monotonic` and `time.sleep`, or those of a test.

    Returns
    -------
    Source

    Raises
    ------
    ConfigError : an unknown kind of source, or an option that does not fit it.
    DataError : the file cannot be read.
    StreamError : no such stream.
    MissingExtraError : the source needs a library that is not installed.
    """
    kind, separator, rest = spec.partition(":")
    if kind not in _FORMS or (separator and not rest) or (kind in ("replay", "xdf") and not rest):
        raise ConfigError(_wrong(spec, kind))
    if kind != "simulate" and seed:
        raise ConfigError(f"{spec}: takes no seed, which is for simulate; leave it out")
    if kind == "lsl":
        if checked_speed(speed) != 1:
            raise ConfigError(f"{spec}: a stream comes at its own speed, got {speed}; leave the speed out")
        from emgpose.live.sources.lsl_inlet import open_lsl

        return open_lsl(
            rest or None, channels=channels, input_rate_hz=input_rate_hz, silence_s=silence_s, clock=clock, sleep=sleep
        )
    checked_speed(speed)
    track: Track
    if kind == "simulate":
        track = _simulation(spec, rest, channels, input_rate_hz, seed)
    else:
        track = _recording(kind, rest, channels, input_rate_hz)
    return PlayedSource(track, speed=speed, clock=clock, sleep=sleep)


def _recording(kind: str, text: str, channels: Channels, input_rate_hz: float | None) -> Track:
    if kind == "replay":
        from emgpose.live.sources.replay import SessionTrack
        from emgpose.recording import open_session

        session = open_session(Path(text), rate_hz=input_rate_hz, channels=channels)
        try:
            return SessionTrack(session)
        except BaseException:
            session.close()
            raise
    from emgpose.live.sources.xdf import open_xdf_track, split_stream_name

    path, stream = split_stream_name(text)
    return open_xdf_track(path, stream=stream, channels=channels, input_rate_hz=input_rate_hz)


def _simulation(spec: str, stage: str, channels: Channels, input_rate_hz: float | None, seed: int) -> Track:
    from emgpose.live.sources.simulated import CHANNEL_NAMES, DEFAULT_STAGE, SimulatedTrack
    from emgpose.recording.channels import select_channels

    if input_rate_hz is not None:
        raise ConfigError(f"{spec}: takes no input rate, it is simulated at its own; leave it out")
    columns = tuple(select_channels(CHANNEL_NAMES, channels, spec))
    return SimulatedTrack(stage or DEFAULT_STAGE, seed=seed, channels=columns)


def _wrong(spec: str, kind: str) -> str:
    """Say what is wrong with a source's name, and what may be meant."""
    forms = ", ".join(_FORMS.values())
    if kind in _FORMS:
        return f"source {spec!a}: expected {_FORMS[kind]}"
    if Path(spec).is_file():
        prefix = "xdf" if Path(spec).suffix.lower() in (".xdf", ".xdfz") else "replay"
        return f"source {spec!a}: is a file; say {prefix}:{spec}"
    close = difflib.get_close_matches(kind, _FORMS, n=1)
    hint = f"; did you mean {_FORMS[close[0]]}?" if close else ""
    return f"source {spec!a}: expected one of {forms}{hint}"
