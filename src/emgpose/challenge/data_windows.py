"""Scores on recordings by the challenge's rule: windows of 5 s, each alone, mean absolute error over all samples."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from emgpose.challenge.predictor import N_CHANNELS, WINDOW_SAMPLES
from emgpose.errors import DataError
from emgpose.preprocessing import EMG2POSE_PREPROCESSING
from emgpose.recording import open_session, prepare_session, read_metadata, select_sessions, session_path
from emgpose.windows import read_windows, window_tensors

_BATCH: Final = 32
# The first samples of a window, which a model with a context must guess; reported beside the whole.
FIRST_SAMPLES: Final = 1_790


@dataclass(frozen=True)
class Scores:
    """Mean absolute error over all samples, joints and windows.

    Parameters
    ----------
    data : str
        Name of the folder.
    is_simulated : bool or None
        Whether all (True), some (None) or none of the recordings say that they were simulated.
    n_windows : int
    mae_deg : float
        The challenge's score.
    first_mae_deg : float
        The same over the first 1,790 samples of each window.
    static_mae_deg : float or None
        The score of a hand that never moves from the median pose of training; None where that is not known.
    """

    data: str
    is_simulated: bool | None
    n_windows: int
    mae_deg: float
    first_mae_deg: float
    static_mae_deg: float | None


def score_data(
    predict: Callable[[NDArray[np.float32]], NDArray[Any]],
    data_root: Path,
    *,
    split: str | None = "test",
    static_pose: Sequence[float] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Scores:
    """Score predictions on a data set in the emg2pose layout.

    Parameters
    ----------
    predict : callable
        EMG (window, channel=16, time) to joint angles (window, joint=20, time) [rad].
    data_root : Path
    split : str, optional
        train, val or test; None for all.
    static_pose : 20 floats [rad], optional
        The median pose of training, scored beside.
    progress : callable, optional
        Called with (recordings scored, recordings in all).

    Raises
    ------
    DataError : a recording cannot be used, or no window has valid labels throughout.
    """
    rows = select_sessions(read_metadata(data_root), split=split).to_dict("records")
    sums, n_windows = np.zeros(3), 0
    still = None if static_pose is None else np.asarray(static_pose)[:, None]
    simulated: set[bool] = set()
    for number, row in enumerate(rows):
        windows = _windows(session_path(data_root, row), simulated)
        while batch := [window for _, window in zip(range(_BATCH), windows, strict=False)]:
            emg, truth = (np.stack([window[name].numpy() for window in batch]) for name in ("emg", "joint_angles"))
            error = np.abs(predict(emg) - truth).mean(axis=1, dtype=np.float64)
            static = np.nan if still is None else np.abs(still - truth).mean(axis=1).sum()
            sums += error.sum(), error[:, :FIRST_SAMPLES].sum(), static
            n_windows += len(batch)
        if progress is not None:
            progress(number + 1, len(rows))
    if n_windows == 0:
        raise DataError(
            f"{data_root}: no window of {WINDOW_SAMPLES:,} samples with valid labels in split {split or 'all'}; "
            "choose another split or longer recordings"
        )
    n_samples = n_windows * np.array([WINDOW_SAMPLES, FIRST_SAMPLES, WINDOW_SAMPLES])
    mae, first, static = np.degrees(sums / n_samples).tolist()
    is_simulated = simulated.pop() if len(simulated) == 1 else None
    return Scores(data_root.name, is_simulated, n_windows, mae, first, None if still is None else static)


def _windows(path: Path, simulated: set[bool]) -> Iterator[dict[str, torch.Tensor]]:
    with prepare_session(open_session(path), EMG2POSE_PREPROCESSING) as session:
        if session.n_channels != N_CHANNELS or not session.has_joint_angles:
            raise DataError(f"{session.name}: scoring needs {N_CHANNELS} EMG channels and joint angles")
        simulated.add(bool(session.facts.is_simulated))
        for part in read_windows(session, WINDOW_SAMPLES):
            if not math.isfinite(float(part.emg.sum())):
                raise DataError(f"{session.name}: its EMG holds NaN or infinite values; see emgpose check {path}")
            yield window_tensors(part)
