"""Models with the weights of the golden rule, and checkpoints made like the published ones."""

import json
import zlib
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import Tensor

from emgpose.checkpoints import load_model
from emgpose.models import EmgModel

GOLDEN = Path(__file__).resolve().parent / "golden"
_TARGETS = {
    "tracking_vemg2pose": ("StatePoseModule", "SequentialLSTM"),
    "regression_vemg2pose": ("VEMG2PoseWithInitialState", "SequentialLSTM"),
    "tracking_emg2pose": ("StatePoseModule", "MLP"),
    "regression_emg2pose": ("StatePoseModule", "MLP"),
    "regression_neuropose": ("PoseModule", None),
}


def golden_tensor(name: str, shape: list[int] | tuple[int, ...]) -> Tensor:
    """Make one tensor by the rule of the golden files (models.md section 9)."""
    x = np.random.default_rng([0, zlib.crc32(name.encode())]).standard_normal(shape)
    if name.endswith("running_var"):
        x = 0.5 + np.abs(x)
    elif name.endswith("num_batches_tracked"):
        return torch.tensor(7, dtype=torch.int64)
    elif len(shape) >= 2:
        x = x / np.sqrt(prod(shape[1:]))
    elif name.endswith(".weight"):
        x = 1 + 0.1 * x
    else:
        x = 0.1 * x
    return torch.from_numpy(np.asarray(x, dtype=np.float32))


def golden_facts(experiment: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((GOLDEN / "models.json").read_text())[experiment]
    return facts


def golden_state_dict(experiment: str) -> dict[str, Tensor]:
    """Give every tensor of a published experiment under its published name."""
    return {name: golden_tensor(name, shape) for name, shape in golden_facts(experiment)["tensors"].items()}


def published_hyper_parameters(experiment: str) -> dict[str, Any]:
    """Give hyper parameters as a published checkpoint holds them, with omegaconf objects in them."""
    network, decoder = _TARGETS[experiment]
    conf: dict[str, Any] = {
        "_target_": f"emg2pose.pose_modules.{network}",
        "network": {"_target_": "emg2pose.networks.X"},
    }
    if network == "StatePoseModule":
        conf["predict_vel"] = decoder == "SequentialLSTM"
    if network == "VEMG2PoseWithInitialState":
        conf["num_position_steps"] = 500
    if decoder is not None:
        conf["decoder"] = {"_target_": f"emg2pose.networks.{decoder}", "scale": 0.01}
        sizes = {"hidden_size": 512, "num_layers": 2} if decoder == "SequentialLSTM" else {"layer_sizes": [512, 512]}
        conf["decoder"] |= sizes
    return {
        "network_conf": OmegaConf.create(conf),
        "optimizer_conf": OmegaConf.create({"_target_": "torch.optim.Adam", "lr": 1e-3, "betas": [0.9, 0.999]}),
        "provide_initial_pos": golden_facts(experiment)["provide_initial_pos"],
        "loss_weights": {"mae": 1, "fingertip_distance": 0.01},
    }


def write_published_checkpoint(path: Path, experiment: str, **changes: Any) -> Path:
    """Write a `.ckpt` like the published ones; `changes` replace its entries."""
    content = {
        "epoch": 3,
        "global_step": 7,
        "pytorch-lightning_version": "2.0.0",
        "state_dict": golden_state_dict(experiment),
        "hyper_parameters": published_hyper_parameters(experiment),
        "optimizer_states": [],
        "callbacks": {},
    }
    torch.save(content | changes, path)
    return path


def golden_model(experiment: str, folder: Path) -> EmgModel:
    """Load a full-size model with golden weights, by way of a `.ckpt` in `folder`."""
    return load_model(write_published_checkpoint(folder / f"{experiment}.ckpt", experiment))
