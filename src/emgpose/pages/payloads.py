"""What a page's scripts read: the hand, its poses and the EMG as packed arrays."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.pages.emg_envelope import UNIT_LABELS, EmgEnvelope
from emgpose.pages.html_file import packed
from emgpose.pages.track import Track

if TYPE_CHECKING:
    from emgpose.kinematics import HandModel

_BONES_PER_VERTEX: Final = 4
_INT16_MAX: Final = 32_767
_MISSING: Final = -32_768


def hand_payload(hand: "HandModel") -> dict[str, Any]:
    """Return the hand's arrays for `emgpose.Hand` in hand.js: mesh, skin weights (four bones a vertex), kinematics."""
    weights = np.asarray(hand.mesh_weights, dtype=np.float64)
    bones = np.argsort(-weights, axis=1, kind="stable")[:, :_BONES_PER_VERTEX]
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
    scale = np.maximum(np.abs(angles).max(axis=0, initial=0.0).astype(np.float64), 1e-3) / _INT16_MAX
    edges = np.flatnonzero(np.diff(usable.astype(np.int8), prepend=0, append=0))
    return {
        "name": track.name,
        "angles": packed(np.rint(angles / scale), "int16"),
        "scale_rad": scale.tolist(),
        "valid_runs": edges.reshape(-1, 2).tolist(),
    }


def emg_payload(emg: EmgEnvelope, start_s: float, stop_s: float) -> dict[str, Any]:
    """Return the envelope's columns between two times as int16."""
    first = max(0, int(start_s / emg.column_s))
    stop = max(first, int(np.ceil(stop_s / emg.column_s)))
    lowest, highest = emg.minimum[first:stop], emg.maximum[first:stop]
    size = np.maximum(np.abs(lowest), np.abs(highest))
    finite = np.where(np.isfinite(size), size, 0)
    scale = max(float(finite.max(initial=0.0)), 1e-9) / _INT16_MAX
    # One loud channel must not flatten the others: the lanes fit the median channel's 99th percentile.
    typical = float(np.median(np.percentile(finite, 99, axis=0))) if len(finite) else 0.0

    def counts(values: NDArray[np.float32]) -> dict[str, Any]:
        return packed(np.where(np.isfinite(values), np.rint(np.nan_to_num(values) / scale), _MISSING), "int16")

    return {
        "channels": list(emg.channel_names),
        "unit": UNIT_LABELS[emg.unit],
        "start_s": first * emg.column_s,
        "column_s": emg.column_s,
        "scale": scale,
        "typical": typical or 1.0,
        "minimum": counts(lowest),
        "maximum": counts(highest),
    }
