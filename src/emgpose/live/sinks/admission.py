"""Who may connect to a server of poses: where it listens, tokens, and which web pages."""

import hmac
import ipaddress
import os
import socket
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qs, urlsplit

from emgpose.errors import ConfigError, StreamError

MIN_TOKEN_LENGTH: Final = 16
_LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")
# Room for about ten poses on their way to one client: what waits in the system is old by the time it is read.
_SEND_BUFFER_BYTES: Final = 16_384


def checked_token(name: str, token: str | None) -> str | None:
    """Give a token that is worth the name, or None where there is none.

    Raises
    ------
    ConfigError : too short, or with characters that an address cannot carry.
    """
    if token is None:
        return None
    if len(token) < MIN_TOKEN_LENGTH or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"{name}: expected a token of at least {MIN_TOKEN_LENGTH} ASCII characters without spaces; make one with: "
            "python -c 'import secrets; print(secrets.token_urlsafe(24))'"
        )
    return token


def checked_origins(name: str, origins: Sequence[str]) -> frozenset[str]:
    """Give origins as browsers write them.

    Raises
    ------
    ConfigError : it is not scheme://host or scheme://host:port.
    """
    for origin in origins:
        host, scheme = _origin_host(origin), urlsplit(origin).scheme if "://" in origin else ""
        if host is None or scheme not in ("http", "https") or origin != origin.lower():
            raise ConfigError(
                f"{name}: expected an allowed origin such as https://lab.example.org or http://10.0.0.5:8080, in small "
                f"letters and without a path, got {origin!a}"
            )
    return frozenset(origins)


def listening_socket(name: str, host: str, port: int, has_token: bool) -> socket.socket:
    """Bind a TCP socket to exactly one address.

    Parameters
    ----------
    name : str
        For messages.
    host : str
        Address, or a name whose first address is taken.
    port : int
        0 for any that is free.
    has_token : bool
        Whether clients must know a token; without one only this machine's own loopback addresses are bound.

    Raises
    ------
    ConfigError : the host is not known, or others could connect without a token.
    StreamError : the port is taken, or not for us.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"{name}: host {host!a} is not known ({error}); use 127.0.0.1 or an address of this machine"
        ) from None
    if not is_loopback(str(address[0])) and not has_token:
        raise ConfigError(
            f"{name}: {address[0]} can be reached from other machines, so clients must know a token; give one "
            "(--ws-token or the variable EMGPOSE_TOKEN), or listen on 127.0.0.1 and use an ssh tunnel"
        )
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere it lets two programs share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        raise StreamError(
            f"{name}: cannot listen on {host} port {port}: {error.strerror or error}; choose another port or address"
        ) from None
    return listener


def is_loopback(address: str) -> bool:
    """Tell whether an address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def token_is_right(expected: str, path: str, authorization: Sequence[str]) -> bool:
    """Compare the token of a request, given as `?token=` or as `Authorization: Bearer`, in constant time.

    Parameters
    ----------
    path : str
        With the query, as requested.
    authorization : sequence of str
        Values of that header.
    """
    given = [value[7:].strip() for value in authorization if value[:7].lower() == "bearer "]
    try:
        given += parse_qs(urlsplit(path).query, max_num_fields=8).get("token", [])
    except ValueError:
        return False
    # One token, in one place: a request with several is nobody's honest client.
    if len(given) != 1:
        return False
    return hmac.compare_digest(given[0].encode("utf-8", "surrogateescape"), expected.encode())


def origin_is_welcome(origins: Sequence[str], local_address: str, allowed: frozenset[str]) -> bool:
    """Tell whether the web page that wants to connect may.

    Programs other than browsers send no origin. Pages of this same machine may connect: by its loopback names where the
    connection came over loopback, else by the address that was connected to. The `Host` header is not asked, since a
    page elsewhere can make its own name lead here.

    Parameters
    ----------
    origins : sequence of str
        Values of the header `Origin`.
    local_address : str
        Ours, on this connection.
    allowed : frozenset of str
        Further origins.
    """
    if not origins:
        return True
    if len(origins) > 1:
        return False
    if origins[0] in allowed:
        return True
    host = _origin_host(origins[0])
    if host is None or not origins[0].startswith(("http://", "https://")):
        return False
    return host in _LOOPBACK_NAMES if is_loopback(local_address) else host == local_address.partition("%")[0]


def _origin_host(origin: str) -> str | None:
    """Give the host of an origin, without brackets; None where it is none, such as `null`."""
    try:
        parts = urlsplit(origin)
        _ = parts.port
    except ValueError:
        return None
    if not parts.hostname or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    return parts.hostname
