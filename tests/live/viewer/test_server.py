"""The viewer can be reached from this machine only, and by its own page only."""

import asyncio

import psutil
import pytest

from emgpose.errors import ConfigError
from emgpose.live.viewer.server import LOOPBACK, check_host, is_own_page, start_server

viser = pytest.importorskip("viser", reason="needs viser (extra: live)")
websockets = pytest.importorskip("websockets", reason="needs websockets (extra: live)")


@pytest.fixture(scope="module")
def server():
    running = start_server(port=0)
    yield running
    running.stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::", "192.168.0.7", "example.org"])
def test_other_addresses_are_refused_with_the_way_to_do_it(host):
    with pytest.raises(ConfigError, match=r"ssh -L 8080:127\.0\.0\.1:8080"):
        check_host(host, 8080)


@pytest.mark.parametrize("port", [-1, 65536])
def test_an_impossible_port_is_refused(port):
    with pytest.raises(ConfigError, match="expected a port"):
        check_host("127.0.0.1", port)


def test_only_the_loopback_address_listens(server):
    listening = {
        connection.laddr.ip
        for connection in psutil.Process().net_connections("inet")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == server.get_port()
    }
    assert listening == {"127.0.0.1"}


def answer(server, **headers):
    """Say what a WebSocket client gets: data, or a close code."""

    async def ask():
        protocol = f"viser-v{viser.__version__}"
        url = f"ws://127.0.0.1:{server.get_port()}"
        async with websockets.connect(url, subprotocols=[protocol], max_size=None, **headers) as socket:
            try:
                return "data" if await asyncio.wait_for(socket.recv(), 10) else "nothing"
            except websockets.ConnectionClosed as closed:
                return closed.rcvd.code

    return asyncio.run(ask())


def test_a_page_of_another_origin_is_closed_before_it_learns_anything(server):
    assert answer(server, origin="http://evil.example") == 1008
    assert answer(server, origin=f"http://127.0.0.1:{server.get_port() + 1}") == 1008


def test_a_name_that_was_made_to_resolve_here_is_refused():
    assert not is_own_page("http://evil.example:8080", "evil.example:8080")


def test_the_page_itself_and_a_program_are_let_in(server):
    assert answer(server, origin=f"http://127.0.0.1:{server.get_port()}") == "data"
    assert answer(server) == "data"


@pytest.mark.parametrize("host", LOOPBACK)
def test_each_name_of_this_machine_may_be_used(host):
    name = f"[{host}]:8080" if ":" in host else f"{host}:8080"
    assert is_own_page(f"http://{name}", name)


def test_a_message_cannot_open_the_public_tunnel(server):
    assert server.request_share_url() is None


def test_nothing_is_printed_on_stdout(capfd):
    start_server(port=0).stop()
    assert capfd.readouterr().out == ""
