"""A process that forks downloads on demand, so that a test can kill them without starting Python each time.

Reads lines of JSON: the arguments of one download. Answers with the child's process id, then, when it has ended, with
its exit status. Run as a script.
"""

import json
import os
import sys
from pathlib import Path

import h5py  # noqa: F401 - imported before the forks
import pandas as pd  # noqa: F401

from emgpose.download import Choice, Link, download


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            link = Link(stall_s=20, sync_bytes=order["sync_bytes"], first_wait_s=0.01)
            choice = Choice(**order["choice"])
            try:
                download(order["what"], Path(order["out"]), choice=choice, base_url=order["url"], link=link)
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
