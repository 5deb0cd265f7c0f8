"""Charts as SVG: axes, lines, markers, intervals. Colours come from the page's style sheet, dark or light.

Every run has a colour, a marker and a dash pattern, and its letter stands at its line: nothing hangs on colour alone.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from emgpose.pages.html_file import escaped

WIDTH: Final = 420
RIGHT: Final = 22
TOP: Final = 12
BOTTOM: Final = 40
LETTER_HEIGHT: Final = 13
# Style-sheet classes of the runs, in the order of their letters, and of the static hand.
STATIC: Final = "still"
_DASHES: Final = ("", "7 3", "2 3", "9 3 2 3", "14 4", "5 2 1 2")
_SHAPES: Final = ("circle", "square", "triangle", "diamond", "cross", "plus")
_STATIC_DASH: Final = "1 4"


def run_class(number: int) -> str:
    """Class of the run with this number."""
    return f"r{number % len(_SHAPES)}"


def ticks(low: float, high: float, about: int = 7) -> list[float]:
    """Round numbers from `low` to `high`, 1, 2 or 5 times a power of ten apart."""
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return [low]
    step = 10 ** math.floor(math.log10(span / about))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (factor * step) <= about)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def tick_text(value: float) -> str:
    """A tick's label: as few digits as it needs, thousands as k."""
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    return "0" if abs(value) < 1e-12 else f"{value:.6g}"


@dataclass
class Chart:
    """One chart in the making.

    Parameters
    ----------
    title : str
        Read out where the chart cannot be seen.
    x_limits, y_limits : (float, float)
        y grows upwards, or downwards where the first is larger.
    x_label, y_label : str
        With units.
    height : int
        In the units of the view box, whose width is 420.
    left : int
        Room for the labels of the y axis.
    x_ticks, y_ticks : list of (float, str), optional
        Places and labels of ticks; round numbers by default.
    """

    title: str
    x_limits: tuple[float, float]
    y_limits: tuple[float, float]
    x_label: str
    y_label: str = ""
    height: int = 270
    left: int = 56
    x_ticks: Sequence[tuple[float, str]] | None = None
    y_ticks: Sequence[tuple[float, str]] | None = None
    parts: list[str] = field(default_factory=list)
    letters: list[float] = field(default_factory=list)

    def x(self, value: float) -> float:
        """Place of a value along the width."""
        low, high = self.x_limits
        return self.left + (value - low) / ((high - low) or 1) * (WIDTH - self.left - RIGHT)

    def y(self, value: float) -> float:
        """Place of a value along the height."""
        low, high = self.y_limits
        return self.height - BOTTOM - (value - low) / ((high - low) or 1) * (self.height - TOP - BOTTOM)

    def line(self, points: Iterable[tuple[float, float]], number: int | None, label: str = "") -> None:
        """Draw a run's line, or the static hand's where the number is None, with its letter at the end."""
        shown = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
        if not shown:
            return
        style, dash = (STATIC, _STATIC_DASH) if number is None else (run_class(number), _DASHES[number % len(_DASHES)])
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in shown)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<polyline class="line {style}" points="{path}"{dashes}/>')
        if label:
            self._letter(self.x(shown[-1][0]) + 7, self.y(shown[-1][1]) + 4, label, style)

    def _letter(self, x: float, y: float, letter: str, style: str) -> None:
        """Write a line's letter at its end, below those that stand there already."""
        while any(abs(y - other) < LETTER_HEIGHT for other in self.letters):
            y += LETTER_HEIGHT
        self.letters.append(y)
        self.text(x, y, letter, f"letter {style}")

    def marker(self, x: float, y: float, number: int | None, tip: str = "") -> None:
        """Draw a run's marker, or the static hand's bar."""
        if not (math.isfinite(x) and math.isfinite(y)):
            return
        style = STATIC if number is None else run_class(number)
        shape = "bar" if number is None else _SHAPES[number % len(_SHAPES)]
        note = f"<title>{escaped(tip)}</title>" if tip else ""
        self.parts.append(f'<g class="marker {style}">{note}{marker_path(shape, self.x(x), self.y(y))}</g>')

    def interval(self, low: float, high: float, y: float, number: int) -> None:
        """Draw a horizontal interval."""
        if math.isfinite(low) and math.isfinite(high):
            self._segment(self.x(low), self.y(y), self.x(high), self.y(y), f"range {run_class(number)}")

    def vertical(self, x: float) -> None:
        """Draw a reference line."""
        self._segment(self.x(x), TOP, self.x(x), self.height - BOTTOM, "reference")

    def text(self, x: float, y: float, text: str, style: str = "", anchor: str = "start") -> None:
        """Write at a place in the view box."""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{style}">{escaped(text)}</text>'
        )

    def svg(self) -> str:
        """Give the chart as an SVG element."""
        drawn, self.parts = self.parts, []
        self._axes()
        inside = "".join(self.parts + drawn)
        self.parts = drawn
        title = escaped(self.title)
        return (
            f'<svg class="chart" viewBox="0 0 {WIDTH} {self.height}" role="img" aria-label="{title}">'
            f"<title>{title}</title>{inside}</svg>"
        )

    def _axes(self) -> None:
        floor = self.height - BOTTOM
        given = [(value, tick_text(value)) for value in ticks(*self.x_limits)]
        for value, label in given if self.x_ticks is None else self.x_ticks:
            self._segment(self.x(value), TOP, self.x(value), floor, "grid")
            self.text(self.x(value), floor + 16, label, "tick", "middle")
        given = [(value, tick_text(value)) for value in ticks(min(self.y_limits), max(self.y_limits))]
        for value, label in given if self.y_ticks is None else self.y_ticks:
            self._segment(self.left, self.y(value), WIDTH - RIGHT, self.y(value), "grid")
            self.text(self.left - 6, self.y(value) + 4, label, "tick", "end")
        self.text((self.left + WIDTH - RIGHT) / 2, self.height - 6, self.x_label, "label", "middle")
        if self.y_label:
            middle = (TOP + floor) / 2
            self.parts.append(
                f'<text class="label" text-anchor="middle" transform="translate(12 {middle:.1f}) rotate(-90)">'
                f"{escaped(self.y_label)}</text>"
            )

    def _segment(self, x0: float, y0: float, x1: float, y1: float, style: str) -> None:
        self.parts.append(f'<line class="{style}" x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"/>')


def marker_path(shape: str, x: float, y: float, size: float = 5.0) -> str:
    """Draw one marker around a place."""
    s = size
    corners = {
        "square": [(-s, -s), (s, -s), (s, s), (-s, s)],
        "triangle": [(0, -s * 1.2), (s * 1.1, s), (-s * 1.1, s)],
        "diamond": [(0, -s * 1.3), (s * 1.3, 0), (0, s * 1.3), (-s * 1.3, 0)],
    }
    strokes: dict[str, list[tuple[float, float, float, float]]] = {
        "cross": [(-s, -s, s, s), (-s, s, s, -s)],
        "plus": [(-s * 1.2, 0, s * 1.2, 0), (0, -s * 1.2, 0, s * 1.2)],
        "bar": [(0, -s * 1.3, 0, s * 1.3)],
    }
    if shape in corners:
        return f'<polygon points="{" ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners[shape])}"/>'
    if shape in strokes:
        return "".join(
            f'<line x1="{x + a:.1f}" y1="{y + b:.1f}" x2="{x + c:.1f}" y2="{y + d:.1f}"/>'
            for a, b, c, d in strokes[shape]
        )
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{s:.1f}"/>'


def swatch(number: int | None) -> str:
    """Give a run's sign for legends: its line with its marker."""
    style, dash = (STATIC, _STATIC_DASH) if number is None else (run_class(number), _DASHES[number % len(_DASHES)])
    shape = "bar" if number is None else _SHAPES[number % len(_SHAPES)]
    line = f'<line class="line {style}" x1="1" y1="7" x2="33" y2="7" stroke-dasharray="{dash or "none"}"/>'
    marker = f'<g class="marker {style}">{marker_path(shape, 17, 7, 4.5)}</g>'
    return f'<svg class="swatch" viewBox="0 0 34 14" aria-hidden="true">{line}{marker}</svg>'
