"""Make src/emgpose/assets/generic_hand.npz, the adult hand that comes with emgpose.

Run from the repository root: `.venv/bin/python tools/make_generic_hand.py [OUT.npz]`. Every run on one machine gives
the same bytes. Numbers and their sources: tools/hand_skeleton.py and tools/hand_skin.py.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hand_skeleton import skeleton
from hand_skin import skin

from emgpose.kinematics import BONES, HandModel

ASSET = Path(__file__).resolve().parents[1] / "src" / "emgpose" / "assets" / "generic_hand.npz"
NAME = "emgpose generic hand"
SOURCE = "emgpose tools/make_generic_hand.py, Apache-2.0; sources in docs/decisions/005-our-own-hand.md"


def generic_hand() -> dict[str, Any]:
    """The arrays of the asset."""
    bones = skeleton()
    tensors = {key: torch.from_numpy(value) for key, value in bones.items()}
    bare = HandModel(
        name=NAME,
        side="right",
        source=SOURCE,
        mesh_vertices_mm=torch.zeros(1, 3, dtype=torch.float64),
        mesh_triangles=torch.zeros(1, 3, dtype=torch.int64),
        mesh_weights=torch.eye(len(BONES), dtype=torch.float64)[:1],
        **tensors,
    )
    surface = skin(bare)
    return {
        "name": np.array(NAME),
        "source": np.array(SOURCE),
        "joint_axes": bones["joint_axes"],
        "joint_rest_mm": bones["joint_rest_mm"],
        "joint_limits_rad": bones["joint_limits_rad"],
        "landmark_rest_mm": bones["landmark_rest_mm"],
        "landmark_weights_255": (255 * bones["landmark_weights"]).astype(np.uint8),
        # A thousandth of a millimetre is finer than the skin is known.
        "mesh_vertices_mm": surface["mesh_vertices_mm"].round(3).astype(np.float32),
        "mesh_triangles": surface["mesh_triangles"].astype(np.uint16),
        "mesh_weights_255": surface["mesh_weights_255"].astype(np.uint8),
    }


def main() -> None:
    """Write the asset."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ASSET
    arrays = generic_hand()
    with out.open("wb") as file:
        np.savez_compressed(file, **arrays)
    counts = f"{len(arrays['mesh_vertices_mm'])} vertices, {len(arrays['mesh_triangles'])} triangles"
    sys.stdout.write(f"{out}: {counts}, {out.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
