"""What every command shares: consoles, progress bars, JSON output and argument checks."""

import io
import json
import math
import sys
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from emgpose.json_values import json_values

# Names of files, users and stages are shown as they are: [brackets] are no markup and :words: no emoji.
_PLAIN: dict[str, Any] = {"soft_wrap": True, "highlight": False, "markup": False, "emoji": False}
# A pipe or log has no width; tables there are laid out whole rather than squeezed into 80 columns.
out = Console(width=None if sys.stdout.isatty() else 160, **_PLAIN)
err = Console(stderr=True, **_PLAIN)


def say_error(error: object) -> None:
    """Print one message to stderr."""
    err.print("error:", style="bold red", end=" ")
    err.print(str(error))


def show_any_name() -> None:
    """Spell out what the terminal's encoding lacks, rather than fail on a name or sign in it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def progress_bar() -> Progress:
    """Return a bar on stderr with count, elapsed time and ETA; silent where stderr is no terminal."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )


def print_json(document: Any) -> None:
    """Write one JSON document to stdout; NaN and Inf become null, since JSON has neither."""
    sys.stdout.write(json.dumps(json_values(document), indent=2, allow_nan=False) + "\n")


def degrees(radians: float | None) -> str:
    """Format an angle for people."""
    return "-" if radians is None or not math.isfinite(radians) else f"{math.degrees(radians):.2f} deg"
