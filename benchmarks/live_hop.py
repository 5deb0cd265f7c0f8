"""What a live hop costs: `emgpose.live.bench` for full-size models, several times over, against the wanted figures.

The wanted figures are for tracking_vemg2pose on one core, every 20 ms. Other programs on the machine make single runs
differ, so each figure is the median over the runs, with the lowest and highest beside; the processor's own time of the
same hops and the floor stand below.
Exits with 1 where a figure is missed.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from emgpose.checkpoints import load_model
from emgpose.live.bench import BenchReport, run_bench
from emgpose.models import MODELS, build_model

WANTED = {"mean_ms": 3.5, "p99_ms": 7.0, "real_time_factor": 0.18}
WANTED_OF = "tracking_vemg2pose"


def spread(reports: Sequence[BenchReport], figure: Callable[[BenchReport], float]) -> tuple[float, str]:
    """Give the median over the runs, and it with the lowest and highest as text."""
    values = [figure(report) for report in reports]
    median = statistics.median(values)
    return median, f"{median:.3g} ({min(values):.3g} to {max(values):.3g})"


def measure(name: str, repeats: int, seconds: float) -> bool:
    """Print the table of one model; say whether nothing wanted is missed."""
    torch.manual_seed(0)
    model = build_model(name) if name in MODELS else load_model(Path(name))
    reports = [run_bench(model, seconds=seconds) for _ in range(repeats)]
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"\n{name}: {repeats} runs of {seconds:g} s each, load of the machine {load}")
    print(reports[-1].text())
    is_met = True
    for way in ("paced", "paced_cpu", "back_to_back", "engine", "floor"):
        figures = ("mean_ms", "pair_p50_ms", "p99_ms", "p99_9_ms", "real_time_factor")
        for figure in figures:
            median, text = spread(reports, lambda report, way=way, figure=figure: getattr(getattr(report, way), figure))
            wanted = WANTED.get(figure) if name == WANTED_OF and way == "paced" else None
            verdict = "" if wanted is None else f"  wanted {wanted:g}: {'met' if median <= wanted else 'MISSED'}"
            is_met = is_met and (wanted is None or median <= wanted)
            print(f"  {way:<14}{figure:<18}{text}{verdict}")
    return is_met


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=[WANTED_OF, "emgpose50"], help="names, or folders of checkpoints")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each")
    parser.add_argument("--seconds", type=float, default=5.0, help="of EMG in each of a run's three measurements")
    options = parser.parse_args(arguments)
    met = [measure(name, options.repeats, options.seconds) for name in options.models]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
