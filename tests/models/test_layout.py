"""How weights lie in memory for live hops: the same model, in other strides; and the convolution of a few frames."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from emgpose.checkpoints import load_model, save_model
from emgpose.models import EmgModel, build_model
from emgpose.models.conv_block import ConvBlock
from emgpose.models.layout import by_columns, lay_out_for_hops
from small_models import SMALL, small_model

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = ("tracking_vemg2pose", "regression_vemg2pose", "tracking_emg2pose", "regression_emg2pose", "emgpose50")


def laid_out(model: EmgModel) -> EmgModel:
    changed = copy.deepcopy(model)
    lay_out_for_hops(changed)
    return changed


def streamed(model: EmgModel, emg: torch.Tensor, hop: int) -> torch.Tensor:
    state = model.initial_state(batch_size=len(emg))
    poses = []
    with torch.inference_mode():
        for part in emg.split(hop, dim=-1):
            angles, state = model(part, state)
            poses.append(angles)
    return torch.cat(poses, dim=-1)


@pytest.mark.parametrize("shape", [(3, 5), (4, 2, 7), (1, 1)])
def test_only_the_strides_of_a_weight_change(shape: tuple[int, ...]) -> None:
    weight = torch.randn(shape)
    changed = by_columns(weight)
    assert torch.equal(changed, weight)
    assert changed.permute(*reversed(range(changed.ndim))).is_contiguous()
    assert by_columns(changed).data_ptr() == changed.data_ptr()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_model_laid_out_for_hops_gives_the_same_stream(name: str, batch_size: int) -> None:
    model = small_model(name, scale=0.1)
    changed = laid_out(model)
    emg = torch.randn(batch_size, 16, 2400, generator=torch.Generator().manual_seed(1))
    for hop in (40, 2400):
        assert torch.allclose(streamed(changed, emg, hop), streamed(model, emg, hop), atol=1e-5)


@pytest.mark.parametrize("name", ["tracking_vemg2pose", "convnet"])
def test_it_gives_the_same_rollout_and_the_same_gradients(name: str) -> None:
    if name == "convnet":
        sizes = {"n_features": 8, "channels": (8, 8, 8, 8)}
        model = build_model("tracking_vemg2pose", featurizer={"kind": "convnet", **sizes}, hidden_size=16, scale=0.1)
    else:
        model = small_model(name, scale=0.1)
    changed = laid_out(model)
    emg = torch.randn(2, 16, 3000, generator=torch.Generator().manual_seed(2))
    outputs = []
    for one in (model, changed):
        poses = one.rollout(emg)
        poses.square().sum().backward()
        outputs.append((poses.detach(), {key: weight.grad for key, weight in one.named_parameters()}))
    (poses, gradients), (same_poses, same_gradients) = outputs
    assert torch.allclose(same_poses, poses, atol=1e-5)
    for key, gradient in gradients.items():
        assert torch.allclose(same_gradients[key], gradient, atol=1e-4 * float(gradient.abs().max() + 1e-3)), key


def test_weights_laid_out_are_saved_and_loaded_as_ever(tmp_path) -> None:
    model = small_model("emgpose50")
    changed = laid_out(model)
    save_model(changed, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    for key, weight in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], weight), key
    model.load_state_dict(changed.state_dict())
    changed.load_state_dict(model.state_dict())


def test_layers_that_are_no_product_keep_their_layout() -> None:
    module = nn.Sequential(nn.Embedding(4, 4), nn.LayerNorm(4))
    before = [parameter.stride() for parameter in module.parameters()]
    lay_out_for_hops(module)
    assert [parameter.stride() for parameter in module.parameters()] == before


@pytest.mark.parametrize(("kernel", "stride"), [(11, 5), (5, 2), (9, 1), (4, 4), (1, 1)])
@pytest.mark.parametrize(("batch_size", "n_frames"), [(1, 1), (1, 4), (1, 8), (2, 4), (3, 2), (1, 9), (1, 70)])
@pytest.mark.parametrize("by", ["rows", "columns"])
def test_few_frames_are_convolved_as_torch_convolves_them(
    kernel: int, stride: int, batch_size: int, n_frames: int, by: str
) -> None:
    torch.manual_seed(3)
    block = ConvBlock(6, 10, kernel, stride)
    if by == "columns":
        lay_out_for_hops(block)
    n_left = stride - 1 if stride > 1 else 0
    x = torch.randn(batch_size, 6, kernel + (n_frames - 1) * stride + n_left)
    frames, tail = block(x, x[..., :0])
    expected = block.norm(block.conv(x).relu().transpose(1, 2)).transpose(1, 2)
    assert frames.shape == (batch_size, 10, n_frames)
    assert torch.allclose(frames, expected, atol=1e-5)
    assert torch.equal(tail, x[..., n_frames * stride :])


def test_the_convolution_of_few_frames_has_the_same_gradients() -> None:
    torch.manual_seed(4)
    block = ConvBlock(6, 10, 5, 2)
    x = torch.randn(2, 6, 11, requires_grad=True)
    gradients = []
    for frames in (block(x, x[..., :0])[0], block.norm(block.conv(x).relu().transpose(1, 2)).transpose(1, 2)):
        loss = (frames * torch.linspace(0, 1, frames.numel()).view(frames.shape)).sum()
        gradients.append(torch.autograd.grad(loss, (x, block.conv.weight, block.conv.bias)))
    for ours, plain in zip(*gradients, strict=True):
        assert torch.allclose(ours, plain, atol=1e-5)


def test_a_stream_hop_by_hop_equals_one_call_of_a_full_width_featurizer() -> None:
    model = build_model(
        "tracking_vemg2pose",
        hidden_size=16,
        scale=0.1,
        **{k: v for k, v in SMALL.items() if k != "channels"},
        channels=64,
    )
    model.eval()
    emg = torch.from_numpy(np.random.default_rng(5).standard_normal((1, 16, 2600), dtype=np.float32))
    whole = streamed(model, emg, 2600)
    assert torch.allclose(streamed(laid_out(model), emg, 40), whole, atol=1e-5)
    assert whole.abs().max() > 0.01
