"""Conv block and linear layer over many frames of float32 on a CPU, with a backward of their own.

torch has the backward of a strided convolution from oneDNN, which reaches half its rate there, and sends linear layers
to a slower library (benchmarks/NOTES.md). The numbers are those of the plain layers, rounding aside.
"""

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from emgpose.models.products import Product, add_outer_products

# Frames of a batch from which this pays.
_MIN_FRAMES: Final = 256
# Input channels from which the gradient of a kernel is faster as a product with the windows.
_MIN_CHANNELS: Final = 64
# Frames whose windows are laid out at a time: enough for a fast product, few enough for the cache.
_BLOCK_FRAMES: Final = 2000


def is_written_out(x: Tensor, weight: Tensor, n_frames: int) -> bool:
    """Tell whether a layer over `n_frames` of a batch is better written out than left to torch."""
    is_plain = x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32
    is_worth_it = is_plain and n_frames >= _MIN_FRAMES
    return is_worth_it and not torch.compiler.is_compiling() and not torch.is_autocast_enabled("cpu")


def has_own_gradient(x: Tensor, weight: Tensor, n_frames: int) -> bool:
    """Tell the same of a layer that is about to learn, for its backward pass too."""
    return torch.is_grad_enabled() and weight.requires_grad and is_written_out(x, weight, n_frames)


def conv_relu_norm(x: Tensor, conv: nn.Conv1d, norm: nn.LayerNorm) -> Tensor:
    """Valid convolution, ReLU and layer norm over channels: (batch, channel, time) to (batch, channel, frame)."""
    rows: Tensor = _ConvReluNorm.apply(x, conv.weight, conv.bias, norm.weight, norm.bias, conv.stride[0], norm.eps)
    return rows.transpose(1, 2)


def linear(x: Tensor, layer: nn.Linear) -> Tensor:
    """Apply a linear layer to the last axis."""
    rows: Tensor = _Linear.apply(x.flatten(0, -2), layer.weight, layer.bias)
    return rows.view(*x.shape[:-1], -1)


def feed_forward(x: Tensor, inner: nn.Linear, outer: nn.Linear) -> Tensor:
    """Apply two linear layers, with a ReLU between them, to the last axis and add the input; without gradients."""
    rows = x.reshape(-1, x.shape[-1])
    to_inner, to_outer = (Product(one.weight, len(rows), one.bias, is_used_once=True) for one in (inner, outer))
    return to_outer(to_inner(rows).relu_(), rows).view(x.shape)


class _ConvReluNorm(torch.autograd.Function):
    """Frames with channels innermost in memory, as the layer norm reads them and the next block wants them."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        norm_weight: Tensor,
        norm_bias: Tensor,
        stride: int,
        eps: float,
    ) -> Tensor:
        image = _as_image(x)
        frames = functional.conv2d(image, _as_image(weight), bias, (1, stride)).squeeze(2).transpose(1, 2).relu_()
        normed: Tensor
        normed, *moments = torch.native_layer_norm(frames, frames.shape[2:], norm_weight, norm_bias, eps)
        ctx.stride = stride
        ctx.save_for_backward(image, weight, norm_weight, norm_bias, frames, *moments)
        return normed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        image, weight, norm_weight, norm_bias, frames, mean, inverse_sd = ctx.saved_tensors
        aten = torch.ops.aten
        gradient, of_norm_weight, of_norm_bias = aten.native_layer_norm_backward(
            gradient, frames, frames.shape[2:], mean, inverse_sd, norm_weight, norm_bias, (True, True, True)
        )
        aten.threshold_backward(gradient, frames, 0, grad_input=gradient)
        by_product = weight.shape[1] >= _MIN_CHANNELS
        wanted = (ctx.needs_input_grad[0], not by_product, False)
        strides = (1, ctx.stride), (0, 0), (1, 1), False, (0, 0), 1
        of_x, of_weight, _ = aten.convolution_backward(
            gradient.transpose(1, 2).unsqueeze(2), image, _as_image(weight), None, *strides, wanted
        )
        if by_product:
            of_weight = _kernel_gradient(gradient, image.squeeze(2).transpose(1, 2), weight.shape[2], ctx.stride)
        else:
            of_weight = of_weight.squeeze(2)
        of_x = None if of_x is None else of_x.squeeze(2)
        return of_x, of_weight, gradient.sum((0, 1)), of_norm_weight, of_norm_bias, None, None


class _Linear(torch.autograd.Function):
    """A linear layer over rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return Product(weight, len(x), bias)(x.contiguous())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        of_x = Product(weight.t(), len(x))(gradient) if ctx.needs_input_grad[0] else None
        return of_x, add_outer_products(torch.zeros_like(weight), gradient, x), gradient.sum(0)


def _as_image(x: Tensor) -> Tensor:
    """View a signal or a kernel as one of height 1, with channels innermost in memory."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


def _kernel_gradient(gradient: Tensor, x: Tensor, kernel: int, stride: int) -> Tensor:
    """Gradient of the kernel (output, input, kernel) from (window, frame, output) and the input (window, time, input).

    Laid out side by side, the windows of a block of frames make the convolution a linear layer.
    """
    total = x.new_zeros((gradient.shape[2], kernel * x.shape[2]))
    windows = x.unfold(1, kernel, stride).transpose(2, 3)
    # Windows of a batch together, or a long recording by parts; the last block may be smaller.
    n_together, n_frames = max(1, _BLOCK_FRAMES // gradient.shape[1]), min(gradient.shape[1], 2 * _BLOCK_FRAMES)
    laid_out = x.new_empty((n_together * n_frames, kernel * x.shape[2]))
    for outputs, inputs in zip(gradient.split(n_together), windows.split(n_together), strict=True):
        for some_outputs, some_inputs in zip(outputs.split(n_frames, 1), inputs.split(n_frames, 1), strict=True):
            side_by_side = laid_out[: some_inputs.shape[0] * some_inputs.shape[1]]
            side_by_side.view(some_inputs.shape).copy_(some_inputs)
            total = add_outer_products(total, some_outputs, side_by_side)
    return total.view(len(total), kernel, -1).transpose(1, 2)
