"""A made server and a link that waits for nothing."""

from collections.abc import Iterator

import pytest

from emgpose.download.link import Link
from emgpose.download.transport import Transport
from emgpose.download.wanted import Listener
from made_server import MadeServer


@pytest.fixture
def server() -> Iterator[MadeServer]:
    made = MadeServer()
    yield made
    made.close()


@pytest.fixture
def waits() -> list[float]:
    """The seconds that a download would have waited."""
    return []


@pytest.fixture
def link(waits) -> Link:
    return Link(stall_s=0.15, attempts=4, first_wait_s=1.0, sync_bytes=1 << 20, jitter=lambda: 0.0, sleep=waits.append)


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def listener(notices) -> Listener:
    return Listener(on_notice=notices.append)


@pytest.fixture
def transport(link) -> Iterator[Transport]:
    with Transport(link.stall_s) as opened:
        yield opened
