"""Pose models small enough for tests of what surrounds them; their weights are random but fixed."""

from typing import Any

import torch

from emgpose.models import MODELS, EmgModel, build_model
from emgpose.models.decoders import LstmConfig

SMALL = {"channels": 16, "tds_channels": 4, "n_features": 8, "tds_pairs": 1}


def small_model(name: str = "tracking_vemg2pose", **sizes: Any) -> EmgModel:
    """A registered TDS model with the published kernels and strides, but few channels."""
    decoder: dict[str, Any] = {}
    lstm = getattr(MODELS[name], "decoder", None)
    if isinstance(lstm, LstmConfig):
        decoder = {"hidden_size": 16, "head_sizes": (16,) * len(lstm.head_sizes)}
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return build_model(name, **(SMALL | decoder | sizes)).eval()
