"""Pose models small enough for tests of what surrounds them; their weights are random but fixed."""

from typing import Any

import torch

from emgpose.models import EmgModel, build_model

SMALL = {"channels": 16, "tds_channels": 4, "n_features": 8, "tds_pairs": 1}


def small_model(name: str = "tracking_vemg2pose", **sizes: Any) -> EmgModel:
    """A registered TDS model with the published kernels and strides, but few channels."""
    decoder = {"hidden_size": 16} if "vemg2pose" in name or name == "emgpose50" else {}
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return build_model(name, **(SMALL | decoder | sizes)).eval()
