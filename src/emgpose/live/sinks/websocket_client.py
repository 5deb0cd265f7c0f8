"""One client of the WebSocket server: a slot for the newest pose, a sender, and a strict reader."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from emgpose.live.pose_frame import Hello, PoseFrame
from emgpose.live.sinks.messages import (
    SUBPROTOCOL_JSON,
    Ping,
    RequestError,
    Subscribe,
    pose_message,
    read_request,
    to_json,
    to_msgpack,
)

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

# Close codes (RFC 6455, section 7.4.1).
UNREADABLE: Final = 1003
TOO_MANY: Final = 1008
TOO_BIG: Final = 1009

# Requests are few: a burst of 40, then 20 a second.
_REQUESTS_PER_S: Final = 20.0
_BURST: Final = 40.0
# A request of 1 KiB needs no more pieces than this; a flood of empty ones would fill the memory.
_MAX_FRAGMENTS: Final = 16
# More than our own messages can leave there: answers to a flood of pings that nobody reads.
_MAX_UNSENT_BYTES: Final = 262_144


class Encoded:
    """A pose, encoded once for all clients that want it the same way."""

    def __init__(self, frame: PoseFrame) -> None:
        self.frame = frame
        self._message = pose_message(frame)
        self._json: str | None = None
        self._msgpack: bytes | None = None

    def get(self, as_json: bool) -> str | bytes:
        """Give it as JSON or msgpack."""
        if as_json:
            self._json = self._json or to_json(self._message)
            return self._json
        self._msgpack = self._msgpack or to_msgpack(self._message)
        return self._msgpack


class Client:
    """A connection that gets poses.

    A pose that could not be sent before the next one came is never sent: the newest wins, nothing queues.

    Parameters
    ----------
    connection : websockets.asyncio.server.ServerConnection
    hello : Hello
    clock : callable
        Seconds.
    """

    def __init__(self, connection: "ServerConnection", hello: Hello, clock: Callable[[], float]) -> None:
        self._connection = connection
        self.as_json = connection.subprotocol == SUBPROTOCOL_JSON
        self._pose_rate_hz = hello.rate_hz
        self._clock = clock
        self._slot: Encoded | None = None
        self._slot_filled = asyncio.Event()
        self._sending_since_s: float | None = None
        self._rate_hz: float | None = None
        self._share_due = 1.0
        self._last_index = -1
        self._last_stale: bool | None = None
        self._allowance, self._allowance_s = _BURST, clock()

    def offer(self, pose: Encoded) -> None:
        """Put a pose into the slot, if this client's rate asks for it; never waits."""
        frame = pose.frame
        if self._rate_hz is not None:
            n_new = max(1, frame.index - self._last_index)
            self._share_due = min(1.0, self._share_due + n_new * self._rate_hz / self._pose_rate_hz)
        self._last_index = frame.index
        # A pose that turns stale, or good again, is told at any rate.
        if self._rate_hz is not None and self._share_due < 1 - 1e-9 and frame.stale == self._last_stale:
            return
        self._share_due = max(0.0, self._share_due - 1.0)
        self._last_stale = frame.stale
        self._slot = pose
        self._slot_filled.set()

    def is_stuck(self, limit_s: float) -> bool:
        """Tell whether it has not taken a message for so long [s], or makes us hold too much."""
        if self._connection.transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            return True
        return self._sending_since_s is not None and self._clock() - self._sending_since_s > limit_s

    @property
    def is_sending(self) -> bool:
        """Whether a message is still on its way out."""
        return self._sending_since_s is not None

    def abort(self) -> None:
        """Cut the connection, without the farewell that a stuck client would not read."""
        self._connection.transport.abort()

    async def run(self, hello: str | bytes) -> None:
        """Greet, then send and read until the connection ends.

        Raises
        ------
        websockets.exceptions.ConnectionClosed : it has ended.
        """
        await self._send(hello)
        sender = asyncio.create_task(self._send_newest())
        try:
            await self._read()
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    async def _send_newest(self) -> None:
        while True:
            await self._slot_filled.wait()
            self._slot_filled.clear()
            pose, self._slot = self._slot, None
            if pose is not None:
                await self._send(pose.get(self.as_json))

    async def _send(self, message: str | bytes) -> None:
        self._sending_since_s = self._clock()
        await self._connection.send(message)
        self._sending_since_s = None

    async def _read(self) -> None:
        """Answer requests; anything else ends the connection with a code."""
        while True:
            data = await self._message()
            if data is None:
                await self._connection.close(TOO_BIG, "a request in too many pieces")
                return
            if not self._may_ask():
                await self._connection.close(TOO_MANY, f"more than {_REQUESTS_PER_S:g} requests a second")
                return
            try:
                request = read_request(data)
            except RequestError as error:
                await self._connection.close(UNREADABLE, str(error))
                return
            answer = self._answer(request)
            await self._connection.send(to_json(answer) if self.as_json else to_msgpack(answer))

    async def _message(self) -> str | bytes | None:
        """Gather one message; None where it comes in too many pieces."""
        pieces: list[Any] = []
        async for piece in self._connection.recv_streaming():
            pieces.append(piece)
            if len(pieces) > _MAX_FRAGMENTS:
                return None
        return ("" if isinstance(pieces[0], str) else b"").join(pieces)

    def _may_ask(self) -> bool:
        now_s = self._clock()
        self._allowance = min(_BURST, self._allowance + (now_s - self._allowance_s) * _REQUESTS_PER_S)
        self._allowance_s = now_s
        self._allowance -= 1
        return self._allowance >= 0

    def _answer(self, request: Ping | Subscribe) -> dict[str, Any]:
        if isinstance(request, Ping):
            return {"type": "pong", "id": request.id}
        self._rate_hz, self._share_due = request.rate_hz, 1.0
        return {"type": "subscribed", "rate_hz": request.rate_hz}
