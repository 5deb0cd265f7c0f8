"""Addresses and redirects."""

import urllib.parse

import pytest

from emgpose.download.link import Fault as LinkFault
from emgpose.download.transport import _connection, _redirected, _retry_after_s, checked_url
from emgpose.errors import ConfigError, DataError
from made_server import Fault


def test_a_redirect_is_followed_with_the_range(server, transport):
    server.add("a", b"0123456789")
    server.add("b", b"0123456789")
    server.always["a"] = Fault(redirect="/b")
    with transport.get(f"{server.url}a", {"Range": "bytes=4-"}) as answer:
        assert (answer.status, answer.read(100)) == (206, b"456789")
    assert server.requests[-1] == ("b", "bytes=4-")


def test_redirects_without_end_are_an_error(server, transport):
    server.add("a", b"")
    server.always["a"] = Fault(redirect="/a")
    with pytest.raises(DataError, match="more than 5 times"):
        transport.get(f"{server.url}a", {})


@pytest.mark.parametrize("location", ["http://host/x", "ftp://host/x", "file:///etc/passwd"])
@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
def test_a_redirect_that_loses_encryption_is_refused(scheme, location):
    with pytest.raises(DataError, match="not encrypted; refused"):
        _redirected(f"{scheme}://host/a", location)


def test_a_redirect_that_is_no_address_is_refused():
    with pytest.raises(DataError, match="which is no address"):
        _redirected("https://host/a", "https://[::1")


@pytest.mark.parametrize(
    ("address", "port"), [("http://[::1]/x", 80), ("https://[::1]/x", 443), ("http://[::1]:9/", 9)]
)
def test_an_ipv6_address_keeps_its_host_and_port(address, port):
    connection = _connection(urllib.parse.urlsplit(address), 1.0)
    assert (connection.host, connection.port) == ("::1", port)


def test_a_proxy_that_is_no_address_is_named(transport, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://host:port")
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(ConfigError, match="http_proxy: expected an address"):
        transport.get("http://elsewhere.invalid/", {})


def test_a_server_that_is_not_there_is_said_to_be_so(transport):
    with pytest.raises(LinkFault, match=r"no connection \(Connection refused\)"):
        transport.get("http://127.0.0.1:1/", {})


@pytest.mark.parametrize("date", ["Fri, 01 Jan 2100 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 -0000"])
def test_dates_to_come_back_at_are_in_gmt_wherever_this_machine_is(monkeypatch, date):
    monkeypatch.setattr("time.time", lambda: 4102444800.0 - 7)
    assert _retry_after_s(date) == 7
    assert _retry_after_s("Mon, 01 Jan 0001 00:00:00 +2300") == 0


def test_a_redirect_to_a_local_file_is_refused_without_encryption_too(server, transport):
    server.add("a", b"")
    server.always["a"] = Fault(redirect="file:///etc/passwd")
    with pytest.raises(ConfigError, match="expected an address"):
        transport.get(f"{server.url}a", {})


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/",
        "host/folder",
        "https://",
        "file:///etc",
        "https://host:port/",
        "https://a\nb/",
        "http:///x",
        "https://host/\xfc",
        "https://host/a b",
        f"https://{'a' * 64}.org/",
        "https://a..b/",
    ],
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ConfigError, match="expected an address such as"):
        checked_url(url)


def test_an_address_with_a_password_is_refused_and_the_password_not_shown():
    with pytest.raises(ConfigError, match="without a name or password") as error:
        checked_url("https://me:secret@host/")
    assert "secret" not in str(error.value)


def test_connections_are_kept_for_the_next_request(server, transport):
    server.add("a", b"0123456789" * 100)
    ports = set()
    for start in range(5):
        with transport.get(f"{server.url}a", {"Range": f"bytes={start}-{start}"}) as answer:
            assert answer.read(100)
        ports.update(c.sock.getsockname()[1] for c in transport._connections.values() if c.sock)
    assert len(ports) == 1


def test_a_proxy_of_the_environment_is_asked_in_full(server, transport, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.add("http://far.invalid/a", b"by proxy")
    with transport.get("http://far.invalid/a", {}) as answer:
        assert answer.read(100) == b"by proxy"
