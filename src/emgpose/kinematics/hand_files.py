"""Reading hand models: UmeTrack's JSON file, and the .npz file that emgpose ships its own hand in."""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import DataError
from emgpose.hand import N_JOINTS, N_LANDMARKS

N_BONES: Final = 17
# The JSON model ends with two wrist joints that the data set holds at zero.
_JSON_JOINTS: Final = N_JOINTS + 2
_KINDS: Final = "finger joints, landmarks and a skinned mesh as in UmeTrack's generic_hand_model.json"
# No hand model comes near this; a larger file is something else.
_MAX_BYTES: Final = 256 * 2**20

_MAX_REACH_MM: Final = 1000.0
_MIN_BONE_MM: Final = 1.0

Arrays = dict[str, NDArray[Any]]


def read_hand_file(path: Path) -> tuple[dict[str, str], Arrays]:
    """Read and check a hand model.

    Returns
    -------
    facts : dict with "name" and "source"
    arrays : dict from the tensor fields of `HandModel` to float64 (triangles: int64) arrays

    Raises
    ------
    DataError : the file is missing, is not a hand model, or holds impossible values.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"hand model {path}: larger than {_MAX_BYTES >> 20} MiB; expected a JSON or .npz file")
        facts, arrays = (_read_npz if path.suffix.lower() == ".npz" else _read_json)(path)
    except OSError as error:
        raise DataError(f"hand model {path}: cannot be read ({error.strerror or error})") from error
    _check(path, arrays)
    return facts, arrays


def _read_json(path: Path) -> tuple[dict[str, str], Arrays]:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"hand model {path}: not a JSON file ({error}); expected {_KINDS}") from error
    if not isinstance(content, dict):
        raise DataError(f"hand model {path}: expected a JSON object with {_KINDS}, got {type(content).__name__}")

    def numbers(key: str, *shape: int | None) -> NDArray[np.float64]:
        return _numbers(path, key, content, shape)

    scale = numbers("hand_scale").item() if "hand_scale" in content else 1.0
    if scale != 1:
        raise DataError(
            f"hand model {path}: hand_scale is {scale:g}, expected 1; store 1 and use HandModel.scaled({scale:g})"
        )
    landmarks = numbers("landmark_rest_positions", N_LANDMARKS, 3)
    weights = numbers("landmark_rest_bone_weights", N_LANDMARKS, None)
    indices = _whole(path, "landmark_rest_bone_indices", numbers("landmark_rest_bone_indices", *weights.shape), N_BONES)
    dense = np.zeros((N_LANDMARKS, N_BONES))
    np.add.at(dense, (np.arange(N_LANDMARKS)[:, None], indices), weights)
    vertices = numbers("mesh_vertices", None, 3)
    arrays: Arrays = {
        "joint_axes": numbers("joint_rotation_axes", _JSON_JOINTS, 3)[:N_JOINTS],
        "joint_rest_mm": numbers("joint_rest_positions", _JSON_JOINTS, 3)[:N_JOINTS],
        "joint_limits_rad": numbers("joint_limits", _JSON_JOINTS, 2)[:N_JOINTS],
        "landmark_rest_mm": landmarks,
        "landmark_weights": dense,
        "mesh_vertices_mm": vertices,
        "mesh_triangles": _whole(path, "mesh_triangles", numbers("mesh_triangles", None, 3), len(vertices)),
        "mesh_weights": numbers("dense_bone_weights", len(vertices), N_BONES),
    }
    return {"name": f"hand model {path.name}", "source": path.name}, arrays


def _read_npz(path: Path) -> tuple[dict[str, str], Arrays]:
    try:
        with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as stored:
            content = {key: stored[key] for key in stored.files}
    except OSError:
        raise
    # Damaged files bring errors of zipfile, zlib, struct and tokenize through NumPy, with no common class.
    except Exception as error:
        raise DataError(f"hand model {path}: not an .npz file that can be read ({error})") from error

    def numbers(key: str, *shape: int | None) -> NDArray[np.float64]:
        return _numbers(path, key, content, shape)

    vertices = numbers("mesh_vertices_mm", None, 3)
    # Weights are stored as whole 255ths that sum to 255.
    arrays: Arrays = {
        "joint_axes": numbers("joint_axes", N_JOINTS, 3),
        "joint_rest_mm": numbers("joint_rest_mm", N_JOINTS, 3),
        "joint_limits_rad": numbers("joint_limits_rad", N_JOINTS, 2),
        "landmark_rest_mm": numbers("landmark_rest_mm", N_LANDMARKS, 3),
        "landmark_weights": numbers("landmark_weights_255", N_LANDMARKS, N_BONES) / 255,
        "mesh_vertices_mm": vertices,
        "mesh_triangles": _whole(path, "mesh_triangles", numbers("mesh_triangles", None, 3), len(vertices)),
        "mesh_weights": numbers("mesh_weights_255", len(vertices), N_BONES) / 255,
    }
    return {key: str(content.get(key, path.name)) for key in ("name", "source")}, arrays


def _numbers(path: Path, key: str, content: dict[str, Any], shape: tuple[int | None, ...]) -> NDArray[np.float64]:
    """One entry as a float64 array; None in the shape stands for any length of at least 1."""
    wanted = "(" + ", ".join("n" if size is None else str(size) for size in shape) + ")"
    if key not in content:
        raise DataError(f"hand model {path}: {key} is missing; expected {_KINDS}")
    try:
        array = np.asarray(content[key])
        if array.dtype.kind not in "iuf":
            raise TypeError(f"{array.dtype} values")
        array = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"hand model {path}: {key} must hold numbers of shape {wanted}, got {error}") from error
    fits = len(shape) == array.ndim and all(
        size == got if size is not None else got > 0 for size, got in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise DataError(f"hand model {path}: {key} must have shape {wanted}, got {array.shape}")
    if not np.isfinite(array).all():
        raise DataError(f"hand model {path}: {key} holds NaN or infinite values")
    return array


def _whole(path: Path, key: str, values: NDArray[np.float64], stop: int) -> NDArray[np.int64]:
    if not ((values == np.rint(values)) & (values >= 0) & (values < stop)).all():
        raise DataError(f"hand model {path}: {key} must hold whole numbers from 0 to {stop - 1}")
    return values.astype(np.int64)


def _check(path: Path, arrays: Arrays) -> None:
    """Refuse values that no hand has, so that later code may trust the model."""
    lengths = np.linalg.norm(arrays["joint_axes"], axis=1)
    if np.abs(lengths - 1).max() > 1e-4:
        got = f"{lengths.min():.4g} to {lengths.max():.4g}"
        raise DataError(f"hand model {path}: joint axes must have length 1, got {got}")
    for key in ("landmark_weights", "mesh_weights"):
        sums = arrays[key].sum(axis=1)
        if arrays[key].min() < -1e-6 or np.abs(sums - 1).max() > 1e-3:
            got = f"sums of {sums.min():.4g} to {sums.max():.4g}, smallest weight {arrays[key].min():.4g}"
            raise DataError(f"hand model {path}: {key} must be at least 0 and sum to 1 per point, got {got}")
    for key in ("joint_rest_mm", "landmark_rest_mm", "mesh_vertices_mm"):
        reach = np.abs(arrays[key]).max()
        if reach > _MAX_REACH_MM:
            raise DataError(f"hand model {path}: {key} reaches {reach:.4g} mm; expected a hand, in mm")
    _check_segments(path, arrays)
    low, high = arrays["joint_limits_rad"].T
    if (low > high).any():
        raise DataError(f"hand model {path}: a lower joint limit lies above its upper limit")


def _check_segments(path: Path, arrays: Arrays) -> None:
    """Refuse hands whose joints coincide or whose size is not a hand's, such as metres given for millimetres."""
    joints = arrays["joint_rest_mm"].reshape(-1, 4, 3)
    tips = arrays["landmark_rest_mm"][: len(joints), None]
    bones = np.linalg.norm(np.diff(np.concatenate([joints[:, 1:], tips], axis=1), axis=1), axis=-1)
    if bones.min() < _MIN_BONE_MM:
        raise DataError(
            f"hand model {path}: a finger bone is {bones.min():.4g} mm long, expected more than {_MIN_BONE_MM:g} mm"
        )
