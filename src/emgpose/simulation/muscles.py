"""The muscles of forearm and hand that the simulator knows: where they lie, how large they are, what they move.

Courses and actions follow anatomy textbooks (Standring, ed., Gray's Anatomy, forearm and hand). Every number is our own
choice after them: no source lists these muscles for a band two to three centimetres above the wrist crease.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from emgpose.hand import FINGERS, JOINTS

# What muscles move: the 20 joints, then flexion (positive) and radial deviation (positive) of the wrist.
MOVED: Final = (*JOINTS, "WRIST_FE", "WRIST_RU")
MOVED_INDEX: Final = {name: index for index, name in enumerate(MOVED)}


@dataclass(frozen=True)
class Muscle:
    """One muscle, or one slip of it, in an average forearm.

    Parameters
    ----------
    angle_deg : float
        Where its fibres lie around the forearm: 0 palmar, 90 radial (thumb side), 180 dorsal, -90 ulnar; either hand.
    depth_mm : float
        Below the fat.
    end_mm : float
        Where the fibres nearest to the hand end, along the arm from the band's usual place; positive towards the hand.
    n_units : int
        Motor units. Fewer and larger ones than a person's, for speed.
    width_deg : float
        Standard deviation of the motor units' angles.
    moves : dict of str to float
        Share of each movement that the muscle answers for; negative where it pulls the angle down.
    grips : float
        Share of an outer load on the hand that it answers for.
    half_fibre_mm, stagger_mm : float
        Usual length of its fibres on either side of their end plates, and over which length their ends are staggered.
    """

    angle_deg: float
    depth_mm: float
    end_mm: float
    n_units: int
    width_deg: float
    moves: dict[str, float]
    grips: float = 0.0
    half_fibre_mm: float = 30.0
    stagger_mm: float = 30.0


def _slips(
    name: str,
    angles_deg: tuple[float, ...],
    depths_mm: tuple[float, ...],
    end_mm: float,
    n_units: int,
    grips: float,
    moves: dict[str, float],
) -> dict[str, Muscle]:
    """Four slips, index to pinky; joint names without a finger are the finger's own."""
    return {
        f"{name}_{finger.upper()}": Muscle(
            angle_deg, depth_mm, end_mm, n_units, 6.0,
            {joint if "WRIST" in joint else f"{finger.upper()}_{joint}": share for joint, share in moves.items()},
            grips,
        )
        for finger, angle_deg, depth_mm in zip(FINGERS[1:], angles_deg, depths_mm, strict=True)
    }  # fmt: skip


_FDP: Final = {"DIP_FE": 0.5, "PIP_FE": 0.3, "MCP_FE": 0.2, "WRIST_FE": 0.1}
_FDS: Final = {"PIP_FE": 0.6, "MCP_FE": 0.3, "WRIST_FE": 0.12}
_EDC: Final = {"MCP_FE": -0.65, "PIP_FE": -0.3, "DIP_FE": -0.15, "WRIST_FE": -0.12}

_SHORT: Final = (16.0, 6.0)

MUSCLES: Final[dict[str, Muscle]] = {
    # Deep flexors: the lowest layer, the little finger's slip ulnar.
    **_slips("FDP", (-2, -20, -38, -55), (13, 13, 12, 11), 2, 64, 0.5, _FDP),
    # Superficial flexors: middle and ring finger's slips lie over index and little finger's.
    **_slips("FDS", (14, 4, -14, -26), (9, 5, 5, 9), -4, 64, 0.4, _FDS),
    # Common extensor: one flat layer on the back.
    **_slips("EDC", (166, 178, 190, 200), (4, 4, 4, 4), 0, 56, 0.1, _EDC),
    "EI": Muscle(176, 9, 12, 40, 5, {"INDEX_MCP_FE": -0.5, "INDEX_PIP_FE": -0.2, "INDEX_MCP_AA": -0.3}),
    "EDM": Muscle(214, 4, 0, 40, 5, {"PINKY_MCP_FE": -0.5, "PINKY_PIP_FE": -0.2, "PINKY_MCP_AA": -0.4}),
    "FPL": Muscle(38, 11, 8, 64, 7, {"THUMB_IP_FE": 0.7, "THUMB_MCP_FE": 0.35, "THUMB_CMC_FE": 0.15}, 0.4),
    "EPL": Muscle(158, 9, 6, 48, 5, {"THUMB_IP_FE": -0.7, "THUMB_MCP_FE": -0.2, "THUMB_CMC_AA": 0.3}),
    "EPB": Muscle(112, 5, 10, 40, 5, {"THUMB_MCP_FE": -0.6, "THUMB_CMC_FE": -0.3}),
    "APL": Muscle(100, 5, 8, 56, 6, {"THUMB_CMC_FE": -0.5, "THUMB_CMC_AA": -0.5, "WRIST_RU": 0.2}, 0.1),
    "FCR": Muscle(34, 4, -12, 64, 6, {"WRIST_FE": 0.7, "WRIST_RU": 0.3}, 0.1),
    "FCU": Muscle(-68, 4, 8, 72, 7, {"WRIST_FE": 0.7, "WRIST_RU": -0.5}, 0.15),
    "ECR": Muscle(134, 5, -10, 72, 7, {"WRIST_FE": -0.7, "WRIST_RU": 0.5}, 0.4),
    "ECU": Muscle(236, 4, 4, 64, 6, {"WRIST_FE": -0.5, "WRIST_RU": -0.6}, 0.25),
    # Muscles of the hand itself: their fibres start beyond the wrist, so the band sees them weakly.
    "THENAR": Muscle(55, 3, 72, 56, 8, {"THUMB_CMC_AA": -0.5, "THUMB_CMC_FE": 0.3, "THUMB_MCP_FE": 0.3}, 0.3, *_SHORT),
    "ADP": Muscle(40, 9, 82, 48, 8, {"THUMB_CMC_AA": 0.5, "THUMB_CMC_FE": 0.5}, 0.3, *_SHORT),
    "FDI": Muscle(120, 5, 90, 48, 8, {"INDEX_MCP_AA": 0.7, "INDEX_MCP_FE": 0.3}, 0.3, *_SHORT),
    "INTEROSSEI_RADIALWARD": Muscle(
        180, 7, 92, 64, 20,
        {"MIDDLE_MCP_AA": 0.6, "RING_MCP_AA": 0.6, "PINKY_MCP_AA": 0.4, "MIDDLE_MCP_FE": 0.2},
        0.1, *_SHORT,
    ),
    "INTEROSSEI_ULNARWARD": Muscle(
        185, 7, 92, 64, 20,
        {"INDEX_MCP_AA": -0.6, "MIDDLE_MCP_AA": -0.6, "RING_MCP_AA": -0.6, "RING_MCP_FE": 0.2},
        0.1, *_SHORT,
    ),
    "HYPOTHENAR": Muscle(-50, 3, 74, 56, 8, {"PINKY_MCP_AA": -0.7, "PINKY_MCP_FE": 0.3}, 0.1, *_SHORT),
}  # fmt: skip
N_MUSCLES: Final = len(MUSCLES)

# Shape (muscle, moved=22).
MOVES: Final = np.zeros((N_MUSCLES, len(MOVED)))
for _row, _muscle in enumerate(MUSCLES.values()):
    for _name, _share in _muscle.moves.items():
        MOVES[_row, MOVED_INDEX[_name]] = _share
MOVES.flags.writeable = False
