"""How patiently a server is spoken to: time-outs, retries with back-off, and the way to stop."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from emgpose.errors import DataError

_LONGEST_ASKED_WAIT_S: Final = 900.0
# Waits shorter than this, after the first failure in a row, are not worth a word.
_WAIT_TO_TELL_S: Final = 5.0
# A server that never answered is not waited for as long as one that stopped to.
_ATTEMPTS_TO_REACH: Final = 3
# What brings less than this in the time of a stall is as good as stalled.
LEAST_BYTES: Final = 1024


class Fault(Exception):  # noqa: N818 - not for callers: it is retried, or becomes a DataError
    """A request failed in a way that may pass.

    Parameters
    ----------
    reason : str
    retry_after_s : float
        How long the server asks to be left alone [s].
    is_unreachable : bool
        Whether there was no connection at all, or one that ended in its TLS handshake.
    """

    def __init__(self, reason: str, retry_after_s: float = 0.0, *, is_unreachable: bool = False) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
        self.is_unreachable = is_unreachable


class GivenUp(DataError):  # noqa: N818 - not for callers, who see a DataError
    """A server could not be reached, or failed again and again.

    Parameters
    ----------
    message : str
    fault : Fault
        The last failure.
    """

    def __init__(self, message: str, fault: Fault) -> None:
        super().__init__(message)
        self.fault = fault


class Stopped(Exception):  # noqa: N818 - no error: the user wants to stop
    """Another thread was interrupted or failed; this one lays down its work too."""


@dataclass(frozen=True)
class Link:
    """How servers are spoken to.

    Parameters
    ----------
    stall_s : float
        A connection that brings no byte for so long, or less than 1 KiB, is given up and opened again [s].
    attempts : int
        Failures in a row with less than 1 KiB of progress, after which a download ends with an error; at most 3 where
        no server could be reached yet.
    first_wait_s, longest_wait_s : float
        Wait after the first failure [s], doubled with each further one up to the longest.
    sync_bytes : int
        How often what has come is made safe against a kill or a power cut [bytes]; a slow connection: every 2 s.
    jitter : callable -> float
        In [0, 1): how much of the second half of each wait is waited, so that many clients do not return at once.
    sleep : callable (seconds), optional
        By default a wait that `stop` ends.
    on_wait : callable (text)
        Is told of waits that a user would wonder about.
    stop : threading.Event
        Set it to end all transfers at their next byte.
    reached : threading.Event
        Set once a server has answered.
    """

    stall_s: float = 60.0
    attempts: int = 8
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    sync_bytes: int = 32 << 20
    jitter: Callable[[], float] = random.random
    sleep: Callable[[float], object] | None = None
    on_wait: Callable[[str], None] = lambda text: None
    stop: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)

    def wait(self, n_failures: int, fault: Fault, what: str) -> None:
        """Wait before the next attempt, or give up.

        Raises
        ------
        GivenUp : it has failed too often, or the server asks for a wait longer than a quarter of an hour.
        """
        if not fault.is_unreachable:
            self.reached.set()
        if n_failures >= (self.attempts if self.reached.is_set() else min(self.attempts, _ATTEMPTS_TO_REACH)):
            raise GivenUp(
                f"{what}: {fault}; given up after {n_failures} attempts without progress; "
                "what has come is kept: run the same command again to go on",
                fault,
            )
        if fault.retry_after_s > _LONGEST_ASKED_WAIT_S:
            raise GivenUp(
                f"{what}: the server asks to wait {fault.retry_after_s:.0f} s ({fault}); "
                "what has come is kept: run the same command again after that",
                fault,
            )
        longest = min(self.longest_wait_s, self.first_wait_s * 2.0 ** (n_failures - 1))
        seconds = max(longest * (0.5 + 0.5 * self.jitter()), fault.retry_after_s)
        if n_failures > 1 or seconds >= _WAIT_TO_TELL_S:
            self.on_wait(f"{what}: {fault}; trying again in {seconds:.0f} s")
        (self.sleep or self.stop.wait)(seconds)
        self.raise_if_stopped()

    def raise_if_stopped(self) -> None:
        """Leave where another thread asks for it."""
        if self.stop.is_set():
            raise Stopped
