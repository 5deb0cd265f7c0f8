"""How weights lie in memory: column by column for live hops, which multiply each with one row at a time.

A product with a single row is bound by reading the weight, and most libraries read columns faster than rows
(benchmarks/NOTES.md). Of a convolution, the samples of a window follow each other. Names, shapes and values stay: only
strides change, so there is nothing to keep in step, and training, saving and whole recordings work as before.
"""

from typing import Final

import torch
from torch import Tensor, nn

# What multiplies a matrix with few rows in a live hop.
_WITH_PRODUCTS: Final = (nn.Linear, nn.LSTM, nn.Conv1d, nn.Conv2d)


@torch.no_grad()
def lay_out_for_hops(model: nn.Module) -> None:
    """Lay a model's large weights out for live hops on a CPU; elsewhere nothing changes."""
    for module in model.modules():
        if isinstance(module, _WITH_PRODUCTS):
            for parameter in module.parameters():
                if parameter.ndim >= 2 and parameter.device.type == "cpu":
                    parameter.data = by_columns(parameter.data)


def by_columns(weight: Tensor) -> Tensor:
    """Give the same weight (output, ...) with its axes in reverse in memory; itself where it lies so already."""
    axes = tuple(reversed(range(weight.ndim)))
    return weight.permute(axes).contiguous().permute(axes)
