"""How many seconds of a 16-channel session one core simulates per second: movement, muscles, EMG and labels.

Processor time with one thread, as recordings are simulated by one process per core. Exits with 1 where the figure is
missed.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence

from emgpose.simulation.settings import DataSetSettings
from emgpose.simulation.simulated_session import simulate_session
from paired import Figure, exit_code, show

WANTED = 20.0
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="sessions, each of another user or stage")
    parser.add_argument("--minutes", type=float, default=1.0, help="length of each")
    options = parser.parse_args(arguments)
    if any(os.environ.get(variable) != "1" for variable in THREAD_VARIABLES):
        # Read when NumPy comes up, which it has: once more with one thread.
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
        os.execv(sys.executable, [sys.executable, __file__, *(sys.argv[1:] if arguments is None else arguments)])
    settings = DataSetSettings(users=3, stages=4, minutes=options.minutes)
    plan = settings.plan()
    values = []
    # The first is not counted.
    for planned in plan[:: max(1, len(plan) // (options.repeats + 1))][: options.repeats + 1]:
        start = time.process_time()
        simulate_session(settings, planned)
        values.append(options.minutes * 60 / (time.process_time() - start))
    label = f"simulation, 16 channels, {options.minutes:g} min"
    return exit_code([show(Figure(label, "times real time", values[1:], WANTED))])


if __name__ == "__main__":
    sys.exit(main())
