"""Timing two ways of doing the same in turns, so that what else the machine does meets both alike."""

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Ratio:
    """How many times longer `plain` took than `ours`: the median over the pairs, and the lowest and highest."""

    label: str
    plain_s: list[float]
    ours_s: list[float]
    wanted: float

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
        return self.median >= self.wanted

    def line(self) -> str:
        """One line of the printed table."""
        plain_ms, ours_ms = (statistics.median(times) * 1000 for times in (self.plain_s, self.ours_s))
        return (
            f"{self.label:<34}{plain_ms:>10.1f}{ours_ms:>10.1f}{self.median:>8.2f} "
            f"({min(self.ratios):.2f} to {max(self.ratios):.2f})  wanted {self.wanted:.1f}: "
            f"{'met' if self.is_met else 'MISSED'}"
        )


def time_in_turns(
    label: str, plain: Callable[[], Any], ours: Callable[[], Any], *, repeats: int, wanted: float
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
    return ratio


def print_heading(what: str) -> None:
    print(f"{what}; torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}")
    print(f"{'':<34}{'plain ms':>10}{'ours ms':>10}   ratio (lowest to highest pair)")
