"""The plain reference for an evaluation: the test protocol and its scores as anyone would first write them.

Windows are read one by one, scored in batches of 32, every figure by a function of its own. The model is `plain.Plain`,
the static hand the initial pose held, the landmarks those of `emgpose.kinematics`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from emgpose.hand import FINGERTIPS, JOINTS, JOINTS_OF_FINGER, JOINTS_OF_GROUP, SCORED_LANDMARKS
from emgpose.kinematics import HandModel, forward_kinematics
from plain import LEFT_CONTEXT

RATE_HZ = 2000
STRIDE = 10_000
WINDOW = STRIDE + LEFT_CONTEXT
BATCH = 32
BINS, BIN_RAD = 1800, np.pi / 1800
DRIFT_BIN = 1000

Scores = dict[str, Tensor]
Score = Callable[[Tensor, Tensor], Scores]


# --- windows


def list_windows(root: Path) -> list[tuple[str, str, int]]:
    """Recording, user and first sample of every window."""
    windows = []
    table = pd.read_csv(root / "metadata.csv")
    for row in table[table["split"] == "test"].itertuples():
        with h5py.File(root / f"{row.filename}.hdf5") as file:
            angles = file["emg2pose/timeseries"]["joint_angles"]
        valid = ~np.isclose(angles, 0).all(axis=1)
        edges = np.flatnonzero(np.diff(valid, prepend=False, append=False))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            windows += [(row.filename, row.user, a) for a in range(start, stop - 2 - WINDOW + 1, STRIDE)]
    return windows


def read_batches(root: Path, windows: list[tuple[str, str, int]]) -> Iterator[tuple[Tensor, Tensor]]:
    """EMG (window, channel, time) and joint angles (window, joint, time) of 32 windows at a time."""
    for first in range(0, len(windows), BATCH):
        batch = []
        for name, _, start in windows[first : first + BATCH]:
            with h5py.File(root / f"{name}.hdf5") as file:
                batch.append(file["emg2pose/timeseries"][start : start + WINDOW])
        yield (
            torch.stack([torch.from_numpy(part["emg"].T.astype(np.float32)) for part in batch]),
            torch.stack([torch.from_numpy(part["joint_angles"].T.astype(np.float32)) for part in batch]),
        )


# --- scores of a batch of windows, (window, joint, time)


def angle_error(prediction: Tensor, target: Tensor) -> Scores:
    return {"mae": (prediction - target).abs().mean(dim=(1, 2))}


def finger_error(prediction: Tensor, target: Tensor) -> Scores:
    return _members_error(prediction, target, JOINTS_OF_FINGER)


def group_error(prediction: Tensor, target: Tensor) -> Scores:
    return _members_error(prediction, target, JOINTS_OF_GROUP)


def _members_error(prediction: Tensor, target: Tensor, groups: dict[str, tuple[int, ...]]) -> Scores:
    return {
        f"mae_{name}": (prediction[:, list(joints)] - target[:, list(joints)]).abs().mean(dim=(1, 2))
        for name, joints in groups.items()
    }


def joint_error(prediction: Tensor, target: Tensor) -> Scores:
    errors = (prediction - target).abs().mean(dim=2)
    return {f"mae_{name}": errors[:, joint] for joint, name in enumerate(JOINTS)}


def landmark_distance(prediction: Tensor, target: Tensor) -> Scores:
    return {"landmark_distance": _distances(prediction, target)[..., list(SCORED_LANDMARKS)].mean(dim=(1, 2))}


def fingertip_distance(prediction: Tensor, target: Tensor) -> Scores:
    return {"fingertip_distance": _distances(prediction, target)[..., list(FINGERTIPS)].mean(dim=(1, 2))}


def _distances(prediction: Tensor, target: Tensor) -> Tensor:
    hand = HandModel.generic()
    points = [forward_kinematics(angles[..., ::40].transpose(1, 2), hand) for angles in (prediction, target)]
    return (points[0] - points[1]).norm(dim=-1)


def derivatives(prediction: Tensor, _: Tensor) -> Scores:
    scores = {}
    for order, name in enumerate(("velocity", "acceleration", "jerk"), start=1):
        scores[name] = prediction.diff(n=order).abs().mean(dim=(1, 2)) * RATE_HZ**order
    return scores


def published_derivatives(prediction: Tensor, _: Tensor) -> Scores:
    scores = {}
    for order, name in enumerate(("vel", "acc", "jerk"), start=1):
        scores[f"published_{name}"] = prediction.diff(n=order).abs().mean(dim=(1, 2)) * RATE_HZ
    return scores


OF_THE_MODEL: tuple[Score, ...] = (
    *(angle_error, finger_error, group_error, joint_error, landmark_distance, fingertip_distance),
    *(derivatives, published_derivatives),
)
OF_THE_STATIC_HAND: tuple[Score, ...] = (angle_error, landmark_distance, fingertip_distance)


# --- what is summed over all windows of a user


def histogram(prediction: Tensor, target: Tensor) -> np.ndarray:
    """How many errors lie in each tenth of a degree, by window."""
    errors = (prediction - target).abs().clamp(max=np.pi).numpy().reshape(len(prediction), -1)
    return np.stack([np.histogram(row, bins=BINS, range=(0, np.pi))[0] for row in errors])


def variance_sums(prediction: Tensor, target: Tensor) -> np.ndarray:
    """Sums of squared residuals, targets and squared targets, (window, 3, joint)."""
    target64 = target.double()
    residual = prediction.double() - target64
    return np.stack([part.sum(dim=2).numpy() for part in (residual**2, target64, target64**2)], axis=1)


def drift(prediction: Tensor, target: Tensor) -> np.ndarray:
    """Mean error by time since the window's start, (window, bin)."""
    errors = (prediction - target).abs().mean(dim=1)
    return pad(errors, (0, -errors.shape[-1] % DRIFT_BIN)).unflatten(-1, (-1, DRIFT_BIN)).mean(dim=2).numpy()


# --- the whole


def score_batch(prediction: Tensor, target: Tensor, still: Tensor) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Score a batch: one row of figures per window, and what is summed over windows."""
    scores: Scores = {}
    for score in OF_THE_MODEL:
        scores |= score(prediction, target)
    for score in OF_THE_STATIC_HAND:
        scores |= {f"static_{name}": values for name, values in score(still, target).items()}
    scores |= {f"recorded_{name}": values for name, values in derivatives(target, target).items()}
    sums = {
        "histogram": histogram(prediction, target),
        "static_histogram": histogram(still, target),
        "variance": variance_sums(prediction, target),
        "drift": drift(prediction, target),
        "static_drift": drift(still, target),
    }
    return pd.DataFrame({name: values.numpy() for name, values in scores.items()}), sums


@torch.inference_mode()
def evaluate_plainly(model: nn.Module, root: Path) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Score all windows, each figure by window with its user beside, and the sums by user in their order."""
    windows = list_windows(root)
    users = pd.Series([user for _, user, _ in windows], name="user")
    rows, sums = [], []
    for emg, joint_angles in read_batches(root, windows):
        target = joint_angles[..., LEFT_CONTEXT:]
        still = target[..., :1].expand_as(target)
        row, part = score_batch(model(emg, target[..., 0]), target, still)
        rows.append(row)
        sums.append(part)
    by_window = {name: np.concatenate([part[name] for part in sums]) for name in sums[0]}
    by_user = {
        name: np.stack([of[users == user].sum(axis=0) for user in users.unique()]) for name, of in by_window.items()
    }
    return pd.concat([users, pd.concat(rows, ignore_index=True)], axis=1), by_user
