"""The featurizer's layers on rows: arrays (time, channel), for one recording."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from emgpose.models.conv_block import ConvBlock
from emgpose.models.tds import TdsConv, TdsFeedForward

Rows = NDArray[np.float32]


def array_of(parameter: Any) -> Rows:
    """Give a weight as an array that shares its memory."""
    array: Rows = parameter.detach().numpy()
    return array


def join_rows(tail: Rows, new: Rows, kernel: int, stride: int) -> tuple[Rows, int, Rows]:
    """Put new rows behind the tail of the old ones; as `conv_block.join_tail`, but (time, channel)."""
    rows = np.empty((len(tail) + len(new), new.shape[1]), dtype=np.float32)
    rows[: len(tail)] = tail
    rows[len(tail) :] = new
    n_frames = max(0, (len(rows) - kernel) // stride + 1)
    # A copy, so that a small state does not keep a long recording in memory.
    return rows, n_frames, rows[n_frames * stride :].copy()


def by_samples(weight: Rows) -> Rows:
    """Give a weight (output, input, kernel) as (output, kernel x input); no copy where it is laid out for hops."""
    return weight.transpose(0, 2, 1).reshape(len(weight), -1)


def windows_of(rows: Rows, shape: tuple[int, ...], step: int) -> Rows:
    """Give views of contiguous rows that begin every `step` rows and overlap; (frame, ...) of `shape`."""
    width = shape[-1] * rows.itemsize
    strides = (step * rows.strides[0], *(width for _ in shape[2:]), rows.itemsize)
    # `as_strided` does the same in ten times the time; a window never reaches beyond the rows, by `join_rows`.
    return np.ndarray(shape, dtype=np.float32, buffer=rows, strides=strides)


def times(x: Rows, weight: Rows) -> Rows:
    """Multiply rows (row, input) with a weight (output, input); a single row as a vector, which is faster."""
    product: Rows = np.dot(weight, x[0])[None] if len(x) == 1 else x @ weight.T
    return product


def leaky_relu(x: Rows) -> Rows:
    """Apply torch's leaky ReLU."""
    return np.maximum(x, x * np.float32(0.01))


class NumpyNorm:
    """Layer norm over the last axis."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        self._weight, self._bias = array_of(norm.weight), array_of(norm.bias)
        n_channels = len(self._weight)
        self._share = np.full(n_channels, 1 / n_channels, dtype=np.float32)
        self._eps, self._root = np.float32(n_channels * norm.eps), np.float32(np.sqrt(n_channels))

    def __call__(self, x: Rows) -> Rows:
        """Norm rows (row, channel), in place."""
        x -= np.dot(x, self._share)[:, None]
        squares = np.vecdot(x, x)
        squares += self._eps
        x *= (self._root / np.sqrt(squares))[:, None]
        x *= self._weight
        x += self._bias
        return x


class NumpyConvBlock:
    """A `ConvBlock`."""

    def __init__(self, block: ConvBlock) -> None:
        self._weight = by_samples(array_of(block.conv.weight))
        self._bias, self._norm = array_of(block.conv.bias), NumpyNorm(block.norm)
        self._kernel, self._stride = block.kernel, block.stride

    def __call__(self, x: Rows, tail: Rows) -> tuple[Rows, Rows]:
        """Give the frames that are complete, and the new tail."""
        x, n_frames, tail = join_rows(tail, x, self._kernel, self._stride)
        if n_frames == 0:
            return np.empty((0, len(self._bias)), dtype=np.float32), tail
        windows = windows_of(x, (n_frames, self._weight.shape[1]), self._stride)
        # Not every numpy hands overlapping rows to its library.
        y = times(windows if n_frames == 1 else np.ascontiguousarray(windows), self._weight)
        y += self._bias
        np.maximum(y, 0, out=y)
        return self._norm(y), tail


class NumpyTdsConv:
    """A `TdsConv`."""

    def __init__(self, layer: TdsConv) -> None:
        self._weight = by_samples(array_of(layer.conv.weight)[:, :, 0])
        self._bias, self._norm = array_of(layer.conv.bias)[:, None], NumpyNorm(layer.norm)
        self._kernel, self._n_planes = layer.kernel, layer.tds_channels

    def __call__(self, x: Rows, tail: Rows) -> tuple[Rows, Rows]:
        """Give the frames that are complete, and the new tail."""
        x, n_frames, tail = join_rows(tail, x, self._kernel, 1)
        if n_frames == 0:
            return x[:0], tail
        shape = (n_frames, self._kernel * self._n_planes, x.shape[1] // self._n_planes)
        # A frame's window: the planes of its samples below each other.
        windows = windows_of(x, shape, 1)
        y = self._weight @ windows
        y += self._bias
        np.maximum(y, 0, out=y)
        rows = y.reshape(n_frames, -1)
        rows += x[-n_frames:]
        return self._norm(rows), tail


class NumpyFeedForward:
    """A `TdsFeedForward`."""

    def __init__(self, layer: TdsFeedForward) -> None:
        linears = (layer.inner, layer.outer)
        self._weights = [array_of(linear.weight) for linear in linears]
        self._biases = [array_of(linear.bias) for linear in linears]
        self._norm = NumpyNorm(layer.norm)

    def __call__(self, x: Rows) -> Rows:
        """Map (time, channel) to the same shape."""
        if not len(x):
            return x
        y = times(x, self._weights[0])
        y += self._biases[0]
        np.maximum(y, 0, out=y)
        y = times(y, self._weights[1])
        y += self._biases[1]
        y += x
        return self._norm(y)
