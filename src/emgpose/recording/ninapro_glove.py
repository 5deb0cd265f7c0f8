"""Which calibrated glove angles of Ninapro are joint angles of ours.

Ninapro's `glove` holds what the sensors of a CyberGlove gave, uncalibrated: no angles, and never read as such. Joint
angles [deg] are in the field `angles` of DB9, which Jarque-Bou et al. computed for the people of DB1, DB2 and DB5, with
the names of its columns in `order_of_angles`. Its signs: flexion and abduction are positive; its zero: the hand flat on
a table, fingers together and extended.

That is our convention for flexion of the fingers' MCP, PIP and DIP and of the thumb's MCP and IP: 14 joints. Left out,
since no published mapping leads to ours: the thumb's CMC (our zero holds the thumb half-way away from the palm, theirs
does not, and the axes differ), the fingers' abduction (theirs is the angle between two neighbouring fingers, ours that
of one finger against the hand), the arch of the palm and the wrist (we have none).

Source: Jarque-Bou, Atzori, Mueller 2020, Scientific Data 7:12, doi 10.1038/s41597-019-0349-2 (table of signs and
reference posture); ninapro.hevs.ch, instructions of DB9 (fields, sensor 11 left out because of noise).
"""

import re
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.hand import JOINT_INDEX, N_JOINTS

# By the name of the column, less its ending for flexion.
GLOVE_JOINTS: Final = {
    "MCP1": "THUMB_MCP_FE",
    "IP1": "THUMB_IP_FE",
    **{
        f"{joint}{number}": f"{finger}_{joint}_FE"
        for number, finger in enumerate(("INDEX", "MIDDLE", "RING", "PINKY"), start=2)
        for joint in ("MCP", "PIP", "DIP")
    },
}


def angle_columns(names: Iterable[str]) -> dict[str, int]:
    """Find the column of each joint of ours.

    Parameters
    ----------
    names : iterable of str
        What `order_of_angles` says, such as `MCP2_f` or `5: MCP2_f`.

    Returns
    -------
    dict of joint -> column; joints without a published mapping are not in it, nor is one that is named twice.
    """
    columns: dict[str, int] = {}
    repeated = set()
    for column, name in enumerate(names):
        plain = re.sub(r"_F$", "", name.rpartition(":")[2].strip().upper())
        joint = GLOVE_JOINTS.get(plain)
        if joint in columns:
            repeated.add(joint)
        elif joint is not None:
            columns[joint] = column
    return {joint: column for joint, column in columns.items() if joint not in repeated}


def joint_angles_of(angles_deg: NDArray[np.floating[Any]], columns: dict[str, int]) -> NDArray[np.float32]:
    """Turn glove angles into ours.

    Parameters
    ----------
    angles_deg : array, shape (time, column) [deg]
    columns : dict of joint -> column

    Returns
    -------
    array, shape (time, joint=20), float32 [rad]; NaN for every joint that is not in `columns`.
    """
    joint_angles = np.full((len(angles_deg), N_JOINTS), np.nan, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for joint, column in columns.items():
            joint_angles[:, JOINT_INDEX[joint]] = np.radians(angles_deg[:, column])
    return joint_angles
