"""Valid convolutions that run the same offline and live: what they could not use yet is their state."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from emgpose.errors import ConfigError
from emgpose.models.conv_gradient import conv_relu_norm, has_own_gradient
from emgpose.models.plain_layers import are_layers_plain
from emgpose.timing import FrameGrid

# Frames of a batch from which copying a weight into another layout costs less than it saves.
_FRAMES_WORTH_A_LAYOUT: Final = 64
# Frames of a batch up to which one product with the windows is the fastest (benchmarks/NOTES.md): a live hop has few.
_FRAMES_OF_A_PRODUCT: Final = 8


def check_conv_sizes(kernels: Sequence[int], strides: Sequence[int]) -> None:
    """Refuse layers that cannot be: unequal numbers, sizes below 1, or a stride that skips samples."""
    if not kernels or len(kernels) != len(strides):
        raise ConfigError(f"expected as many kernels as strides, at least one, got {kernels} and {strides}")
    for kernel, stride in zip(kernels, strides, strict=True):
        if not 1 <= stride <= kernel:
            raise ConfigError(
                f"a convolution needs 1 <= stride <= kernel, else it skips samples; got {stride} and {kernel}"
            )


def join_tail(tail: Tensor, new: Tensor, kernel: int, stride: int = 1) -> tuple[Tensor, int, Tensor]:
    """Put new input behind the tail of the old one.

    Returns
    -------
    (input, n_frames, tail) : all of the input (..., time), how many frames a valid convolution gives on it, and what
        the next frame needs of it.
    """
    joined = torch.cat((tail, new), dim=-1) if tail.shape[-1] else new
    n_frames = max(0, (joined.shape[-1] - kernel) // stride + 1)
    # A copy, so that a small state does not keep a long recording in memory.
    return joined, n_frames, joined[..., n_frames * stride :].clone()


def norm_channels(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    """Apply a layer norm over the channel axis of (batch, channel, time), per time step."""
    normed: Tensor = norm(x.transpose(1, 2))
    return normed.transpose(1, 2)


class ConvBlock(nn.Module):
    """Valid strided convolution, ReLU, layer norm over channels; (batch, channel, time)."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(n_in, n_out, kernel, stride)
        self.norm = nn.LayerNorm(n_out)
        self.n_in, self.n_out, self.kernel, self.stride = n_in, n_out, kernel, stride

    @property
    def grid(self) -> FrameGrid:
        """Where its frames lie on its input."""
        return FrameGrid(self.kernel - 1, self.stride)

    def forward(self, x: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
        """Give the frames that are complete, and the new tail."""
        x, n_frames, tail = join_tail(tail, x, self.kernel, self.stride)
        if n_frames == 0:
            return x.new_zeros((x.shape[0], self.n_out, 0)), tail
        is_plain = are_layers_plain(self)
        if is_plain and has_own_gradient(x, self.conv.weight, len(x) * n_frames):
            return conv_relu_norm(x, self.conv, self.norm), tail
        # In place where nobody can see it: writing to fresh memory would take longer than the convolution.
        y = self._convolve(x, n_frames).relu_() if is_plain else functional.relu(self.conv(x))
        return norm_channels(self.norm, y), tail

    def _convolve(self, x: Tensor, n_frames: int) -> Tensor:
        """Apply the convolution; many frames with time outside and channels inside in memory, as the layer norm reads.

        The same numbers in each way, rounding aside. One conversion, at the first block, serves all that follow.
        """
        n_rows = len(x) * n_frames
        # What is exported should say what it is.
        if n_rows <= _FRAMES_OF_A_PRODUCT and not torch.compiler.is_compiling():
            windows = x.unfold(-1, self.kernel, self.stride).transpose(1, 2).reshape(n_rows, -1)
            rows = functional.linear(windows, self.conv.weight.flatten(1), self.conv.bias)
            return rows.view(len(x), n_frames, self.n_out).transpose(1, 2)
        if n_rows < _FRAMES_WORTH_A_LAYOUT:
            y: Tensor = self.conv(x)
            return y
        image, weight = (y.unsqueeze(2).contiguous(memory_format=torch.channels_last) for y in (x, self.conv.weight))
        return functional.conv2d(image, weight, self.conv.bias, (1, self.stride)).squeeze(2)
