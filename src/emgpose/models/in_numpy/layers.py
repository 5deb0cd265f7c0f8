"""The featurizer's layers on rows: arrays (time, channel), for one recording.

Between two hops most of numpy's code leaves the caches, so each further kind of operation costs more than its work
(benchmarks/NOTES.md). So one kind serves many: products with a vector into an array that is there already, and
operations on whole arrays that need no broadcasting; numbers are arrays without axes. Layers keep such arrays to work
in, so they belong to one stream.
"""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from emgpose.models.conv_block import ConvBlock
from emgpose.models.tds import TdsConv, TdsFeedForward

# (time, channel), and one of them; contiguous.
Rows = NDArray[np.float32]
Row = NDArray[np.float32]


def array_of(parameter: Any) -> NDArray[np.float32]:
    """Give a weight as an array that shares its memory."""
    array: NDArray[np.float32] = parameter.detach().numpy()
    return array


def number(value: float) -> NDArray[np.float32]:
    """Give a number as an array without axes, which operations take faster than a number of Python."""
    return np.array(value, dtype=np.float32)


_ZERO: Final = number(0)
_SLOPE: Final = number(0.01)


def join_rows(tail: Rows, new: Rows, kernel: int, stride: int) -> tuple[Rows, int, Rows]:
    """Put new rows behind the tail of the old ones; as `conv_block.join_tail`, but (time, channel), and no copy."""
    n_old = len(tail)
    rows = np.empty((n_old + len(new), new.shape[1]), dtype=np.float32)
    rows[:n_old] = tail
    rows[n_old:] = new
    n_frames = max(0, (len(rows) - kernel) // stride + 1)
    return rows, n_frames, rows[n_frames * stride :]


def by_samples(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give a weight (output, input, kernel) as (output, kernel x input); no copy where it is laid out for hops."""
    return weight.transpose(0, 2, 1).reshape(len(weight), -1)


def rectify(x: Rows) -> None:
    """Apply a ReLU, in place."""
    np.maximum(x, _ZERO, out=x)


def leaky_relu(x: Row) -> Row:
    """Apply torch's leaky ReLU."""
    return np.maximum(x, x * _SLOPE)


class NumpyNorm:
    """Layer norm of one row."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        self._weight, self._bias = array_of(norm.weight), array_of(norm.bias)
        n_channels = len(self._weight)
        self._share = np.full(n_channels, 1 / n_channels, dtype=np.float32)
        self._eps, self._root = n_channels * norm.eps, math.sqrt(n_channels)
        self._mean, self._squares, self._factor = number(0), number(0), number(0)

    def __call__(self, row: Row) -> None:
        """Norm a row (channel,), in place.

        Raises
        ------
        FloatingPointError : its squares are beyond float32.
        """
        row.dot(self._share, self._mean)
        np.subtract(row, self._mean, row)
        row.dot(row, self._squares)
        squares = self._squares.item()
        if squares == math.inf:  # not every numpy tells of products
            raise FloatingPointError("a layer norm's squares are beyond float32")
        self._factor[()] = self._root / math.sqrt(squares + self._eps)
        np.multiply(row, self._factor, row)
        np.multiply(row, self._weight, row)
        np.add(row, self._bias, row)


class NumpyConvBlock:
    """A `ConvBlock`."""

    def __init__(self, block: ConvBlock) -> None:
        self._weight = by_samples(array_of(block.conv.weight))
        self._bias, self._norm = array_of(block.conv.bias), NumpyNorm(block.norm)
        self._kernel, self._stride = block.kernel, block.stride
        self._width, self._step, self._n_out = block.kernel * block.n_in, block.stride * block.n_in, block.n_out

    def __call__(self, x: Rows, tail: Rows) -> tuple[Rows, Rows]:
        """Give the frames that are complete, and the new tail."""
        x, n_frames, tail = join_rows(tail, x, self._kernel, self._stride)
        frames = np.empty((n_frames, self._n_out), dtype=np.float32)
        weight, bias, norm, width = self._weight, self._bias, self._norm, self._width
        samples = x.reshape(-1)
        first = 0
        for frame in frames:
            weight.dot(samples[first : first + width], frame)
            np.add(frame, bias, frame)
            first += self._step
        rectify(frames)
        for frame in frames:
            norm(frame)
        return frames, tail


class NumpyTdsConv:
    """A `TdsConv`."""

    def __init__(self, layer: TdsConv) -> None:
        self._weight = by_samples(array_of(layer.conv.weight)[:, :, 0])
        self._bias, self._norm = array_of(layer.conv.bias)[:, None], NumpyNorm(layer.norm)
        self._kernel, self._n_planes, self._n_channels = layer.kernel, layer.tds_channels, layer.n_in

    def __call__(self, x: Rows, tail: Rows) -> tuple[Rows, Rows]:
        """Give the frames that are complete, and the new tail."""
        x, n_frames, tail = join_rows(tail, x, self._kernel, 1)
        rows = np.empty((n_frames, self._n_channels), dtype=np.float32)
        n_planes, n_window = self._n_planes, self._n_planes * self._kernel
        # A frame's window: the planes of its samples below each other.
        planes = x.reshape(-1, self._n_channels // n_planes)
        first = 0
        for row, newest in zip(rows, x[self._kernel - 1 :], strict=False):
            frame = row.reshape(n_planes, -1)
            self._weight.dot(planes[first : first + n_window], frame)
            np.add(frame, self._bias, frame)
            rectify(row)
            np.add(row, newest, row)
            self._norm(row)
            first += n_planes
        return rows, tail


class NumpyFeedForward:
    """A `TdsFeedForward`."""

    def __init__(self, layer: TdsFeedForward) -> None:
        self._inner, self._outer = ((array_of(one.weight), array_of(one.bias)) for one in (layer.inner, layer.outer))
        self._norm = NumpyNorm(layer.norm)
        self._between = np.empty_like(self._inner[1])

    def __call__(self, x: Rows) -> Rows:
        """Map (time, channel) to the same shape."""
        (inner, inner_bias), (outer, outer_bias), between = self._inner, self._outer, self._between
        rows = np.empty_like(x)
        for old, new in zip(x, rows, strict=True):
            inner.dot(old, between)
            np.add(between, inner_bias, between)
            rectify(between)
            outer.dot(between, new)
            np.add(new, outer_bias, new)
            np.add(new, old, new)
            self._norm(new)
        return rows
