"""Several tasks at once, each thread with connections of its own, that stop together."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from emgpose.download.link import Link, Stopped
from emgpose.download.transport import Transport


def run_all(work: Callable[[int, Transport], None], n_tasks: int, n_threads: int, link: Link) -> None:
    """Run tasks in threads; the first error, or Ctrl-C, stops all of them at once and is raised.

    Parameters
    ----------
    work : callable (task number, transport)
        Heeds `link.stop`.
    n_tasks, n_threads : int
    link : Link

    Raises
    ------
    Stopped : someone else has set `link.stop`, so that not all was done.
    """
    errors: list[BaseException] = []
    own = threading.local()
    opened: list[Transport] = []

    def stop() -> None:
        link.stop.set()
        for transport in opened:
            transport.abort()

    def guarded(number: int) -> None:
        if link.stop.is_set():
            return
        if not hasattr(own, "transport"):
            own.transport = Transport(link.stall_s)
            opened.append(own.transport)
        try:
            work(number, own.transport)
        except Stopped:
            return
        except BaseException as error:
            errors.append(error)
            stop()

    pool = ThreadPoolExecutor(n_threads)
    try:
        for future in [pool.submit(guarded, number) for number in range(n_tasks)]:
            future.result()
    except BaseException:
        stop()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for transport in opened:
            transport.close()
    if errors:
        link.stop.clear()  # it was set here; the link may be used again
        raise errors[0]
    link.raise_if_stopped()
