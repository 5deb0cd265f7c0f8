"""A viser server that only this machine's own pages can reach."""

import contextlib
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from emgpose.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from viser import ViserServer

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
DEFAULT_PORT: Final = 8080
# What a WebSocket says when it refuses on principle (RFC 6455).
POLICY_VIOLATION: Final = 1008


def start_server(host: str = "127.0.0.1", port: int = DEFAULT_PORT) -> "ViserServer":
    """Start viser for browsers on this machine; where the port is taken, it takes the next free one.

    viser has no token, so everybody who reaches it can steer it: it listens on the loopback address only, refuses
    pages of other origins, and cannot be shared through viser's public tunnel.

    Parameters
    ----------
    host : str
        127.0.0.1, localhost or ::1.
    port : int
        0 lets the system choose.

    Raises
    ------
    ConfigError : another host, or an impossible port.
    MissingExtraError : viser is not installed.
    """
    check_host(host, port)
    try:
        import viser
    except ImportError:
        raise MissingExtraError('the viewer needs viser, which is not installed: pip install "emgpose[live]"') from None

    class LocalServer(viser.ViserServer):
        """viser without its public tunnel, and without its prints on stdout, which is for results."""

        def request_share_url(self, verbose: bool = True) -> None:
            # A page can ask for it by a message even where the button is hidden.
            return None

        def stop(self) -> None:
            with contextlib.redirect_stdout(None):
                super().stop()

    # viser prints a banner in a panel; `emgpose live` says the address itself.
    with contextlib.redirect_stdout(None):
        server = LocalServer(host=host, port=port, label="emgpose", verbose=False)
    _refuse_foreign_pages(server)
    return server


def check_host(host: str, port: int) -> None:
    """Refuse an address that other machines could reach.

    Raises
    ------
    ConfigError : that, or an impossible port.
    """
    if host not in LOOPBACK:
        raise ConfigError(
            f"--view-host {host}: the viewer has no password, so it listens on this machine only (127.0.0.1). From "
            f"another machine, tunnel to it: ssh -L {port}:127.0.0.1:{port} THIS_MACHINE, and open "
            f"http://127.0.0.1:{port} there"
        )
    if not 0 <= port <= 65535:
        raise ConfigError(f"--view-port {port}: expected a port from 0 (any free one) to 65535")


def is_own_page(origin: str | None, host: str | None) -> bool:
    """Say whether a WebSocket was asked for by a page of this server, or by no page at all.

    Parameters
    ----------
    origin, host : str or None
        Headers of the request. `Host` must be a loopback name too: another site's name may be made to resolve here.
    """
    if urlsplit(f"//{host or ''}").hostname not in LOOPBACK:
        return False
    return origin is None or urlsplit(origin).netloc == host


def _refuse_foreign_pages(server: "ViserServer") -> None:
    # viser keeps the connection before it calls this, and begins to talk only afterwards.
    infra: Any = server._websock_server

    async def refuse(client: Any) -> None:
        connection = infra._live_connections[client.client_id]
        headers = connection.request.headers
        if not is_own_page(headers.get("Origin"), headers.get("Host")):
            await connection.close(POLICY_VIOLATION, "foreign origin")

    infra.on_client_connect(refuse)
