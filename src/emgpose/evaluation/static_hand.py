"""The static hand that is scored beside every model.

A model that does not beat a hand that never moves has learnt nothing about movement. In tracking that hand holds the
initial pose; in regression it holds the per-joint median over valid training samples.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from emgpose.errors import EmgPoseError
from emgpose.hand import N_JOINTS
from emgpose.models import EmgModel
from emgpose.recording import open_session, session_path

# Enough for a median that no longer moves by a tenth of a degree; 200 recordings of a minute are read in a few minutes.
MAX_TRAIN_SESSIONS: Final = 200
SAMPLE_STRIDE: Final = 40
CHUNK_SAMPLES: Final = 200_000
# Bins of 0.1 degree over every angle that a hand can have; constant memory whatever the data set.
_EDGES_RAD: Final = np.linspace(-np.pi, np.pi, 3601)


@dataclass(frozen=True)
class StaticHand:
    """A hand that does not move within a window.

    Parameters
    ----------
    label : str
        `static_initial_pose`, `static_median_checkpoint`, `static_median_train` or `static_zero`.
    note : str
        Where the pose comes from, in words.
    joint_angles : float32 array, shape (joint=20,) [rad], or None
        None holds each window's own initial pose.
    """

    label: str
    note: str
    joint_angles: NDArray[np.float32] | None = None

    def poses(self, initial_pose: Tensor) -> Tensor:
        """Give the pose held in each window.

        Parameters
        ----------
        initial_pose : Tensor, shape (window, joint=20) [rad]

        Returns
        -------
        Tensor, shape (window, joint=20) [rad]
        """
        if self.joint_angles is None:
            return initial_pose
        return torch.from_numpy(self.joint_angles).to(initial_pose).expand_as(initial_pose)


def choose_static_hand(model: EmgModel, root: Path, table: pd.DataFrame) -> StaticHand:
    """Find the static hand that a model must beat.

    Parameters
    ----------
    model : pose model
        Its task decides; a regression model's card may hold the median pose of its training data.
    root : Path
        The data set.
    table : DataFrame
        The whole metadata table, train split included.
    """
    if model.task == "tracking":
        return StaticHand("static_initial_pose", "the initial pose of each window held")
    median = model.card.median_pose
    if median is not None:
        pose = np.asarray(median, dtype=np.float32)
        return StaticHand(
            "static_median_checkpoint", "per-joint median over the training data, from the checkpoint", pose
        )
    pose_of_train, note = train_median(root, table)
    if pose_of_train is not None:
        return StaticHand("static_median_train", note, pose_of_train)
    return StaticHand("static_zero", f"all angles zero ({note})", np.zeros(N_JOINTS, dtype=np.float32))


def train_median(root: Path, table: pd.DataFrame) -> tuple[NDArray[np.float32] | None, str]:
    """Per-joint median over valid samples of the train split, in constant memory.

    Every 40th sample of at most 200 recordings, evenly spread over the split, counted in bins of 0.1 degree.
    Recordings that cannot be read are passed over and counted in the note.

    Returns
    -------
    pose : float32 array, shape (joint=20,) [rad], or None
        None when no valid sample was found.
    note : str
        What the median was taken over.
    """
    rows = table[table["split"] == "train"].to_dict("records")
    chosen = [rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MAX_TRAIN_SESSIONS)).astype(int))]
    counts = np.zeros((N_JOINTS, len(_EDGES_RAD) - 1), dtype=np.int64)
    unreadable = 0
    for row in chosen:
        try:
            counts += _angle_counts(session_path(root, row))
        except (EmgPoseError, OSError):
            unreadable += 1
    if not counts.any():
        return None, "the data set has no readable train recording with a valid label"
    note = (
        f"per-joint median over every {SAMPLE_STRIDE}th sample, where valid, of {len(chosen) - unreadable} of "
        f"{len(rows)} train recordings"
    )
    if unreadable:
        note += f", {unreadable} more could not be read"
    return np.array([_median(joint) for joint in counts], dtype=np.float32), note


def _angle_counts(path: Path) -> NDArray[np.int64]:
    counts = np.zeros((N_JOINTS, len(_EDGES_RAD) - 1), dtype=np.int64)
    with open_session(path) as session:
        if not session.has_joint_angles:
            return counts
        for start in range(0, session.n_samples, CHUNK_SAMPLES):
            stop = min(start + CHUNK_SAMPLES, session.n_samples)
            valid = session.valid(start, stop)[::SAMPLE_STRIDE]
            angles = session.joint_angles(start, stop)[::SAMPLE_STRIDE][valid]
            for joint in range(N_JOINTS):
                counts[joint] += np.histogram(np.clip(angles[:, joint], -np.pi, np.pi), _EDGES_RAD)[0]
    return counts


def _median(counts: NDArray[np.int64]) -> float:
    """Median of binned values, linear within its bin."""
    reached = np.cumsum(counts)
    half = reached[-1] / 2
    bin_ = int(np.searchsorted(reached, half))
    below = reached[bin_ - 1] if bin_ else 0
    width = _EDGES_RAD[1] - _EDGES_RAD[0]
    return float(_EDGES_RAD[bin_] + width * (half - below) / counts[bin_])
