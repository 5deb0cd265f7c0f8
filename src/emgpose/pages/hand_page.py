"""The page of a prediction: a moving hand, predicted beside recorded, with EMG and joint traces and a time slider."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.atomic import write_text_atomically
from emgpose.errors import ConfigError, DataError, ShapeError
from emgpose.hand import FINGERS, JOINTS, LANDMARKS, N_JOINTS
from emgpose.pages.emg_envelope import UNIT_LABELS, EmgEnvelope
from emgpose.pages.html_file import content_hash, escaped, filled, package_text, packed, script_json
from emgpose.version import __version__

if TYPE_CHECKING:
    from emgpose.kinematics import HandModel

# The rollout's own rate; a display shows no more of a hand than 50 poses a second.
FRAME_RATE_HZ: Final = 50.0
# Times closer than this are one: rounding must not make a pose lean on its neighbour.
SAME_TIME_S: Final = 1e-6
BONES_PER_VERTEX: Final = 4
MAX_TRACKS: Final = 4
SCRIPTS: Final = ("hand.js", "hand_view.js", "traces.js", "hand_page.js")
INT16_MAX: Final = 32_767
MISSING: Final = -32_768


@dataclass(frozen=True)
class Track:
    """One moving hand of the page.

    Parameters
    ----------
    name : str
        As the page calls it: `predicted`, `recorded`.
    sample_times_s : array, shape (time,)
        Increasing, on the clock of the EMG [s].
    joint_angles : array, shape (time, joint=20) [rad]
    valid : array of bool, shape (time,), optional
        True = usable; everything by default. Poses with NaN or Inf are never usable.

    Raises
    ------
    ShapeError : the arrays do not fit together.
    DataError : no samples, or times that do not increase.
    """

    name: str
    sample_times_s: NDArray[np.float64]
    joint_angles: NDArray[np.floating[Any]]
    valid: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        times = np.asarray(self.sample_times_s, dtype=np.float64)
        angles = np.asarray(self.joint_angles)
        if times.ndim != 1 or angles.shape != (len(times), N_JOINTS):
            raise ShapeError(
                f"track '{self.name}': expected times (time,) and joint angles (time, {N_JOINTS}), "
                f"got {times.shape} and {angles.shape}"
            )
        if not len(times):
            raise DataError(f"track '{self.name}': expected at least one pose, got none")
        if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            raise DataError(f"track '{self.name}': expected finite times that increase from sample to sample")
        valid = np.ones(len(times), dtype=bool) if self.valid is None else np.asarray(self.valid, dtype=bool)
        if valid.shape != times.shape:
            raise ShapeError(f"track '{self.name}': expected valid of shape {times.shape}, got {valid.shape}")
        object.__setattr__(self, "sample_times_s", times)
        object.__setattr__(self, "joint_angles", angles)
        object.__setattr__(self, "valid", valid & np.isfinite(angles).all(axis=1))

    @property
    def rate_hz(self) -> float:
        """Poses per second; infinite for a single pose."""
        return float("inf") if len(self.sample_times_s) < 2 else float(1 / np.median(np.diff(self.sample_times_s)))

    def at(self, times_s: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return joint angles (time, joint) and validity (time,) at other times.

        Linear between neighbours, usable where both are; elsewhere the last usable pose is held.
        """
        known, valid = self.sample_times_s, np.asarray(self.valid)
        left = np.clip(np.searchsorted(known, times_s + SAME_TIME_S, side="right") - 1, 0, len(known) - 1)
        right = np.where(known[left] < times_s - SAME_TIME_S, np.minimum(left + 1, len(known) - 1), left)
        step = known[right] - known[left]
        weight = np.clip((times_s - known[left]) / np.where(step > 0, step, 1), 0, 1)[:, None]
        inside = (times_s >= known[0] - SAME_TIME_S) & (times_s <= known[-1] + SAME_TIME_S)
        usable = valid[left] & valid[right] & inside
        angles = np.zeros((len(times_s), N_JOINTS))
        below, above = self.joint_angles[left[usable]], self.joint_angles[right[usable]]
        angles[usable] = below + weight[usable] * (above - below)
        newest = np.maximum.accumulate(np.where(usable, np.arange(len(times_s)), -1))
        first = int(np.argmax(usable)) if usable.any() else 0
        return angles[np.where(newest < 0, first, newest)].astype(np.float32), usable


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
    omitted: Sequence[str] = (),
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
    omitted : sequence of str
        What the caller left out already; the page adds what it leaves out itself.
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
    if not 1 <= len(tracks) <= MAX_TRACKS:
        raise ConfigError(f"page {path}: expected 1 to {MAX_TRACKS} tracks, got {len(tracks)}")
    if not span_s > 0 or not np.isfinite(span_s):
        raise ConfigError(f"page {path}: expected a span of more than 0 s, got {span_s:g} s")
    page = _Page(
        title, hand, tuple(tracks), emg, dict(facts or {}), causal, tuple(warnings), tuple(omitted), recording_s
    )
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


def hand_payload(hand: "HandModel") -> dict[str, Any]:
    """Return the hand's arrays for `emgpose.Hand` in hand.js: mesh, skin weights (four bones a vertex), kinematics."""
    weights = np.asarray(hand.mesh_weights, dtype=np.float64)
    bones = np.argsort(-weights, axis=1, kind="stable")[:, :BONES_PER_VERTEX]
    largest = np.take_along_axis(weights, bones, axis=1)
    largest /= largest.sum(axis=1, keepdims=True)
    return {
        "name": hand.name,
        "side": hand.side,
        "joint_axes": packed(np.asarray(hand.joint_axes), "float32"),
        "joint_rest_mm": packed(np.asarray(hand.joint_rest_mm), "float32"),
        "landmark_rest_mm": packed(np.asarray(hand.landmark_rest_mm), "float32"),
        "landmark_weights": packed(np.asarray(hand.landmark_weights), "float32"),
        "vertices_mm": packed(np.asarray(hand.mesh_vertices_mm), "float32"),
        "triangles": packed(np.asarray(hand.mesh_triangles), "uint32"),
        "skin_weights": packed(np.rint(largest * 65_535), "uint16"),
        "skin_bones": packed(bones, "uint8"),
    }


def track_payload(track: Track, times_s: NDArray[np.float64]) -> dict[str, Any]:
    """Return a track at the page's frames: angles as int16 with one scale per joint, and the usable runs, half-open."""
    angles, usable = track.at(times_s)
    scale = np.maximum(np.abs(angles).max(axis=0, initial=0.0).astype(np.float64), 1e-3) / INT16_MAX
    edges = np.flatnonzero(np.diff(usable.astype(np.int8), prepend=0, append=0))
    return {
        "name": track.name,
        "angles": packed(np.rint(angles / scale), "int16"),
        "scale_rad": scale.tolist(),
        "valid_runs": edges.reshape(-1, 2).tolist(),
    }


def emg_payload(emg: EmgEnvelope, start_s: float, stop_s: float) -> dict[str, Any]:
    """Return the envelope's columns between two times as int16."""
    first = max(0, int((start_s - emg.start_s) / emg.column_s))
    stop = max(first, int(np.ceil((stop_s - emg.start_s) / emg.column_s)))
    lowest, highest = emg.minimum[first:stop], emg.maximum[first:stop]
    size = np.maximum(np.abs(lowest), np.abs(highest))
    finite = np.where(np.isfinite(size), size, 0)
    scale = max(float(finite.max(initial=0.0)), 1e-9) / INT16_MAX
    # One loud channel must not flatten the others: the lanes fit the median channel's 99th percentile.
    typical = float(np.median(np.percentile(finite, 99, axis=0))) if len(finite) else 0.0

    def counts(values: NDArray[np.float32]) -> dict[str, Any]:
        return packed(np.where(np.isfinite(values), np.rint(np.nan_to_num(values) / scale), MISSING), "int16")

    return {
        "channels": list(emg.channel_names),
        "unit": UNIT_LABELS[emg.unit],
        "start_s": emg.start_s + first * emg.column_s,
        "column_s": emg.column_s,
        "scale": scale,
        "typical": typical or 1.0,
        "minimum": counts(lowest),
        "maximum": counts(highest),
    }


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
    omitted: tuple[str, ...]
    recording_s: float | None

    def limits_s(self) -> tuple[float, float]:
        starts = [track.sample_times_s[0] for track in self.tracks]
        stops = [track.sample_times_s[-1] for track in self.tracks]
        if self.emg is not None:
            starts.append(self.emg.start_s)
            stops.append(self.emg.start_s + min(self.emg.duration_s, self.emg.span_s))
        return float(min(starts)), float(max(stops))

    def shown_s(self, span_s: float) -> float:
        start_s, stop_s = self.limits_s()
        return min(span_s, stop_s - start_s)

    def frame_rate_hz(self) -> float:
        return min(FRAME_RATE_HZ, max(track.rate_hz for track in self.tracks))

    def rendered(self, span_s: float, max_bytes: int | None) -> tuple[str, tuple[str, ...]]:
        """Return the page for a span, and what it omits; `max_bytes` says that the span was cut to fit."""
        start_s, _ = self.limits_s()
        shown_s, rate_hz = self.shown_s(span_s), self.frame_rate_hz()
        times_s = start_s + np.arange(int(shown_s * rate_hz + 1e-6) + 1) / rate_hz
        notes = self.notes(shown_s, max_bytes)
        data = {
            "joints": JOINTS,
            "fingers": FINGERS,
            "landmarks": LANDMARKS,
            "hand": hand_payload(self.hand),
            "frames": {"rate_hz": rate_hz, "start_s": start_s, "n_frames": len(times_s)},
            "tracks": [track_payload(track, times_s) for track in self.tracks],
            "emg": None if self.emg is None else emg_payload(self.emg, start_s, start_s + shown_s),
        }
        script = "\n".join(package_text(name) for name in SCRIPTS)
        style = package_text("hand_page.css")
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
            "VERSION": escaped(__version__),
            "SCRIPT": script,
            "STYLE": style,
            "SCRIPT_HASH": content_hash(script),
            "STYLE_HASH": content_hash(style),
            "DATA": script_json(data),
        }
        return filled(package_text("hand_page.html"), parts), notes

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
        return (*notes, *self.omitted)


def _list_items(lines: Sequence[str]) -> str:
    return "".join(f"<li>{escaped(line)}</li>" for line in lines)
