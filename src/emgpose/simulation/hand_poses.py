"""Named hand poses in degrees, from which movements are made.

The poses are our own, set by eye and by the distances between the fingertips of `HandModel.generic()`: where thumb and
finger pinch, the tips are about 11 mm apart, and the pads touch.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Thumb = tuple[float, float, float, float]
Finger = tuple[float, float, float] | tuple[float, float, float, float]
Loads = tuple[float, float, float, float, float]
FREE: Final = (0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class HandPose:
    """One pose of the hand.

    Parameters
    ----------
    thumb : tuple of 4 float
        CMC_FE, CMC_AA, MCP_FE, IP_FE [deg].
    index, middle, ring, pinky : tuple of 3 or 4 float
        MCP_AA, MCP_FE, PIP_FE and DIP_FE [deg]; without the DIP it follows the PIP as the person's hand does.
    load : tuple of 5 float
        Contact load per finger from 0 to 1. Fingers in contact vary less between people and executions.
    """

    thumb: Thumb
    index: Finger
    middle: Finger
    ring: Finger
    pinky: Finger
    load: Loads = FREE

    def joint_angles_rad(self, dip_per_pip: float) -> NDArray[np.float64]:
        """Give the 20 joint angles [rad] for a person's coupling of the DIP to the PIP."""
        fingers = (self.index, self.middle, self.ring, self.pinky)
        degrees = [*self.thumb]
        for finger in fingers:
            degrees.extend(finger if len(finger) == 4 else (*finger, dip_per_pip * finger[2]))
        return np.radians(degrees)


# Thumbs: at rest, stretched out, up along the index finger's side, folded over the fist, beside and across the palm.
_REST: Final = (8.0, 4.0, 10.0, 10.0)
_OUT: Final = (-16.0, -2.0, 0.0, -12.0)
_UP: Final = (-20.0, 16.0, -3.0, -14.0)
_OVER: Final = (33.0, 13.0, 32.0, 64.0)
_BESIDE: Final = (12.0, 24.0, 15.0, 10.0)
_ACROSS: Final = (38.0, 0.0, 40.0, 45.0)
_ROUND: Final = (20.0, -16.0, 18.0, 20.0)
# Fingers: straight, folded into the palm, relaxed, bent in the knuckle only, hooked, round an object, in the palm.
_STRAIGHT: Final = (0.0, -14.0, 5.0, -3.0)
_FOLDED: Final = (0.0, 72.0, 106.0, 84.0)
_SOFT: Final = (0.0, 22.0, 30.0)
_TABLE: Final = (0.0, 68.0, 10.0, 4.0)
_HOOK: Final = (0.0, -6.0, 90.0, 62.0)
_AROUND: Final = (0.0, 42.0, 55.0)
_TO_PALM: Final = (0.0, 78.0, 100.0, 40.0)

# Pinches, index to little finger: where the thumb goes, and which fingers bear load.
_PINCH_THUMBS: Final[tuple[Thumb, ...]] = ((20, -6, 15, 20), (26, -6, 18, 21), (31, -9, 20, 22), (36, -9, 25, 24))
_PINCH_FINGERS: Final[tuple[Finger, ...]] = ((0, 50, 45, 30), (1, 52, 47, 31), (1, 51, 46, 30), (2, 49, 43, 29))
_FINGER_NAMES: Final = ("index", "middle", "ring", "pinky")


def _all(thumb: Thumb, finger: Finger, load: float = 0.0) -> HandPose:
    return HandPose(thumb, finger, finger, finger, finger, (load,) * 5)


def _only(place: int, thumb: Thumb, finger: Finger, others: Finger, load: Loads = FREE) -> HandPose:
    """One finger (0 index to 3 little finger) unlike the others."""
    fingers = [finger if f == place else others for f in range(4)]
    return HandPose(thumb, fingers[0], fingers[1], fingers[2], fingers[3], load)


def _pinch(place: int, others: Finger) -> HandPose:
    load = [0.22, 0.0, 0.0, 0.0, 0.0]
    load[place + 1] = 0.22
    return _only(
        place, _PINCH_THUMBS[place], _PINCH_FINGERS[place], others, (load[0], load[1], load[2], load[3], load[4])
    )


def _bent_and_led(degrees: float) -> HandPose:
    """Straight fingers, all leaning to the thumb side (positive) or away from it."""
    return _all(_REST, (degrees, -8.0, 5.0, 0.0))


def _thumb_circle(place: int) -> HandPose:
    """Thumb at one of eight places on its circle, which starts stretched out and goes up first."""
    out, up = math.cos(math.pi / 4 * place), math.sin(math.pi / 4 * place)
    return _all((6.0 - 22.0 * out, 2.0 + 20.0 * up, 12.0 - 12.0 * out, 8.0), _FOLDED)


RESTING: Final = HandPose(_REST, (0, 18, 26), (0, 24, 30), (0, 28, 32), (-4, 30, 30))

POSES: Final[dict[str, HandPose]] = {
    "resting": RESTING,
    "flat": _all(_BESIDE, (0, -4, 3, 0)),
    "on_desk": HandPose((0, 8, 5, 0), (5, -2, 8, 2), (0, -2, 8, 2), (-4, -2, 8, 2), (-12, -2, 8, 2), (0.04,) * 5),
    "open": HandPose(_OUT, _STRAIGHT, _STRAIGHT, _STRAIGHT, (-8, -16, 6, -2)),
    "spread": HandPose(_OUT, (14, -18, 4, -4), (2, -14, 4, -3), (-10, -16, 4, -3), (-34, -26, 5, -3)),
    "closed": HandPose(_BESIDE, (-6, -6, 4, 0), (-1, -8, 4, 0), (4, -8, 4, 0), (10, -8, 6, 0)),
    "lean_radial": _bent_and_led(14),
    "lean_ulnar": _bent_and_led(-16),
    "fist": _all(_OVER, _FOLDED, 0.12),
    "tight_fist": _all(_OVER, (0, 80, 108, 86), 0.6),
    "loose_fist": _all((20, 14, 20, 30), (0, 55, 78)),
    # Counting, thumb last and thumb first.
    "count_1": HandPose(_OVER, _STRAIGHT, _FOLDED, _FOLDED, _FOLDED),
    "count_2": HandPose(_OVER, (8, -16, 5, -3), (-6, -14, 5, -2), _FOLDED, _FOLDED),
    "count_3": HandPose(_OVER, (8, -16, 5, -3), _STRAIGHT, (-8, -12, 8, 0), _FOLDED),
    "count_4": HandPose(_ACROSS, (9, -18, 4, -4), _STRAIGHT, (-6, -14, 5, -2), (-20, -20, 6, -2)),
    "thumb_1": _all(_UP, _FOLDED),
    "thumb_2": HandPose(_UP, (6, -16, 5, -3), _FOLDED, _FOLDED, _FOLDED),
    "thumb_3": HandPose(_UP, (8, -16, 5, -3), (-6, -14, 5, -2), _FOLDED, _FOLDED),
    "thumb_4": HandPose(_UP, (8, -16, 5, -3), _STRAIGHT, (-8, -12, 8, 0), _FOLDED),
    # One finger out of the fist, one into the palm, one bent at its knuckle.
    **{f"point_{name}": _only(f, _OVER, _STRAIGHT, _FOLDED) for f, name in enumerate(_FINGER_NAMES)},
    **{f"palm_{name}": _only(f, _REST, _TO_PALM, (0, -4, 8)) for f, name in enumerate(_FINGER_NAMES)},
    **{f"dip_{name}": _only(f, _REST, (0, 48, 40), (0, -2, 10)) for f, name in enumerate(_FINGER_NAMES)},
    "palm_thumb": HandPose((46, -6, 48, 40), (0, -4, 8), (0, -4, 8), (0, -4, 8), (0, -4, 8)),
    # Abduction of one finger to either side of the others.
    "part_index": HandPose(_REST, (18, -8, 5), (0, -8, 5), (2, -8, 5), (4, -8, 5)),
    "part_middle": HandPose(_REST, (8, -8, 5), (10, -8, 5), (-8, -8, 5), (-10, -8, 5)),
    "part_ring": HandPose(_REST, (-2, -8, 5), (0, -8, 5), (-14, -8, 5), (-22, -8, 5)),
    "part_pinky": HandPose(_REST, (-2, -8, 5), (0, -8, 5), (2, -8, 5), (-34, -14, 5)),
    "part_thumb": HandPose(_OUT, (-4, -6, 5), (0, -8, 5), (2, -8, 5), (6, -8, 5)),
    # Pinches.
    **{f"pinch_{name}": _pinch(f, _SOFT) for f, name in enumerate(_FINGER_NAMES)},
    "pinch_all": HandPose(
        (30, -3, 19, 21), (-20, 52, 38, 24), (1, 49, 45, 30), (8, 45, 46, 32), (17, 47, 33, 21), (0.2,) * 5
    ),
    "pinch_two": HandPose((25, -7, 17, 21), (-8, 47, 40, 27), (10, 45, 46, 31), _SOFT, _SOFT, (0.25, 0.2, 0.2, 0, 0)),
    "ok": _pinch(0, (-4, -10, 8, 0)),
    "before_pinch": HandPose((8, -14, 4, 4), (4, 32, 26, 14), _SOFT, _SOFT, _SOFT),
    # The thumb's tip along the side of the bent index finger.
    "swipe_tip": HandPose(
        (19, 10, 17, 15), (0, 35, 55, 30), (0, 42, 58, 33), (0, 45, 60, 35), (0, 45, 60, 35), (0.1, 0.05, 0, 0, 0)
    ),
    "swipe_base": HandPose(
        (21, 26, 4, 48), (0, 35, 55, 30), (0, 42, 58, 33), (0, 45, 60, 35), (0, 45, 60, 35), (0.1, 0.05, 0, 0, 0)
    ),
    "swipe_up": HandPose((4, 28, 6, -6), (0, 35, 55, 30), (0, 42, 58, 33), (0, 45, 60, 35), (0, 45, 60, 35)),
    "swipe_down": HandPose((34, -4, 26, 26), (0, 35, 55, 30), (0, 42, 58, 33), (0, 45, 60, 35), (0, 45, 60, 35)),
    **{f"thumb_circle_{place}": _thumb_circle(place) for place in range(8)},
    "thumbs_up": _all((-24, 20, -6, -18), _FOLDED, 0.08),
    # Signs.
    "shaka": HandPose((-22, 2, -4, -12), _FOLDED, _FOLDED, _FOLDED, (-28, -24, 8, 0)),
    "vulcan": HandPose(_OUT, (6, -12, 5, -2), (10, -12, 5, -2), (-12, -12, 5, -2), (-16, -14, 5, -2)),
    "peace": HandPose(_ACROSS, (14, -16, 4, -3), (-10, -14, 4, -3), _FOLDED, _FOLDED, (0.06, 0, 0, 0.06, 0.06)),
    "scissors_shut": HandPose(_ACROSS, (-5, -12, 4, -3), (2, -12, 4, -3), _FOLDED, _FOLDED, (0.06, 0, 0, 0.06, 0.06)),
    "horns": HandPose(_ACROSS, (4, -16, 5, -3), _FOLDED, _FOLDED, (-14, -20, 6, -2), (0.08, 0, 0.06, 0.06, 0)),
    # Grasps and objects.
    "claw": HandPose((-6, -14, 14, 28), (10, -10, 66, 44), (2, -8, 68, 45), (-6, -8, 68, 45), (-18, -10, 66, 44)),
    "hook": _all(_REST, _HOOK),
    "table": _all(_BESIDE, _TABLE),
    "reach": HandPose((-12, -18, 4, 4), (8, 2, 24, 12), (1, 2, 24, 12), (-5, 2, 24, 12), (-14, 0, 24, 12)),
    "knob": HandPose(
        (18, -22, 16, 24), (10, 30, 50, 26), (2, 32, 52, 28), (-6, 34, 52, 28), (-14, 36, 50, 26), (0.2,) * 5
    ),
    "cup": HandPose(_ROUND, (4, 40, 48, 24), (0, 42, 52, 26), (-2, 46, 54, 28), (-4, 52, 54, 28), (0.15,) * 5),
    "handle": HandPose(
        (28, 6, 24, 34), (0, 55, 75, 40), (0, 60, 78, 42), (0, 64, 80, 44), (0, 68, 78, 44), (0.25,) * 5
    ),
    "ball": HandPose(
        (14, -26, 14, 18), (14, 24, 38, 20), (2, 26, 40, 22), (-8, 28, 40, 22), (-22, 30, 38, 20), (0.15,) * 5
    ),
    "clasped": _all((18, 8, 20, 24), (2, 48, 62, 22), 0.12),
    "arched": HandPose(
        (2, -16, 6, 4), (8, 12, 28, 14), (1, 14, 28, 14), (-5, 14, 28, 14), (-14, 12, 28, 14), (0.06,) * 5
    ),
    # The finger is bent against the thumb and shoots out; the middle finger slides off the thumb into the palm.
    "flick_ready": HandPose(
        (24, 2, 22, 34), (0, 58, 88, 40), (0, 60, 90, 42), _AROUND, _AROUND, (0.25, 0.2, 0.2, 0, 0)
    ),
    "flick_out": HandPose((10, 2, 10, 8), (4, -8, 6, 0), (0, -6, 6, 0), (0, 14, 20), (-6, 14, 20)),
    "snap_ready": HandPose(
        (27, -4, 16, 16), (2, 36, 44), (2, 48, 40, 24), (0, 74, 92), (0, 74, 90), (0.4, 0, 0.4, 0.1, 0.1)
    ),
    "snap_done": HandPose(
        (20, 16, 12, 10), (2, 34, 42), (0, 80, 84, 50), (0, 76, 94), (0, 76, 92), (0.05, 0, 0.1, 0.1, 0.1)
    ),
    "pen": HandPose(
        (24, -4, 16, 24), (-6, 46, 46, 22), (8, 50, 54, 32), (2, 56, 66), (0, 58, 66), (0.2, 0.2, 0.15, 0, 0)
    ),
    "poke": HandPose((22, 10, 24, 30), (0, 4, 10, 4), (0, 56, 80), (0, 60, 84), (0, 60, 80)),
    "poke_back": HandPose((22, 10, 24, 30), (0, 34, 52, 30), (0, 56, 80), (0, 60, 84), (0, 60, 80)),
}
