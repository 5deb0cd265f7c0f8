"""Wishes to stop: Ctrl-C, the signals that clusters send, and the end of the time allowed.

A step is never cut: the wish is kept, all processes agree on it with the next step, what was learnt is saved, then
training ends. A second Ctrl-C ends it at once.
"""

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

INTERRUPTED: Final = "interrupted"
OUT_OF_TIME: Final = "max_minutes"
STOP_REASONS: Final = (INTERRUPTED, OUT_OF_TIME)
# SIGTERM and SIGUSR1 are how Slurm and others say that the time is nearly up.
_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGUSR1")

_AGAIN: Final = "once more stops it at once"

logger = logging.getLogger(__name__)


class StoppedNow(BaseException):
    """Training is to end here, with all that was saved; not an error, and so no `Exception` that others catch."""


class StopRequest:
    """Whether training should stop, and why.

    Parameters
    ----------
    max_minutes : float or None
        Time allowed from `start_clock` on.
    announces : bool
        Whether this process says so when a signal comes; of several, the first one does.
    """

    def __init__(self, max_minutes: float | None = None, announces: bool = True) -> None:
        self._announces = announces
        self._seconds = None if max_minutes is None else 60 * max_minutes
        self._started_s: float | None = None
        self._interrupted = False
        self._is_over = False

    def start_clock(self) -> None:
        """Begin to count the time allowed."""
        self._started_s = time.monotonic()

    def reason(self) -> str | None:
        """Say why to stop, None where there is no reason to."""
        if self._interrupted:
            return INTERRUPTED
        if self._seconds is not None and self._started_s is not None:
            return OUT_OF_TIME if time.monotonic() - self._started_s >= self._seconds else None
        return None

    def interrupt(self, signal_number: int, frame: FrameType | None = None) -> None:
        """Take a signal; the second one stops at once, and those after `settle` do nothing.

        Raises
        ------
        StoppedNow : the second time.
        """
        if self._is_over:
            return
        name = signal.Signals(signal_number).name
        if self._interrupted:
            raise StoppedNow(f"{name} again: stopped at once; what was learnt since the last save is lost")
        self._interrupted = True
        if self._announces:
            logger.warning("%s: this step or validation is finished and saved, then training stops; %s", name, _AGAIN)

    def settle(self) -> None:
        """Say that training has ended: signals from here on cut nothing short, so that what it leaves is tidied up."""
        self._is_over = True

    def take_signals(self) -> dict[int, Any]:
        """Have the signals come here from now on; gives who had them before."""
        before: dict[int, Any] = {}
        # Python gives signals to the main thread alone.
        if threading.current_thread() is threading.main_thread():
            for name in _SIGNALS:
                number = getattr(signal, name, None)
                if number is not None:
                    before[number] = signal.signal(number, self.interrupt)
        return before

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Take the signals for a while."""
        before = self.take_signals()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
