"""When a featurizer and a decoder run in numpy, and what then stands in for them.

Weights are read where the modules keep them, so that there is nothing to keep in step; for that, those of convolutions
must be laid out (`prepare_for_hops`).
"""

import functools
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
from emgpose.models.in_numpy.layers import NumpyConvBlock, NumpyFeedForward, NumpyTdsConv, Row, Rows, array_of
from emgpose.models.layout import lay_out_for_hops
from emgpose.models.plain_layers import PLAIN, is_plain
from emgpose.models.tds import TdsConv, TdsFeaturizer, TdsFeedForward
from emgpose.models.update_rules import UpdateRule

_LAYERS: Final[dict[type, Any]] = {
    ConvBlock: NumpyConvBlock,
    TdsConv: NumpyTdsConv,
    TdsFeedForward: NumpyFeedForward,
}
# What parts are made of; with anything else, such as a quantized or wrapped layer, they run in torch.
_KNOWN: Final = PLAIN | {TdsFeaturizer, ConvNetFeaturizer, LstmDecoder, MlpDecoder, *_LAYERS}

# How numpy treats what float32 cannot hold.
WITHOUT_OVERFLOW: Final[Any] = {"over": "raise", "under": "ignore", "invalid": "ignore", "divide": "ignore"}


class NumpyFeaturizer:
    """A TDS or ConvNet featurizer of one stream."""

    def __init__(self, featurizer: Any) -> None:
        self._layers = [_LAYERS[type(layer)](layer) for layer in featurizer.layers]
        self._weight, self._bias = array_of(featurizer.project.weight), array_of(featurizer.project.bias)

    def __call__(self, x: Rows, tails: Sequence[Rows]) -> tuple[list[Row], list[Rows]]:
        """Give the features (feature,) of each frame of (time, channel), and the new tails (time, channel)."""
        new_tails: list[Rows] = []
        for layer in self._layers:
            if not len(x):
                break
            if isinstance(layer, NumpyFeedForward):
                x = layer(x)
            else:
                x, tail = layer(x, tails[len(new_tails)])
                new_tails.append(tail)
        # What nothing new has reached keeps its tail.
        new_tails += tails[len(new_tails) :]
        features = []
        for row in x:
            frame = self._weight.dot(row)
            np.add(frame, self._bias, frame)
            features.append(frame)
        return features, new_tails


class NumpyRollout:
    """A decoder's steps, for one rollout or stream."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = NumpyLstmDecoder(decoder) if isinstance(decoder, LstmDecoder) else NumpyMlpDecoder(decoder)

    def __call__(
        self, update: UpdateRule, features: Rows, pose: Vector, state: Sequence[Vector], first: int
    ) -> tuple[Rows, Sequence[Vector]]:
        """Give the poses (step, joint) [rad] of features (step, feature), and the decoder's new state."""
        poses = np.empty((len(features), len(pose)), dtype=np.float32)
        for number, addends in enumerate(self._decoder.begin(features) if len(features) else ()):
            output, state = self._decoder.step(addends, pose, state)
            pose = poses[number] = moved(update, first + number, output, pose)
        return poses, state


class _Prepared:
    """A module that numpy may stand in for, as long as it still has the layers and weights that it has now."""

    def __init__(self, module: nn.Module) -> None:
        layers = list(module.modules())
        self._owners = [owned for layer in layers for owned in (layer._parameters, layer._modules) if owned]
        self._hooks = [hooks for layer in layers for hooks in (layer._forward_hooks, layer._forward_pre_hooks)]
        # Held, so that neither an identity nor an address is given to another.
        self._owned = [one for owned in self._owners for one in owned.values()]
        self._weights = [one for one in self._owned if isinstance(one, Tensor)]
        self._identities, self._addresses = self._now()

    def _now(self) -> tuple[list[int], list[int]]:
        identities = [id(one) for owned in self._owners for one in owned.values()]
        return identities, [weight.data_ptr() for weight in self._weights]

    def is_current(self) -> bool:
        """Whether no layer or weight was replaced or moved, and no hook added; values may have changed."""
        return not any(self._hooks) and self._now() == (self._identities, self._addresses)


_PREPARED: Final[weakref.WeakKeyDictionary[nn.Module, _Prepared]] = weakref.WeakKeyDictionary()


def prepare_for_hops(parts: Iterable[nn.Module]) -> None:
    """Lay the weights of featurizer and decoder out for live hops, and note which numpy may stand in for."""
    for part in parts:
        lay_out_for_hops(part)
        if _is_known(part):
            _PREPARED[part] = _Prepared(part)


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


def has_one_thread() -> bool:
    """Tell whether torch and the library of numpy's products both use a single thread."""
    if torch.get_num_threads() != 1:
        return False
    libraries = _libraries_of_products()
    return libraries is not None and all(library.num_threads == 1 for library in libraries)


@functools.cache
def _libraries_of_products() -> Sequence[Any] | None:
    try:
        from threadpoolctl import ThreadpoolController
    except ModuleNotFoundError:  # a model that was packed to run where emgpose is not installed
        return None
    libraries: Sequence[Any] = ThreadpoolController().select(user_api="blas").lib_controllers
    return libraries


def no_overflow() -> np.errstate:
    """Keep numpy as quiet as torch, but for overflow: that ends in a FloatingPointError, and torch is asked instead."""
    return np.errstate(**WITHOUT_OVERFLOW)


def prepared_for(part: nn.Module) -> Any:
    """Give what stands in for a featurizer or decoder that was prepared for hops; None where torch must compute.

    It works in arrays of its own, so each stream and rollout needs another.
    """
    prepared = _PREPARED.get(part)
    if prepared is None or not prepared.is_current():
        return None
    return NumpyRollout(part) if isinstance(part, LstmDecoder | MlpDecoder) else NumpyFeaturizer(part)


def rollout_of(decoder: nn.Module) -> NumpyRollout | None:
    """Give what stands in for any decoder; None where torch must compute."""
    return prepared_for(decoder) or (NumpyRollout(decoder) if _is_known(decoder) else None)


def _is_known(part: nn.Module) -> bool:
    """Tell whether a module is all of the kinds known here, float32 on the CPU, without hooks."""
    for module in part.modules():
        if not is_plain(module, _KNOWN):
            return False
        for weight in module.parameters(recurse=False):
            if weight.dtype != torch.float32 or weight.device.type != "cpu":
                return False
    return True


def array_of_rows(tensor: Tensor) -> Rows:
    """Give a batch of one, (batch=1, channel, time), as rows (time, channel)."""
    rows: Rows = tensor.detach().numpy()[0].T
    return rows


def tensor_of_rows(rows: Rows) -> Tensor:
    """Give rows (time, channel) as a batch of one, (batch=1, channel, time)."""
    return torch.from_numpy(rows.T[None])
