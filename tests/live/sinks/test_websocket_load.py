"""Fifty clients, ten of which never read."""

import asyncio
import json
import socket
from contextlib import AsyncExitStack, ExitStack

import psutil
import pytest
from made_poses import HELLO, FakeClock, made_frame
from websockets.asyncio.client import ClientConnection, connect

from emgpose.live.sinks.messages import SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK
from emgpose.live.sinks.websocket import STUCK_AFTER_S, WebSocketSink

N_GOOD = 40
N_STUCK = 10
RATE_HZ = 50
WAIT_S = 60.0
MIB = 1 << 20


def stuck_client(port: int) -> socket.socket:
    """Shake hands and never read again."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(WAIT_S)
    client.connect(("127.0.0.1", port))
    client.sendall(
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert client.recv(12) == b"HTTP/1.1 101"
    return client


async def good_client(port: int, number: int) -> ClientConnection:
    subprotocol = SUBPROTOCOL_JSON if number % 4 == 0 else SUBPROTOCOL_MSGPACK
    client = await connect(f"ws://127.0.0.1:{port}", subprotocols=[subprotocol], compression=None)  # type: ignore[list-item]
    assert len(await client.recv()) > 100  # the hello
    return client


class Watched:
    """What happened."""

    def __init__(self) -> None:
        self.n_heard = 0
        self.n_clients_at_end = 0
        self.memory_bytes: list[int] = []


async def watch(sink: WebSocketSink, clock: FakeClock, n_frames: int, stuck_every: int) -> Watched:
    """Send poses in step with forty good clients, while ten more join every `stuck_every` poses and get stuck."""
    watched = Watched()
    process = psutil.Process()
    async with AsyncExitStack() as connections:
        good = [await connections.enter_async_context(await good_client(sink.port, k)) for k in range(N_GOOD)]
        with ExitStack() as stuck:
            for index in range(n_frames):
                if index % stuck_every == 0:
                    for _ in range(N_STUCK):
                        stuck.enter_context(await asyncio.to_thread(stuck_client, sink.port))
                clock.now_s += 1 / RATE_HZ
                sink.send(made_frame(index % 50))
                heard = await asyncio.wait_for(asyncio.gather(*(client.recv() for client in good)), WAIT_S)
                watched.n_heard += len(heard)
                if index % (5 * RATE_HZ) == 0:
                    watched.memory_bytes.append(process.memory_info().rss)
                    assert {json.loads(data)["index"] for data in heard if isinstance(data, str)} == {index % 50}
            watched.n_clients_at_end = sink.n_clients
    return watched


def test_stuck_clients_are_cut_off_and_the_others_get_every_pose(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    sink = WebSocketSink(port=0, clock=clock)
    sink.open(HELLO)
    n_frames = round((STUCK_AFTER_S + 5) * RATE_HZ)
    try:
        watched = asyncio.run(watch(sink, clock, n_frames, stuck_every=n_frames))
    finally:
        sink.close()
    assert watched.n_heard == N_GOOD * n_frames
    assert watched.n_clients_at_end == N_GOOD
    cut = [record for record in caplog.records if "was cut off" in record.getMessage()]
    assert len(cut) == N_STUCK


def test_a_server_that_falls_behind_skips_to_the_newest_pose() -> None:
    sink = WebSocketSink(port=0)
    sink.open(HELLO)

    async def last_index() -> list[int]:
        indices: list[int] = []
        async with await good_client(sink.port, 0) as client:
            for index in range(5000):
                sink.send(made_frame(index % 7) if index < 4999 else made_frame(4999))
            while not indices or indices[-1] != 4999:
                indices.append(json.loads(await asyncio.wait_for(client.recv(), WAIT_S))["index"])
        return indices

    try:
        indices = asyncio.run(last_index())
    finally:
        sink.close()
    assert indices[-1] == 4999
    assert len(indices) < 5000


@pytest.mark.slow
def test_memory_does_not_grow_over_ten_simulated_minutes() -> None:
    clock = FakeClock()
    sink = WebSocketSink(port=0, clock=clock)
    sink.open(HELLO)
    n_frames = 600 * RATE_HZ
    try:
        watched = asyncio.run(watch(sink, clock, n_frames, stuck_every=60 * RATE_HZ))
    finally:
        sink.close()
    assert watched.n_heard == N_GOOD * n_frames
    assert watched.n_clients_at_end == N_GOOD
    # The first minute warms caches up.
    settled = watched.memory_bytes[12:]
    assert max(settled[-12:]) - max(settled[:12]) < 4 * MIB
