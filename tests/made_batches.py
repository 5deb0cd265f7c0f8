"""Data modules over short windows, and a comparison of the batches that they give."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from emgpose.config import AugmentConfig, DataConfig
from emgpose.models import EmgModel
from emgpose.training.data import PoseData
from small_models import small_model

WINDOW = 2000


def small_data(
    root: Path, augment: AugmentConfig | None = None, model: EmgModel | None = None, seed: int = 1, **config: Any
) -> PoseData:
    """Give a data module; `config` changes its `DataConfig`."""
    sizes = {"window_samples": WINDOW, "val_window_samples": 3000, "batch_size": 8}
    data = DataConfig(root=str(root), **(sizes | config))
    return PoseData(data, augment or AugmentConfig(), model or small_model(), seed=seed)


def assert_same_batches(one: Sequence[dict[str, Tensor]], two: Sequence[dict[str, Tensor]]) -> None:
    """Compare lists of batches, bit for bit."""
    assert len(one) == len(two)
    for first, second in zip(one, two, strict=True):
        assert first.keys() == second.keys()
        for name in first:
            assert torch.equal(first[name], second[name]), name
