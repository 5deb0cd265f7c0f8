"""The bones of emgpose's generic adult right hand: every number, and where it comes from.

Frame: x distal along the middle ray, y dorsal, z radial, millimetres, origin between forearm and carpus
(docs/conventions.md).
Sources, short names as in docs/decisions/005-our-own-hand.md:
    [BK10]    Buryanov & Kotiuk 2010, radiographs of 66 adults: bone lengths and soft tissue beyond the last bone.
    [Youm78]  Youm et al. 1978: carpal height is 0.54 of the third metacarpal.
    [Cooney81] Cooney et al. 1981: thumb base, 53 deg of flexion with 17 deg of axial rotation.
    [own]     our own choice.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgpose.hand import FINGERS, JOINT_LIMITS_RAD, LANDMARKS, N_JOINTS

Array = NDArray[np.float64]

N_BONES = 17
# [BK10] metacarpal, proximal, middle and distal phalanx, soft tissue at the tip; the thumb has no middle phalanx.
BONE_LENGTHS_MM = {
    "thumb": (46.22, 31.57, 21.67, 5.67),
    "index": (68.12, 39.78, 22.38, 15.82, 3.84),
    "middle": (64.60, 44.63, 26.33, 17.40, 3.95),
    "ring": (58.00, 41.37, 25.65, 17.30, 3.95),
    "pinky": (53.69, 32.74, 18.11, 15.96, 3.73),
}
CARPAL_HEIGHT_RATIO = 0.54  # [Youm78]


@dataclass(frozen=True)
class Ray:
    """How a finger's metacarpal lies in the palm; all [own].

    The bases lie in an arc across the carpus, the metacarpals fan out so that the knuckles share a hand breadth of
    85 mm (ANSUR II, both sexes), and the knuckle line arches. Fingers converge when they flex: `lean_deg` turns the
    flexion axis so that a finger bent by 90 degrees leans that far to the radial side.
    """

    base_mm: tuple[float, float, float]
    splay_deg: float
    knuckle_height_mm: float
    lean_deg: float


RAYS = {
    "index": Ray((32.0, 0.0, 11.0), 10.0, 0.0, -4.0),
    "middle": Ray((CARPAL_HEIGHT_RATIO * BONE_LENGTHS_MM["middle"][0], 0.0, 0.0), 0.0, 2.0, 0.0),
    "ring": Ray((35.0, 0.0, -9.0), -11.0, 0.0, 6.0),
    "pinky": Ray((32.0, -2.0, -17.0), -21.0, -5.0, 12.0),
}
# [own] In the rest pose a finger splays half as far as its metacarpal: neither spread nor closed.
FINGER_SPLAY_OF_METACARPAL = 0.5

THUMB_BASE_MM = (24.0, -11.0, 21.0)  # [own] Puts the thumb tip 138 mm from the wrist (Greiner 1991, scaled: 136 mm).
# [own] Inside the published ranges of about 60 degrees each (Barakat et al. 2013): a relaxed thumb.
THUMB_REST_RADIAL_DEG = 40.0
THUMB_REST_PALMAR_DEG = 30.0
# [own] Adduction brings the thumb up beside the palm, to half of its radial abduction.
THUMB_ADDUCTED_RADIAL_DEG = 30.0
# [Cooney81] While the thumb flexes through 53 degrees it turns by 17 degrees about itself.
THUMB_FLEXION_DEG = 53.0
THUMB_TURN_DEG = 17.0

PALM_CENTRE_MM = (70.0, -17.0, 0.0)  # [own] On the palm's skin.


def skeleton() -> dict[str, Any]:
    """Joints, joint limits and landmarks of the right hand in the rest pose.

    Returns
    -------
    dict with the joint and landmark fields of `emgpose.HandModel` as float64 arrays
    """
    axes, rest = np.zeros((N_JOINTS, 3)), np.zeros((N_JOINTS, 3))
    landmarks = dict.fromkeys(LANDMARKS, np.zeros(3))
    bone_of = dict.fromkeys(LANDMARKS, 1)
    for f, finger in enumerate(FINGERS):
        joints = slice(4 * f, 4 * f + 4)
        axes[joints], rest[joints], tip = _thumb() if finger == "thumb" else _finger(finger)
        parts = ("INTERMEDIATE", "DISTAL") if finger == "thumb" else ("PROXIMAL", "INTERMEDIATE", "DISTAL")
        for part, joint in zip(reversed(parts), (3, 2, 1), strict=False):
            name = f"{finger.upper()}_{part}"
            landmarks[name] = rest[4 * f + joint]
            # A joint's landmark lies on the bone that ends there; a knuckle lies on the palm.
            bone_of[name] = 1 if joint == 1 else 3 * f + joint
        landmarks[f"{finger.upper()}_TIP"] = tip
        bone_of[f"{finger.upper()}_TIP"] = 3 * f + 4
    landmarks["PALM"] = np.array(PALM_CENTRE_MM)
    weights = np.zeros((len(LANDMARKS), N_BONES))
    weights[np.arange(len(LANDMARKS)), [bone_of[name] for name in LANDMARKS]] = 1
    return {
        "joint_axes": axes,
        "joint_rest_mm": rest,
        "joint_limits_rad": np.array(JOINT_LIMITS_RAD, dtype=np.float64),
        "landmark_rest_mm": np.stack([landmarks[name] for name in LANDMARKS]),
        "landmark_weights": weights,
    }


def _finger(finger: str) -> tuple[Array, Array, Array]:
    """Axes and rest positions of four joints, and the tip."""
    ray = RAYS[finger]
    metacarpal, *phalanges, tissue = BONE_LENGTHS_MM[finger]
    rise = (ray.knuckle_height_mm - ray.base_mm[1]) / metacarpal
    knuckle = np.array(ray.base_mm) + metacarpal * _direction(ray.splay_deg, np.degrees(np.arcsin(rise)))
    along = _direction(FINGER_SPLAY_OF_METACARPAL * ray.splay_deg, 0.0)
    dorsal = np.array([0.0, 1.0, 0.0])
    lean = np.radians(ray.lean_deg)
    across = np.cross(along, dorsal) * np.cos(lean)
    # Flexion turns `along` towards palm and lean: axis x along = -dorsal cos(lean) + radial sin(lean).
    flexion = -across - dorsal * np.sin(lean)
    abduction = np.cross(flexion, along)
    ends = knuckle + np.cumsum([0.0, *phalanges])[:, None] * along
    return (
        np.stack([abduction, flexion, flexion, flexion]),
        np.stack([knuckle, *ends[:3]]),
        ends[3] + tissue * along,
    )


def _thumb() -> tuple[Array, Array, Array]:
    """Axes and rest positions of four joints, and the tip."""
    base = np.array(THUMB_BASE_MM)
    along = _direction(THUMB_REST_RADIAL_DEG, -THUMB_REST_PALMAR_DEG)
    adducted = _direction(THUMB_ADDUCTED_RADIAL_DEG, 0.0)
    towards = adducted - (adducted @ along) * along
    # Positive adduction moves the thumb towards the adducted place; positive flexion moves it across the palm.
    bend = towards / np.linalg.norm(towards)
    adduction = np.cross(along, bend)
    turn = np.arctan2(THUMB_TURN_DEG, THUMB_FLEXION_DEG)
    flexion = np.cos(turn) * bend + np.sin(turn) * along
    ends = base + np.cumsum([0.0, *BONE_LENGTHS_MM["thumb"]])[:, None] * along
    return np.stack([flexion, adduction, bend, bend]), np.stack([base, *ends[:3]]), ends[4]


def _direction(radial_deg: float, dorsal_deg: float) -> Array:
    """A unit vector turned from x to the radial side, then lifted to the back of the hand."""
    radial, dorsal = np.radians(radial_deg), np.radians(dorsal_deg)
    return np.array([np.cos(dorsal) * np.cos(radial), np.sin(dorsal), np.cos(dorsal) * np.sin(radial)])
