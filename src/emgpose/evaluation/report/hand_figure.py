"""Errors on a drawn hand: the back of a right hand, each joint with its number in a colour that grows lighter."""

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from emgpose.evaluation.report.charts import tick_text, ticks
from emgpose.hand import FINGERS, JOINT_INDEX, JOINTS, LANDMARK_INDEX
from emgpose.kinematics import HandModel, forward_kinematics
from emgpose.pages.html_file import escaped

# cividis (Nunez et al. 2018, PLOS ONE 13(7):e0199239): the same to readers with and without colour deficiency.
_CIVIDIS: Final = (
    (0, 32, 77),
    (45, 63, 108),
    (92, 94, 112),
    (127, 124, 117),
    (165, 155, 115),
    (207, 189, 98),
    (255, 234, 70),
)
PIXELS_PER_MM: Final = 2.0
WIDTH: Final = 370
RADIUS: Final = 15
# The spread of a finger is drawn this far from its knuckle, towards the wrist.
SPREAD_OFFSET_MM: Final = 17.0
# Fingers apart, so that their joints do not overlap [deg].
_SPREAD_DEG: Final = {"INDEX_MCP_AA": 8, "RING_MCP_AA": -9, "PINKY_MCP_AA": -18}
_FINGER_WIDTH: Final = {"thumb": 40, "index": 36, "middle": 37, "ring": 35, "pinky": 31}

Point = tuple[float, float]


def colour(share: float) -> tuple[str, str]:
    """Colour of the map at 0 to 1, and black or white, whichever reads better on it."""
    place = min(max(share, 0.0), 1.0) * (len(_CIVIDIS) - 1)
    first = min(int(place), len(_CIVIDIS) - 2)
    mixed = [round(a + (place - first) * (b - a)) for a, b in zip(_CIVIDIS[first], _CIVIDIS[first + 1], strict=True)]
    linear = [(value / 255) ** 2.2 for value in mixed]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#" + "".join(f"{value:02x}" for value in mixed), "#000000" if luminance > 0.18 else "#ffffff"


def error_hand(title: str, errors_deg: Mapping[str, float], limits_deg: tuple[float, float]) -> str:
    """Draw a hand with the error of each joint.

    Parameters
    ----------
    title : str
        Read out where the figure cannot be seen.
    errors_deg : mapping of joint or finger -> error [deg]
    limits_deg : (float, float)
        Errors at the ends of the colour map; the same for hands that are compared.
    """
    places, tips, height = _layout()
    parts = [_silhouette(places, tips)]
    low, high = limits_deg
    for joint, (x, y) in places.items():
        error = errors_deg.get(joint, math.nan)
        if not math.isfinite(error):
            continue
        fill, ink = colour((error - low) / ((high - low) or 1))
        parts.append(
            f'<g><title>{escaped(joint)}: {error:.2f} deg</title><circle class="joint" cx="{x:.1f}" cy="{y:.1f}" '
            f'r="{RADIUS}" fill="{fill}"/><text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" class="number" '
            f'fill="{ink}">{_number(error)}</text></g>'
        )
    for finger, (x, y) in tips.items():
        error = errors_deg.get(finger, math.nan)
        parts.append(f'<text x="{x:.1f}" y="{y - 37:.1f}" text-anchor="middle" class="tick">{finger}</text>')
        if math.isfinite(error):
            parts.append(
                f'<text x="{x:.1f}" y="{y - 23:.1f}" text-anchor="middle" class="strong">{_number(error)}</text>'
            )
    parts.append(_scale(limits_deg, height))
    name = escaped(title)
    box = f'class="chart" viewBox="0 0 {WIDTH} {height + 52:.0f}" role="img" aria-label="{name}"'
    return f"<svg {box}><title>{name}</title>{''.join(parts)}</svg>"


def _number(error: float) -> str:
    return f"{error:.1f}" if error < 99.95 else f"{error:.0f}"


def _layout() -> tuple[dict[str, Point], dict[str, Point], float]:
    """Places of the 20 joints and the 5 fingertips in the view box, and the height that the hand needs."""
    hand = HandModel.generic()
    pose = np.zeros(len(JOINTS), dtype=np.float32)
    for joint, angle in _SPREAD_DEG.items():
        pose[JOINT_INDEX[joint]] = math.radians(angle)
    landmarks = np.asarray(forward_kinematics(pose, hand))
    base = np.asarray(hand.joint_rest_mm)[JOINT_INDEX["THUMB_CMC_FE"]]

    def mark(name: str) -> np.ndarray:
        return landmarks[LANDMARK_INDEX[name]]

    joints = {"THUMB_CMC_FE": base, "THUMB_MCP_FE": mark("THUMB_INTERMEDIATE"), "THUMB_IP_FE": mark("THUMB_DISTAL")}
    for finger in FINGERS[1:]:
        for joint, part in (("MCP_FE", "PROXIMAL"), ("PIP_FE", "INTERMEDIATE"), ("DIP_FE", "DISTAL")):
            joints[f"{finger.upper()}_{joint}"] = mark(f"{finger.upper()}_{part}")
    for finger in FINGERS:
        base_joint = "CMC" if finger == "thumb" else "MCP"
        knuckle = joints[f"{finger.upper()}_{base_joint}_FE"]
        joints[f"{finger.upper()}_{base_joint}_AA"] = knuckle * (1 - SPREAD_OFFSET_MM / np.linalg.norm(knuckle[[0, 2]]))
    tips = {finger: mark(f"{finger.upper()}_TIP") for finger in FINGERS}
    # The back of a right hand, fingers up: distal is up, radial (the thumb) left.
    top, left = max(tip[0] for tip in tips.values()) + 26, max(tips["thumb"][2], 0) + 14

    def place(point: np.ndarray) -> Point:
        return float(PIXELS_PER_MM * (left - point[2])), float(PIXELS_PER_MM * (top - point[0]))

    places = {joint: place(joints[joint]) for joint in JOINTS}
    return places, {finger: place(tip) for finger, tip in tips.items()}, PIXELS_PER_MM * (top + 8)


def _silhouette(places: Mapping[str, Point], tips: Mapping[str, Point]) -> str:
    """Thick round lines for fingers, and the palm, first as outline and then as filling."""
    lines = []
    for finger in FINGERS:
        chain = [places[joint] for joint in JOINTS if joint.startswith(finger.upper()) and not joint.endswith("_AA")]
        lines.append((_path([*chain, tips[finger]]), _FINGER_WIDTH[finger]))
    knuckles = [places[f"{finger.upper()}_MCP_FE"] for finger in FINGERS[1:]]
    spread = [places[f"{finger.upper()}_MCP_AA"] for finger in FINGERS[1:]]
    thumb = places["THUMB_CMC_FE"]
    wrist_y = max(thumb[1], places["THUMB_CMC_AA"][1]) + 8
    palm = _path([*knuckles, (spread[-1][0] - 8, wrist_y), (thumb[0] + 22, wrist_y), thumb, places["THUMB_MCP_FE"]])
    lines.append((palm, 38))

    def drawn(extra: int, style: str) -> str:
        return "".join(f'<path class="{style}" d="{path}" stroke-width="{width + extra}"/>' for path, width in lines)

    return f'{drawn(3, "skin-edge")}{drawn(0, "skin")}<path class="palm" d="{palm}Z"/>'


def _path(points: list[Point]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _scale(limits_deg: tuple[float, float], height: float) -> str:
    """The colour map with its numbers."""
    left, width, n_steps = 60, WIDTH - 120, 48
    low, high = limits_deg
    # Steps overlap a little, so that no gap shows between them.
    size = f'y="{height + 6:.1f}" width="{width / n_steps + 0.6:.2f}" height="10"'
    parts = [
        f'<rect x="{left + width * i / n_steps:.2f}" {size} fill="{colour(i / (n_steps - 1))[0]}"/>'
        for i in range(n_steps)
    ]
    for value in ticks(low, high):
        x = left + width * (value - low) / ((high - low) or 1)
        parts.append(
            f'<text x="{x:.1f}" y="{height + 30:.1f}" text-anchor="middle" class="tick">{tick_text(value)}</text>'
        )
    parts.append(
        f'<text x="{WIDTH / 2}" y="{height + 44:.1f}" text-anchor="middle" class="label">mean error [deg]</text>'
    )
    return "".join(parts)
