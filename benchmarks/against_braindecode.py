"""Ours against braindecode's VEMG2Pose, where braindecode is installed: distance from the golden numbers, then speed.

Both get the weights of the golden rule (models.md section 9) and predict the golden windows; then each predicts one
window of 11,790 samples at batch 1, 8 and 32, in turns in one process. Of braindecode only the public class is used;
its tensors are matched by the public names of its state dict. Nothing is wanted of these figures.
"""

import argparse
import importlib
import json
import sys
import zlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from emgpose.models import PoseModel, build_model
from emgpose.models.published import rename
from emgpose.models.resampling import align_centres, blend
from paired import Figure, print_heading, show, time_in_turns
from training_step import WINDOW_SAMPLES, make_windows

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "golden"
# What the public constructor takes for each published experiment.
VARIANTS: dict[str, dict[str, Any]] = {
    "tracking_vemg2pose": {"parameterization": "velocity"},
    "regression_vemg2pose": {"parameterization": "hybrid"},
    "tracking_emg2pose": {"parameterization": "position", "decoder": "mlp"},
    "regression_emg2pose": {"parameterization": "position", "decoder": "mlp"},
}
# Prefixes of the published names and of braindecode's.
PREFIXES = (("model.network.layers.", "encoder."), ("model.decoder.", "decoder."))
TIMED = "tracking_vemg2pose"


def golden_tensor(name: str, shape: Sequence[int]) -> Tensor:
    """Make one float tensor by the rule of the golden files; these models have no batch norm."""
    x = np.random.default_rng([0, zlib.crc32(name.encode())]).standard_normal(shape)
    if len(shape) < 2:
        middle = 1.0 if name.endswith(".weight") else 0.0
        return torch.from_numpy((middle + 0.1 * x).astype(np.float32))
    return torch.from_numpy((x / np.sqrt(np.prod(shape[1:]))).astype(np.float32))


def golden_weights(experiment: str) -> dict[str, Tensor]:
    """Every tensor under its published name."""
    shapes = json.loads((GOLDEN / "models.json").read_text(encoding="utf-8"))[experiment]["tensors"]
    return {name: golden_tensor(name, shape) for name, shape in shapes.items()}


def take_golden_weights(model: nn.Module, experiment: str) -> None:
    """Load the golden weights into braindecode's model by names, what is left of both sides in order and by shape."""
    weights = golden_weights(experiment)
    renamed = {}
    for name, tensor in weights.items():
        short = next((theirs + name.removeprefix(ours) for ours, theirs in PREFIXES if name.startswith(ours)), name)
        renamed[short] = tensor
    wanted = model.state_dict()
    found = {name: renamed.pop(name) for name in wanted if name in renamed}
    left = [name for name in wanted if name not in found]
    found |= dict(zip(left, renamed.values(), strict=True))
    model.load_state_dict(found)


def build_theirs(braindecode: Any, experiment: str, n_samples: int) -> nn.Module:
    """Build braindecode's model of an experiment with the golden weights."""
    options = {"n_outputs": 20, "n_chans": 16, "n_times": n_samples, "sfreq": 2000.0}
    model: nn.Module = braindecode.VEMG2Pose(**options, **VARIANTS[experiment]).eval()
    take_golden_weights(model, experiment)
    return model


def build_ours(experiment: str) -> PoseModel:
    """Build our model of an experiment with the golden weights."""
    model = build_model(experiment)
    if not isinstance(model, PoseModel):
        raise TypeError(f"expected a PoseModel, got {type(model).__name__}")
    model.load_state_dict(rename(golden_weights(experiment), model.config))
    return model.eval()


@torch.inference_mode()
def compare_with_golden(braindecode: Any, experiment: str) -> None:
    """Print how far each one is from what the published implementation computes."""
    with np.load(GOLDEN / "models.npz") as arrays:
        emg, pose, expected = (
            torch.from_numpy(arrays[f"{experiment}__{key}"].astype(np.float32))
            for key in ("emg", "initial_pose", "prediction")
        )
    given = pose if experiment.startswith("tracking") else None
    theirs = build_theirs(braindecode, experiment, emg.shape[-1])(emg, given).transpose(1, 2)
    ours = build_ours(experiment).rollout(emg, given)
    for name, prediction in (("braindecode", theirs), ("ours", ours)):
        distance = (prediction[..., ::10] - expected).abs().max().item()
        show(Figure(f"{experiment}, {name} from golden", "rad", [distance]))
    distance = (predict_by_centres(build_ours(experiment), emg, given) - theirs).abs().max().item()
    show(Figure(f"{experiment}, braindecode from ours with features laid by centres", "rad", [distance]))


def predict_by_centres(model: PoseModel, emg: Tensor, initial_pose: Tensor | None) -> Tensor:
    """Predict as `rollout` does but for the features, laid on the steps by centres where the published way has corners.

    Found by trying the four combinations of the two ways for features and poses on what braindecode gives.
    """
    features, _ = model.featurize(emg)
    n_rows = emg.shape[-1] - model.left_context
    n_steps = model.published_steps(n_rows)
    rows = blend(features, align_centres(np.arange(n_steps), features.shape[-1], n_steps))
    start, state = model.start_pose(initial_pose, len(emg)), model.decoder.initial_state(len(emg))
    poses, _, _ = model.steps(rows, start, state, 0)
    return blend(poses, align_centres(np.arange(n_rows), n_steps, n_rows))


@torch.inference_mode()
def compare_speed(braindecode: Any, batch_size: int, repeats: int) -> None:
    """Time predictions of windows, braindecode in the place of the plain reference."""
    emg, joint_angles = make_windows(batch_size)
    pose = joint_angles[..., 0]
    theirs, ours = build_theirs(braindecode, TIMED, WINDOW_SAMPLES), build_ours(TIMED)
    label = f"braindecode over ours, batch {batch_size}"
    time_in_turns(label, lambda: theirs(emg, pose), lambda: ours.rollout(emg, pose), repeats=repeats, wanted=None)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 32], help="batch sizes")
    parser.add_argument("--repeats", type=int, default=5, help="pairs timed for each")
    parser.add_argument("--threads", type=int, help="torch's threads (default: torch's own)")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        braindecode = importlib.import_module("braindecode.models")
    except ImportError as error:
        print(f"braindecode cannot be imported here ({error}); nothing is compared (pip install braindecode)")
        return 0
    if not hasattr(braindecode, "VEMG2Pose"):
        print("this braindecode has no VEMG2Pose, which came with 1.8; nothing is compared")
        return 0
    print(f"braindecode {version('braindecode')}")
    for experiment in VARIANTS:
        compare_with_golden(braindecode, experiment)
    print_heading(f"prediction, {WINDOW_SAMPLES} samples, braindecode in place of plain")
    for batch_size in options.batch:
        compare_speed(braindecode, batch_size, options.repeats)
    return 0


if __name__ == "__main__":
    sys.exit(main())
