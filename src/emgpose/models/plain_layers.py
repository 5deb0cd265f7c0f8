"""Which layers may be computed from their weights alone, without being called."""

from collections.abc import Collection
from typing import Final

from torch import nn

PLAIN: Final = frozenset({nn.Conv1d, nn.Conv2d, nn.Linear, nn.LayerNorm, nn.LSTM, nn.ModuleList})


def is_plain(layer: nn.Module, kinds: Collection[type] = PLAIN) -> bool:
    """Tell whether a layer is of one of these kinds, has all its weights, and nobody watches it.

    Not so pruned, quantized, parametrized or otherwise wrapped layers, nor those with hooks.
    """
    hooks = (layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks, layer._backward_pre_hooks)
    return type(layer) in kinds and not any(hooks) and None not in layer._parameters.values()


def are_layers_plain(part: nn.Module) -> bool:
    """Tell whether everything inside a part is plain."""
    return all(is_plain(layer) for layer in part.modules() if layer is not part)
