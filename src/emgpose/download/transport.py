"""HTTPS with connections that are kept open, proxies from the environment, and redirects that never lose encryption."""

import calendar
import contextlib
import email.utils
import http.client
import re
import socket
import ssl
import time
import urllib.parse
import urllib.request
from base64 import b64encode
from types import TracebackType
from typing import Final, Self

from emgpose.download.link import LEAST_BYTES, Fault
from emgpose.errors import ConfigError, DataError
from emgpose.version import __version__

_REDIRECTS: Final = (301, 302, 303, 307, 308)
_MAX_REDIRECTS: Final = 5
_PASSING: Final = (408, 425, 429, 500, 502, 503, 504)
_LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "::1")
# A status line, or a line of a header, is shown in messages; no server needs more than this to say what is wrong.
_MAX_SHOWN: Final = 80
# A server that can be reached at all takes a connection in a fraction of this.
_CONNECT_S: Final = 10.0


def checked_url(url: str) -> str:
    """Give a URL back if it is one that can be downloaded from.

    Raises
    ------
    ConfigError : another scheme than https or http, no host, or a name and password in it.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
        (parts.hostname or "").encode("idna")  # fails where a part of the name is empty or too long
    except ValueError:
        parts, port = urllib.parse.urlsplit(""), None
    is_plain = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0 or not is_plain:
        raise ConfigError(f"{url[:200]!a}: expected an address such as https://host/folder/")
    if parts.username is not None:
        raise ConfigError(f"{parts.hostname}: expected an address without a name or password in it")
    return url


def is_encrypted(url: str) -> bool:
    """Whether what comes from there can be read or changed by nobody in between."""
    return url[:6].lower() == "https:"


class Answer:
    """A server's answer, its body still to be read; close it, or use it in a `with`.

    Attributes
    ----------
    status : int
    """

    def __init__(
        self, response: http.client.HTTPResponse, connection: http.client.HTTPConnection, stall_s: float
    ) -> None:
        self.status = response.status
        self._response, self._connection, self._stall_s = response, connection, stall_s
        self._since_s: float | None = None
        self._since_bytes = 0

    def header(self, name: str) -> str | None:
        """Give a header's text, None where the server did not send it."""
        return self._response.getheader(name)

    @property
    def length(self) -> int | None:
        """How many bytes the server says that it sends; None where it does not say."""
        text = self.header("Content-Length")
        return int(text) if text is not None and re.fullmatch(r"[0-9]{1,18}", text) else None

    @property
    def is_chunked(self) -> bool:
        """Whether the body itself marks its end."""
        return bool(self._response.chunked)

    def content_range(self) -> tuple[int | None, int | None, int | None]:
        """Parse `Content-Range: bytes first-last/total`; None for what it does not say."""
        text = self.header("Content-Range") or ""
        match = re.fullmatch(r"bytes (?:([0-9]{1,18})-([0-9]{1,18})|\*)/([0-9]{1,18}|\*)", text.strip())
        if match is None:
            return None, None, None
        first, last, total = (int(group) if group and group != "*" else None for group in match.groups())
        return first, last, total

    def read(self, n_bytes: int) -> bytes:
        """Read what has arrived, at most `n_bytes`; empty at the end.

        Raises
        ------
        Fault : the connection broke or stalled, or brings next to nothing.
        """
        self._require_speed()
        try:
            block = self._response.read1(n_bytes)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Fault(_reason(error)) from error
        self._since_bytes += len(block)
        return block

    def _require_speed(self) -> None:
        """Give up a connection that trickles: each byte would start the time-out anew."""
        now_s = time.monotonic()
        if self._since_s is not None and now_s - self._since_s < self._stall_s:
            return
        if self._since_s is not None and self._since_bytes < LEAST_BYTES:
            raise Fault(f"only {self._since_bytes} bytes came in {now_s - self._since_s:.0f} s")
        self._since_s, self._since_bytes = now_s, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # What is left of a body would be taken for the next answer.
        if not self._response.isclosed() and self._response.length != 0:
            self._connection.close()
        self._response.close()


class Transport:
    """Sends requests over kept connections, one per server; for one thread.

    Parameters
    ----------
    stall_s : float
        How long to wait for a connection, or for the next byte; what brings less than 1 KiB in it is given up [s].
    """

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s
        self._connections: dict[tuple[str, str], http.client.HTTPConnection] = {}

    def get(self, url: str, headers: dict[str, str]) -> Answer:
        """Send a GET request and follow redirects.

        Raises
        ------
        Fault : no connection, or the server is busy or failing (408, 425, 429, 5xx).
        DataError : a bad certificate, a redirect from https to http, or more than 5 redirects.
        """
        asked = {"User-Agent": f"emgpose/{__version__}", "Accept-Encoding": "identity", **headers}
        for _ in range(_MAX_REDIRECTS + 1):
            answer = self._send(url, asked)
            if answer.status in _PASSING:
                with answer:
                    raise Fault(f"the server answers {answer.status}", _retry_after_s(answer.header("Retry-After")))
            location = answer.header("Location")
            if answer.status not in _REDIRECTS or location is None:
                return answer
            with answer:
                url = _redirected(url, location)
        raise DataError(f"{url[:200]}: redirected more than {_MAX_REDIRECTS} times; the address may be wrong")

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            connection.close()

    def abort(self) -> None:
        """Break off what another thread is waiting for."""
        for connection in list(self._connections.values()):
            with contextlib.suppress(OSError, AttributeError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, url: str, headers: dict[str, str]) -> Answer:
        parts = urllib.parse.urlsplit(url)
        key = (parts.scheme, parts.netloc)
        known = self._connections.get(key)
        is_reused = known is not None and known.sock is not None
        connection = known or _connection(parts, self._stall_s)
        self._connections[key] = connection
        target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        if parts.scheme == "http" and (connection.host, connection.port) != (parts.hostname, parts.port or 80):
            target = urllib.parse.urlunsplit((*parts[:4], ""))  # a proxy wants the whole address
        is_connected = is_reused
        try:
            if not is_reused:
                _connect(connection, self._stall_s)
                is_connected = True
            connection.request("GET", target, headers=headers)
            return Answer(connection.getresponse(), connection, self._stall_s)
        except ssl.SSLCertVerificationError as error:
            connection.close()
            raise DataError(
                f"{parts.hostname}: the server's certificate cannot be trusted ({error.verify_message}); check the "
                "clock of this machine and its certificates, or the proxy in between"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            if is_reused and isinstance(error, ConnectionError | http.client.BadStatusLine):
                return self._send(url, headers)  # the server had closed it meanwhile, which is its right
            raise Fault(_reason(error), is_unreachable=not is_connected) from error


def _connect(connection: http.client.HTTPConnection, stall_s: float) -> None:
    """Open a connection, to the end of its TLS handshake; a server that cannot be reached costs no whole stall."""
    connection.timeout = min(stall_s, _CONNECT_S)
    connection.connect()
    connection.sock.settimeout(stall_s)


def _connection(parts: urllib.parse.SplitResult, stall_s: float) -> http.client.HTTPConnection:
    # The port is always given: without it, http.client would look for one in an IPv6 address.
    host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
    proxy = None if host in _LOCAL_HOSTS or urllib.request.proxy_bypass(host) else _proxy(parts.scheme)
    is_secure = parts.scheme == "https"
    if proxy is None:
        kind = http.client.HTTPSConnection if is_secure else http.client.HTTPConnection
        return kind(host, port, timeout=stall_s)
    if not is_secure:
        return http.client.HTTPConnection(str(proxy.hostname), proxy.port or 80, timeout=stall_s)
    connection = http.client.HTTPSConnection(str(proxy.hostname), proxy.port or 80, timeout=stall_s)
    headers = {}
    if proxy.username is not None:
        pair = f"{urllib.parse.unquote(proxy.username)}:{urllib.parse.unquote(proxy.password or '')}"
        headers["Proxy-Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    connection.set_tunnel(host, port, headers=headers)
    return connection


def _proxy(scheme: str) -> urllib.parse.SplitResult | None:
    address = urllib.request.getproxies().get(scheme)
    if not address:
        return None
    try:
        parts = urllib.parse.urlsplit(address if "://" in address else f"http://{address}")
        return parts if parts.hostname and parts.port != 0 else None
    except ValueError:
        raise ConfigError(f"{scheme}_proxy: expected an address such as http://host:3128") from None


def _redirected(url: str, location: str) -> str:
    try:
        target = urllib.parse.urljoin(url, location)
    except ValueError:
        raise DataError(f"{url[:200]}: redirected to {location[:_MAX_SHOWN]!a}, which is no address") from None
    if is_encrypted(url) and not is_encrypted(target):
        raise DataError(
            f"{url[:200]}: redirected to {target[:_MAX_SHOWN]!a}, which is not encrypted; refused: use another "
            "network or mirror"
        )
    return checked_url(target)


def _retry_after_s(text: str | None) -> float:
    """Read `Retry-After`: seconds, or a date."""
    if text is None:
        return 0.0
    if re.fullmatch(r"[0-9]{1,9}", text.strip()):
        return float(text)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        # A date without a zone is in GMT too, as all dates of HTTP.
        return max(0.0, calendar.timegm(email.utils.parsedate_to_datetime(text).utctimetuple()) - time.time())
    return 0.0


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no byte came within the time-out"
    is_refused = isinstance(error, ConnectionRefusedError)
    if isinstance(error, ConnectionError | http.client.IncompleteRead) and not is_refused:
        return "the connection was cut"
    if isinstance(error, http.client.HTTPException | ValueError):
        return f"the server's answer is no HTTP ({type(error).__name__})"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"no connection ({' '.join(text.split())[:_MAX_SHOWN]})"
