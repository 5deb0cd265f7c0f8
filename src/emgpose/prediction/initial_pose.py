"""Where a rollout starts: the recorded pose, the rest pose, or one from a file."""

import json
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError, DataError
from emgpose.hand import JOINTS, N_JOINTS, REST_POSE_RAD
from emgpose.recording import Session

# No finger joint turns by half a circle; a file in degrees does, and would otherwise be taken for radians.
LARGEST_ANGLE_RAD = np.pi


@dataclass(frozen=True)
class InitialPose:
    """The pose that a rollout starts from, and where it came from.

    Parameters
    ----------
    joint_angles : array, shape (joint=20,) [rad]
    source : str
        What to tell the user, for example `recorded at sample 1790`.
    """

    joint_angles: NDArray[np.float32]
    source: str


def choose_initial_pose(choice: str | None, session: Session, *, task: str, left_context: int) -> InitialPose:
    """Turn the user's choice into a pose.

    Parameters
    ----------
    choice : str or None
        `recorded` (where the label at sample `left_context` is valid, else the rest pose), `rest`, or a JSON, CSV or
        NPZ file with 20 angles [rad]. None: `recorded` for tracking, `rest` for regression.
    session : Session
        The recording, at the model's rate.
    task : str
        `tracking` or `regression`. Regression models are not told the pose, so only `rest` is open to them.
    left_context : int
        Samples before the first prediction; the label of the sample with this index is the initial pose.

    Raises
    ------
    ConfigError : a regression model is to be told its initial pose.
    DataError : the file does not hold 20 finite angles in radians.

    Source: Salter et al. 2024, section 4 (tracking and regression).
    """
    if task == "regression":
        if choice not in (None, "rest"):
            raise ConfigError(
                f"--initial-pose {choice}: a regression model is not told the pose and starts from the rest pose; "
                "leave the option out, or use a tracking model"
            )
        return InitialPose(REST_POSE_RAD.copy(), "rest (all angles zero), as regression models start")
    if choice in (None, "recorded"):
        return _recorded_pose(session, left_context)
    if choice == "rest":
        return InitialPose(REST_POSE_RAD.copy(), "rest (all angles zero)")
    return InitialPose(_read_pose(Path(str(choice))), f"from {choice}")


def _recorded_pose(session: Session, sample: int) -> InitialPose:
    if not session.has_joint_angles:
        return InitialPose(REST_POSE_RAD.copy(), "rest (all angles zero): the recording has no joint angles")
    if sample >= session.n_samples or not session.valid(sample, sample + 1)[0]:
        return InitialPose(REST_POSE_RAD.copy(), f"rest (all angles zero): the label at sample {sample} is not valid")
    return InitialPose(session.joint_angles(sample, sample + 1)[0], f"recorded at sample {sample}")


def _read_pose(path: Path) -> NDArray[np.float32]:
    wanted = (
        f"expected {N_JOINTS} joint angles in radians (JSON list or object by joint name, one-row CSV, or NPZ key "
        "joint_angles)"
    )
    try:
        values = _parse_pose(path)
    except FileNotFoundError:
        raise DataError(f"initial pose {path}: no such file; give recorded, rest, or the path of a pose file") from None
    # Damaged files bring errors of json, pandas, zipfile and zlib, with no common class.
    except Exception as error:
        raise DataError(f"initial pose {path}: {wanted}, could not read it ({error})") from None
    if values.shape != (N_JOINTS,):
        raise DataError(f"initial pose {path}: {wanted}, got an array of shape {values.shape}")
    if not np.isfinite(values).all() or np.abs(values).max() > LARGEST_ANGLE_RAD:
        worst = int(np.nanargmax(np.abs(values))) if not np.isnan(values).all() else 0
        raise DataError(
            f"initial pose {path}: {wanted}, but {JOINTS[worst]} is {values[worst]:g}; "
            "if the file is in degrees, convert it"
        )
    return values.astype(np.float32)


def _parse_pose(path: Path) -> NDArray[np.float64]:
    if path.suffix == ".json":
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            _require_joints(content)
            content = [content[name] for name in JOINTS]
        return np.asarray(content, dtype=np.float64)
    if path.suffix == ".npz":
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return np.squeeze(np.asarray(archive["joint_angles"], dtype=np.float64))
    import pandas as pd

    table = pd.read_csv(path)
    _require_joints(table.columns)
    if len(table) != 1:
        raise ValueError(f"it has {len(table)} rows, not one")
    return table[list(JOINTS)].to_numpy(dtype=np.float64)[0]


def _require_joints(names: Container[str]) -> None:
    missing = [name for name in JOINTS if name not in names]
    if missing:
        raise ValueError(f"the joint {missing[0]} is missing")
