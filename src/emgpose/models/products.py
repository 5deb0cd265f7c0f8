"""Matrix products of a rollout: one weight with the rows of each step, and its gradients over many steps at once.

On a CPU in float32 they go to oneDNN, which torch itself uses for convolutions only: with a weight packed once it was
twice as fast as torch's own product from 8 rows on (benchmarks/NOTES.md). Elsewhere they are torch's own.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final

import torch
from torch import Tensor

# Multiply-adds from which a call of oneDNN, about 12 us more than one of torch's own product, pays.
_ONEDNN_MIN_WORK: Final = 2**20
# Rows of features projected at a time: few enough that their memory is in the cache, and used again.
_PROJECTED_ROWS: Final = 512
_is_narrow: ContextVar[bool] = ContextVar("is_narrow", default=False)


@contextmanager
def products_in_bfloat16(is_wanted: bool) -> Iterator[None]:
    """Let products made inside that go to oneDNN multiply bfloat16 and add up in float32; what they give is float32.

    Their sums are rounded to bfloat16 once before anything is added to them, as under torch's autocast.
    """
    token = _is_narrow.set(is_wanted)
    try:
        yield
    finally:
        _is_narrow.reset(token)


def can_multiply_bfloat16(device: torch.device) -> bool:
    """Tell whether `products_in_bfloat16` is there."""
    return (
        device.type == "cpu" and torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def uses_onednn(weight: Tensor, n_rows: int) -> bool:
    """Tell whether products of this weight and `n_rows` rows go to oneDNN."""
    if weight.device.type != "cpu" or weight.dtype != torch.float32 or weight.numel() * n_rows < _ONEDNN_MIN_WORK:
        return False
    is_there = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return bool(is_there and torch.backends.mkldnn.enabled)


class Product:
    """`x @ weight.T + bias + addend` for many x.

    Parameters
    ----------
    weight : Tensor, shape (output, input)
    n_rows : int
        Rows of every x.
    bias : Tensor, shape (output,), or None
    is_used_once : bool
        Then packing the weight does not pay.
    """

    def __init__(self, weight: Tensor, n_rows: int, bias: Tensor | None = None, *, is_used_once: bool = False) -> None:
        self._multiply: Any = None
        self._is_narrow = False
        self._bias = bias
        if uses_onednn(weight, n_rows):
            operation = torch.ops.mkldnn._linear_pointwise
            self._multiply, self._multiply_add = operation.default, operation.binary
            self._is_narrow = _is_narrow.get()
            weight = weight.bfloat16() if self._is_narrow else weight
            # One row is a product with a vector, bound by reading the weight, in any layout.
            is_packed = n_rows > 1 and not is_used_once
            self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, n_rows) if is_packed else weight
        else:
            self._weight = weight.t()

    def __call__(self, x: Tensor, addend: Tensor | None = None) -> Tensor:
        """Multiply contiguous x (row, input); the addend has the shape of the result, (row, output)."""
        if self._multiply is not None and not self._is_narrow:
            if addend is None:
                product: Tensor = self._multiply(x, self._weight, self._bias, "none", [], "")
            else:
                product = self._multiply_add(x, addend, self._weight, self._bias, "add")
            return product
        if addend is None or self._bias is None:
            addend = self._bias if addend is None else addend
        else:
            addend = addend + self._bias
        if self._is_narrow:
            narrow: Tensor = self._multiply(x.bfloat16(), self._weight, None, "none", [], "")
            return narrow.float() if addend is None else addend + narrow
        return x @ self._weight if addend is None else torch.addmm(addend, x, self._weight)


def add_outer_products(total: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Give a total (left, right) plus the outer products of all rows, (..., left) and (..., right).

    The smaller of the two should be on the left: oneDNN wants it transposed, and that is a copy.
    """
    columns, rows = left.flatten(0, -2).t(), right.flatten(0, -2)
    if not uses_onednn(columns, rows.shape[1]):
        return torch.addmm(total, columns, rows)
    operation = torch.ops.mkldnn._linear_pointwise
    if _is_narrow.get():
        return total + operation.default(columns.bfloat16().contiguous(), rows.bfloat16().t(), None, "none", [], "")
    added: Tensor = operation.binary(columns.contiguous(), total, rows.t(), None, "add")
    return added


@dataclass(frozen=True)
class Extent:
    """What a rollout is run over; `keep` says whether its history is kept for a backward pass."""

    n_steps: int
    batch_size: int
    keep: bool

    @property
    def n_kept(self) -> int:
        """Steps that buffers hold; without a history, each step overwrites the one before."""
        return self.n_steps if self.keep else 1

    def views(self, buffer: Tensor) -> Sequence[Tensor]:
        """Give a view per step; a buffer of a single row serves every step."""
        rows = buffer.unbind(0)
        return rows if len(rows) > 1 else rows * self.n_steps


class StepWeight:
    """The weight of a layer of a rollout: its part for the features, and its part for what comes with each step.

    Parameters
    ----------
    weights : sequence of Tensor, shape (output, input of each)
        Side by side, beginning with the features.
    bias : Tensor, shape (output,)
    features : Tensor, shape (step, batch, feature), or None
        In the layer that gets them.
    scale : float
        By which the output is multiplied.
    """

    def __init__(self, weights: Sequence[Tensor], bias: Tensor, features: Tensor | None, scale: float = 1.0) -> None:
        n_features = 0 if features is None else features.shape[-1]
        self.features, self.scale = features, scale
        self.for_features = weights[0][:, :n_features] * scale
        self.for_input = torch.cat((weights[0][:, n_features:], *weights[1:]), dim=1)
        if scale != 1:
            self.for_input *= scale
        self.bias = bias * scale

    def double_rows(self, rows: slice) -> None:
        """Double what some outputs get."""
        for part in (self.for_features, self.for_input, self.bias):
            part[rows] *= 2

    def project(self, features: Tensor) -> Tensor:
        """Project features (step, batch, feature), bias included, to (step, batch, output)."""
        rows = features.flatten(0, 1)
        return Product(self.for_features, len(rows), self.bias)(rows).view(*features.shape[:2], len(self.bias))

    def product(self, extent: Extent) -> Product:
        """Give the product with what comes with each step, bias included where no features are."""
        return Product(self.for_input, extent.batch_size, self.bias if self.features is None else None)

    def addends(self, extent: Extent) -> Iterator[Tensor | None]:
        """Give what each step adds to its product: projected features (batch, output), or nothing."""
        if self.features is None:
            yield from repeat(None, extent.n_steps)
        else:
            for features in self.features.split(max(1, _PROJECTED_ROWS // max(1, extent.batch_size))):
                yield from self.project(features).unbind(0)


class StepGradients:
    """The gradients of a `StepWeight`, of its bias and of its features, added up from blocks of steps."""

    def __init__(self, weight: StepWeight, batch_size: int) -> None:
        self._weight = weight
        self.to_input = Product(weight.for_input.t().contiguous(), batch_size)
        self._of_features, self._of_input = (
            part.new_zeros(part.shape[::-1]) for part in (weight.for_features, weight.for_input)
        )
        self._bias = torch.zeros_like(weight.bias)
        self.features = None if weight.features is None else torch.empty_like(weight.features)

    def add(self, output_gradient: Tensor, inputs: Tensor, steps: slice) -> None:
        """Add a block of steps, from (step, batch, output) and (step, batch, input)."""
        self._of_input = add_outer_products(self._of_input, inputs, output_gradient)
        self._bias += output_gradient.sum((0, 1))
        if self._weight.features is not None and self.features is not None:
            self._of_features = add_outer_products(self._of_features, self._weight.features[steps], output_gradient)
            rows = output_gradient.flatten(0, 1)
            to_features = Product(self._weight.for_features.t(), len(rows))
            self.features[steps] = to_features(rows).view_as(self.features[steps])

    def totals(self) -> tuple[Tensor, Tensor]:
        """Give the gradients of weight and bias."""
        joined = torch.cat((self._of_features, self._of_input)).t().contiguous()
        return joined.mul_(self._weight.scale), self._bias * self._weight.scale
