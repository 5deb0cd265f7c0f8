"""Poses as JSON over UDP: one datagram each, sent and forgotten."""

import logging
import socket
from typing import Any, Final

from emgpose.errors import ConfigError, StreamError
from emgpose.live.pose_frame import Hello, PoseFrame
from emgpose.live.sinks.messages import hello_message, pose_message, to_json

HELLO_EVERY_S: Final = 1.0
_log = logging.getLogger("emgpose.live.sinks")


class DatagramSocket:
    """A UDP socket with one target, which never waits; what cannot be sent is dropped, and that is logged once.

    Parameters
    ----------
    name : str
        For messages.
    host : str
        Name or address; a name is looked up once.
    port : int

    Raises
    ------
    ConfigError : the host is not known.
    StreamError : the system gives no socket.
    """

    def __init__(self, name: str, host: str, port: int) -> None:
        self._name = name
        self._target: tuple[Any, ...]
        try:
            family, _, _, _, self._target = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        except (OSError, UnicodeError) as error:
            raise ConfigError(f"{name}: host {host!a} is not known ({error}); give a name or an address") from None
        try:
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
        except OSError as error:
            raise StreamError(f"{name}: no socket: {error.strerror}") from None
        self._socket.setblocking(False)
        self.n_dropped = 0

    def send(self, datagram: bytes) -> None:
        """Send, or drop where that is not possible now."""
        try:
            self._socket.sendto(datagram, self._target)
        # No room in the system's buffer, no route; or nobody listens there, which the system tells at a later call.
        except OSError as error:
            if not self.n_dropped:
                _log.warning("%s: a datagram was dropped (%s); later ones will be without a word", self._name, error)
            self.n_dropped += 1

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def address_text(host: str, port: int) -> str:
    """Write an address as specifications have it, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class HelloClock:
    """Says when a hello is due for receivers that may have come later: first, and once a second of poses."""

    def __init__(self, rate_hz: float) -> None:
        self._every = max(1, round(HELLO_EVERY_S * rate_hz))
        self._n_sent = 0

    def is_due(self) -> bool:
        """Count a pose."""
        self._n_sent += 1
        return (self._n_sent - 1) % self._every == 0


class UdpSink:
    """Sends JSON datagrams: each pose, and the hello before the first and then once a second.

    Parameters
    ----------
    host : str
    port : int
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self.name = f"udp:{address_text(host, port)}"
        self._socket: DatagramSocket | None = None

    def open(self, hello: Hello) -> None:
        """Look the host up; see `DatagramSocket` for what it raises."""
        self._socket = DatagramSocket(self.name, self._host, self._port)
        self._hello = to_json(hello_message(hello)).encode()
        self._hello_clock = HelloClock(hello.rate_hz)

    def send(self, frame: PoseFrame) -> None:
        """Send a pose."""
        if self._socket is None:
            return
        if self._hello_clock.is_due():
            self._socket.send(self._hello)
        self._socket.send(to_json(pose_message(frame)).encode())

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
