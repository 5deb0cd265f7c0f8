"""From `--sink` to a sink."""

from pathlib import Path

import pytest

from emgpose.errors import ConfigError
from emgpose.live.sinks import ChunkSink, SinkSettings, open_sink
from emgpose.live.sinks.lsl import LslSink
from emgpose.live.sinks.osc import OscSink
from emgpose.live.sinks.recorder import Recorder
from emgpose.live.sinks.udp import UdpSink
from emgpose.live.sinks.websocket import WebSocketSink


@pytest.mark.parametrize(
    ("spec", "kind", "name"),
    [
        ("ws", WebSocketSink, "ws://127.0.0.1:8765"),
        ("ws:9001", WebSocketSink, "ws://127.0.0.1:9001"),
        ("ws:0.0.0.0:9001", WebSocketSink, "ws://0.0.0.0:9001"),
        ("ws:[::1]:9001", WebSocketSink, "ws://[::1]:9001"),
        ("udp:127.0.0.1:9000", UdpSink, "udp:127.0.0.1:9000"),
        ("udp:[::1]:9000", UdpSink, "udp:[::1]:9000"),
        ("osc:localhost:9000", OscSink, "osc:localhost:9000"),
        ("record:some/where.hdf5", Recorder, "record:some/where.hdf5"),
        ("record:C:/odd.h5", Recorder, "record:C:/odd.h5"),
    ],
)
def test_a_specification_gives_its_sink(spec: str, kind: type, name: str) -> None:
    sink = open_sink(spec)
    assert isinstance(sink, kind)
    assert sink.name == name
    assert isinstance(sink, ChunkSink) == (kind is Recorder)


def test_an_lsl_sink_has_the_name_given() -> None:
    pytest.importorskip("pylsl")
    for spec, name in (("lsl", "lsl:emgpose"), ("lsl:My Hand", "lsl:My Hand")):
        sink = open_sink(spec)
        assert isinstance(sink, LslSink)
        assert sink.name == name


@pytest.mark.parametrize(
    "spec",
    [
        *(
            "",
            ":",
            "ws:",
            "lsl:",
            "wss",
            "WS",
            "ws:host",
            "ws:1:2:3",
            "ws:::1:80",
            "ws:65536",
            "ws:-1",
            "ws: 80",
            "ws:٣",
        ),
        *("udp", "udp:9000", "udp:host", "udp:host:0", "udp:host:70000", "udp::9000", "osc", "osc:9000", "record"),
        *("record:", "record:file", "record:file.csv", "file.hdf5"),
    ],
)
def test_what_is_no_sink_is_refused(spec: str) -> None:
    with pytest.raises(ConfigError):
        open_sink(spec)


def test_an_unknown_sink_is_told_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"ws:PORT.*udp:HOST:PORT.*osc:HOST:PORT.*lsl:NAME.*record:FILE"):
        open_sink("websocket:80")


def test_a_recording_never_replaces_a_file(tmp_path: Path) -> None:
    path = tmp_path / "there.hdf5"
    path.write_bytes(b"precious")
    with pytest.raises(ConfigError, match="choose another name"):
        open_sink(f"record:{path}")
    assert path.read_bytes() == b"precious"


def test_the_token_does_not_show_when_settings_are_printed() -> None:
    settings = SinkSettings(ws_token="secret-secret-secret")
    assert "secret-secret" not in repr(settings)
    assert isinstance(open_sink("ws", settings), WebSocketSink)
