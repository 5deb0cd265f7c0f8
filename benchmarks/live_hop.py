"""What a live hop costs: `emgpose.live.bench` for full-size models, several times over, against the wanted figures.

The wanted figures are for tracking_vemg2pose on one core, every 20 ms; the floor is one pass over its weights in the
same run. Other programs on the machine make single runs differ, so each figure is the median over the runs, with the
lowest and highest beside; the processor's own time of the same hops stands below.
Exits with 1 where a figure is missed.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from emgpose.checkpoints import load_model
from emgpose.live.bench import BenchReport, run_bench
from emgpose.models import MODELS, build_model
from paired import Figure, exit_code, show

WANTED_OF = "tracking_vemg2pose"
SHIPPED = "shipped"
# Of each way of running a hop: figure of a `HopTimes`, unit, and what is wanted of `WANTED_OF`.
FIGURES = {
    "paced": (("mean_ms", "ms", 3.5), ("p99_ms", "ms", 7.0), ("real_time_factor", "of real time", 0.18)),
    "paced_cpu": (("mean_ms", "ms", None),),
    "back_to_back": (("mean_ms", "ms", None),),
    "engine": (("mean_ms", "ms", None), ("p99_ms", "ms", None), ("real_time_factor", "of real time", None)),
    "floor": (("mean_ms", "ms", None),),
}
TIMES_THE_FLOOR = 1.5


def figures_of(name: str, reports: Sequence[BenchReport]) -> list[Figure]:
    """Give the figures of one model."""

    def figure(label: str, unit: str, of: Callable[[BenchReport], float], wanted: float | None) -> Figure:
        wanted = wanted if name == WANTED_OF else None
        return Figure(f"hop of {name}, {label}", unit, [of(report) for report in reports], wanted, at_least=False)

    figures = [
        figure("paced mean", "times floor", lambda report: report.paced.mean_ms / report.floor.mean_ms, TIMES_THE_FLOOR)
    ]
    for way, of_way in FIGURES.items():
        for field, unit, wanted in of_way:
            label = f"{way} {field}".replace("_", " ")
            figures.append(
                figure(label, unit, lambda report, way=way, field=field: getattr(getattr(report, way), field), wanted)
            )
    return figures


def measure(name: str, repeats: int, seconds: float) -> list[Figure]:
    """Print the table of one model."""
    torch.manual_seed(0)
    checkpoint = None if name == SHIPPED else Path(name)
    model = build_model(name) if name in MODELS else load_model(checkpoint)
    reports = [run_bench(model, seconds=seconds) for _ in range(repeats)]
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"\n{name}: {repeats} runs of {seconds:g} s each, load of the machine {load}")
    print(reports[-1].text())
    return [show(figure) for figure in figures_of(name, reports)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "models", nargs="*", default=[WANTED_OF, SHIPPED], help=f"names, folders of checkpoints, or {SHIPPED}"
    )
    parser.add_argument("--repeats", type=int, default=5, help="runs of each")
    parser.add_argument("--seconds", type=float, default=5.0, help="of EMG in each of a run's three measurements")
    options = parser.parse_args(arguments)
    return exit_code([figure for name in options.models for figure in measure(name, options.repeats, options.seconds)])


if __name__ == "__main__":
    sys.exit(main())
