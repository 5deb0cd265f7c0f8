"""Poses over WebSocket, as msgpack or JSON: see docs/live_protocol.md.

The server has a thread with an event loop of its own. `send` leaves the newest pose there and returns; each client has
a slot for one pose. A client that has not taken a message for 10 s is cut off.
"""

import asyncio
import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from emgpose.errors import MissingExtraError, StreamError
from emgpose.live.pose_frame import Hello, PoseFrame
from emgpose.live.sinks.admission import (
    checked_origins,
    checked_token,
    listening_socket,
    origin_is_welcome,
    token_is_right,
)
from emgpose.live.sinks.messages import (
    SUBPROTOCOL_JSON,
    SUBPROTOCOL_MSGPACK,
    hello_message,
    require_msgpack,
    to_json,
    to_msgpack,
)
from emgpose.live.sinks.udp import address_text
from emgpose.live.sinks.websocket_client import Client, Encoded

if TYPE_CHECKING:
    from websockets.asyncio.server import Server, ServerConnection
    from websockets.http11 import Request, Response

STUCK_AFTER_S: Final = 10.0
MAX_CLIENTS: Final = 100
MAX_REQUEST_BYTES: Final = 1024
_HANDSHAKE_S: Final = 5.0
_FAREWELL_S: Final = 1.0
# What may wait in our own buffer for one client: a few poses.
_WRITE_LIMIT_BYTES: Final = 8192

_log = logging.getLogger("emgpose.live.sinks")


class WebSocketSink:
    """A WebSocket server that gives every client the newest pose.

    Parameters
    ----------
    host : str
        127.0.0.1 by default; an address that others can reach needs a token.
    port : int
        0 for any that is free.
    token : str, optional
        What clients must know, wherever they are.
    origins : sequence of str
        Origins of web pages, besides this machine's own, that may connect.
    clock : callable
        Seconds; decides when a client is stuck and how many requests are too many.

    Raises
    ------
    ConfigError : a token or an origin that cannot be.
    MissingExtraError : the library websockets or msgpack is not installed.

    Source: RFC 6455 (The WebSocket Protocol).
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 8765,
        *,
        token: str | None = None,
        origins: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host, self._port = host, port
        self._token = checked_token(self.name, token)
        self._origins = checked_origins(self.name, origins)
        self._clock = clock
        self._clients: set[Client] = set()
        self._newest: PoseFrame | None = None
        self._is_due = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._logged: set[str] = set()
        _import_websockets()
        require_msgpack()

    @property
    def name(self) -> str:
        """The address, with the true port once open."""
        return f"ws://{address_text(self._host, self._port)}"

    @property
    def port(self) -> int:
        """The true port once open."""
        return self._port

    @property
    def n_clients(self) -> int:
        """Clients connected now."""
        return len(self._clients)

    def open(self, hello: Hello) -> None:
        """Bind and start to serve.

        Raises
        ------
        ConfigError : the host is not known, or an address that others can reach has no token.
        StreamError : the port is taken, or the server does not start.
        """
        listener = listening_socket(self.name, self._host, self._port, self._token is not None)
        self._port = listener.getsockname()[1]
        message = hello_message(hello)
        self._hello = hello
        self._greeting: dict[bool, str | bytes] = {True: to_json(message), False: to_msgpack(message)}
        started = threading.Event()
        failures: list[BaseException] = []
        self._thread = threading.Thread(
            target=self._run, args=(listener, started, failures), name="emgpose-websocket", daemon=True
        )
        self._thread.start()
        started.wait()
        if failures:
            self.close()
            raise StreamError(f"{self.name}: the server did not start: {failures[0]}") from failures[0]

    def send(self, frame: PoseFrame) -> None:
        """Leave a pose for the clients; the one before it may never be sent.

        Raises
        ------
        StreamError : the server has stopped by itself.
        """
        self._newest = frame
        if self._thread is not None and not self._thread.is_alive():
            raise StreamError(f"{self.name}: the server has stopped; the log says why")
        # At most one call is pending, however far the server is behind.
        if self._loop is not None and not self._is_due:
            self._is_due = True
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._publish)

    def close(self) -> None:
        """Say good-bye to all clients and stop; takes about a second where they do not answer."""
        loop, self._loop = self._loop, None
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._stop.set)
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def _run(self, listener: socket.socket, started: threading.Event, failures: list[BaseException]) -> None:
        try:
            asyncio.run(self._serve(listener, started))
        except BaseException as error:  # handed to the thread that waits, or logged
            failures.append(error)
            if started.is_set():
                _log.exception("%s: the server stopped", self.name)
        finally:
            listener.close()
            started.set()

    async def _serve(self, listener: socket.socket, started: threading.Event) -> None:
        websockets = _import_websockets()
        self._stop = asyncio.Event()
        # Its lines hold whole requests, with tokens, and anyone who connects could fill the log with them.
        library_log = logging.getLogger("emgpose.live.sinks.websocket.library")
        library_log.setLevel(logging.CRITICAL)
        async with websockets.serve(
            self._handle,
            sock=listener,
            # Without compression no message is larger than it looks, and none waits to be packed.
            compression=None,
            subprotocols=[websockets.Subprotocol(name) for name in (SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON)],
            select_subprotocol=_select_subprotocol,
            process_request=self._admit,
            server_header=None,
            open_timeout=_HANDSHAKE_S,
            close_timeout=_FAREWELL_S,
            max_size=MAX_REQUEST_BYTES,
            write_limit=_WRITE_LIMIT_BYTES,
            create_connection=_counted_connection(),
            logger=library_log,
        ) as server:
            self._loop = asyncio.get_running_loop()
            started.set()
            await self._stop.wait()
            self._leave_the_silent(server)

    def _leave_the_silent(self, server: "Server") -> None:
        """Cut off those for whom a farewell would only take time: stuck clients and half-open connections."""
        for client in self._clients:
            if client.is_sending:
                client.abort()
        for connection in server.handlers:
            if connection.request is None:
                connection.transport.abort()

    def _publish(self) -> None:
        """Offer the newest pose to all clients, and cut off those that are stuck."""
        # Before the pose is taken: one that comes meanwhile asks for another call.
        self._is_due = False
        if self._newest is None:
            return
        pose = Encoded(self._newest)
        for client in list(self._clients):
            if client.is_stuck(STUCK_AFTER_S):
                self._clients.discard(client)
                client.abort()
                _log.warning(
                    "%s: a client took no message for %g s, or made us hold too much for it, and was cut off",
                    self.name,
                    STUCK_AFTER_S,
                )
            else:
                client.offer(pose)

    async def _handle(self, connection: "ServerConnection") -> None:
        client = Client(connection, self._hello, self._clock)
        self._clients.add(client)
        _log.info("%s: client %s:%s connected", self.name, *connection.remote_address[:2])
        if self._newest is not None:
            client.offer(Encoded(self._newest))
        try:
            await client.run(self._greeting[client.as_json])
        except _import_websockets().ConnectionClosed:
            pass
        finally:
            self._clients.discard(client)
            _log.info("%s: a client left with code %s", self.name, connection.close_code)

    def _admit(self, connection: "ServerConnection", request: "Request") -> "Response | None":
        """Refuse a request before it becomes a connection."""
        headers = request.headers
        local_address = str(connection.local_address[0])
        if not origin_is_welcome(headers.get_all("Origin"), local_address, self._origins):
            return self._refuse(connection, HTTPStatus.FORBIDDEN, "a web page from elsewhere may not connect")
        if self._token is not None and not token_is_right(self._token, request.path, headers.get_all("Authorization")):
            return self._refuse(connection, HTTPStatus.UNAUTHORIZED, "the token is missing or wrong")
        if len(self._clients) >= MAX_CLIENTS:
            return self._refuse(connection, HTTPStatus.SERVICE_UNAVAILABLE, f"there are {MAX_CLIENTS} clients already")
        return None

    def _refuse(self, connection: "ServerConnection", status: HTTPStatus, reason: str) -> "Response":
        if reason not in self._logged:
            self._logged.add(reason)
            _log.warning("%s: a request was refused: %s; later ones will be without a word", self.name, reason)
        return connection.respond(status, f"{reason}\n")


def _select_subprotocol(connection: "ServerConnection", offered: Sequence[Any]) -> Any:
    """Take the first that the client offers and we know; a client that offers none gets msgpack."""
    del connection
    if not offered:
        return None
    for subprotocol in offered:
        if subprotocol in (SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON):
            return subprotocol
    raise _import_websockets().NegotiationError(f"expected {SUBPROTOCOL_MSGPACK} or {SUBPROTOCOL_JSON}")


def _counted_connection() -> type:
    """Give a connection class that cuts off more half-open connections than there can be clients."""
    from websockets.asyncio.server import ServerConnection

    class CountedConnection(ServerConnection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            if len(self.server.handlers) > 2 * MAX_CLIENTS:
                self.transport.abort()

    return CountedConnection


class _Websockets:
    """What is used of the library."""

    def __init__(self) -> None:
        from websockets.asyncio.server import serve
        from websockets.exceptions import ConnectionClosed, NegotiationError
        from websockets.typing import Subprotocol

        self.serve, self.Subprotocol = serve, Subprotocol
        self.ConnectionClosed, self.NegotiationError = ConnectionClosed, NegotiationError


def _import_websockets() -> _Websockets:
    try:
        return _Websockets()
    except ImportError as error:
        raise MissingExtraError(
            'a WebSocket server needs the library websockets, which is not installed; run: pip install "emgpose[live]"'
        ) from error
