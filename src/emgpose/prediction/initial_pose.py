"""Where a rollout starts: the recorded pose, the model's own, the rest pose, or one from a file."""

import json
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError, DataError
from emgpose.hand import JOINTS, N_JOINTS, REST_POSE_RAD
from emgpose.models import EmgModel, Task
from emgpose.recording import Session

# No finger joint turns by half a circle; a file in degrees does, and would otherwise be taken for radians.
LARGEST_ANGLE_RAD = np.pi
_REST = "rest (all angles zero)"


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


def choose_task(session: Session, model: EmgModel, *, initial_pose: str | None) -> tuple[Task, str]:
    """Choose the task in which a model should predict a recording, when the user does not.

    A model with one task has no choice. A multitask model tracks where it can be told a pose to start from: the user's,
    or the recorded one at sample `left_context`.

    Parameters
    ----------
    session : Session
        The recording, at the model's rate.
    model : pose model
    initial_pose : str or None
        The user's choice, see `choose_initial_pose`.

    Returns
    -------
    (task, reason) : the reason in words, empty where there was no choice.
    """
    if len(model.tasks) == 1:
        return model.task, ""
    if initial_pose is not None:
        return "tracking", "an initial pose is given"
    missing = _why_not_recorded(session, model.left_context)
    return ("regression", missing) if missing else ("tracking", "the recording holds the pose to start from")


def choose_initial_pose(choice: str | None, session: Session, model: EmgModel) -> InitialPose:
    """Turn the user's choice into a pose.

    Parameters
    ----------
    choice : str or None
        `recorded` (where the label at sample `left_context` is valid, else the model's own), `rest`, or a JSON, CSV or
        NPZ file with 20 angles [rad]. None: `recorded` in tracking, the model's own in regression.
    session : Session
        The recording, at the model's rate.
    model : pose model
        Set to its task. Its own pose is the learned one where it has that, else the rest pose. In regression it is not
        told a pose, so no other is open to it.

    Raises
    ------
    ConfigError : in regression the model is to be told its initial pose.
    DataError : the file does not hold 20 finite angles in radians.

    Source: Salter et al. 2024, section 4 (tracking and regression).
    """
    own = _own_pose(model)
    if model.task == "regression":
        if choice is not None and not (choice == "rest" and own.source == _REST):
            other = "--task tracking" if "tracking" in model.tasks else "a tracking model"
            raise ConfigError(
                f"--initial-pose {choice}: in regression {model.name} is not told the pose and starts from its own; "
                f"leave the option out, or use {other}"
            )
        return InitialPose(own.joint_angles, f"{own.source}, as regression starts")
    if choice in (None, "recorded"):
        sample = model.left_context
        if missing := _why_not_recorded(session, sample):
            return InitialPose(own.joint_angles, f"{own.source}: {missing}")
        return InitialPose(session.joint_angles(sample, sample + 1)[0], f"recorded at sample {sample}")
    return given_pose(str(choice))


def given_pose(choice: str) -> InitialPose:
    """Give the pose of a choice that needs no recording.

    Parameters
    ----------
    choice : str
        `rest`, or a JSON, CSV or NPZ file with 20 angles [rad].

    Raises
    ------
    DataError : the file does not hold 20 finite angles in radians.
    """
    if choice == "rest":
        return InitialPose(REST_POSE_RAD.copy(), _REST)
    return InitialPose(_read_pose(Path(choice)), f"from {choice}")


def _own_pose(model: EmgModel) -> InitialPose:
    """Give the pose that the model starts from when it is told none."""
    joint_angles = model.start_pose(None, 1)[0].detach().float().cpu().numpy()
    return InitialPose(joint_angles, "the model's own initial pose" if joint_angles.any() else _REST)


def _why_not_recorded(session: Session, sample: int) -> str:
    """Say why a recording does not tell the pose at a sample; empty where it does."""
    if not session.has_joint_angles:
        return "the recording has no joint angles"
    if sample >= session.n_samples or not session.valid(sample, sample + 1)[0]:
        return f"the label at sample {sample} is not valid"
    return ""


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
