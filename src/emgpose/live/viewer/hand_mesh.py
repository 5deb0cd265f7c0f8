"""The hand as a viewer draws it: skin and bones in right-handed axes, without torch.

Viewer axes: x along the fingers, y out of the back of the hand, z to the side, so that a right hand looks right
(docs/conventions.md). A left hand is turned round, so that its fingers point the same way.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from emgpose.kinematics import HandModel

Points = NDArray[np.float64]

# What a viewer draws of (x, y, z) in the wrist frame; both turn left-handed axes into right-handed ones.
DRAWN: Final = {"right": np.array([1.0, 1.0, -1.0]), "left": np.array([-1.0, 1.0, 1.0])}
N_FINGERS: Final = 5
JOINTS_PER_FINGER: Final = 4
# Root and wrist, which never move, come before the three bones of each finger.
N_STILL_BONES: Final = 2


@dataclass(frozen=True)
class HandMesh:
    """Geometry of one hand, in viewer axes.

    Parameters
    ----------
    side : str
        "left" or "right".
    vertices_mm : array, shape (vertex, xyz=3) [mm]
    triangles : array of int, shape (triangle, 3)
        Counter-clockwise seen from outside.
    skin_weights : array, shape (vertex, bone=17)
    joint_axes, joint_rest_mm : array, shape (joint=20, xyz=3)
    """

    side: str
    vertices_mm: Points
    triangles: NDArray[np.int64]
    skin_weights: Points
    joint_axes: Points
    joint_rest_mm: Points

    @classmethod
    def of(cls, hand: "HandModel") -> "HandMesh":
        """Take it from a hand model."""
        drawn = DRAWN[hand.side]
        return cls(
            side=hand.side,
            vertices_mm=np.asarray(hand.mesh_vertices_mm, dtype=np.float64) * drawn,
            # A mirror turns triangles inside out; exchanging two corners turns them back.
            triangles=np.asarray(hand.mesh_triangles)[:, [0, 2, 1]],
            skin_weights=np.asarray(hand.mesh_weights, dtype=np.float64),
            # An axis of rotation keeps its sense in a mirror only with its sign changed.
            joint_axes=np.asarray(hand.joint_axes, dtype=np.float64) * -drawn,
            joint_rest_mm=np.asarray(hand.joint_rest_mm, dtype=np.float64) * drawn,
        )

    @property
    def n_bones(self) -> int:
        """Number of bones, the two still ones included."""
        return self.skin_weights.shape[1]

    def bones(self, joint_angles: ArrayLike) -> tuple[Points, Points]:
        """Where each bone has moved from the rest pose.

        Parameters
        ----------
        joint_angles : array, shape (joint=20,) [rad]

        Returns
        -------
        (wxyz, position_mm) : quaternions, shape (bone=17, 4), and translations, shape (bone=17, xyz=3) [mm].
        """
        half = np.asarray(joint_angles, dtype=np.float64)[:, None] / 2
        turns = np.concatenate([np.cos(half), np.sin(half) * self.joint_axes], axis=1)
        shifts_mm = self.joint_rest_mm - _rotated(turns, self.joint_rest_mm)
        turns = turns.reshape(N_FINGERS, JOINTS_PER_FINGER, 4)
        shifts_mm = shifts_mm.reshape(N_FINGERS, JOINTS_PER_FINGER, 3)
        wxyz, position_mm = np.zeros((self.n_bones, 4)), np.zeros((self.n_bones, 3))
        wxyz[:N_STILL_BONES, 0] = 1
        turn, shift_mm = turns[:, 0], shifts_mm[:, 0]
        for joint in range(1, JOINTS_PER_FINGER):
            shift_mm = shift_mm + _rotated(turn, shifts_mm[:, joint])
            turn = _product(turn, turns[:, joint])
            # Bone `joint - 1` of every finger.
            own = slice(N_STILL_BONES + joint - 1, None, JOINTS_PER_FINGER - 1)
            wxyz[own], position_mm[own] = turn, shift_mm
        return wxyz, position_mm

    def skin_mm(self, joint_angles: ArrayLike) -> Points:
        """Place the skin as a viewer does from the bones, shape (vertex, xyz=3) [mm]."""
        wxyz, position_mm = self.bones(joint_angles)
        moved = _rotated(wxyz[:, None], self.vertices_mm[None]) + position_mm[:, None]
        return np.einsum("vb,bvx->vx", self.skin_weights, moved)


def _product(first: Points, second: Points) -> Points:
    """Quaternion product (..., 4): the second rotation, then the first."""
    w, v = first[..., :1], first[..., 1:]
    w2, v2 = second[..., :1], second[..., 1:]
    scalar = w * w2 - np.sum(v * v2, axis=-1, keepdims=True)
    return np.concatenate([scalar, w * v2 + w2 * v + np.cross(v, v2)], axis=-1)


def _rotated(wxyz: Points, points: Points) -> Points:
    """Turn points (..., 3) by unit quaternions (..., 4)."""
    across = np.cross(wxyz[..., 1:], points)
    return points + 2 * (wxyz[..., :1] * across + np.cross(wxyz[..., 1:], across))
