"""The hand that ships with emgpose: its measures, the way it moves, and its skin."""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from emgpose.hand import (
    FINGERS,
    FINGERTIPS,
    JOINT_INDEX,
    JOINT_LIMITS_RAD,
    JOINTS,
    JOINTS_OF_FINGER,
    LANDMARK_INDEX,
    N_JOINTS,
    SCORED_LANDMARKS,
)
from emgpose.kinematics import BONES, HandModel

REPOSITORY = Path(__file__).resolve().parents[1]

# Buryanov & Kotiuk 2010, table 1: bones, with the soft tissue at the tip added to the last one [mm].
PUBLISHED_MM = {
    "THUMB": {"METACARPAL": 46.22, "PROXIMAL": 31.57, "DISTAL": 21.67 + 5.67},
    "INDEX": {"PROXIMAL": 39.78, "MIDDLE": 22.38, "DISTAL": 15.82 + 3.84},
    "MIDDLE": {"PROXIMAL": 44.63, "MIDDLE": 26.33, "DISTAL": 17.40 + 3.95},
    "RING": {"PROXIMAL": 41.37, "MIDDLE": 25.65, "DISTAL": 17.30 + 3.95},
    "PINKY": {"PROXIMAL": 32.74, "MIDDLE": 18.11, "DISTAL": 15.96 + 3.73},
}


@pytest.fixture(scope="module")
def hand():
    return HandModel.generic()


@pytest.fixture(scope="module")
def umetrack(shared):
    return HandModel.load(shared / "golden" / "umetrack_generic_hand_model.json")


def pose(**degrees):
    angles = np.zeros(N_JOINTS)
    for name, value in degrees.items():
        angles[[JOINT_INDEX[joint] for joint in JOINTS if joint.endswith(name)]] = np.radians(value)
    return angles


def motion(hand, joint, step_rad=0.02):
    """How each landmark moves when one joint turns from the rest pose, shape (landmark, xyz) [mm/rad]."""
    angles = np.zeros((2, N_JOINTS))
    angles[:, joint] = -step_rad, step_rad
    before, after = hand.landmarks(angles)
    return (after - before) / (2 * step_rad)


def test_bones_have_the_published_lengths(hand):
    lengths = hand.bone_lengths_mm
    for finger, parts in PUBLISHED_MM.items():
        for part, expected in parts.items():
            assert lengths[f"{finger}_{part}"] == pytest.approx(expected, abs=1e-6)


def test_the_hand_is_as_long_and_broad_as_an_adults(hand):
    assert 180 < hand.hand_length_mm < 200
    vertices = hand.mesh_vertices_mm.numpy()
    palm = vertices[(vertices[:, 0] > 80) & (vertices[:, 0] < 92) & (vertices[:, 1] > -25)]
    assert 78 < np.ptp(palm[:, 2]) < 90
    assert 24 < np.ptp(palm[:, 1]) < 36


def test_the_asset_is_small_and_says_where_it_comes_from(hand):
    assert (files("emgpose") / "assets" / "generic_hand.npz").stat().st_size < 600_000
    assert "Apache-2.0" in hand.source
    assert hand.name == "emgpose generic hand"


def test_the_frame_is_distal_dorsal_radial(hand):
    landmarks = hand.landmarks(np.zeros(20))
    assert (landmarks[list(FINGERTIPS[1:]), 0] > 140).all()
    thumb_side = landmarks[[LANDMARK_INDEX[f"{finger.upper()}_TIP"] for finger in FINGERS], 2]
    assert (np.diff(thumb_side) < 0).all()


@pytest.mark.parametrize("joint", [name for name in JOINTS if name.endswith("_FE")])
def test_flexion_moves_the_tip_towards_the_palm(hand, joint):
    tip = LANDMARK_INDEX[joint.split("_")[0] + "_TIP"]
    direction = motion(hand, JOINT_INDEX[joint])[tip]
    assert direction[1] < 0
    if joint.startswith("THUMB"):
        assert direction[2] < 0


@pytest.mark.parametrize("joint", [name for name in JOINTS if name.endswith("MCP_AA")])
def test_positive_abduction_moves_a_finger_to_the_thumb_side(hand, joint):
    direction = motion(hand, JOINT_INDEX[joint])[LANDMARK_INDEX[joint.split("_")[0] + "_TIP"]]
    assert direction[2] > 0.9 * np.linalg.norm(direction)


def test_positive_thumb_adduction_lifts_the_thumb_to_the_palm(hand):
    assert motion(hand, JOINT_INDEX["THUMB_CMC_AA"])[LANDMARK_INDEX["THUMB_TIP"]][1] > 0


def test_a_joint_moves_only_its_own_finger(hand):
    for finger, joints in JOINTS_OF_FINGER.items():
        others = [tip for f, tip in enumerate(FINGERTIPS) if FINGERS[f] != finger]
        for joint in joints:
            assert np.abs(motion(hand, joint)[others]).max() < 1e-9


def test_a_fist_brings_the_fingertips_to_the_palm(hand):
    flat, fist = hand.landmarks(np.stack([pose(), pose(MCP_FE=85, PIP_FE=100, DIP_FE=70)]))
    palm = LANDMARK_INDEX["PALM"]
    for tip in FINGERTIPS[1:]:
        assert np.linalg.norm(fist[tip] - fist[palm]) < 0.5 * np.linalg.norm(flat[tip] - flat[palm])
        assert fist[tip, 1] < -10


def test_the_thumb_can_meet_every_other_fingertip(hand):
    """Opposition within the joint limits: the pulps of thumb and finger touch."""
    low, high = torch.from_numpy(JOINT_LIMITS_RAD.copy()).unbind(1)
    middle, half = (high + low) / 2, (high - low) / 2
    free = torch.zeros(4, N_JOINTS, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([free], lr=0.05)
    tips = torch.tensor(FINGERTIPS[1:])
    for _ in range(150):
        landmarks = hand.landmarks(middle + half * torch.tanh(free))
        gap_mm = torch.linalg.vector_norm(landmarks[torch.arange(4), tips] - landmarks[:, FINGERTIPS[0]], dim=-1)
        optimiser.zero_grad()
        gap_mm.sum().backward()
        optimiser.step()
    assert (gap_mm < 3).all()


def test_every_joint_moves_landmarks_as_in_the_umetrack_hand(hand, umetrack):
    for joint, name in enumerate(JOINTS):
        ours, theirs = motion(hand, joint), motion(umetrack, joint)
        moving = np.linalg.norm(theirs, axis=-1) > 1
        moving[LANDMARK_INDEX["PALM"]] = False
        cosine = (ours * theirs).sum(-1)[moving] / (
            np.linalg.norm(ours, axis=-1)[moving] * np.linalg.norm(theirs, axis=-1)[moving]
        )
        assert np.degrees(np.arccos(cosine)).max() < 30, name


def test_recorded_angles_look_alike_on_both_hands(hand, umetrack, shared):
    table = np.genfromtxt(
        shared / "real" / "emg2pose_angles" / "joint_angle_predictions.csv", delimiter=",", names=True
    )
    angles = np.stack([table[f"gt_joint_{joint}"] for joint in range(N_JOINTS)], axis=1)
    angles = angles[~np.isclose(angles, 0).all(axis=1)]
    distance_mm = np.linalg.norm(hand.landmarks(angles) - umetrack.landmarks(angles), axis=-1)
    assert distance_mm[:, list(SCORED_LANDMARKS)].mean() < 14
    assert distance_mm.mean() < 13
    inside = (angles >= JOINT_LIMITS_RAD[:, 0]) & (angles <= JOINT_LIMITS_RAD[:, 1])
    assert inside.mean() > 0.999


def test_joint_limits_hold_the_rest_pose(hand):
    assert JOINT_LIMITS_RAD.shape == (N_JOINTS, 2)
    assert (JOINT_LIMITS_RAD[:, 0] < 0).all()
    assert (JOINT_LIMITS_RAD[:, 1] > 0).all()
    np.testing.assert_allclose(hand.joint_limits_rad.numpy(), JOINT_LIMITS_RAD)


def edges_of(triangles):
    return np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_skin_is_one_closed_surface_that_faces_outwards(side):
    hand = HandModel.generic(side)
    vertices, triangles = hand.mesh_vertices_mm.numpy(), hand.mesh_triangles.numpy()
    edges = edges_of(triangles)
    ahead = {(int(a), int(b)) for a, b in edges}
    assert len(ahead) == len(edges)
    assert ahead == {(b, a) for a, b in ahead}
    # Euler's number of a sphere: one piece without holes.
    assert len(vertices) - len(edges) // 2 + len(triangles) == 2
    a, b, c = vertices[triangles].swapaxes(0, 1)
    volume_cm3 = (a * np.cross(b, c)).sum() / 6000
    assert 300 < volume_cm3 < 450
    assert 2500 <= len(triangles) <= 6000


def test_skin_weights_are_shared_by_few_bones_and_sum_to_one(hand):
    weights = hand.mesh_weights.numpy()
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert (np.count_nonzero(weights, axis=1) <= 4).all()
    assert (weights.max(axis=0)[1:] > 0.95).all()
    assert weights.shape[1] == len(BONES)


def test_fingertips_lie_on_the_skin(hand):
    vertices = hand.mesh_vertices_mm.numpy()
    for tip in hand.landmark_rest_mm.numpy()[list(FINGERTIPS)]:
        assert np.linalg.norm(vertices - tip, axis=1).min() < 3


@pytest.mark.parametrize(
    "angles",
    [
        pose(MCP_FE=85, PIP_FE=100, DIP_FE=70),
        pose(PIP_FE=100, DIP_FE=70),
        pose(THUMB_CMC_FE=40, THUMB_CMC_AA=-20, THUMB_MCP_FE=50, THUMB_IP_FE=70),
        pose(THUMB_CMC_FE=-25, THUMB_CMC_AA=25),
    ],
    ids=["fist", "hook", "thumb across", "thumb out"],
)
def test_the_skin_neither_tears_nor_collapses(hand, angles):
    triangles = hand.mesh_triangles.numpy()
    edges = edges_of(triangles)
    rest, bent = hand.mesh_vertices_mm.numpy(), hand.vertices(angles)
    before, after = (np.linalg.norm(v[edges[:, 0]] - v[edges[:, 1]], axis=1) for v in (rest, bent))
    assert np.quantile(after / before, 0.999) < 2.5
    assert after.max() < 20
    a, b, c = bent[triangles].swapaxes(0, 1)
    u, v, w = rest[triangles].swapaxes(0, 1)
    assert (a * np.cross(b, c)).sum() > 0.9 * (u * np.cross(v, w)).sum()


@pytest.mark.parametrize("angles", [pose(), pose(INDEX_MCP_AA=20, RING_MCP_AA=-15, PINKY_MCP_AA=-30)])
def test_the_skin_of_an_open_hand_has_no_folds(hand, angles):
    triangles, vertices = hand.mesh_triangles.numpy(), hand.vertices(angles)
    a, b, c = vertices[triangles].swapaxes(0, 1)
    normals = np.cross(b - a, c - a)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    owner = {(int(i), int(j)): k % len(triangles) for k, (i, j) in enumerate(edges_of(triangles))}
    turns = [normals[owner[i, j]] @ normals[owner[j, i]] for i, j in owner if i < j]
    assert np.sum(np.array(turns) < -0.2) <= 2


@pytest.mark.slow
def test_the_tool_makes_the_asset_that_is_shipped(tmp_path):
    tool = REPOSITORY / "tools" / "make_generic_hand.py"
    subprocess.run([sys.executable, str(tool), str(tmp_path / "hand.npz")], check=True)
    made, shipped = HandModel.load(tmp_path / "hand.npz"), HandModel.generic()
    assert torch.equal(made.mesh_triangles, shipped.mesh_triangles)
    assert torch.allclose(made.mesh_vertices_mm, shipped.mesh_vertices_mm, atol=0.01)
    assert torch.allclose(made.joint_axes, shipped.joint_axes, atol=1e-9)
