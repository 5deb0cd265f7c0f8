"""Forward kinematics: golden numbers, invariants, and hands that must be refused."""

import json
import math

import numpy as np
import pytest
import torch

import emgpose
from emgpose.errors import ConfigError, DataError, ShapeError
from emgpose.hand import FINGERS, FINGERTIPS, JOINT_INDEX, LANDMARK_INDEX, N_JOINTS, SCORED_LANDMARKS
from emgpose.kinematics import BONES, SEGMENTS, HandModel, forward_kinematics
from emgpose.kinematics.hand_model import bone_frames


def random_angles(*shape, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 0.5 * torch.randn(*shape, N_JOINTS, generator=generator, dtype=dtype)


@pytest.fixture(scope="module")
def umetrack_path(shared):
    return shared / "golden" / "umetrack_generic_hand_model.json"


@pytest.fixture(scope="module")
def umetrack(umetrack_path):
    return HandModel.load(umetrack_path)


@pytest.fixture
def hand():
    return HandModel.generic()


def test_landmarks_of_the_umetrack_hand_equal_the_published_ones(umetrack, golden):
    with np.load(golden / "kinematics.npz") as published:
        angles, landmarks = published["joint_angles"].swapaxes(1, 2), published["landmarks"]
    assert np.abs(forward_kinematics(angles.astype(np.float64), umetrack) - landmarks).max() < 1e-3
    assert np.abs(forward_kinematics(angles, umetrack) - landmarks).max() < 1e-3


def test_the_umetrack_skin_equals_the_published_mesh(umetrack, shared):
    published = json.loads((shared / "real" / "emg2pose_angles" / "hand_mesh_frame100.json").read_text())
    error_mm = np.linalg.norm(
        umetrack.vertices(np.array(published["joint_angles_approx"])) - np.array(published["vertices"]), axis=-1
    )
    assert error_mm.mean() < 0.05
    assert error_mm.max() < 0.5


def test_only_the_published_hand_counts_as_umetrack(umetrack, hand):
    assert umetrack.is_umetrack
    assert umetrack.name == "UmeTrack generic hand"
    assert umetrack.mirrored().is_umetrack
    assert not umetrack.scaled(1.01).is_umetrack
    assert not umetrack.with_bone_lengths({"INDEX_DISTAL": 30.0}).is_umetrack
    assert not hand.is_umetrack


def test_the_top_level_package_offers_the_hand():
    assert emgpose.HandModel is HandModel
    np.testing.assert_array_equal(
        emgpose.forward_kinematics(np.zeros(20)), HandModel.generic().landmark_rest_mm.numpy()
    )


def test_bones_keep_their_lengths_in_every_pose(hand):
    landmarks = hand.landmarks(random_angles(50))
    for finger in FINGERS:
        parts = (
            ("INTERMEDIATE", "DISTAL", "TIP") if finger == "thumb" else ("PROXIMAL", "INTERMEDIATE", "DISTAL", "TIP")
        )
        chain = landmarks[:, [LANDMARK_INDEX[f"{finger.upper()}_{part}"] for part in parts]]
        lengths = torch.linalg.vector_norm(chain.diff(dim=1), dim=-1)
        assert torch.allclose(lengths, lengths[:1].expand_as(lengths), atol=1e-9)


def test_bone_frames_are_rotations(hand):
    frames = bone_frames(random_angles(20), hand).transpose(-3, -2)
    rotations = frames[..., :3]
    assert frames.shape == (20, len(BONES), 3, 4)
    assert torch.allclose(rotations @ rotations.mT, torch.eye(3, dtype=torch.float64).expand_as(rotations), atol=1e-9)
    assert torch.allclose(torch.linalg.det(rotations), torch.ones(20, len(BONES), dtype=torch.float64), atol=1e-9)


def test_a_rotation_agrees_with_the_matrix_exponential(hand):
    joint, angle = JOINT_INDEX["THUMB_CMC_FE"], 0.7
    x, y, z = (angle * hand.joint_axes[joint]).tolist()
    expected = torch.linalg.matrix_exp(torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64))
    angles = torch.zeros(20, dtype=torch.float64)
    angles[joint] = angle
    turned = bone_frames(angles, hand)[:, BONES.index("THUMB_DISTAL"), :3]
    assert torch.allclose(turned, expected, atol=1e-9)


def test_zero_angles_are_the_rest_pose(hand):
    assert torch.allclose(hand.landmarks(torch.zeros(20, dtype=torch.float64)), hand.landmark_rest_mm, atol=1e-9)
    assert torch.allclose(hand.vertices(torch.zeros(20, dtype=torch.float64)), hand.mesh_vertices_mm, atol=1e-9)


@pytest.mark.parametrize("side", ["right", "left"])
def test_landmarks_of_a_single_pose_in_numpy_are_those_of_torch(side):
    hand = HandModel.generic(side).scaled(1.1)
    for angles in (*random_angles(20, seed=1), torch.zeros(N_JOINTS, dtype=torch.float64)):
        expected = hand.landmarks(angles).numpy()
        given = hand.landmarks(angles.numpy())
        assert given.dtype == np.float64
        assert np.abs(given - expected).max() < 1e-9
        narrow = hand.landmarks(angles.numpy().astype(np.float32))
        assert narrow.dtype == np.float32
        assert np.abs(narrow - hand.landmarks(angles.float()).numpy()).max() < 1e-4


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_single_pose_without_numbers_gives_nan_without_a_warning(hand, value):
    angles = np.zeros(N_JOINTS)
    angles[3] = value
    assert np.isnan(hand.landmarks(angles)).all()


def test_the_left_hand_mirrors_the_right(hand):
    angles, left = random_angles(10), HandModel.generic("left")
    flip = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    assert left.side == "left"
    assert torch.allclose(left.landmarks(angles), hand.landmarks(angles) * flip, atol=1e-9)
    assert torch.allclose(left.vertices(angles), hand.vertices(angles) * flip, atol=1e-9)
    assert left.mirrored().fingerprint() == hand.fingerprint() != left.fingerprint()


def test_gradients_are_finite_and_right(hand):
    angles = torch.zeros(2, 20, dtype=torch.float64, requires_grad=True)
    hand.landmarks(angles)[:, FINGERTIPS].norm(dim=-1).sum().backward()
    assert torch.isfinite(angles.grad).all()
    assert angles.grad.abs().sum() > 0
    assert torch.autograd.gradcheck(hand.landmarks, random_angles(2).requires_grad_())


def test_a_hand_made_in_inference_mode_serves_a_backward_pass(hand):
    with torch.inference_mode():
        copy = hand.to(dtype=torch.float32)
        copy.landmarks(torch.zeros(1, 20))
    angles = torch.zeros(1, 20, requires_grad=True)
    copy.landmarks(angles).sum().backward()
    assert torch.isfinite(angles.grad).all()


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 4), (2, 1, 5)])
def test_any_leading_axes_are_kept(hand, shape):
    angles = random_angles(*shape)
    landmarks = hand.landmarks(angles)
    assert landmarks.shape == (*shape, 21, 3)
    flat = hand.landmarks(angles.reshape(-1, 20))
    assert torch.allclose(landmarks.reshape(-1, 21, 3), flat, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_floating_type_is_kept(hand, dtype):
    angles = random_angles(4).to(dtype)
    landmarks = hand.landmarks(angles)
    assert landmarks.dtype == dtype
    exact = hand.landmarks(angles.double())
    tolerance_mm = {torch.float64: 0, torch.float32: 1e-3, torch.float16: 0.1, torch.bfloat16: 0.6}[dtype]
    assert (landmarks.double() - exact).abs().max() <= tolerance_mm


def test_autocast_does_not_coarsen_landmarks(hand):
    angles = random_angles(4, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = hand.landmarks(angles)
    assert torch.equal(cast, hand.landmarks(angles))


def test_numpy_in_gives_numpy_out(hand):
    angles = random_angles(3)
    for dtype in (">f8", "f4", "f2"):
        array = angles.numpy().astype(dtype)
        array.flags.writeable = False
        landmarks = forward_kinematics(array)
        assert isinstance(landmarks, np.ndarray)
        assert landmarks.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_allclose(forward_kinematics(angles.numpy()), hand.landmarks(angles).numpy(), atol=1e-12)
    assert forward_kinematics(np.zeros((2, 20), dtype=int)).dtype == np.float64


def test_a_pose_with_nan_gives_nan_and_leaves_the_others_alone(hand):
    angles = random_angles(3)
    angles[1, 0] = math.nan
    landmarks = hand.landmarks(angles)
    assert landmarks[1].isnan().all()
    assert landmarks[[0, 2]].isfinite().all()


@pytest.mark.parametrize("angles", [torch.zeros(19), torch.zeros(20, 3), torch.tensor(0.0), np.zeros((2, 21))])
def test_a_wrong_joint_axis_is_refused(angles):
    with pytest.raises(ShapeError, match="20 joints on their last axis"):
        forward_kinematics(angles)


@pytest.mark.parametrize("angles", [torch.zeros(20, dtype=torch.int64), np.zeros(20, dtype=complex), np.full(20, "a")])
def test_angles_that_are_no_real_numbers_are_refused(angles):
    with pytest.raises(ShapeError, match="joint angles must be"):
        forward_kinematics(angles)


def test_scaling_multiplies_every_landmark(hand):
    angles, small = random_angles(5), hand.scaled_to(160.0)
    factor = 160.0 / hand.hand_length_mm
    assert small.hand_length_mm == pytest.approx(160.0)
    assert torch.allclose(small.landmarks(angles), factor * hand.landmarks(angles), atol=1e-9)
    assert torch.allclose(small.vertices(angles), factor * hand.vertices(angles), atol=1e-9)
    assert "160 mm" in small.name


@pytest.mark.parametrize("length_mm", [0.0, -180.0, 0.18, 18_000.0, math.nan, math.inf])
def test_an_impossible_hand_length_is_refused(hand, length_mm):
    with pytest.raises(ConfigError, match="lengths are in mm"):
        hand.scaled_to(length_mm)


@pytest.mark.parametrize("make", [lambda hand: hand, lambda hand: hand.mirrored()])
@pytest.mark.parametrize("segment", SEGMENTS)
def test_single_segments_can_be_lengthened(hand, make, segment):
    hand = make(hand)
    before = hand.bone_lengths_mm
    longer = hand.with_bone_lengths({segment: before[segment] + 7.0})
    expected = before | {segment: before[segment] + 7.0}
    assert longer.bone_lengths_mm == pytest.approx(expected, abs=1e-6)
    moved_mm = torch.linalg.vector_norm(longer.mesh_vertices_mm - hand.mesh_vertices_mm, dim=-1)
    assert moved_mm.max() == pytest.approx(7.0, abs=0.3)
    assert torch.allclose(longer.joint_axes, hand.joint_axes)


def test_lengthening_the_umetrack_thumb_moves_both_joints_at_its_base(umetrack):
    before = umetrack.bone_lengths_mm
    longer = umetrack.with_bone_lengths({"THUMB_PALM": before["THUMB_PALM"] + 5})
    assert longer.bone_lengths_mm == pytest.approx(before | {"THUMB_PALM": before["THUMB_PALM"] + 5}, abs=1e-6)
    moved_mm = torch.linalg.vector_norm(longer.joint_rest_mm - umetrack.joint_rest_mm, dim=-1)[:4]
    assert 0 < moved_mm[0] < 5
    assert torch.allclose(moved_mm[1:], torch.full((3,), 5.0, dtype=torch.float64), atol=1e-6)


def test_an_unknown_segment_names_the_nearest(hand):
    with pytest.raises(ConfigError, match="did you mean INDEX_PROXIMAL"):
        hand.with_bone_lengths({"INDEX_PROXIMALE": 40.0})
    with pytest.raises(ConfigError, match="give mm"):
        hand.with_bone_lengths({"INDEX_PROXIMAL": 0.04})


def test_an_unknown_side_is_refused():
    with pytest.raises(ConfigError, match="one of left, right"):
        HandModel.generic("both")


def test_a_hand_can_move_to_another_floating_type(hand):
    single = hand.to(dtype=torch.float32)
    assert single.joint_axes.dtype == single.mesh_weights.dtype == torch.float32
    assert single.mesh_triangles.dtype == torch.int64
    angles = random_angles(3, dtype=torch.float32)
    assert torch.allclose(single.landmarks(angles), hand.landmarks(angles), atol=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_landmarks_on_the_gpu_equal_those_on_the_cpu(hand):
    angles = random_angles(64, dtype=torch.float32)
    for model in (hand, hand.to("cuda", torch.float32)):
        landmarks = model.landmarks(angles.cuda())
        assert landmarks.device.type == "cuda"
        assert torch.allclose(landmarks.cpu(), hand.landmarks(angles), atol=1e-3)


def without(key):
    return lambda content: content.pop(key)


def with_value(key, value):
    return lambda content: content.update({key: value})


def with_entry(key, row, column, value):
    def change(content):
        content[key][row][column] = value

    return change


BROKEN = {
    "no axes": (without("joint_rotation_axes"), "joint_rotation_axes is missing"),
    "ragged vertices": (with_value("mesh_vertices", [[0, 0], [1]]), "mesh_vertices must hold numbers"),
    "text for numbers": (with_value("joint_limits", [["a", "b"]] * 22), "joint_limits must hold numbers"),
    "null": (with_value("joint_rest_positions", None), "joint_rest_positions must hold numbers"),
    "too few joints": (with_value("joint_rest_positions", [[0, 0, 0]] * 5), r"must have shape \(22, 3\), got \(5, 3\)"),
    "no vertices": (with_value("mesh_vertices", []), "mesh_vertices must have shape"),
    "NaN": (with_entry("landmark_rest_positions", 0, 0, math.nan), "holds NaN or infinite"),
    "a huge number": (with_entry("landmark_rest_positions", 0, 0, 10**400), "landmark_rest_positions"),
    "a bone that does not exist": (with_entry("landmark_rest_bone_indices", 3, 0, 17), "whole numbers from 0 to 16"),
    "half a triangle corner": (with_entry("mesh_triangles", 0, 0, 0.5), "whole numbers from 0 to 787"),
    "weights that do not sum to 1": (with_entry("landmark_rest_bone_weights", 0, 0, 2.0), "sum to 1 per point"),
    "an axis of no length": (with_value("joint_rotation_axes", [[0, 0, 0]] * 22), "axes must have length 1"),
    "limits the wrong way round": (with_entry("joint_limits", 0, 0, 9.0), "lower joint limit"),
    "metres": (with_value("joint_rest_positions", [[0.1, 0, 0]] * 22), "finger bone is 0 mm"),
    "micrometres": (with_entry("mesh_vertices", 0, 0, 95_000.0), "expected a hand, in mm"),
    "a scale": (with_value("hand_scale", 1.1), "hand_scale is 1.1, expected 1"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_hand_file_is_one_clear_error(umetrack_path, tmp_path, name):
    change, message = BROKEN[name]
    content = json.loads(umetrack_path.read_text())
    change(content)
    path = tmp_path / "hand.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=message) as caught:
        HandModel.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b"3", b"{}"])
@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_a_file_that_is_no_hand_is_one_clear_error(tmp_path, content, suffix):
    path = tmp_path / f"hand{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError, match="hand model "):
        HandModel.load(path)


def test_a_missing_file_or_a_folder_is_one_clear_error(tmp_path):
    for path in (tmp_path / "none.json", tmp_path, tmp_path / "none.npz"):
        with pytest.raises(DataError, match="cannot be read"):
            HandModel.load(path)


def test_published_landmark_distance_leaves_out_four_landmarks():
    assert len(SCORED_LANDMARKS) == 17
