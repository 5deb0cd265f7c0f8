"""From what a user writes after `--sink` to a sink."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from emgpose.errors import ConfigError
from emgpose.live.sinks.recording import RecordingSettings
from emgpose.live.sinks.sink import ChunkSink, Sink

DEFAULT_WEBSOCKET_PORT: Final = 8765
DEFAULT_LSL_NAME: Final = "emgpose"
FORMS: Final = (
    "ws, ws:PORT, ws:HOST:PORT, udp:HOST:PORT, osc:HOST:PORT, lsl, lsl:NAME or record:FILE.hdf5 "
    "(an IPv6 address stands in brackets)"
)
_HOST_AND_PORT: Final = re.compile(r"(?:(?P<host>\[[^\[\]]+\]|[^:\[\]]+):)?(?P<port>[0-9]{1,5})")


@dataclass(frozen=True)
class SinkSettings:
    """What sinks need beyond their addresses.

    Parameters
    ----------
    ws_token : str, optional
        What a WebSocket client must know; needed where others than this machine can connect.
    ws_origins : tuple of str
        Origins of web pages, besides this machine's own, that may connect, such as `https://lab.example.org`.
    recording : RecordingSettings
        For `record:FILE`.
    """

    ws_token: str | None = field(default=None, repr=False)
    ws_origins: tuple[str, ...] = ()
    recording: RecordingSettings = field(default_factory=RecordingSettings)


def open_sink(spec: str, settings: SinkSettings | None = None) -> Sink | ChunkSink:
    """Make the sink that a specification asks for; its own `open` starts it.

    Parameters
    ----------
    spec : str
        One of the forms in `FORMS`.
    settings : SinkSettings, optional

    Raises
    ------
    ConfigError : no such sink, or an address that cannot be.
    MissingExtraError : a library that it needs is not installed.
    """
    settings = settings or SinkSettings()
    kind, separator, rest = spec.partition(":")
    if separator and not rest:
        raise ConfigError(f"--sink {spec}: nothing stands after the colon; expected {FORMS}")
    if kind == "ws":
        return _websocket(spec, rest, settings)
    if kind == "udp" and rest:
        from emgpose.live.sinks.udp import UdpSink

        return UdpSink(*_host_and_port(spec, rest))
    if kind == "osc" and rest:
        from emgpose.live.sinks.osc import OscSink

        return OscSink(*_host_and_port(spec, rest))
    if kind == "lsl":
        from emgpose.live.sinks.lsl import LslSink

        return LslSink(rest or DEFAULT_LSL_NAME)
    if kind == "record" and rest:
        from emgpose.live.sinks.recorder import Recorder

        return Recorder(Path(rest), settings.recording)
    raise ConfigError(f"--sink {spec}: expected {FORMS}")


def _websocket(spec: str, rest: str, settings: SinkSettings) -> Sink:
    from emgpose.live.sinks.websocket import WebSocketSink

    host, port = "127.0.0.1", DEFAULT_WEBSOCKET_PORT
    if rest:
        host, port = _parsed(spec, rest, default_host=host)
    return WebSocketSink(host, port, token=settings.ws_token, origins=settings.ws_origins)


def _host_and_port(spec: str, rest: str) -> tuple[str, int]:
    """Read where to send to; port 0 means nothing there."""
    host, port = _parsed(spec, rest, default_host=None)
    if not port:
        raise ConfigError(f"--sink {spec}: expected a port from 1 to 65535, got 0")
    return host, port


def _parsed(spec: str, rest: str, default_host: str | None) -> tuple[str, int]:
    match = _HOST_AND_PORT.fullmatch(rest)
    host = (match["host"] or default_host) if match else None
    if match is None or host is None:
        raise ConfigError(f"--sink {spec}: expected {FORMS}")
    port = int(match["port"])
    if port > 65535:
        raise ConfigError(f"--sink {spec}: expected a port up to 65535, got {port}")
    return host.strip("[]"), port
