"""The skin of emgpose's generic hand: one closed surface around its bones, and how it follows them.

The hand is a smooth union of round cones along the bones, built with the fingers spread so that they do not touch, cut
into a grid of cells (surface nets), pulled onto the exact surface and evened out, then brought back to the rest pose.
Breadths are those of Greiner 1991 scaled to a hand breadth of 85 mm (ANSUR II, both sexes); depths and the palm's shape
are our own choice. See docs/decisions/005-our-own-hand.md.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emgpose.hand import FINGERS, JOINT_INDEX
from emgpose.kinematics import BONES, HandModel
from emgpose.kinematics.hand_model import bone_frames

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

CELL_MM = 4.75
EVENING_ROUNDS = 12
# The pose in which the skin is built [deg].
SPREAD_DEG = {"INDEX_MCP_AA": 8.0, "RING_MCP_AA": -5.0, "PINKY_MCP_AA": -12.0}

# Half breadths along each finger [mm]: knuckle, middle of the proximal phalanx, PIP, middle phalanx, DIP, tip.
# PIP and DIP from Greiner 1991 times 85 / 90.4, halved (the index DIP from its circumference); the others our own.
FINGER_RADII_MM = {
    "index": (11.0, 10.3, 10.5, 9.4, 9.1, 7.6),
    "middle": (11.3, 10.4, 10.6, 9.6, 9.3, 7.8),
    "ring": (10.8, 9.8, 10.0, 9.0, 8.7, 7.4),
    "pinky": (9.8, 8.8, 9.0, 8.2, 8.1, 6.7),
}
# Metacarpal base, MCP, middle of the proximal phalanx, IP, tip; IP breadth from Greiner 1991.
THUMB_RADII_MM = (15.0, 12.4, 11.0, 11.2, 8.6)
# Fingers are less deep than broad.
DEPTH_OF_BREADTH = 0.9
PALM_RADII_MM = {"index": (13.0, 11.6), "middle": (13.5, 12.2), "ring": (13.0, 11.6), "pinky": (12.5, 10.6)}
# Half of the wrist's breadth of 62 mm (Greiner 1991, scaled) and how far the forearm goes on [own].
WRIST_HALF_BREADTH_MM, WRIST_DEPTH_OF_BREADTH, FOREARM_END_MM = 31.0, 0.63, -36.0

# Half of the length over which two bones share the skin around their joint [own], and across the web of the thumb.
SHARED_MM = {"thumb base": 16.0, "knuckle": 7.0, "phalanges": 5.0}
WEB_MM = 12.0
WEIGHT_ROUNDS = 2
# Bringing the skin back to rest folds it in the webs: edges sharper than this are evened out there [own].
FOLD_COSINE, FOLD_ROUNDS = 0.3, 20


@dataclass(frozen=True)
class Cone:
    """A solid between two balls, flattened in one direction."""

    start: Array
    stop: Array
    start_radius: float
    stop_radius: float
    flat: Array
    depth: float

    def distance(self, points: Array) -> Array:
        """Signed distance of points from the surface, negative inside [mm]."""
        # Stretching space along `flat` turns the flattened cone into a round one.
        stretch = np.eye(3) + (1 / self.depth - 1) * np.outer(self.flat, self.flat)
        axis = (self.stop - self.start) @ stretch
        offset = (points - self.start) @ stretch
        length = np.linalg.norm(axis)
        along = offset @ axis / length
        across = np.sqrt(np.maximum((offset**2).sum(-1) - along**2, 0))
        # The surface of a round cone leans by the difference of its radii.
        lean = (self.start_radius - self.stop_radius) / length
        share = np.clip((along + across * lean / np.sqrt(1 - lean**2)) / length, 0, 1)
        nearest = np.hypot(along - share * length, across)
        return nearest - (self.start_radius + share * (self.stop_radius - self.start_radius))


def skin(hand: HandModel) -> dict[str, Any]:
    """Vertices, triangles and bone weights around the bones of a hand.

    Parameters
    ----------
    hand : HandModel
        Only its joints and landmarks are used.

    Returns
    -------
    dict with "mesh_vertices_mm", "mesh_triangles" and "mesh_weights_255" (whole numbers that sum to 255)
    """
    frames = _spread_frames(hand)
    parts = _parts(hand, frames)

    def surface(points: Array) -> Array:
        return _whole_hand(parts, points)

    vertices, triangles = _surface_nets(surface, *_bounds(parts))
    neighbours = _neighbours(triangles)
    for _ in range(EVENING_ROUNDS):
        vertices = _onto_surface(surface, 0.4 * vertices + 0.6 * _mean_of(neighbours, vertices))
    weights = _weights(hand, frames, parts, vertices, neighbours)
    whole = _whole_255ths(weights)
    return {
        "mesh_vertices_mm": _unfolded(_unposed(frames, vertices, whole / 255), triangles, neighbours),
        "mesh_triangles": triangles,
        "mesh_weights_255": whole,
    }


def _spread_frames(hand: HandModel) -> Array:
    """Bone frames, shape (bone, 3, 4), in the pose in which the skin is built."""
    angles = torch.zeros(20, dtype=torch.float64)
    for name, degrees in SPREAD_DEG.items():
        angles[JOINT_INDEX[name]] = np.radians(degrees)
    return bone_frames(angles, hand).transpose(0, 1).numpy()


def _parts(hand: HandModel, frames: Array) -> dict[str, list[Cone]]:
    """Cones of the palm and of each finger, in the spread pose."""
    joints, landmarks = hand.joint_rest_mm.numpy(), hand.landmark_rest_mm.numpy()
    parts: dict[str, list[Cone]] = {"palm": _palm(joints)}
    for f, finger in enumerate(FINGERS):
        first = 2 + 3 * f
        root, second, third, tip = joints[4 * f + 1], joints[4 * f + 2], joints[4 * f + 3], landmarks[f]
        flexion = hand.joint_axes.numpy()[4 * f + 2]
        flat = np.cross(flexion, _unit(tip - root))
        radii = THUMB_RADII_MM if finger == "thumb" else FINGER_RADII_MM[finger]
        # The last ball ends at the tip.
        end = tip - radii[-1] * _unit(tip - third)
        # Points on the bones, each with the bone that carries it; the thumb's metacarpal has no ball in its middle.
        stops = [(root, 0), ((root + second) / 2, 0), (second, 0), ((second + third) / 2, 1), (third, 1), (end, 2)]
        if finger == "thumb":
            del stops[1]
        posed = [_posed(frames[first + bone], point) for point, bone in stops]
        turned = [frames[first + bone][:, :3] @ flat for _, bone in stops]
        parts[finger] = [
            Cone(posed[i], posed[i + 1], radii[i], radii[i + 1], turned[i + 1], DEPTH_OF_BREADTH)
            for i in range(len(posed) - 1)
        ]
    return parts


def _palm(joints: Array) -> list[Cone]:
    """Cones of metacarpals, pads and wrist."""
    dorsal = np.array([0.0, 1.0, 0.0])
    cones = []
    for f, finger in enumerate(FINGERS[1:], start=1):
        knuckle = joints[4 * f + 1]
        base = np.array([28.0, -3.0, 0.45 * knuckle[2]])
        wide, narrow = PALM_RADII_MM[finger]
        cones.append(Cone(base, knuckle - [2.0, 1.5, 0.0], wide, narrow, dorsal, 0.95))
        # The pad in front of the knuckle.
        cones.append(Cone(base - [0.0, 6.0, 0.0], knuckle - [6.0, 7.0, 0.0], wide, 8.5, dorsal, 0.9))
    little = joints[4 * 4 + 1]
    # The ball of the little finger, then the wrist.
    cones.append(Cone(np.array([22.0, -8.0, -16.0]), little - [16.0, 6.0, -3.0], 14.5, 10.5, dorsal, 0.95))
    forearm, carpus = np.array([FOREARM_END_MM - 5, -3.0, 0.0]), np.array([8.0, -4.0, 0.0])
    cones.append(Cone(forearm, carpus, WRIST_HALF_BREADTH_MM, 29.0, dorsal, WRIST_DEPTH_OF_BREADTH))
    return cones


def _whole_hand(parts: dict[str, list[Cone]], points: Array) -> Array:
    """Signed distance from the hand: parts melt into each other more where flesh does."""
    hand = _melted(parts["palm"], points, 14.0)
    for finger in FINGERS:
        hand = _smooth_minimum(hand, _melted(parts[finger], points, 6.0), 30.0 if finger == "thumb" else 6.0)
    # The forearm ends in a plane with a rounded rim.
    return -_smooth_minimum(-hand, points[:, 0] - FOREARM_END_MM, 14.0)


def _melted(cones: list[Cone], points: Array, blend_mm: float) -> Array:
    total = cones[0].distance(points)
    for cone in cones[1:]:
        total = _smooth_minimum(total, cone.distance(points), blend_mm)
    return total


def _smooth_minimum(a: Array, b: Array, blend_mm: float) -> Array:
    overlap = np.maximum(blend_mm - np.abs(a - b), 0) / blend_mm
    return np.minimum(a, b) - overlap**3 * blend_mm / 6


def _bounds(parts: dict[str, list[Cone]]) -> tuple[Array, Array]:
    ends = np.array([end for cones in parts.values() for cone in cones for end in (cone.start, cone.stop)])
    return ends.min(axis=0) - 24, ends.max(axis=0) + 24


def _surface_nets(surface: Any, low: Array, high: Array) -> tuple[Array, Ints]:
    """A mesh of the zero level: one vertex per cell that the surface crosses (Gibson 1998)."""
    counts = np.ceil((high - low) / CELL_MM).astype(int) + 1
    axes = [low[i] + CELL_MM * np.arange(counts[i]) for i in range(3)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    values = surface(grid.reshape(-1, 3)).reshape(counts)
    corners = [(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    cell = tuple(counts - 1)
    inside = np.stack([_shifted(values < 0, corner, cell) for corner in corners])
    crossed = inside.any(axis=0) & ~inside.all(axis=0)
    number = np.full(cell, -1)
    number[crossed] = np.arange(crossed.sum())
    vertices = _crossing_means(values, grid, corners, crossed)
    quads = [quad for axis in range(3) for quad in _quads(values < 0, number, axis)]
    a, b, c, d = np.concatenate(quads, axis=1)
    return _onto_surface(surface, vertices), np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def _shifted(values: Any, corner: tuple[int, ...], cell: tuple[int, ...]) -> Any:
    return values[tuple(slice(offset, offset + size) for offset, size in zip(corner, cell, strict=True))]


def _crossing_means(values: Array, grid: Array, corners: list[tuple[int, int, int]], crossed: Any) -> Array:
    """Mean of the points where the surface crosses a cell's twelve edges."""
    cell = crossed.shape
    total, count = np.zeros((*cell, 3)), np.zeros(cell)
    for p in corners:
        for axis in range(3):
            if p[axis]:
                continue
            q = tuple(offset + (i == axis) for i, offset in enumerate(p))
            start, stop = _shifted(values, p, cell), _shifted(values, q, cell)
            change = (start < 0) != (stop < 0)
            share = np.where(change, start / np.where(change, start - stop, 1), 0)[..., None]
            point = _shifted(grid, p, cell) * (1 - share) + _shifted(grid, q, cell) * share
            total += np.where(change[..., None], point, 0)
            count += change
    return total[crossed] / count[crossed][:, None]


def _quads(inside: Any, number: Ints, axis: int) -> list[Ints]:
    """Four cells around every grid edge along `axis` that the surface crosses, in an order that faces outwards."""
    second, third = (axis + 1) % 3, (axis + 2) % 3
    here = np.moveaxis(inside, (axis, second, third), (0, 1, 2))
    cells = np.moveaxis(number, (axis, second, third), (0, 1, 2))
    leaving = here[:-1, 1:-1, 1:-1] & ~here[1:, 1:-1, 1:-1]
    entering = ~here[:-1, 1:-1, 1:-1] & here[1:, 1:-1, 1:-1]
    ring = np.stack([cells[:, :-1, :-1], cells[:, 1:, :-1], cells[:, 1:, 1:], cells[:, :-1, 1:]])
    return [ring[:, leaving], ring[::-1, entering]]


def _onto_surface(surface: Any, points: Array) -> Array:
    for _ in range(2):
        gradient = _gradient(surface, points)
        square = (gradient**2).sum(-1, keepdims=True)
        points = points - surface(points)[:, None] * gradient / np.maximum(square, 0.1)
    return points


def _gradient(surface: Any, points: Array, step_mm: float = 1e-3) -> Array:
    shifts = step_mm * np.eye(3)
    return np.stack([(surface(points + s) - surface(points - s)) / (2 * step_mm) for s in shifts], axis=-1)


def _neighbours(triangles: Ints) -> tuple[Ints, Ints, Array]:
    """Directed edges without repeats, and how many each vertex has."""
    edges = np.concatenate([triangles[:, [i, j]] for i, j in ((0, 1), (1, 2), (2, 0))])
    edges = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    return edges[:, 0], edges[:, 1], np.bincount(edges[:, 0]).astype(np.float64)


def _mean_of(neighbours: tuple[Ints, Ints, Array], values: Array) -> Array:
    here, there, count = neighbours
    total = np.zeros_like(values)
    np.add.at(total, here, values[there])
    return total / count[:, None]


def _weights(hand: HandModel, frames: Array, parts: dict[str, list[Cone]], vertices: Array, neighbours: Any) -> Array:
    """How much each vertex follows each bone: by its place along the nearest finger, then evened out over the skin."""
    distances = np.stack([_melted(parts[finger], vertices, 6.0) for finger in FINGERS])
    palm_distance = np.min([cone.distance(vertices) for cone in parts["palm"]], axis=0)
    # Between thumb and palm the skin is shared; a finger takes over where its knuckle is passed.
    nearest = distances.argmin(axis=0)
    thumb_share = _smooth_step((palm_distance - distances[0]) / WEB_MM)
    weights = np.zeros((len(vertices), len(BONES)))
    joints, landmarks = hand.joint_rest_mm.numpy(), hand.landmark_rest_mm.numpy()
    for f in range(len(FINGERS)):
        own = nearest == f
        ends = np.stack([*joints[4 * f + 1 : 4 * f + 4], landmarks[f]])
        remaining = thumb_share[own] if f == 0 else np.ones(own.sum())
        weights[own, 1] += 1 - remaining
        before = 1
        for bone, start, stop in zip(range(2 + 3 * f, 5 + 3 * f), ends[:-1], ends[1:], strict=True):
            along = frames[bone][:, :3] @ _unit(stop - start)
            width = SHARED_MM["thumb base" if bone == 2 else "knuckle" if bone % 3 == 2 else "phalanges"]
            passed = _smooth_step(((vertices[own] - _posed(frames[bone], start)) @ along) / width)
            weights[own, before] += remaining * (1 - passed)
            remaining = remaining * passed
            before = bone
        weights[own, before] += remaining
    for _ in range(WEIGHT_ROUNDS):
        weights = 0.5 * weights + 0.5 * _mean_of(neighbours, weights)
    return weights


def _smooth_step(x: Array) -> Array:
    """0 below -1, 1 above 1, smooth between."""
    share = np.clip((x + 1) / 2, 0, 1)
    return share * share * (3 - 2 * share)


def _whole_255ths(weights: Array) -> Ints:
    """The four largest weights of each vertex as whole numbers that sum to 255."""
    fourth = np.sort(weights, axis=1)[:, -4, None]
    kept = np.where(weights >= fourth, weights, 0)
    scaled = kept / kept.sum(axis=1, keepdims=True) * 255
    whole = np.floor(scaled).astype(np.int64)
    for row, missing in enumerate(255 - whole.sum(axis=1)):
        whole[row, np.argsort(whole[row] - scaled[row], kind="stable")[:missing]] += 1
    return whole


def _unposed(frames: Array, vertices: Array, weights: Array) -> Array:
    """Rest positions that the weighted bones take to `vertices`."""
    blended = np.einsum("vb,bij->vij", weights, frames)
    return np.linalg.solve(blended[:, :, :3], (vertices - blended[:, :, 3])[..., None])[..., 0]


def _unfolded(vertices: Array, triangles: Ints, neighbours: Any) -> Array:
    """The skin with vertices at sharp edges moved half-way to the mean of their neighbours until none is sharp."""
    directed = np.concatenate([triangles[:, [i, j]] for i, j in ((0, 1), (1, 2), (2, 0))])
    owner = np.tile(np.arange(len(triangles)), 3)
    # Each edge stands once in each direction, so sorting both ways pairs its two triangles.
    sides = np.stack([owner[np.lexsort(directed.T)], owner[np.lexsort(directed.T[::-1])]], axis=1)
    for _ in range(FOLD_ROUNDS):
        a, b, c = vertices[triangles].swapaxes(0, 1)
        normals = np.cross(b - a, c - a)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        sharp = (normals[sides[:, 0]] * normals[sides[:, 1]]).sum(axis=1) < FOLD_COSINE
        near = np.zeros((len(vertices), 1))
        near[triangles[sides[sharp]]] = 0.5
        vertices = vertices + near * (_mean_of(neighbours, vertices) - vertices)
    return vertices


def _posed(frame: Array, point: Array) -> Array:
    return frame[:, :3] @ point + frame[:, 3]


def _unit(vector: Array) -> Array:
    return vector / np.linalg.norm(vector)
