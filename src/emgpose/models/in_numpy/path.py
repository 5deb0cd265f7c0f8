"""When a featurizer and a decoder run in numpy, and what then stands in for them.

Weights are read where the modules keep them, so that there is nothing to keep in step; for that, those of convolutions
must be laid out (`prepare_for_hops`).
"""

import weakref
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from emgpose.models.conv_block import ConvBlock
from emgpose.models.convnet import ConvNetFeaturizer
from emgpose.models.decoders import LstmDecoder, MlpDecoder
from emgpose.models.in_numpy.decoders import NumpyLstmDecoder, NumpyMlpDecoder, Vector, moved
from emgpose.models.in_numpy.layers import NumpyConvBlock, NumpyFeedForward, NumpyTdsConv, Rows, array_of, times
from emgpose.models.layout import lay_out_for_hops
from emgpose.models.tds import TdsConv, TdsFeaturizer, TdsFeedForward
from emgpose.models.update_rules import UpdateRule

_LAYERS: Final[dict[type, Any]] = {
    ConvBlock: NumpyConvBlock,
    TdsConv: NumpyTdsConv,
    TdsFeedForward: NumpyFeedForward,
}
# What parts are made of; with anything else, such as a quantized or wrapped layer, they run in torch.
_KNOWN: Final = {
    *(TdsFeaturizer, ConvNetFeaturizer, LstmDecoder, MlpDecoder, *_LAYERS),
    *(nn.Conv1d, nn.Conv2d, nn.Linear, nn.LayerNorm, nn.LSTM, nn.ModuleList),
}


class NumpyFeaturizer:
    """A TDS or ConvNet featurizer."""

    def __init__(self, featurizer: Any) -> None:
        self._layers = [_LAYERS[type(layer)](layer) for layer in featurizer.layers]
        self._weight, self._bias = array_of(featurizer.project.weight), array_of(featurizer.project.bias)

    def __call__(self, x: Rows, tails: Sequence[Tensor]) -> tuple[Rows, tuple[Tensor, ...]]:
        """Give the features (frame, feature) of (time, channel), and the new tails, as the module has them."""
        of_convolutions = iter(tails)
        new_tails: list[Tensor] = []
        for layer in self._layers:
            if isinstance(layer, NumpyFeedForward):
                x = layer(x)
            else:
                x, tail = layer(x, array_of_rows(next(of_convolutions)))
                new_tails.append(tensor_of_rows(tail))
        if len(x):
            x = times(x, self._weight)
            x += self._bias
            return x, tuple(new_tails)
        return np.empty((0, len(self._bias)), dtype=np.float32), tuple(new_tails)


class NumpyRollout:
    """A decoder's steps."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = NumpyLstmDecoder(decoder) if isinstance(decoder, LstmDecoder) else NumpyMlpDecoder(decoder)

    def __call__(
        self, update: UpdateRule, features: Rows, pose: Tensor, state: Sequence[Tensor], first: int
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Do as `PoseModel.steps` does, with a batch of one, from features (step, feature)."""
        if not len(features):
            return pose.new_zeros((*pose.shape, 0)), pose, tuple(state)
        row: Vector = pose.detach().numpy()[0]
        of_decoder: list[Vector] = [tensor.detach().numpy()[0] for tensor in state]
        poses = np.empty((len(features), len(row)), dtype=np.float32)
        for number, addends in enumerate(self._decoder.begin(features)):
            output, of_decoder = self._decoder.step(addends, row, of_decoder)
            row = poses[number] = moved(update, first + number, output, row)
        return tensor_of_rows(poses), torch.from_numpy(row[None]), tuple(torch.from_numpy(x[None]) for x in of_decoder)


class _Prepared:
    """What stands in for a module, as long as the module still has the weights that it was made from."""

    def __init__(self, module: nn.Module, stand_in: NumpyFeaturizer | NumpyRollout) -> None:
        self.stand_in = stand_in
        self._owners = [owner._parameters for owner in module.modules() if owner._parameters]
        # Held, so that neither an identity nor an address is given to another.
        self._weights = [weight for owner in self._owners for weight in owner.values() if weight is not None]
        self._identities, self._addresses = self._now()

    def _now(self) -> tuple[list[int], list[int]]:
        identities = [id(weight) for owner in self._owners for weight in owner.values()]
        return identities, [weight.data_ptr() for weight in self._weights]

    def is_current(self) -> bool:
        """Whether no weight was replaced or moved; values may have changed."""
        return self._now() == (self._identities, self._addresses)


_PREPARED: Final[weakref.WeakKeyDictionary[nn.Module, _Prepared]] = weakref.WeakKeyDictionary()


def prepare_for_hops(parts: Iterable[nn.Module]) -> None:
    """Lay the weights of featurizer and decoder out for live hops, and keep what stands in for them.

    Layers must not be exchanged afterwards; weights may change.
    """
    for part in parts:
        lay_out_for_hops(part)
        if _is_known(part):
            is_decoder = isinstance(part, LstmDecoder | MlpDecoder)
            _PREPARED[part] = _Prepared(part, NumpyRollout(part) if is_decoder else NumpyFeaturizer(part))


def may_run_in_numpy(x: Tensor) -> bool:
    """Tell whether numpy may compute on x: one row of float32 on the CPU, no gradients, and nobody watching torch."""
    return (
        type(x) is Tensor
        and len(x) == 1
        and x.dtype == torch.float32
        and x.device.type == "cpu"
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not is_in_torch_dispatch_mode()
    )


def prepared_for(part: nn.Module) -> Any:
    """Give what stands in for a featurizer or decoder that was prepared for hops; None where torch must compute."""
    prepared = _PREPARED.get(part)
    return prepared.stand_in if prepared is not None and prepared.is_current() else None


def rollout_of(decoder: nn.Module) -> NumpyRollout | None:
    """Give what stands in for any decoder; None where torch must compute."""
    return prepared_for(decoder) or (NumpyRollout(decoder) if _is_known(decoder) else None)


def _is_known(part: nn.Module) -> bool:
    """Tell whether a module is all of the kinds known here, float32 on the CPU, without hooks."""
    for module in part.modules():
        if type(module) not in _KNOWN or module._forward_hooks or module._forward_pre_hooks:
            return False
        for weight in module._parameters.values():
            if weight is None or weight.dtype != torch.float32 or weight.device.type != "cpu":
                return False
    return True


def array_of_rows(tensor: Tensor) -> Rows:
    """Give a batch of one, (batch=1, channel, time), as rows (time, channel)."""
    rows: Rows = tensor.detach().numpy()[0].T
    return rows


def tensor_of_rows(rows: Rows) -> Tensor:
    """Give rows (time, channel) as a batch of one, (batch=1, channel, time)."""
    return torch.from_numpy(rows.T[None])
