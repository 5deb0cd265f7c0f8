"""The landmarks of a single pose in numpy: a live hand asks for one every 20 ms.

The numbers of `forward_kinematics` in float64. torch spends more on starting each of its 25 operations than all of the
work takes, most of all when its code has left the caches (benchmarks/NOTES.md).
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from emgpose.hand import FINGERS, N_JOINTS

_JOINTS_OF_A_FINGER: Final = N_JOINTS // len(FINGERS)
_UNMOVED: Final = np.eye(4, 3)


class OnePose:
    """Places the landmarks of one hand for one pose after the other.

    Parameters
    ----------
    joint_map : Tensor, shape (3, row=3, 4, joint=20, 1)
        Per joint: what stands, what goes with the sine and with 1 - cosine; three columns of rotation, then the
        translation [mm].
    landmark_map : Tensor, shape (bone=17 x 4, landmark=21)
        Takes bone frames to landmarks.
    """

    def __init__(self, joint_map: Tensor, landmark_map: Tensor) -> None:
        maps = joint_map.detach().double().cpu().numpy()[..., 0]
        # Transposed and with a last column (0, 0, 0, 1), so that frames follow each other by one product each.
        frames = np.zeros((3, N_JOINTS, 4, 4))
        frames[..., :3] = maps.transpose(0, 3, 2, 1)
        frames[0, :, 3, 3] = 1
        self._still, self._by_sine, self._by_cosine = frames.reshape(3, N_JOINTS, 16)
        self._landmarks = np.ascontiguousarray(landmark_map.detach().double().cpu().numpy().T)
        self._n_bones = self._landmarks.shape[1] // 4

    def landmarks(self, joint_angles: NDArray[Any]) -> NDArray[np.float64]:
        """Place the landmarks, (landmark=21, xyz=3) [mm], for finite angles (joint=20,) [rad]."""
        angles = joint_angles.astype(np.float64)[:, None]
        turned = self._by_sine * np.sin(angles)
        turned += self._by_cosine * (1 - np.cos(angles))
        turned += self._still
        steps = turned.reshape(len(FINGERS), _JOINTS_OF_A_FINGER, 4, 4)
        # Of root and wrist, which never move, then of each finger's bones; columns outside, xyz inside.
        bones = np.zeros((self._n_bones, 4, 3))
        bones[:2] = _UNMOVED
        of_fingers = bones[2:].reshape(len(FINGERS), _JOINTS_OF_A_FINGER - 1, 4, 3)
        chain = steps[:, 0, :, :3]
        for joint in range(1, _JOINTS_OF_A_FINGER):
            chain = np.matmul(steps[:, joint], chain, out=of_fingers[:, joint - 1])
        placed: NDArray[np.float64] = self._landmarks.dot(bones.reshape(-1, 3))
        return placed
