"""Training runs small enough for tests: a few recordings, a few channels, a few steps."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from emgpose.config import TrainConfig
from emgpose.experiments import compose_config
from emgpose.training.module import PoseTraining

SMALL_TDS = ("model.channels=8", "model.tds_channels=4", "model.n_features=6", "model.tds_pairs=1")
SMALL_MODEL = {
    "tracking_vemg2pose": (*SMALL_TDS, "model.hidden_size=8"),
    "regression_vemg2pose": (*SMALL_TDS, "model.hidden_size=8"),
    "tracking_emg2pose": (*SMALL_TDS, "model.layer_sizes=[8,8]"),
    "regression_emg2pose": (*SMALL_TDS, "model.layer_sizes=[8,8]"),
    "regression_neuropose": ("model.channels=[2,3,4]", "model.residual_blocks=1"),
    "regression_sensingdynamics": (),
    "emgpose50": (*SMALL_TDS, "model.hidden_size=8", "model.head_sizes=[8]"),
}
WINDOW = 2400
SHORT = (
    f"data.window_samples={WINDOW}",
    f"data.val_window_samples={WINDOW}",
    "data.batch_size=6",
    "loop.max_epochs=2",
    "loop.accelerator=cpu",
    "loop.threads=1",
    "loop.logger=none",
)


def small_overrides(root: Path, experiment: str = "tracking_vemg2pose", *overrides: str) -> list[str]:
    """What makes an experiment small; a later setting replaces an earlier one."""
    model = SMALL_MODEL.get(experiment, (*SMALL_TDS, "model.hidden_size=8", "model.head_sizes=[8]"))
    chosen: dict[str, str] = {}
    for override in (f"data.root={root}", *model, *SHORT, *overrides):
        key, _, value = override.partition("=")
        chosen[key] = value
    return [f"{key}={value}" for key, value in chosen.items()]


def small_config(root: Path, experiment: str = "tracking_vemg2pose", *overrides: str) -> TrainConfig:
    """A small run of an experiment."""
    return compose_config(experiment, *small_overrides(root, experiment, *overrides))


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a model folder."""
    return safetensors.torch.load_file(folder / "model.safetensors")


def same_weights(one: Path, two: Path) -> bool:
    """Whether two model folders hold the same weights, bit for bit."""
    first, second = weights_of(one), weights_of(two)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@contextlib.contextmanager
def after_batch(n_batches: int, action: Callable[[], Any]) -> Iterator[None]:
    """Do something within the step of batch number `n_batches` of a run, before it is saved."""
    original, seen = PoseTraining.on_train_batch_start, 0

    def counted(self: PoseTraining, *arguments: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == n_batches:
            action()
        original(self, *arguments)

    PoseTraining.on_train_batch_start = counted  # type: ignore[method-assign]
    try:
        yield
    finally:
        PoseTraining.on_train_batch_start = original  # type: ignore[method-assign]


def run_emgpose(
    folder: Path, *arguments: object, before: str = "", limit_s: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, with some Python before it.

    From a script in `folder`, because Lightning starts further processes by calling the script again.
    """
    script = folder / "emgpose_command.py"
    paths = f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    script.write_text(f"{paths}{before}\nfrom emgpose.cli import main\nmain()\n", encoding="utf-8")
    return subprocess.run(
        [sys.executable, str(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
