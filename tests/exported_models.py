"""Narrow models of every kind, for tests of what is exported of them; widths do not change timing."""

from typing import Any

import torch
from torch import Tensor

from emgpose.models import MODELS, EmgModel, build_model

_TDS = {"channels": 16, "tds_channels": 4, "n_features": 8}
_LSTM = {**_TDS, "hidden_size": 12}
_MLP = {**_TDS, "layer_sizes": (12, 12), "scale": 0.5}
_SIZES: dict[str, dict[str, Any]] = {
    "tracking_vemg2pose": {**_LSTM, "scale": 0.05},
    "regression_vemg2pose": {**_LSTM, "scale": 0.05},
    "tracking_emg2pose": _MLP,
    "regression_emg2pose": _MLP,
    "regression_neuropose": {"channels": (4, 8, 8), "residual_blocks": 1},
    "regression_sensingdynamics": {"channels": (8, 8, 8), "hidden_size": 8},
    **{name: {**_LSTM, "head_sizes": (10,)} for name in MODELS if name.startswith("improved_")},
    "emgpose50": {**_LSTM, "head_sizes": (10,), "scale": 0.05},
}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "linear": ("tracking_vemg2pose", {**_LSTM, "between": "linear"}),
    "linear at 50 Hz": ("emgpose50", {**_LSTM, "between": "linear"}),
    "low-pass stack": ("regression_vemg2pose", {**_LSTM, "front_end": "lowpass_stack"}),
    "envelope": ("tracking_emg2pose", {**_MLP, "front_end": "envelope"}),
    "causal SensingDynamics": ("regression_sensingdynamics", {"channels": (8, 8, 8), "lowpass": "causal"}),
    # Exported in no time.
    "one convolution": (
        "emgpose50",
        {"featurizer": "convnet", "channels": (8,), "kernels": (60,), "strides": (40,), "hidden_size": 6},
    ),
}


def narrow_model(name: str) -> EmgModel:
    """A registered model, or one of `VARIANTS`, with few channels; its weights are random but fixed."""
    base, sizes = VARIANTS[name] if name in VARIANTS else (name, _SIZES.get(name, {}))
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return build_model(base, **sizes).eval()


def some_emg(n_samples: int) -> Tensor:
    """EMG (batch=1, channel, time) of SD 3."""
    return torch.randn((1, 16, n_samples), generator=torch.Generator().manual_seed(1)) * 3


def some_pose() -> Tensor:
    """A pose (batch=1, joint) to start from [rad]."""
    return torch.randn((1, 20), generator=torch.Generator().manual_seed(2)) * 0.3
