"""How long a fresh process takes for `import emgpose` and for `emgpose --help`, files in the page cache.

The import is timed within the process, as Python itself takes as long whatever it imports; the command from outside,
Python included. Exits with 1 where a figure misses, or where the import brings torch along.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence

from paired import Figure, exit_code, show

WANTED_IMPORT_S, WANTED_HELP_S = 0.3, 0.5
IMPORT = (
    "import sys, time; start = time.perf_counter(); import emgpose; "
    "print(time.perf_counter() - start, 'torch' in sys.modules)"
)
HELP = "from emgpose.cli import main; main()"


def import_s() -> float:
    """Seconds of `import emgpose`."""
    answer = subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True, text=True).stdout.split()
    if answer[1] != "False":
        raise SystemExit("import emgpose loaded torch")
    return float(answer[0])


def help_s() -> float:
    """Seconds of the whole process of `emgpose --help`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", HELP, "--help"], check=True, capture_output=True)
    return time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9, help="processes of each, after one that is not counted")
    options = parser.parse_args(arguments)
    figures = []
    for label, measure, wanted in (
        ("import emgpose", import_s, WANTED_IMPORT_S),
        ("emgpose --help", help_s, WANTED_HELP_S),
    ):
        measure()
        values = [measure() for _ in range(options.repeats)]
        figures.append(show(Figure(label, "s", values, wanted, at_least=False)))
    return exit_code(figures)


if __name__ == "__main__":
    sys.exit(main())
