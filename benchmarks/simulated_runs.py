"""Small training runs on simulated data that benchmarks share: made once, scored, and found again when interrupted."""

import json
import math
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from emgpose.atomic import write_text_atomically

CONDITIONS = ("seen", "user", "stage", "user_stage")
# Of these the stages are trained on.
KNOWN_STAGES = ("seen", "user")
SMALL = ("model.channels=32", "model.tds_channels=8", "model.tds_pairs=1", "model.n_features=32")
SMALL_LSTM = ("model.hidden_size=96",)
SMALL_HEAD = ("model.head_sizes=[96]",)
SMALL_MLP = ("model.layer_sizes=[96,96]",)
TRAINING = (
    "data.window_samples=5790",
    "data.batch_size=32",
    "optim.lr=2e-3",
    "loop.logger=none",
    "loop.threads=1",
    "loop.accelerator=cpu",
    "loop.val_every_epochs=1000",
    "loop.max_epochs=1000",
)
# One repeat and one hand: enough windows of every condition, and none that was trained on.
TESTED = "repeat == '1' and side == 'right'"


def trained_and_scored(
    experiment: str,
    folder: Path,
    data: Path,
    tasks: tuple[str, ...],
    overrides: tuple[str, ...],
    turns: tuple[int, ...] = (0,),
    stages: tuple[str, ...] = (),
) -> None:
    """Train one experiment and write scores.json; nothing is done where that exists, and half a run is gone on with.

    scores.json: {task: {turn: {condition: {mae, static_mae, velocity}}}} in degrees (a second), and "seconds" trained.
    A turn is by how many electrodes the band is rotated in the test; only the condition `user` is scored so. Conditions
    are named by what the run saw (`by_training`); with `stages` it trains on these training stages only.
    """
    import torch

    from emgpose.checkpoints import load_model
    from emgpose.evaluation import evaluate
    from emgpose.experiments import compose_config
    from emgpose.training import train

    scores_file = folder / "scores.json"
    if scores_file.exists():
        return
    torch.set_num_threads(1)
    resume = str((folder / "run.json").exists()).lower()
    started = time.monotonic()
    where = " or ".join(f"stage == '{stage}'" for stage in stages)
    chosen = (f'data.where="{where}"',) if stages else ()
    options = (*SMALL, *TRAINING, *overrides, *chosen, f"data.root={data}", f"out={folder}", f"resume={resume}")
    result = train(compose_config(experiment, *options), folder)
    scores: dict[str, Any] = {"seconds": time.monotonic() - started}
    trained_on = json.loads((folder / "run.json").read_text())["data"]["subset"]["users"]
    for task in tasks:
        scores[task] = {}
        for turn in turns:
            model = load_model(result.last)
            turn_band(model, turn)
            tested = f"{TESTED} and generalization in {list(KNOWN_STAGES)}" if stages else TESTED
            if stages and turn:
                tested += f" and stage in {list(stages)}"
            windows = evaluate(model, data, modes=["published"], task=task, where=tested).windows
            windows = by_training(windows, trained_on, stages)
            names = ("user",) if turn else CONDITIONS
            scores[task][str(turn)] = {condition: means(windows, condition) for condition in names}
    write_text_atomically(scores_file, json.dumps(scores, indent=1))


def by_training(windows: Any, users: list[str], stages: tuple[str, ...]) -> Any:
    """Name each window's condition by what this training saw: users of the training split that it left out are unknown.

    With `stages`, which are some of the training stages, the other training stages are unknown, and the stages that the
    data set holds out are left out.
    """
    if stages:
        windows = windows[windows["condition"].isin(KNOWN_STAGES)]
        knows_stage = windows["stage"].isin(stages)
    else:
        knows_stage = windows["condition"].isin(KNOWN_STAGES)
    knows_user = windows["user"].isin(users)
    names = np.select([knows_user & knows_stage, knows_stage, knows_user], CONDITIONS[:3], CONDITIONS[3])
    return windows.assign(condition=names)


def turn_band(model: Any, electrodes: int) -> None:
    """Let a model see what it would see from a band that is rotated: electrode k lies where k + electrodes lay."""
    import torch

    first = next(parameter for parameter in model.featurizer.parameters() if parameter.ndim == 3)
    with torch.no_grad():
        first.copy_(first.roll(electrodes, dims=1))


def means(windows: Any, condition: str) -> dict[str, float]:
    """Mean over windows of a user, then over users [deg]."""
    chosen = windows[windows["condition"] == condition]
    figures = chosen.groupby("user")[["mae", "static_mae", "velocity"]].mean().mean()
    return {str(name): math.degrees(value) for name, value in figures.items()}


def read_scores(folder: Path) -> dict[str, Any]:
    scores: dict[str, Any] = json.loads((folder / "scores.json").read_text())
    return scores


def interval(values: list[float]) -> str:
    """Give the mean and its 95 % interval over seeds."""
    if len(values) < 2:
        return f"{values[0]:.2f}"
    half = stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.mean(values):.2f} +- {half:.2f}"
