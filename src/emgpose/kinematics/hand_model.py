"""The hand as data, and forward kinematics in the UmeTrack convention (models.md section 8).

Frame of a right hand: x distal, y dorsal, z radial, millimetres, origin at the wrist (docs/conventions.md).
A joint turns by its angle about its axis through its rest position; the four joints of a finger follow each other from
the palm to the tip; every landmark and skin vertex follows a weighted mean of bones.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emgpose.errors import ConfigError, ShapeError
from emgpose.hand import FINGERS, LANDMARK_INDEX, N_JOINTS, SIDES
from emgpose.kinematics.hand_files import read_hand_file
from emgpose.kinematics.one_pose import OnePose
from emgpose.kinematics.proportions import lengthened, segment_lengths_mm

# Tensor in, Tensor out; NumPy in, NumPy out.
Angles = TypeVar("Angles", Tensor, NDArray[Any])

# Bone b moves with the joints up to its own; root and wrist never move.
BONES: Final = (
    "ROOT",
    "WRIST",
    *(f"THUMB_{part}" for part in ("METACARPAL", "PROXIMAL", "DISTAL")),
    *(f"{finger.upper()}_{part}" for finger in FINGERS[1:] for part in ("PROXIMAL", "MIDDLE", "DISTAL")),
)

_TENSOR_FIELDS: Final = (
    "joint_axes",
    "joint_limits_rad",
    "joint_rest_mm",
    "landmark_rest_mm",
    "landmark_weights",
    "mesh_triangles",
    "mesh_vertices_mm",
    "mesh_weights",
)
# Recognises the published generic hand by its joints and landmarks, rounded to 1e-3; holds none of its numbers.
_UMETRACK_GEOMETRY: Final = "8ed158b4b4f7a8d22cdd510fb76db75c"


@dataclass(frozen=True, eq=False)
class HandModel:
    """One hand: joints, landmarks and skin in the rest pose, in which all angles are zero.

    Attributes
    ----------
    name : str
        What results call this hand.
    side : str
        "right" or "left".
    source : str
        Where the numbers come from.
    joint_axes : Tensor, shape (joint=20, xyz=3)
        Rotation axes, of length 1.
    joint_rest_mm : Tensor, shape (joint=20, xyz=3) [mm]
    joint_limits_rad : Tensor, shape (joint=20, low-high=2) [rad]
    landmark_rest_mm : Tensor, shape (landmark=21, xyz=3) [mm]
    landmark_weights : Tensor, shape (landmark=21, bone=17)
        How much a landmark follows each bone of `BONES`; rows sum to 1.
    mesh_vertices_mm : Tensor, shape (vertex, xyz=3) [mm]
    mesh_triangles : Tensor of int64, shape (triangle, 3)
        Corners, counter-clockwise seen from outside where (x, y, z) are drawn as right-handed axes. A viewer that draws
        (x, y, -z), so that a right hand looks right, exchanges two corners (docs/conventions.md).
    mesh_weights : Tensor, shape (vertex, bone=17)
    """

    name: str
    side: str
    source: str
    joint_axes: Tensor = field(repr=False)
    joint_rest_mm: Tensor = field(repr=False)
    joint_limits_rad: Tensor = field(repr=False)
    landmark_rest_mm: Tensor = field(repr=False)
    landmark_weights: Tensor = field(repr=False)
    mesh_vertices_mm: Tensor = field(repr=False)
    mesh_triangles: Tensor = field(repr=False)
    mesh_weights: Tensor = field(repr=False)

    def __post_init__(self) -> None:
        # A hand is made of constants: whatever mode it was made in, it must serve a later backward pass.
        with torch.inference_mode(mode=False):
            for key, value in self._tensors():
                object.__setattr__(self, key, value.clone() if value.is_inference() else value.detach())

    @classmethod
    def load(cls, path: str | Path) -> "HandModel":
        """Read a right hand from a UmeTrack JSON file or from an emgpose .npz file.

        Raises
        ------
        DataError : the file is missing, is not a hand model, or holds impossible values.
        """
        facts, arrays = read_hand_file(Path(path))
        tensors = {key: torch.from_numpy(value) for key, value in arrays.items()}
        hand = cls(name=facts["name"], side="right", source=facts["source"], **tensors)
        return replace(hand, name="UmeTrack generic hand") if hand.is_umetrack else hand

    @classmethod
    def generic(cls, side: str = "right") -> "HandModel":
        """The adult hand that comes with emgpose (docs/decisions/005-our-own-hand.md).

        Raises
        ------
        ConfigError : `side` is neither "right" nor "left".
        """
        if side not in SIDES:
            raise ConfigError(f"the side of a hand is one of {', '.join(SIDES)}, got {side!r}")
        return _generic(side)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "HandModel":
        """Return the same hand on another device or in another floating type; triangles stay int64."""
        moved = {key: value.to(device, dtype) for key, value in self._tensors() if value.is_floating_point()}
        moved["mesh_triangles"] = self.mesh_triangles.to(device)
        return self._with_tensors(moved)

    def mirrored(self) -> "HandModel":
        """Return the other side's hand: the same joint angles make the mirror-image pose."""
        axes_flip = torch.tensor([1.0, -1.0, -1.0]).to(self.joint_axes)
        points_flip = torch.tensor([-1.0, 1.0, 1.0]).to(self.joint_axes)
        return replace(
            self,
            side="left" if self.side == "right" else "right",
            joint_axes=self.joint_axes * axes_flip,
            joint_rest_mm=self.joint_rest_mm * points_flip,
            landmark_rest_mm=self.landmark_rest_mm * points_flip,
            mesh_vertices_mm=self.mesh_vertices_mm * points_flip,
            # A mirror turns triangles inside out; exchanging two corners turns them back.
            mesh_triangles=self.mesh_triangles[:, [0, 2, 1]],
        )

    def scaled(self, factor: float) -> "HandModel":
        """Return this hand, larger or smaller in every direction.

        Raises
        ------
        ConfigError : `factor` is not between 0.2 and 5.
        """
        if not 0.2 <= factor <= 5:
            raise ConfigError(f"a hand can be scaled by 0.2 to 5, got {factor!r}; lengths are in mm")
        return replace(
            self,
            name=f"{self.name}, {self.hand_length_mm * factor:.0f} mm long",
            joint_rest_mm=self.joint_rest_mm * factor,
            landmark_rest_mm=self.landmark_rest_mm * factor,
            mesh_vertices_mm=self.mesh_vertices_mm * factor,
        )

    def scaled_to(self, hand_length_mm: float) -> "HandModel":
        """Return this hand with another hand length, measured from the wrist to the tip of the middle finger.

        Raises
        ------
        ConfigError : the length is no plausible hand length in mm.
        """
        return self.scaled(hand_length_mm / self.hand_length_mm)

    def with_bone_lengths(self, lengths_mm: Mapping[str, float]) -> "HandModel":
        """Return this hand with single segments of other lengths; joints, landmarks and skin follow.

        Parameters
        ----------
        lengths_mm : mapping from names in `SEGMENTS` to lengths [mm]
            "INDEX_PALM" is wrist to knuckle, "INDEX_DISTAL" last joint to fingertip. Others keep their length.

        Raises
        ------
        ConfigError : an unknown segment, or a length outside 0.2 to 5 times the present one.
        """
        named = replace(self, name=f"{self.name}, own bone lengths")
        return named._with_tensors(lengthened(self, lengths_mm))

    @property
    def bone_lengths_mm(self) -> dict[str, float]:
        """Length of every segment in `SEGMENTS` [mm]."""
        return segment_lengths_mm(self)

    @property
    def hand_length_mm(self) -> float:
        """Distance from the wrist to the tip of the middle finger in the rest pose [mm]."""
        tip, wrist = (self.landmark_rest_mm[LANDMARK_INDEX[name]] for name in ("MIDDLE_TIP", "WRIST"))
        return float(torch.linalg.vector_norm(tip - wrist))

    @property
    def is_umetrack(self) -> bool:
        """Whether landmarks are those of the published generic hand, so that published figures are comparable."""
        right = self if self.side == "right" else self.mirrored()
        return _geometry_digest(right) == _UMETRACK_GEOMETRY

    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change when any number of the hand or its side does."""
        digest = hashlib.sha256(self.side.encode())
        for key, value in self._tensors():
            digest.update(key.encode())
            digest.update(value.detach().cpu().to(torch.float64).numpy().tobytes())
        return digest.hexdigest()[:16]

    def landmarks(self, joint_angles: Angles) -> Angles:
        """Place the 21 landmarks; see `forward_kinematics`."""
        if isinstance(joint_angles, np.ndarray) and joint_angles.shape == (N_JOINTS,):
            floating = joint_angles.dtype
            if floating.kind == "f" and floating.isnative and np.isfinite(joint_angles).all():
                return self._one_pose.landmarks(joint_angles).astype(floating, copy=False)
        return _placed(joint_angles, self, self._landmark_map)

    def vertices(self, joint_angles: Angles) -> Angles:
        """Place the skin, shape (..., vertex, xyz=3) [mm]; otherwise as `forward_kinematics`."""
        return _placed(joint_angles, self, self._mesh_map)

    def _with_tensors(self, tensors: Mapping[str, Tensor]) -> "HandModel":
        fields: dict[str, Any] = dict(tensors)
        return replace(self, **fields)

    def _tensors(self) -> list[tuple[str, Tensor]]:
        return [(key, getattr(self, key)) for key in _TENSOR_FIELDS]

    @cached_property
    def _joint_map(self) -> Tensor:
        with torch.inference_mode(mode=False):
            return _joint_map(self.joint_axes, self.joint_rest_mm)

    @cached_property
    def _landmark_map(self) -> Tensor:
        with torch.inference_mode(mode=False):
            return _skinning_map(self.landmark_rest_mm, self.landmark_weights)

    @cached_property
    def _one_pose(self) -> OnePose:
        return OnePose(self._joint_map, self._landmark_map)

    @cached_property
    def _mesh_map(self) -> Tensor:
        with torch.inference_mode(mode=False):
            return _skinning_map(self.mesh_vertices_mm, self.mesh_weights)


def forward_kinematics(joint_angles: Angles, hand: HandModel | None = None) -> Angles:
    """Place the 21 hand landmarks for each pose.

    Parameters
    ----------
    joint_angles : Tensor or ndarray, shape (..., joint=20) [rad]
        In the order of `emgpose.hand.JOINTS`. A pose that holds NaN gives NaN landmarks.
    hand : HandModel, optional
        The generic right hand by default.

    Returns
    -------
    Tensor or ndarray (as given, same floating type and device), shape (..., landmark=21, xyz=3) [mm]
        In the frame of the hand's wrist; differentiable in the angles.

    Raises
    ------
    ShapeError : the joint axis is not 20, or the angles are no real numbers.

    Source: UmeTrack convention (Han et al. 2022), as used by Salter et al. 2024.
    """
    return (HandModel.generic() if hand is None else hand).landmarks(joint_angles)


def bone_frames(joint_angles: Tensor, hand: HandModel) -> Tensor:
    """Where each bone has moved from its rest position.

    Parameters
    ----------
    joint_angles : Tensor, shape (..., joint=20) [rad]
    hand : HandModel

    Returns
    -------
    Tensor, shape (..., xyz=3, bone=17, 4): for each bone three columns of rotation, then the translation [mm].
    """
    return _frames(joint_angles, hand).movedim(-1, 0).reshape(*joint_angles.shape[:-1], 3, len(BONES), 4)


def _frames(joint_angles: Tensor, hand: HandModel) -> Tensor:
    """Give the bone frames of all poses, (xyz=3, bone=17, 4, pose): poses innermost, so that steps run over vectors."""
    still, by_sine, by_cosine = hand._joint_map.to(joint_angles)
    angles = joint_angles.reshape(-1, N_JOINTS).t().contiguous()
    turned = torch.addcmul(still + by_sine * torch.sin(angles), by_cosine, 1 - torch.cos(angles))
    # (row, column, finger, joint of the finger, pose)
    per_joint = turned.unflatten(2, (len(FINGERS), 4))
    chain = per_joint[:, :, :, 0]
    fingers = []
    for joint in range(1, 4):
        step = per_joint[:, :, :, joint]
        moved = chain[:, 0, None] * step[0]
        for row in (1, 2):
            moved = torch.addcmul(moved, chain[:, row, None], step[row])
        chain = torch.cat([moved[:, :3], moved[:, 3:] + chain[:, 3:]], dim=1)
        fingers.append(chain)
    # (row, finger, bone of the finger, column, pose)
    bones = torch.stack(fingers, dim=3).permute(0, 2, 3, 1, 4).flatten(1, 2)
    palm = torch.eye(3, 4, dtype=bones.dtype, device=bones.device)[:, None, :, None].expand(3, 2, 4, bones.shape[-1])
    return torch.cat([palm, bones], dim=1)


def _joint_map(axes: Tensor, rest_mm: Tensor) -> Tensor:
    """Rodrigues' formula for turns through the rest positions: what stands, what goes with sine and with 1 - cosine.

    Shape (3, row=3, 4, joint, 1), float64: three columns of rotation, then the translation [mm].
    """
    axes, rest = axes.double(), rest_mm.double().unsqueeze(-1)
    x, y, z = axes.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    turns = [torch.cat([turn, -turn @ rest], dim=-1) for turn in (cross, cross @ cross)]
    still = torch.eye(3, 4, dtype=axes.dtype, device=axes.device).expand_as(turns[0])
    return torch.stack([still, *turns]).movedim(1, -1).unsqueeze(-1).contiguous()


def _skinning_map(points_mm: Tensor, weights: Tensor) -> Tensor:
    """The matrix (bone x 4, point) that takes bone frames to placed points: weight x (rest position, 1)."""
    homogeneous = torch.cat([points_mm, torch.ones_like(points_mm[:, :1])], dim=1)
    return torch.einsum("pb,pc->bcp", weights, homogeneous).flatten(0, 1).contiguous()


def _placed(joint_angles: Any, hand: HandModel, skinning_map: Tensor) -> Any:
    """Apply a skinning map; NumPy in, NumPy out."""
    if isinstance(joint_angles, Tensor):
        return _placed_tensor(joint_angles, hand, skinning_map)
    array = np.asarray(joint_angles)
    if array.dtype.kind not in "iuf":
        raise ShapeError(f"joint angles must be real numbers [rad], got {array.dtype}")
    floating = array.dtype.newbyteorder("=") if array.dtype.kind == "f" else np.dtype(np.float64)
    # A copy, because the caller's array may be read-only, which torch does not take.
    working = np.array(array, dtype=np.float32 if floating.itemsize <= 4 else np.float64)
    with torch.no_grad():
        placed = _placed_tensor(torch.from_numpy(working), hand, skinning_map)
    return placed.numpy().astype(floating, copy=False)


def _placed_tensor(joint_angles: Tensor, hand: HandModel, skinning_map: Tensor) -> Tensor:
    if joint_angles.ndim == 0 or joint_angles.shape[-1] != N_JOINTS:
        raise ShapeError(
            f"joint angles must have {N_JOINTS} joints on their last axis (order of emgpose.hand.JOINTS), "
            f"got shape {tuple(joint_angles.shape)}"
        )
    if not joint_angles.is_floating_point():
        raise ShapeError(f"joint angles must be floating point [rad], got {joint_angles.dtype}")
    # Half precision would be off by half a millimetre, so it is only how the result is handed over.
    working = torch.promote_types(joint_angles.dtype, torch.float32)
    device = joint_angles.device
    with torch.autocast(device.type, enabled=False):
        frames = _frames(joint_angles.to(working), hand)
        placed = skinning_map.t().to(device, working) @ frames.flatten(1, 2)
    return placed.permute(2, 1, 0).reshape(*joint_angles.shape[:-1], skinning_map.shape[1], 3).to(joint_angles.dtype)


def _geometry_digest(hand: HandModel) -> str:
    parts = (hand.joint_axes, hand.joint_rest_mm, hand.landmark_rest_mm, hand.landmark_weights)
    rounded = [np.rint(part.detach().cpu().to(torch.float64).numpy() * 1000).astype(np.int64) for part in parts]
    return hashlib.sha256(b"".join(part.tobytes() for part in rounded)).hexdigest()[:32]


@lru_cache(maxsize=len(SIDES))
def _generic(side: str) -> HandModel:
    if side != "right":
        return _generic("right").mirrored()
    with as_file(files("emgpose") / "assets" / "generic_hand.npz") as path:
        return HandModel.load(path)
