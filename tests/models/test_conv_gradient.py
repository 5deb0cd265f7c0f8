"""Conv block and linear layer with a backward of their own: the frames and gradients of torch's own layers."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from emgpose.models import conv_gradient
from emgpose.models.conv_block import ConvBlock
from emgpose.models.conv_gradient import has_own_gradient, is_written_out, linear
from emgpose.models.tds import TdsFeedForward
from small_models import small_model

pytestmark = pytest.mark.usefixtures("one_thread")


def results(module: nn.Module, x: Tensor, run: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """What a run gives, and the gradients of its input and of every weight."""
    output = run(x)
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    return [output.detach(), *torch.autograd.grad((output * weights).sum(), [x, *module.parameters()])]


def plain_block(block: ConvBlock, x: Tensor) -> Tensor:
    return block.norm(functional.relu(block.conv(x)).transpose(1, 2)).transpose(1, 2)


def randomise(module: nn.Module) -> None:
    """Norms begin with ones and zeros, which would hide a mistake."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)


@pytest.mark.parametrize(("kernel", "stride"), [(11, 5), (5, 2), (4, 4), (1, 1)])
@pytest.mark.parametrize("n_in", [3, 64])
@pytest.mark.parametrize(("batch_size", "n_frames"), [(5, 60), (1, 300), (3, 100)])
def test_a_conv_block_is_the_plain_one(
    kernel: int, stride: int, n_in: int, batch_size: int, n_frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Blocks of two windows, of parts of one window, and of less at the end.
    monkeypatch.setattr(conv_gradient, "_BLOCK_FRAMES", 130)
    torch.manual_seed(0)
    block = ConvBlock(n_in, 12, kernel, stride)
    randomise(block)
    x = torch.randn(batch_size, n_in, kernel + (n_frames - 1) * stride + stride - 1).requires_grad_()
    assert has_own_gradient(x, block.conv.weight, batch_size * n_frames)
    found = results(block, x, lambda x: block(x, x[..., :0])[0])
    expected = results(block, x, lambda x: plain_block(block, x))
    assert found[0].shape == (batch_size, 12, n_frames)
    for ours, plain in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5 * float(plain.abs().max()))


def test_a_feed_forward_layer_is_the_plain_one() -> None:
    torch.manual_seed(0)
    layer = TdsFeedForward(96)
    x = torch.randn(4, 96, 150).requires_grad_()
    assert has_own_gradient(x, layer.inner.weight, 600)

    def plain(x: Tensor) -> Tensor:
        rows = x.transpose(1, 2)
        return layer.norm(layer.outer(functional.relu(layer.inner(rows))) + rows).transpose(1, 2)

    for ours, expected in zip(results(layer, x, layer), results(layer, x, plain), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("channels", [96, 20])
def test_without_gradients_layers_are_the_plain_ones_and_leave_their_input_alone(channels: int) -> None:
    """20 channels are too few for oneDNN."""
    torch.manual_seed(0)
    layer, block = TdsFeedForward(channels), ConvBlock(channels, 12, 5, 2)
    x = torch.randn(4, channels, 150)
    given = x.clone()
    with torch.inference_mode():
        for module in (layer, block):
            randomise(module)
        rows = x.transpose(1, 2)
        expected = layer.norm(layer.outer(functional.relu(layer.inner(rows))) + rows).transpose(1, 2)
        assert is_written_out(x, layer.inner.weight, 600)
        torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(block(x, x[..., :0])[0], plain_block(block, x), rtol=1e-5, atol=1e-5)
    assert torch.equal(x, given)


def test_gradients_are_the_derivatives() -> None:
    """The function itself, in float64, which the models leave to torch."""
    torch.manual_seed(0)
    layer = nn.Linear(5, 4).double()
    x = torch.randn(3, 6, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: linear(x, layer), (x, *layer.parameters()))
    block = ConvBlock(64, 3, 4, 2).double()
    randomise(block)
    x = torch.randn(2, 64, 11, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, *_: conv_gradient.conv_relu_norm(x, block.conv, block.norm), (x, *block.parameters()), fast_mode=True
    )


def test_frozen_layers_other_types_and_few_frames_are_left_to_torch() -> None:
    weight, x = nn.Parameter(torch.zeros(2, 2, 1)), torch.zeros(1, 2, 400)
    assert has_own_gradient(x, weight, 400)
    assert not has_own_gradient(x, weight, 8)
    assert not has_own_gradient(x.double(), weight, 400)
    assert not has_own_gradient(x, weight.detach(), 400)
    with torch.no_grad():
        assert not has_own_gradient(x, weight, 400)
    with torch.autocast("cpu", torch.bfloat16):
        assert not has_own_gradient(x, weight, 400)


def test_emg_gets_no_gradient_and_a_frozen_norm_none(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model("tracking_vemg2pose")
    emg = torch.randn(2, 16, 3_000, generator=torch.Generator().manual_seed(0))
    block = next(module for module in model.modules() if isinstance(module, ConvBlock))
    block.norm.requires_grad_(False)
    block.conv.bias.requires_grad_(False)
    gradients = []
    for own in (True, False):
        monkeypatch.setattr(conv_gradient, "_MIN_FRAMES", 16 if own else 10**9)
        model.zero_grad()
        model.rollout(emg, torch.zeros(2, 20)).square().mean().backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    assert emg.grad is None
    assert block.norm.weight.grad is None
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=0, atol=1e-5)
