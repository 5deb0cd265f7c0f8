"""The page of a prediction: a moving hand, predicted beside recorded, with EMG and joint traces and a time slider."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emgpose.atomic import write_text_atomically
from emgpose.errors import ConfigError, DataError
from emgpose.hand import FINGERS, JOINTS, LANDMARKS
from emgpose.pages.emg_envelope import EmgEnvelope
from emgpose.pages.html_file import escaped, filled, html_document, package_text
from emgpose.pages.payloads import emg_payload, hand_payload, track_payload
from emgpose.pages.track import Track

if TYPE_CHECKING:
    from emgpose.kinematics import HandModel

# The rollout's own rate; a display shows no more of a hand than 50 poses a second.
_FRAME_RATE_HZ: Final = 50.0
_MAX_TRACKS: Final = 4
_SCRIPTS: Final = ("hand.js", "hand_view.js", "traces.js", "hand_page.js")


def write_hand_page(
    path: str | Path,
    *,
    title: str,
    hand: "HandModel",
    tracks: Sequence[Track],
    emg: EmgEnvelope | None = None,
    facts: Mapping[str, str] | None = None,
    causal: bool | None = None,
    warnings: Sequence[str] = (),
    span_s: float = 60.0,
    recording_s: float | None = None,
    max_bytes: int = 10_000_000,
) -> tuple[str, ...]:
    """Write a self-contained page with the moving hand; it opens without a network.

    Parameters
    ----------
    path : str or Path
        Where the HTML goes.
    title : str
        Heading of the page.
    hand : HandModel
        Drawn for every track; a left hand is one that `HandModel.mirrored` made.
    tracks : sequence of Track
        One to four; the first is compared with the second.
    emg : EmgEnvelope, optional
        EMG traces under the joint traces.
    facts : mapping, optional
        Rows of the header in this order, such as model, task, mode, preprocessing, initial pose. Hand, side and
        causality are added.
    causal : bool, optional
        Whether the first track used no later sample than its own; None where nothing was predicted.
    warnings : sequence of str
        Shown above everything else.
    span_s : float
        Longest time shown, from the first pose or EMG sample [s].
    recording_s : float, optional
        Length of the whole recording [s]; by default that of the tracks and the EMG.
    max_bytes : int
        The page shows less time rather than being larger.

    Returns
    -------
    tuple of str
        What the page says it omits.

    Raises
    ------
    ConfigError : no tracks, too many, or a span that is not positive.
    DataError : the file cannot be written, or not one second fits into `max_bytes`.
    """
    if not 1 <= len(tracks) <= _MAX_TRACKS:
        raise ConfigError(f"page {path}: expected 1 to {_MAX_TRACKS} tracks, got {len(tracks)}")
    if not span_s > 0 or not np.isfinite(span_s):
        raise ConfigError(f"page {path}: expected a span of more than 0 s, got {span_s:g} s")
    page = _Page(title, hand, tuple(tracks), emg, dict(facts or {}), causal, tuple(warnings), recording_s)
    text, notes = page.rendered(span_s, None)
    size = len(text.encode())
    if size > max_bytes:
        smallest = len(page.rendered(1.0, max_bytes)[0].encode())
        if smallest > max_bytes:
            raise DataError(
                f"page {path}: one second needs {smallest:,} bytes, the limit is {max_bytes:,}; allow a larger page"
            )
        # Size grows linearly with the span: mesh and scripts are the fixed part.
        shown_s = page.shown_s(span_s)
        fitting_s = 1 + (shown_s - 1) * (max_bytes - smallest) / (size - smallest)
        while size > max_bytes:
            fitting_s = max(1.0, 0.98 * fitting_s)
            text, notes = page.rendered(fitting_s, max_bytes)
            size = len(text.encode())
    write_text_atomically(Path(path), text)
    return notes


@dataclass(frozen=True)
class _Page:
    """Everything that the page shows, before the span is decided."""

    title: str
    hand: "HandModel"
    tracks: tuple[Track, ...]
    emg: EmgEnvelope | None
    facts: dict[str, str]
    causal: bool | None
    warnings: tuple[str, ...]
    recording_s: float | None

    def limits_s(self) -> tuple[float, float]:
        starts = [track.sample_times_s[0] for track in self.tracks]
        stops = [track.sample_times_s[-1] for track in self.tracks]
        if self.emg is not None:
            starts.append(0.0)
            stops.append(min(self.emg.duration_s, self.emg.span_s))
        return float(min(starts)), float(max(stops))

    def shown_s(self, span_s: float) -> float:
        start_s, stop_s = self.limits_s()
        return min(span_s, stop_s - start_s)

    def frame_rate_hz(self) -> float:
        return min(_FRAME_RATE_HZ, max(track.rate_hz for track in self.tracks))

    def rendered(self, span_s: float, max_bytes: int | None) -> tuple[str, tuple[str, ...]]:
        """Return the page for a span, and what it omits; `max_bytes` says that the span was cut to fit."""
        shown_s = self.shown_s(span_s)
        notes = self.notes(shown_s, max_bytes)
        parts = {
            "TITLE": escaped(self.title),
            "WARNINGS": _list_items(self.warnings),
            "WARNINGS_HIDDEN": "" if self.warnings else "hidden",
            "SUMMARY": escaped(self.summary()),
            "FACTS": "".join(
                f"<div><dt>{escaped(name)}</dt><dd>{escaped(value)}</dd></div>"
                for name, value in self.all_facts().items()
            ),
            "NOTES": _list_items(notes),
        }
        body = filled(package_text("hand_page.html"), parts)
        style, script = package_text("hand_page.css"), "\n".join(map(package_text, _SCRIPTS))
        return html_document(self.title, body, style=style, script=script, data=self.data(shown_s)), notes

    def data(self, shown_s: float) -> dict[str, Any]:
        """Return what the scripts draw."""
        start_s, _ = self.limits_s()
        rate_hz = self.frame_rate_hz()
        times_s = start_s + np.arange(int(shown_s * rate_hz + 1e-6) + 1) / rate_hz
        return {
            "joints": JOINTS,
            "fingers": FINGERS,
            "landmarks": LANDMARKS,
            "hand": hand_payload(self.hand),
            "frames": {"rate_hz": rate_hz, "start_s": start_s, "n_frames": len(times_s)},
            "tracks": [track_payload(track, times_s) for track in self.tracks],
            "emg": None if self.emg is None else emg_payload(self.emg, start_s, start_s + shown_s),
        }

    def summary(self) -> str:
        causality = {True: "causal · ", False: "not causal · ", None: ""}[self.causal]
        return f"{causality}{self.hand.side} hand · {self.hand.name}"

    def all_facts(self) -> dict[str, str]:
        causality = {
            True: "yes: no pose uses a later sample",
            False: "no: poses use later samples, so this cannot run live",
        }
        added = {} if self.causal is None else {"Causal": causality[self.causal]}
        return {**self.facts, **added, "Hand": self.hand.name, "Side": self.hand.side}

    def notes(self, shown_s: float, max_bytes: int | None) -> tuple[str, ...]:
        start_s, stop_s = self.limits_s()
        total_s = stop_s - start_s if self.recording_s is None else self.recording_s
        notes = []
        # Tracks begin after the model's left context: less than a tenth of a second left out is not worth a note.
        if total_s - shown_s > 0.1:
            reason = "" if max_bytes is None else f" (the page may hold {max_bytes / 1e6:g} MB)"
            notes.append(f"Shown: the first {shown_s:.1f} s of {total_s:.1f} s{reason}.")
        rate_hz = self.frame_rate_hz()
        faster = [track for track in self.tracks if np.isfinite(track.rate_hz) and track.rate_hz > 1.01 * rate_hz]
        notes += [
            f"Poses of '{track.name}' are drawn at {rate_hz:g} Hz; they came at {track.rate_hz:g} Hz."
            for track in faster
        ]
        if self.emg is not None and self.emg.samples_per_column > 1:
            notes.append(
                f"EMG is drawn as the lowest and highest of every {self.emg.samples_per_column} samples "
                f"({1000 * self.emg.column_s:.0f} ms)."
            )
        return tuple(notes)


def _list_items(lines: Sequence[str]) -> str:
    return "".join(f"<li>{escaped(line)}</li>" for line in lines)
