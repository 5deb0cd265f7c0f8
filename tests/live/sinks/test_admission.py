"""Who may connect."""

import socket

import pytest

from emgpose.errors import ConfigError, StreamError
from emgpose.live.sinks.admission import (
    checked_origins,
    checked_token,
    is_loopback,
    listening_socket,
    origin_is_welcome,
    token_is_right,
)

TOKEN = "correct-horse-battery"
NONE_ALLOWED: frozenset[str] = frozenset()


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1"])
def test_loopback_addresses_are_this_machine(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.5", "fe80::1%eth0", "127.0.0.1.example.org", ""])
def test_other_addresses_are_not(address: str) -> None:
    assert not is_loopback(address)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_an_address_that_others_can_reach_needs_a_token(host: str) -> None:
    with pytest.raises(ConfigError, match=r"--ws-token or the variable EMGPOSE_TOKEN"):
        listening_socket("ws", host, 0, has_token=False)


def test_with_a_token_every_address_can_be_bound() -> None:
    with listening_socket("ws", "0.0.0.0", 0, has_token=True) as listener:
        assert listener.getsockname()[0] == "0.0.0.0"


def test_localhost_binds_one_loopback_address() -> None:
    with listening_socket("ws", "localhost", 0, has_token=False) as listener:
        assert is_loopback(listener.getsockname()[0])


def test_a_port_that_is_taken_is_said_to_be() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(StreamError, match="choose another port"):
            listening_socket("ws", "127.0.0.1", other.getsockname()[1], has_token=False)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 300])
def test_a_host_that_is_not_known_is_said_not_to_be(host: str) -> None:
    with pytest.raises(ConfigError, match="is not known"):
        listening_socket("ws", host, 0, has_token=True)


def test_the_token_is_taken_from_the_address_or_the_header() -> None:
    assert token_is_right(TOKEN, f"/?token={TOKEN}", [])
    assert token_is_right(TOKEN, "/", [f"Bearer {TOKEN}"])
    assert token_is_right(TOKEN, "/", [f"bearer {TOKEN}"])
    assert token_is_right("with+and%20%&=", "/?token=with%2Band%2520%25%26%3D", [])


@pytest.mark.parametrize(
    ("path", "authorization"),
    [
        ("/", []),
        ("/?token=", []),
        (f"/?token={TOKEN[:-1]}", []),
        (f"/?token={TOKEN}x", []),
        (f"/?token={TOKEN}&token={TOKEN}", []),
        (f"/?token={TOKEN}", [f"Bearer {TOKEN}"]),
        (f"/?token={TOKEN}&" + "&".join("a=b" for _ in range(50)), []),
        (f"/{TOKEN}", []),
        ("/", [TOKEN]),
        ("/", [f"Basic {TOKEN}"]),
        ("/?token=%ff%fe", []),
        ("/?token=\u00e4", []),
    ],
)
def test_a_request_without_the_one_right_token_is_refused(path: str, authorization: list[str]) -> None:
    assert not token_is_right(TOKEN, path, authorization)


@pytest.mark.parametrize(
    "token", ["", "short", "x" * 15, "with space in the middle", "ümlaut-ümlaut-ümlaut", "a\nb" * 9]
)
def test_a_weak_or_unspeakable_token_is_refused(token: str) -> None:
    with pytest.raises(ConfigError, match="token_urlsafe"):
        checked_token("ws", token)


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:8080", "https://localhost", "http://127.0.0.1:9", "http://[::1]:80", "http://LOCALHOST"],
)
def test_pages_of_this_machine_may_connect_over_loopback(origin: str) -> None:
    assert origin_is_welcome([origin], "127.0.0.1", NONE_ALLOWED)


def test_programs_without_an_origin_may_connect() -> None:
    assert origin_is_welcome([], "127.0.0.1", NONE_ALLOWED)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://localhost.evil.example",
        "http://evil.example#localhost",
        "http://localhost@evil.example",
        "http://127.0.0.1.nip.io",
        "null",
        "",
        "file://",
        "localhost",
        "chrome-extension://localhost",
        "http://localhost/path",
        "http://[::1",
        "http://localhost:99999",
    ],
)
def test_pages_from_elsewhere_may_not(origin: str) -> None:
    assert not origin_is_welcome([origin], "127.0.0.1", NONE_ALLOWED)


def test_two_origins_are_one_too_many() -> None:
    assert not origin_is_welcome(["http://localhost", "http://localhost"], "127.0.0.1", NONE_ALLOWED)


def test_over_the_network_only_the_address_connected_to_is_the_same_host() -> None:
    assert origin_is_welcome(["http://192.0.2.7:8080"], "192.0.2.7", NONE_ALLOWED)
    assert not origin_is_welcome(["http://localhost:8080"], "192.0.2.7", NONE_ALLOWED)
    assert not origin_is_welcome(["http://192.0.2.8"], "192.0.2.7", NONE_ALLOWED)


def test_allowed_origins_may_connect() -> None:
    allowed = checked_origins("ws", ["https://lab.example.org", "http://10.0.0.5:8080"])
    assert origin_is_welcome(["https://lab.example.org"], "127.0.0.1", allowed)
    assert not origin_is_welcome(["https://lab.example.org:444"], "127.0.0.1", allowed)


@pytest.mark.parametrize(
    "origin", ["lab.example.org", "https://lab.example.org/", "*", "https://Lab.example.org", "null"]
)
def test_an_allowed_origin_that_no_browser_sends_is_refused(origin: str) -> None:
    with pytest.raises(ConfigError, match="allowed origin such as"):
        checked_origins("ws", [origin])
