"""Segment lengths of a hand, and hands with other proportions."""

import difflib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from emgpose.errors import ConfigError
from emgpose.hand import FINGERS, LANDMARK_INDEX

if TYPE_CHECKING:
    from emgpose.kinematics.hand_model import HandModel

# From the wrist to the fingertip. PALM ends at the knuckle (thumb: at the base of its metacarpal).
_PARTS: Final = dict.fromkeys(FINGERS, ("PALM", "PROXIMAL", "MIDDLE", "DISTAL")) | {
    "thumb": ("PALM", "METACARPAL", "PROXIMAL", "DISTAL")
}
SEGMENTS: Final = tuple(f"{finger.upper()}_{part}" for finger in FINGERS for part in _PARTS[finger])


def segment_lengths_mm(hand: "HandModel") -> dict[str, float]:
    """Length of every segment [mm]."""
    start, stop = _segment_ends_mm(hand)
    lengths = torch.linalg.vector_norm(stop - start, dim=-1).flatten()
    return dict(zip(SEGMENTS, lengths.tolist(), strict=True))


def lengthened(hand: "HandModel", lengths_mm: Mapping[str, float]) -> dict[str, Tensor]:
    """Rest positions of joints, landmarks and skin after giving segments new lengths.

    Points along a segment move in proportion; points past it move with its end; palm points follow the rays near them.
    """
    growth = torch.tensor(_growth_mm(hand, lengths_mm), dtype=torch.float64).reshape(len(FINGERS), 4)
    stretch = _Stretch(hand, growth)
    joint_weights = torch.zeros(20, 17, dtype=torch.float64)
    for joint in range(20):
        # A joint sits on the bone that ends at it; the first two of a finger sit on the palm.
        joint_weights[joint, 1 if joint % 4 < 2 else _first_bone(joint // 4) + joint % 4 - 2] = 1
    dtype, device = hand.joint_rest_mm.dtype, hand.joint_rest_mm.device
    moved = {
        "joint_rest_mm": stretch(hand.joint_rest_mm, joint_weights),
        "landmark_rest_mm": stretch(hand.landmark_rest_mm, hand.landmark_weights),
        "mesh_vertices_mm": stretch(hand.mesh_vertices_mm, hand.mesh_weights),
    }
    return {key: value.to(device, dtype) for key, value in moved.items()}


class _Stretch:
    """Moves points of the rest pose when segments grow."""

    def __init__(self, hand: "HandModel", growth_mm: Tensor) -> None:
        start, stop = (ends.detach().cpu().to(torch.float64) for ends in _segment_ends_mm(hand))
        self.start = start
        self.length_mm = torch.linalg.vector_norm(stop - start, dim=-1)
        self.direction = (stop - start) / self.length_mm[..., None]
        self.growth = growth_mm[..., None] * self.direction
        # Everything past a segment's start moves by what the segments before it have grown.
        self.shift = torch.cumsum(self.growth, dim=1) - self.growth

    def __call__(self, points_mm: Tensor, weights: Tensor) -> Tensor:
        points, weights = (value.detach().cpu().to(torch.float64) for value in (points_mm, weights))
        offset = points[:, None, None, :] - self.start
        share = ((offset * self.direction).sum(-1) / self.length_mm).clamp(0, 1)
        per_segment = self.shift + share[..., None] * self.growth
        # Palm points listen to the nearest rays: inverse squared distance to the five palm segments.
        nearest = self.start[:, 0] + (share[:, :, 0] * self.length_mm[:, 0])[..., None] * self.direction[:, 0]
        nearness = 1 / ((points[:, None] - nearest).square().sum(-1) + 1e-9)
        palm = (per_segment[:, :, 0] * (nearness / nearness.sum(-1, keepdim=True))[..., None]).sum(1)
        per_bone = torch.cat([palm[:, None], palm[:, None], per_segment[:, :, 1:].flatten(1, 2)], dim=1)
        return points + (weights[..., None] * per_bone).sum(1)


def _segment_ends_mm(hand: "HandModel") -> tuple[Tensor, Tensor]:
    """Start and end of every segment, each of shape (finger=5, segment=4, xyz=3) [mm]."""
    joints = hand.joint_rest_mm.reshape(len(FINGERS), 4, 3)
    wrist = hand.landmark_rest_mm[LANDMARK_INDEX["WRIST"]].expand(len(FINGERS), 1, 3)
    tips = hand.landmark_rest_mm[: len(FINGERS), None]
    # Joints 0 and 1 share the base of a finger; where they differ (thumb), the second carries the bone.
    return torch.cat([wrist, joints[:, 1:]], dim=1), torch.cat([joints[:, 1:], tips], dim=1)


def _first_bone(finger: int) -> int:
    return 2 + 3 * finger


def _growth_mm(hand: "HandModel", lengths_mm: Mapping[str, float]) -> list[float]:
    present = segment_lengths_mm(hand)
    for name, length in lengths_mm.items():
        if name not in present:
            near = difflib.get_close_matches(str(name).upper(), SEGMENTS, n=1) or [", ".join(SEGMENTS)]
            raise ConfigError(f"there is no hand segment {name!r}; did you mean {near[0]}?")
        if not (math.isfinite(length) and 0.2 <= length / present[name] <= 5):
            raise ConfigError(
                f"{name} is {present[name]:.1f} mm and can become 0.2 to 5 times that, got {length!r}; give mm"
            )
    return [lengths_mm.get(name, present[name]) - present[name] for name in SEGMENTS]
