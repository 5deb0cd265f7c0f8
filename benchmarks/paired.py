"""Timing two ways of doing the same in turns, so that what else the machine does meets both alike.

Figures that are wanted somewhere are printed, and handed over to `run.py` as one line of JSON each.
"""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

# Names the file to which a script that `run.py` has started adds its figures.
FIGURES_VARIABLE = "EMGPOSE_BENCH_FIGURES"


@dataclass(frozen=True)
class Figure:
    """One measured figure: the median over repeats with the lowest and highest, and what is wanted of it.

    `wanted` is None for a figure that only stands beside the others; `at_least` is False where less is better.
    """

    label: str
    unit: str
    values: list[float]
    wanted: float | None = None
    at_least: bool = True

    @property
    def median(self) -> float:
        """Of the values."""
        return statistics.median(self.values)

    @property
    def is_met(self) -> bool:
        """Whether the median is as wanted, or nothing is wanted."""
        if self.wanted is None:
            return True
        return self.median >= self.wanted if self.at_least else self.median <= self.wanted

    @property
    def verdict(self) -> str:
        """What was wanted and whether it is met; empty where nothing was."""
        if self.wanted is None:
            return ""
        bound = "at least" if self.at_least else "at most"
        return f"{bound} {self.wanted:g}: {'met' if self.is_met else 'MISSED'}"

    def line(self) -> str:
        """One line of text."""
        spread = f"({min(self.values):.3g} to {max(self.values):.3g})" if len(self.values) > 1 else ""
        return f"{self.label:<58}{self.median:>9.3g} {self.unit:<16}{spread:<22}{self.verdict}".rstrip()


def hand_over(figure: Figure) -> None:
    """Add a figure to the file that `run.py` reads; nothing where a script was started by hand."""
    if FIGURES_VARIABLE in os.environ:
        with Path(os.environ[FIGURES_VARIABLE]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(figure)) + "\n")


def show(figure: Figure) -> Figure:
    """Print a figure and hand it over."""
    print(figure.line(), flush=True)
    hand_over(figure)
    return figure


def exit_code(figures: Sequence[Figure]) -> int:
    """1 where a figure misses."""
    return 0 if all(figure.is_met for figure in figures) else 1


@dataclass(frozen=True)
class Ratio:
    """How many times longer `plain` took than `ours`: the median over the pairs, and the lowest and highest."""

    label: str
    plain_s: list[float]
    ours_s: list[float]
    wanted: float | None

    @property
    def ratios(self) -> list[float]:
        """One for each pair."""
        return [plain / ours for plain, ours in zip(self.plain_s, self.ours_s, strict=True)]

    @property
    def median(self) -> float:
        """Of the ratios."""
        return statistics.median(self.ratios)

    @property
    def is_met(self) -> bool:
        """Whether the median reaches the wanted figure."""
        return self.wanted is None or self.median >= self.wanted

    def figure(self) -> Figure:
        """Give it as `run.py` takes it."""
        return Figure(self.label, "times plain", self.ratios, self.wanted)

    def line(self) -> str:
        """One line of the printed table."""
        plain_ms, ours_ms = (statistics.median(times) * 1000 for times in (self.plain_s, self.ours_s))
        return (
            f"{self.label:<34}{plain_ms:>10.1f}{ours_ms:>10.1f}{self.median:>8.2f} "
            f"({min(self.ratios):.2f} to {max(self.ratios):.2f})"
            + ("" if self.wanted is None else f"  wanted {self.wanted:.1f}: {'met' if self.is_met else 'MISSED'}")
        )


def time_in_turns(
    label: str, plain: Callable[[], Any], ours: Callable[[], Any], *, repeats: int, wanted: float | None
) -> Ratio:
    """Run both once unmeasured, then in turns, the one that goes first changing with each pair."""
    plain()
    ours()
    times: dict[Callable[[], Any], list[float]] = {plain: [], ours: []}
    for repeat in range(repeats):
        for run in (plain, ours) if repeat % 2 == 0 else (ours, plain):
            start = time.perf_counter()
            run()
            times[run].append(time.perf_counter() - start)
    ratio = Ratio(label, times[plain], times[ours], wanted)
    print(ratio.line(), flush=True)
    hand_over(ratio.figure())
    return ratio


def print_heading(what: str) -> None:
    print(f"{what}; torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}")
    print(f"{'':<34}{'plain ms':>10}{'ours ms':>10}   ratio (lowest to highest pair)")
