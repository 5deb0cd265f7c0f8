"""The WebSocket server, over real sockets on the loopback address."""

import contextlib
import json
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import psutil
import pytest
from made_poses import HELLO, FakeClock, made_frame
from websockets.exceptions import ConnectionClosed, InvalidStatus, NegotiationError
from websockets.sync.client import ClientConnection, connect

from emgpose.errors import ConfigError, StreamError
from emgpose.hand import JOINTS
from emgpose.live.sinks.messages import SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK
from emgpose.live.sinks.websocket import WebSocketSink

TOKEN = "correct-horse-battery"
WAIT_S = 20.0

Serve = Callable[..., WebSocketSink]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def serve(clock: FakeClock) -> Iterator[Serve]:
    opened: list[WebSocketSink] = []

    def start(host: str = "127.0.0.1", **options: Any) -> WebSocketSink:
        sink = WebSocketSink(host, 0, clock=clock, **options)
        opened.append(sink)
        sink.open(HELLO)
        return sink

    yield start
    for sink in opened:
        sink.close()


def join(sink: WebSocketSink, subprotocol: str | None = SUBPROTOCOL_JSON, *, query: str = "", **options: Any) -> Any:
    subprotocols = None if subprotocol is None else [subprotocol]
    address = f"ws://127.0.0.1:{sink.port}/{query}"
    return connect(address, subprotocols=subprotocols, compression=None, open_timeout=WAIT_S, **options)  # type: ignore[arg-type]


def hear(client: ClientConnection) -> dict[str, Any]:
    data = client.recv(timeout=WAIT_S)
    message = json.loads(data) if isinstance(data, str) else msgpack.unpackb(data)
    assert isinstance(message, dict)
    return message


def code_of(client: ClientConnection) -> int | None:
    """Read on until the server closes the connection; give the code."""
    try:
        while True:
            client.recv(timeout=WAIT_S)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


def test_a_client_gets_the_hello_and_then_poses_in_json(serve: Serve) -> None:
    sink = serve()
    with join(sink) as client:
        assert client.subprotocol == SUBPROTOCOL_JSON
        hello = hear(client)
        assert (hello["type"], hello["joints"]) == ("hello", list(JOINTS))
        for index in range(3):
            sink.send(made_frame(index))
            assert hear(client)["index"] == index


@pytest.mark.parametrize("subprotocol", [None, SUBPROTOCOL_MSGPACK])
def test_msgpack_is_the_default(serve: Serve, subprotocol: str | None) -> None:
    sink = serve()
    with join(sink, subprotocol) as client:
        assert client.subprotocol == subprotocol
        assert isinstance(data := client.recv(timeout=WAIT_S), bytes)
        assert msgpack.unpackb(data)["type"] == "hello"
        sink.send(made_frame(4))
        assert hear(client)["index"] == 4


def test_of_the_subprotocols_offered_the_first_that_is_known_is_taken(serve: Serve) -> None:
    sink = serve()
    address = f"ws://127.0.0.1:{sink.port}"
    with connect(address, subprotocols=["chat", SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK]) as client:  # type: ignore[list-item]
        assert client.subprotocol == SUBPROTOCOL_JSON


def test_a_client_that_speaks_another_protocol_is_refused(serve: Serve) -> None:
    sink = serve()
    with pytest.raises((InvalidStatus, NegotiationError)) as refused, join(sink, "emgpose.v999.json"):
        pass
    assert refused.value.response.status_code == 400  # type: ignore[union-attr]


def test_a_late_client_gets_the_newest_pose_at_once(serve: Serve) -> None:
    sink = serve()
    for index in range(10):
        sink.send(made_frame(index))
    with join(sink) as client:
        assert hear(client)["type"] == "hello"
        assert hear(client)["index"] == 9


def test_a_ping_is_answered(serve: Serve) -> None:
    with join(serve()) as client:
        hear(client)
        client.send('{"type":"ping","id":17}')
        assert hear(client) == {"type": "pong", "id": 17}
        client.send(msgpack.packb({"type": "ping"}))
        assert hear(client) == {"type": "pong", "id": None}


def test_a_subscription_thins_the_poses_out_but_tells_a_change_at_once(serve: Serve) -> None:
    sink = serve()
    with join(sink) as client:
        hear(client)
        client.send('{"type":"subscribe","rate_hz":10}')
        assert hear(client) == {"type": "subscribed", "rate_hz": 10.0}
        heard = []
        for index in range(21):
            sink.send(made_frame(index, stale=index in (12, 13)))
            # The answer comes after the pose, if there is one.
            client.send(json.dumps({"type": "ping", "id": index}))
            while (message := hear(client))["type"] == "pose":
                heard.append(message["index"])
        client.send('{"type":"ping","id":"last"}')
        while (message := hear(client))["type"] == "pose":
            heard.append(message["index"])
        # Every fifth pose, and those where stale begins and ends, from which the next fifth is counted.
        assert heard == [0, 5, 10, 12, 14, 19]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("rubbish", 1003),
        (b"\xc1\xc1", 1003),
        ('{"type":"shutdown"}', 1003),
        ("[" * 1000, 1003),
        (b"\xdd\xff\xff\xff\xff", 1003),
        (b"\x91" * 1000, 1003),
        (b"", 1003),
        ("x" * 1025, 1009),
        (bytes(1_000_000), 1009),
        (["x"] * 40, 1009),
        ([b"x" * 600, b"x" * 600], 1009),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_what_is_no_request_closes_the_connection_with_a_code(serve: Serve, data: Any, code: int) -> None:
    sink = serve()
    with join(sink) as other, join(sink) as client:
        hear(other)
        hear(client)
        with contextlib.suppress(ConnectionClosed):  # closed before all of it was taken
            client.send(data)
        assert code_of(client) == code
        sink.send(made_frame(1))
        assert hear(other)["index"] == 1


def test_text_that_is_no_utf8_closes_the_connection(serve: Serve) -> None:
    with join(serve()) as client:
        hear(client)
        client.send(b"\xff\xfe", text=True)
        assert code_of(client) == 1007


def test_a_packed_bomb_is_never_unpacked(serve: Serve) -> None:
    """A frame that claims to be compressed breaks the protocol, since compression is never agreed on."""
    sink = serve()
    with join(sink) as client:
        hear(client)
        # FIN and RSV1 with opcode binary, masked with zeros: as permessage-deflate would send it.
        bomb = bytes(100)
        client.socket.sendall(struct.pack(">BB4x", 0xC2, 0x80 | len(bomb)) + bomb)
        assert code_of(client) == 1002


def test_compression_is_not_agreed_on(serve: Serve) -> None:
    sink = serve()
    with connect(f"ws://127.0.0.1:{sink.port}", compression="deflate") as client:
        assert client.response is not None
        assert "Sec-WebSocket-Extensions" not in client.response.headers


def test_too_many_requests_close_the_connection(serve: Serve) -> None:
    with join(serve()) as client:
        hear(client)
        with contextlib.suppress(ConnectionClosed):
            for number in range(100):
                client.send(json.dumps({"type": "ping", "id": number}))
        assert code_of(client) == 1008


def test_requests_at_a_modest_pace_never_do(serve: Serve, clock: FakeClock) -> None:
    with join(serve()) as client:
        hear(client)
        for number in range(100):
            clock.now_s += 0.06
            client.send(json.dumps({"type": "ping", "id": number}))
            assert hear(client)["id"] == number


def test_only_this_machine_can_connect_by_default(serve: Serve) -> None:
    before = listening()
    sink = serve()
    assert listening() - before == {("127.0.0.1", sink.port)}
    sink.close()
    assert listening() == before


def listening() -> set[tuple[str, int]]:
    """What this process listens on."""
    connections = psutil.Process().net_connections("inet")
    return {(item.laddr.ip, item.laddr.port) for item in connections if item.status == psutil.CONN_LISTEN}


def test_other_addresses_need_a_token() -> None:
    sink = WebSocketSink("0.0.0.0", 0)
    with pytest.raises(ConfigError, match="clients must know a token"):
        sink.open(HELLO)
    assert not listening() & {("0.0.0.0", sink.port)}
    sink.close()


def test_with_a_token_all_addresses_are_bound_and_the_token_is_asked_for(serve: Serve) -> None:
    sink = serve("0.0.0.0", token=TOKEN)
    assert ("0.0.0.0", sink.port) in listening()
    for query, headers in (("", None), ("?token=wrong-wrong-wrong", None), ("", {"Authorization": "Bearer x"})):
        with pytest.raises(InvalidStatus) as refused, join(sink, query=query, additional_headers=headers):
            pass
        assert refused.value.response.status_code == 401
    with join(sink, query=f"?token={TOKEN}") as client:
        assert hear(client)["type"] == "hello"
    with join(sink, additional_headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        assert hear(client)["type"] == "hello"


def test_the_token_stands_in_no_log(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "emgpose")
    sink = serve(token=TOKEN)
    with join(sink, query=f"?token={TOKEN}") as client:
        hear(client)
    with pytest.raises(InvalidStatus), join(sink, query=f"?token={TOKEN}x"):
        pass
    sink.close()
    assert TOKEN not in caplog.text
    assert "the token is missing or wrong" in caplog.text


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.nip.io"])
def test_web_pages_from_elsewhere_are_refused(serve: Serve, origin: str) -> None:
    sink = serve()
    with pytest.raises(InvalidStatus) as refused, join(sink, origin=origin):
        pass
    assert refused.value.response.status_code == 403


def test_a_page_elsewhere_whose_name_leads_here_is_refused(serve: Serve) -> None:
    """As with DNS rebinding: host and origin agree, and are still not this machine's."""
    sink = serve()
    with socket.create_connection(("127.0.0.1", sink.port), timeout=WAIT_S) as raw:
        raw.sendall(handshake("evil.example", sink.port, f"Origin: http://evil.example:{sink.port}\r\n"))
        assert raw.recv(4096).startswith(b"HTTP/1.1 403")


def handshake(host: str, port: int, more: str = "") -> bytes:
    return (
        f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    ).encode()


@pytest.mark.parametrize("origin", [None, "http://localhost:8080", "http://127.0.0.1:8080", "https://lab.example.org"])
def test_pages_of_this_machine_and_allowed_ones_may_connect(serve: Serve, origin: str | None) -> None:
    sink = serve(origins=("https://lab.example.org",))
    with join(sink, origin=origin) as client:
        assert hear(client)["type"] == "hello"


@pytest.mark.parametrize(
    "data", [b"\x00" * 64, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00" + b"x" * 600, b"x" * 20_000]
)
def test_rubbish_in_place_of_a_handshake_harms_nobody(
    serve: Serve, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    sink = serve()
    with join(sink) as client:
        hear(client)
        raw = socket.create_connection(("127.0.0.1", sink.port), timeout=WAIT_S)
        with raw, contextlib.suppress(ConnectionError):
            raw.sendall(data)
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(4096):
                pass
        sink.send(made_frame(1))
        assert hear(client)["index"] == 1
    assert "Traceback" not in caplog.text


def test_a_flood_of_silent_connections_is_cut_off(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emgpose.live.sinks.websocket.MAX_CLIENTS", 2)
    sink = serve()
    silent = [socket.create_connection(("127.0.0.1", sink.port), timeout=WAIT_S) for _ in range(5)]
    try:
        with contextlib.suppress(ConnectionResetError):
            assert silent[-1].recv(1) == b""
    finally:
        for connection in silent:
            connection.close()


def test_a_client_that_makes_the_server_hold_too_many_answers_is_cut_off(serve: Serve) -> None:
    sink = serve()
    with join(sink) as other, socket.socket() as raw:
        hear(other)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.settimeout(WAIT_S)
        raw.connect(("127.0.0.1", sink.port))
        raw.sendall(handshake("127.0.0.1", sink.port))
        assert raw.recv(12) == b"HTTP/1.1 101"
        # Control frames that ask for an answer each, which nobody reads.
        ping = struct.pack(">BB4x", 0x89, 0x80 | 125) + bytes(125)
        index = 0
        while index == 0 or sink.n_clients > 1:
            with contextlib.suppress(ConnectionError):
                raw.sendall(ping * 500)
            index += 1
            sink.send(made_frame(index))
            assert hear(other)["index"] == index
            assert index < 1000


def test_closing_says_good_bye_with_code_1001(serve: Serve) -> None:
    sink = serve()
    with join(sink) as client:
        hear(client)
        sink.close()
        assert code_of(client) == 1001


def test_closing_does_not_wait_for_connections_that_say_nothing(serve: Serve) -> None:
    sink = serve()
    with socket.create_connection(("127.0.0.1", sink.port), timeout=WAIT_S) as raw, join(sink) as client:
        hear(client)
        sink.close()
        # Ended at once and not after the time that a handshake may take.
        with contextlib.suppress(ConnectionResetError):
            assert raw.recv(1) == b""


def test_sending_before_opening_and_after_closing_does_nothing() -> None:
    sink = WebSocketSink(port=0)
    sink.send(made_frame(0))
    sink.open(HELLO)
    sink.close()
    sink.send(made_frame(1))
    sink.close()


def test_a_server_that_stops_by_itself_is_no_silent_one(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    sink = serve()
    loop, thread = sink._loop, sink._thread
    assert loop is not None
    assert thread is not None
    loop.call_soon_threadsafe(loop.stop)
    thread.join(WAIT_S)
    with pytest.raises(StreamError, match="the server has stopped"):
        sink.send(made_frame(0))
    assert "the server stopped" in caplog.text


def test_half_a_character_as_id_closes_the_connection_as_unreadable(serve: Serve) -> None:
    with join(serve(), SUBPROTOCOL_MSGPACK) as client:
        hear(client)
        client.send(r'{"type":"ping","id":"\ud800"}')
        assert code_of(client) == 1003


def test_a_port_that_is_taken_is_one_clear_error(serve: Serve) -> None:
    taken = serve()
    other = WebSocketSink("127.0.0.1", taken.port)
    with pytest.raises(StreamError, match="choose another port"):
        other.open(HELLO)
    other.close()


def test_one_client_too_many_is_refused(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emgpose.live.sinks.websocket.MAX_CLIENTS", 2)
    sink = serve()
    with join(sink) as first, join(sink) as second:
        hear(first)
        hear(second)
        with pytest.raises(InvalidStatus) as refused, join(sink):
            pass
        assert refused.value.response.status_code == 503
