"""The viewer's hand moves as the hand model says."""

import subprocess
import sys

import numpy as np
import pytest

from emgpose.hand import JOINT_LIMITS_RAD, N_JOINTS
from emgpose.kinematics import HandModel
from emgpose.live.viewer.hand_mesh import DRAWN, HandMesh


def poses(n=5):
    low, high = JOINT_LIMITS_RAD.T
    return np.random.default_rng(2).uniform(low, high, (n, N_JOINTS))


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_skin_lies_where_the_hand_model_puts_it(side):
    hand = HandModel.generic(side)
    mesh = HandMesh.of(hand)
    for pose in poses():
        np.testing.assert_allclose(mesh.skin_mm(pose), hand.vertices(pose) * DRAWN[side], atol=1e-3)


def test_the_rest_pose_moves_no_bone():
    wxyz, position_mm = HandMesh.of(HandModel.generic()).bones(np.zeros(N_JOINTS))
    np.testing.assert_allclose(wxyz, np.tile([1.0, 0, 0, 0], (17, 1)), atol=1e-12)
    np.testing.assert_allclose(position_mm, 0, atol=1e-9)


def test_both_hands_are_drawn_as_mirror_images_with_the_fingers_the_same_way():
    right, left = (HandMesh.of(HandModel.generic(side)) for side in ("right", "left"))
    pose = poses(1)[0]
    np.testing.assert_allclose(left.skin_mm(pose), right.skin_mm(pose) * [1, 1, -1], atol=1e-6)


@pytest.mark.parametrize("side", ["right", "left"])
def test_triangles_face_outwards_in_the_axes_that_are_drawn(side):
    mesh = HandMesh.of(HandModel.generic(side))
    a, b, c = (mesh.vertices_mm[mesh.triangles[:, corner]] for corner in range(3))
    assert np.einsum("tx,tx->t", a, np.cross(b, c)).sum() > 0


def test_the_viewer_imports_no_torch():
    modules = "app, hand_mesh, markup, panel, scene, server, traces"
    code = f"import sys; from emgpose.live.viewer import {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
