"""Windows to look at: the best, the median and the worst of a run, as poses predicted and recorded."""

from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from emgpose.errors import EmgPoseError
from emgpose.evaluation.protocol import open_for
from emgpose.evaluation.result import Evaluation
from emgpose.evaluation.scoring import predict_windows
from emgpose.hand import JOINTS
from emgpose.models.emg_model import SCORED_SAMPLES
from emgpose.windows import window_tensors

# 50 poses a second at 2 kHz: what a moving hand needs.
EXAMPLE_STRIDE_SAMPLES: Final = 40
EXAMPLE_COLUMNS: Final = (
    "example",
    "filename",
    "start_sample",
    "time_s",
    "valid",
    *(f"predicted_{joint}" for joint in JOINTS),
    *(f"recorded_{joint}" for joint in JOINTS),
)
# Four decimals are a hundredth of a degree.
_DECIMALS: Final = 4


def choose_examples(windows: pd.DataFrame) -> dict[str, int]:
    """Find the windows of least, median and largest error.

    Parameters
    ----------
    windows : DataFrame
        Rows of one mode, with the column mae.

    Returns
    -------
    dict of "best", "median", "worst" -> row label
        Ties go to the first. Two windows are best and worst, one is the median.
    """
    order = windows["mae"].sort_values(kind="stable").index
    if len(order) < 3:
        return dict(zip(("best", "worst") if len(order) == 2 else ("median",), order, strict=False))
    return {"best": order[0], "median": order[(len(order) - 1) // 2], "worst": order[-1]}


@torch.inference_mode()
def example_windows(evaluation: Evaluation) -> pd.DataFrame:
    """Predict the best, the median and the worst window of the primary mode once more, and keep every 40th pose.

    Returns
    -------
    DataFrame with the columns `EXAMPLE_COLUMNS`
        time_s counts from the start of the scored span; angles [rad]. Without the windows of a recording that can no
        longer be read.
    """
    windows = evaluation.windows[evaluation.windows["mode"] == evaluation.modes[0]]
    tables = []
    for name, label in choose_examples(windows).items():
        filename, start = windows["filename"].loc[label], windows["start_sample"].loc[label]
        try:
            tables.append(_example(evaluation, name, str(filename), int(start)))
        except (EmgPoseError, OSError):
            continue
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(EXAMPLE_COLUMNS))


def _example(evaluation: Evaluation, name: str, filename: str, start: int) -> pd.DataFrame:
    model = evaluation.model
    with open_for(model, evaluation.recordings[filename].path) as session:
        tensors = window_tensors(session.read(start, start + model.test_window))
    model.set_task(evaluation.task)
    initial_pose = tensors["joint_angles"][:, model.left_context].unsqueeze(0).to(model.device)
    prediction = predict_windows(
        model,
        tensors["emg"].unsqueeze(0).to(model.device),
        initial_pose if evaluation.task == "tracking" else None,
        evaluation.modes[0],
    )[0]
    n_scored = min(SCORED_SAMPLES, model.test_window - model.left_context)
    kept = slice(-n_scored, None, EXAMPLE_STRIDE_SAMPLES)
    columns: dict[str, object] = {
        "example": name,
        "filename": filename,
        "start_sample": start,
        "time_s": np.arange(0, n_scored, EXAMPLE_STRIDE_SAMPLES) / model.sample_rate_hz,
        "valid": tensors["valid"][kept].numpy(),
    }
    for prefix, angles in (("predicted", prediction), ("recorded", tensors["joint_angles"])):
        poses: NDArray[np.float64] = angles[:, kept].cpu().double().numpy().round(_DECIMALS)
        columns |= {f"{prefix}_{joint}": poses[i] for i, joint in enumerate(JOINTS)}
    return pd.DataFrame(columns)
