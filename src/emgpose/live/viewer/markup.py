"""What the viewer's panels say, as HTML; names come from devices and files and are escaped."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from emgpose.live.pose_frame import Hello, PoseFrame
from emgpose.live.viewer.traces import N_COLUMNS, ROW_HEIGHT, SPAN_S

# Okabe-Ito's colours, told apart by colour-blind readers; each also has a word or a length.
GOOD: Final = "#009e73"
WARN: Final = "#d55e00"
QUIET: Final = "#7a8290"
# Below this a channel's bar is drawn as a warning.
_POOR_QUALITY: Final = 0.5
_BOX: Final = "margin:0 12px 8px;font-size:13px;line-height:1.45;overflow-wrap:anywhere"


def state_line(frame: PoseFrame | None, paused: bool) -> str:
    """Say in one coloured word whether the hand can be trusted now, and why not."""
    if paused:
        word, why, colour = "PAUSED", "the pose is held; EMG goes on", QUIET
    elif frame is None:
        word, why, colour = "WAITING", "no pose yet", QUIET
    elif frame.stale:
        word, why, colour = "STALE", frame.reason, WARN
    else:
        word, why, colour = "LIVE", "", GOOD
    pill = f'<b style="background:{colour};color:#fff;border-radius:9px;padding:1px 9px;font-size:12px">{word}</b>'
    return f'<div data-state="{word.lower()}" style="{_BOX};margin-top:8px">{pill} {escape(why)}</div>'


def facts(rows: Mapping[str, str]) -> str:
    """Lay out names and values."""
    cells = "".join(
        f'<tr><td style="opacity:.7;padding-right:10px;vertical-align:top;white-space:nowrap">{escape(name)}</td>'
        f"<td>{escape(value)}</td></tr>"
        for name, value in rows.items()
        if value
    )
    return f'<table style="{_BOX};border-spacing:0;font-variant-numeric:tabular-nums">{cells}</table>'


def warnings(sentences: Sequence[str]) -> str:
    """List what must be known before trusting the poses; empty where there is nothing."""
    items = "".join(f"<div>&#9888; {escape(sentence)}</div>" for sentence in sentences)
    return f'<div style="{_BOX};border-left:3px solid {WARN};padding-left:8px">{items}</div>' if items else ""


def sentence(text: str) -> str:
    """Show a sentence or two."""
    return f'<div style="{_BOX}">{escape(text)}</div>' if text else ""


def about(hello: Hello) -> dict[str, str]:
    """Give what does not change while the hand runs."""
    simulated = ", simulated" if hello.is_simulated else ""
    return {
        "model": f"{hello.model}, {hello.task}; trained on: {hello.trained_on}",
        "source": f"{hello.source}, {hello.sample_rate_hz:g} Hz{simulated}",
        "hand": f"{hello.hand}, {hello.side}",
    }


def timing(compute_ms: Mapping[str, float], latency_ms: Mapping[str, float], delay_s: float) -> dict[str, str]:
    """Give how long poses take [ms]."""
    rows = {"computing": compute_ms, "latency": latency_ms}
    shown = {name: f"{ms['p50']:.1f} ms, p99 {ms['p99']:.1f}" for name, ms in rows.items()}
    return shown | {"look-ahead": f"{1000 * delay_s:g} ms"}


def error_row(error_rad: float | None) -> dict[str, str]:
    """Give the mean absolute error of the last seconds, where the truth is known."""
    return {} if error_rad is None else {"error": f"{math.degrees(error_rad):.1f} deg over the last 2 s"}


def emg_rows(names: Sequence[str], paths: Sequence[str], quality: Mapping[str, float]) -> str:
    """Draw each channel: its name, its quality as a bar, and its trace.

    Parameters
    ----------
    names : sequence of str
        Of the source's channels.
    paths : sequence of str
        SVG paths, as `EmgTraces.paths` gives them.
    quality : mapping of str to float
        By channel name, 0 to 1; channels that the model does not use are missing.
    """
    rows = "".join(
        f'<span style="text-align:right;opacity:.8">{escape(name)}</span>{_bar(quality.get(name))}{_trace(path)}'
        for name, path in zip(names, paths, strict=True)
    )
    grid = "display:grid;grid-template-columns:auto 42px 1fr;gap:2px 8px;align-items:center"
    heading = '<span></span><span style="opacity:.7">quality</span>'
    span = f'<span style="opacity:.7">last {SPAN_S:g} s, one scale for all</span>'
    return f'<div data-emg style="{_BOX};font-size:11px;margin-top:8px;{grid}">{heading}{span}{rows}</div>'


def _bar(quality: float | None) -> str:
    if quality is None:
        return '<span style="opacity:.6">unused</span>'
    colour = GOOD if quality >= _POOR_QUALITY else WARN
    word = "" if quality >= _POOR_QUALITY else "poor"
    return (
        f'<span title="{quality:.0%}" style="position:relative;height:10px;border-radius:3px;overflow:hidden;'
        f'background:rgba(128,128,128,.3);font-size:9px;line-height:10px;text-align:center">'
        f'<i style="position:absolute;inset:0 auto 0 0;width:{100 * quality:.0f}%;background:{colour}"></i>'
        f"{word}</span>"
    )


def _trace(path: str) -> str:
    # The browser stretches the box to the panel's width; strokes keep their thickness.
    return (
        f'<svg viewBox="0 0 {N_COLUMNS} {ROW_HEIGHT}" preserveAspectRatio="none" style="width:100%;height:22px">'
        f'<path d="{path}" stroke="currentColor" stroke-width="1.2" vector-effect="non-scaling-stroke" fill="none"/>'
        "</svg>"
    )
