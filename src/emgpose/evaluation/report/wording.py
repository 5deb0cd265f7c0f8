"""Parts of what a report says: sections and tables for reading, and numbers in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from emgpose.evaluation.report.bootstrap import Difference

# Separates the lines of a cell.
NEW_LINE: Final = "\n"
NOTHING: Final = "–"
# Names listed in a sentence.
MAX_NAMES: Final = 8


@dataclass(frozen=True)
class Table:
    """A table for reading; the first column names the row, and starts with a run's letter where `of_runs`."""

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    caption: str = ""
    of_runs: bool = False


@dataclass(frozen=True)
class Section:
    """A heading, sentences, bullet points and tables; `folded` sections open on demand on the page."""

    key: str
    title: str
    paragraphs: list[str] = field(default_factory=list)
    points: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    folded: bool = False


def with_spread(mean: float, spread: float) -> str:
    """Mean ± SD with two decimals; the SD only where there is one."""
    if math.isnan(mean):
        return NOTHING
    return f"{mean:.2f}" + ("" if math.isnan(spread) else f" ± {spread:.2f}")


def signed(value: float, digits: int) -> str:
    """A number with its sign, and none where it is zero as printed."""
    rounded = round(value, digits)
    return f"{rounded:+.{digits}f}" if rounded else f"{0:.{digits}f}"


def three_digits(value: float) -> str:
    """Three digits that count, without an exponent up to millions."""
    if not math.isfinite(value):
        return NOTHING
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def counted(number: float, noun: str) -> str:
    """Such as `1 user`, `2 users`."""
    return f"{number:.0f} {noun}{'' if number == 1 else 's'}"


def difference_text(found: Difference) -> str:
    """A paired difference in lines: degrees with interval, per cent with interval, users."""
    if not found.n_users:
        return "no user in both"
    mean, low, high = (signed(math.degrees(value), 2) for value in (found.mean, found.low, found.high))
    share, *ends = (signed(value, 1) for value in (found.percent, found.percent_low, found.percent_high))
    if math.isnan(found.low):
        return NEW_LINE.join([f"{mean} deg", f"{share} %", "1 user: no interval"])
    return NEW_LINE.join(
        [f"{mean} deg [{low}, {high}]", f"{share} % [{', '.join(ends)}]", counted(found.n_users, "user")]
    )


def verdict(found: Difference) -> str:
    """Whether a run beats what it is compared with: errors below zero do."""
    if not found.n_users:
        return "unknown"
    if found.is_clear:
        return "yes" if found.mean < 0 else "no"
    return "not clearly" if found.mean < 0 else "no"


def listed(names: Sequence[str], where_else: str) -> str:
    """Distinct names, the first eight of them; `where_else` says where the others are."""
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - MAX_NAMES} more ({where_else})" if len(distinct) > MAX_NAMES else ""
    return ", ".join(distinct[:MAX_NAMES]) + more
