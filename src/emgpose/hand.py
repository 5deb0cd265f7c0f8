"""Joints, fingers and landmarks of the hand: names, order, groups and limits.

The only place that knows which index is which joint. Order as in the emg2pose data set (benchmark.md section 2):
thumb CMC_FE, CMC_AA, MCP_FE, IP_FE, then per finger MCP_AA, MCP_FE, PIP_FE, DIP_FE.
FE is flexion (positive) / extension, AA abduction / adduction.
"""

from typing import Final

import numpy as np

FINGERS: Final = ("thumb", "index", "middle", "ring", "pinky")

JOINTS: Final = (
    "THUMB_CMC_FE",
    "THUMB_CMC_AA",
    "THUMB_MCP_FE",
    "THUMB_IP_FE",
    *(f"{finger.upper()}_{joint}" for finger in FINGERS[1:] for joint in ("MCP_AA", "MCP_FE", "PIP_FE", "DIP_FE")),
)
N_JOINTS: Final = len(JOINTS)
JOINT_INDEX: Final = {name: index for index, name in enumerate(JOINTS)}
JOINTS_OF_FINGER: Final = {finger: tuple(range(4 * f, 4 * f + 4)) for f, finger in enumerate(FINGERS)}


# The published groups follow the position within the finger: two proximal angles, then mid, then distal.
# So the thumb's MCP counts as mid, and its IP as distal.
JOINTS_OF_GROUP: Final = {
    "proximal": tuple(index for index in range(N_JOINTS) if index % 4 in (0, 1)),
    "mid": tuple(index for index in range(N_JOINTS) if index % 4 == 2),
    "distal": tuple(index for index in range(N_JOINTS) if index % 4 == 3),
}

LANDMARKS: Final = (
    *(f"{finger.upper()}_TIP" for finger in FINGERS),
    "WRIST",
    "THUMB_INTERMEDIATE",
    "THUMB_DISTAL",
    *(f"{finger.upper()}_{part}" for finger in FINGERS[1:] for part in ("PROXIMAL", "INTERMEDIATE", "DISTAL")),
    "PALM",
)
N_LANDMARKS: Final = len(LANDMARKS)
LANDMARK_INDEX: Final = {name: index for index, name in enumerate(LANDMARKS)}
FINGERTIPS: Final = tuple(LANDMARK_INDEX[f"{finger.upper()}_TIP"] for finger in FINGERS)
# The published landmark distance leaves out the four finger-proximal landmarks (8, 11, 14, 17).
SCORED_LANDMARKS: Final = tuple(index for index, name in enumerate(LANDMARKS) if not name.endswith("_PROXIMAL"))

SIDES: Final = ("left", "right")

# The hand model's own rest pose, all angles zero [rad]: flat hand. Regression starts here, as the published code does.
REST_POSE_RAD: Final = np.zeros(N_JOINTS, dtype=np.float32)
REST_POSE_RAD.flags.writeable = False


# How far each joint can go [deg] from the flat rest pose, in steps of 5 degrees: what people reach beyond the average.
# Fingers: AAOS averages (MCP 45 extension to 90 flexion, PIP 0 to 100, DIP 0 to 90, spread 20), widened for the spread
# between people. Thumb: Barakat et al. 2013 (extremes of 100 people), counted from our rest pose, which holds the thumb
# 40 degrees radial and 30 degrees palmar. See docs/decisions/005-our-own-hand.md.
_LIMITS_DEG: Final = {
    "THUMB_CMC_FE": (-35, 50),
    "THUMB_CMC_AA": (-40, 35),
    "THUMB_MCP_FE": (-15, 70),
    "THUMB_IP_FE": (-30, 90),
    "MCP_AA": (-35, 35),
    "PINKY_MCP_AA": (-50, 35),
    "MCP_FE": (-45, 105),
    "PIP_FE": (-10, 115),
    "DIP_FE": (-10, 95),
}
# Shape (joint=20, low-high=2) [rad].
JOINT_LIMITS_RAD: Final = np.radians([_LIMITS_DEG.get(name) or _LIMITS_DEG[name.partition("_")[2]] for name in JOINTS])
JOINT_LIMITS_RAD.flags.writeable = False
