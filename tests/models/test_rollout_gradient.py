"""All steps at once against the plain loop over single steps: poses, state and every gradient."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.utils import prune
from torch.nn.utils.parametrizations import weight_norm

from emgpose.models import PoseModel, build_model, products, rollout_gradient
from emgpose.models.decoders import Decoder, LstmConfig, LstmDecoder, MlpConfig, MlpDecoder
from emgpose.models.products import Product, add_outer_products, can_multiply_bfloat16, uses_onednn
from emgpose.models.rollout_gradient import MIN_STEPS, roll_out_steps
from emgpose.models.tds import TdsFeedForward
from emgpose.models.update_rules import HybridUpdate, PositionUpdate, UpdateRule, VelocityUpdate
from small_models import SMALL, small_model

pytestmark = pytest.mark.usefixtures("one_thread")

_DECODERS = {
    "lstm": LstmConfig(hidden_size=7, num_layers=2, scale=0.5),
    "lstm of one layer": LstmConfig(hidden_size=7, num_layers=1, scale=1.0),
    "lstm of three layers with a head": LstmConfig(hidden_size=7, num_layers=3, head_sizes=(6, 5), scale=0.5),
    "mlp": MlpConfig((7, 6), scale=0.5),
    "mlp of one layer": MlpConfig((7,), scale=0.5),
}
# Steps 1 and 2 of the hybrid rule give positions, later ones velocities.
_UPDATES = {"velocity": VelocityUpdate(), "position": PositionUpdate(), "hybrid": HybridUpdate(120)}
_FIRST_STEP = 1


def make_decoder(config: LstmConfig | MlpConfig, update: UpdateRule, dtype: torch.dtype = torch.float64) -> Decoder:
    torch.manual_seed(0)
    kind = LstmDecoder if isinstance(config, LstmConfig) else MlpDecoder
    return kind(config, n_features=3, n_outputs=20 * update.outputs_per_joint).to(dtype)


def make_inputs(decoder: Decoder, batch_size: int, n_steps: int) -> list[Tensor]:
    """Features, pose and state, all of which need gradients."""
    like = decoder.out.weight
    shapes = [(batch_size, decoder.n_features, n_steps), (batch_size, 20)]
    shapes += [tuple(state.shape) for state in decoder.initial_state(batch_size)]
    return [torch.randn(shape, dtype=like.dtype).requires_grad_() for shape in shapes]


def plain_loop(decoder: Decoder, update: UpdateRule, features: Tensor, pose: Tensor, *state: Tensor) -> list[Tensor]:
    poses = []
    for step, projected in enumerate(decoder.project(features).unbind(0)):
        output, state = decoder.step(projected, pose, state)
        pose = update(_FIRST_STEP + step, output, pose)
        poses.append(pose)
    return [torch.stack(poses), *state]


def at_once(decoder: Decoder, update: UpdateRule, features: Tensor, pose: Tensor, *state: Tensor) -> list[Tensor]:
    poses, new_state = roll_out_steps(decoder.rollout_layers(), update, features, pose, state, _FIRST_STEP)
    return [poses, *new_state]


def gradients(outputs: list[Tensor], inputs: list[Tensor]) -> tuple[Tensor, ...]:
    """Gradients of a sum in which every entry of every output has its own weight."""
    generator = torch.Generator().manual_seed(1)
    total = sum((x * torch.randn(x.shape, generator=generator, dtype=torch.float64)).sum() for x in outputs)
    assert isinstance(total, Tensor)
    return torch.autograd.grad(total, inputs)


@pytest.mark.parametrize("update", _UPDATES.values(), ids=_UPDATES.keys())
@pytest.mark.parametrize("config", _DECODERS.values(), ids=_DECODERS.keys())
@pytest.mark.parametrize("batch_size", [1, 3])
def test_poses_state_and_gradients_are_those_of_the_plain_loop(config, update, batch_size, monkeypatch) -> None:
    # Several blocks, the first of them shorter.
    monkeypatch.setattr(rollout_gradient, "_BLOCK_ROWS", 4 * batch_size)
    monkeypatch.setattr(products, "_PROJECTED_ROWS", 4 * batch_size)
    decoder = make_decoder(config, update)
    inputs = make_inputs(decoder, batch_size, n_steps=10)
    expected, found = (run(decoder, update, *inputs) for run in (plain_loop, at_once))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    of_all = [*inputs, *decoder.parameters()]
    torch.testing.assert_close(gradients(found, of_all), gradients(expected, of_all), rtol=1e-10, atol=1e-12)
    with torch.inference_mode():
        torch.testing.assert_close(at_once(decoder, update, *inputs), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("update", _UPDATES.values(), ids=_UPDATES.keys())
@pytest.mark.parametrize("config", _DECODERS.values(), ids=_DECODERS.keys())
def test_gradients_are_the_derivatives(config, update) -> None:
    decoder = make_decoder(config, update)
    inputs = make_inputs(decoder, batch_size=2, n_steps=4)
    assert torch.autograd.gradcheck(
        lambda *given: tuple(at_once(decoder, update, *given[: len(inputs)])),
        (*inputs, *decoder.parameters()),
        fast_mode=True,
    )


@pytest.mark.parametrize("name", ["tracking_vemg2pose", "regression_vemg2pose", "tracking_emg2pose"])
def test_a_model_trains_as_with_the_plain_loop(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model(name)
    assert isinstance(model, PoseModel)
    emg, pose = torch.randn((2, 16, 3_000), generator=torch.Generator().manual_seed(0)), torch.full((2, 20), 0.2)
    found = parameter_gradients(model, lambda: model.rollout(emg, pose))
    monkeypatch.setattr("emgpose.models.pose_model.can_run_at_once", lambda features: False)
    expected = parameter_gradients(model, lambda: model.rollout(emg, pose))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def parameter_gradients(model: PoseModel, predict: Callable[[], Tensor]) -> list[Tensor]:
    model.zero_grad()
    predict().square().mean().backward()
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


def test_wide_layers_in_float32_are_those_of_the_plain_loop() -> None:
    """Wide enough for the packed products."""
    decoder = make_decoder(LstmConfig(hidden_size=512, scale=0.01), VelocityUpdate(), torch.float32)
    for batch_size in (1, 4):
        inputs = make_inputs(decoder, batch_size, n_steps=9)
        expected, found = (run(decoder, VelocityUpdate(), *inputs) for run in (plain_loop, at_once))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
        of_all = [*inputs, *decoder.parameters()]
        torch.testing.assert_close(gradients(found, of_all), gradients(expected, of_all), rtol=1e-5, atol=1e-5)
        with torch.inference_mode():
            torch.testing.assert_close(at_once(decoder, VelocityUpdate(), *inputs), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_weights_changed_behind_the_back_of_torch_are_noticed(batch_size: int) -> None:
    """Nothing that was made of the weights outlives a rollout: `.data` changes them without a new version."""
    decoder = make_decoder(LstmConfig(hidden_size=512, scale=0.01), VelocityUpdate(), torch.float32)
    inputs = make_inputs(decoder, batch_size, n_steps=9)
    with torch.inference_mode():
        before = at_once(decoder, VelocityUpdate(), *inputs)
        for weight in decoder.parameters():
            weight.data.mul_(1.5)
        found, expected = (run(decoder, VelocityUpdate(), *inputs) for run in (at_once, plain_loop))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert (found[0] - before[0]).abs().max() > 1e-3


def test_products_of_any_kind_agree() -> None:
    for dtype, n_rows in ((torch.float32, 1), (torch.float32, 2), (torch.float32, 48), (torch.float64, 48)):
        weight, x, addend = (
            torch.randn(shape, dtype=dtype) for shape in ((1024, 1025), (n_rows, 1025), (n_rows, 1024))
        )
        for bias, is_used_once in ((None, False), (torch.randn(1024, dtype=dtype), False), (None, True)):
            product = Product(weight, n_rows, bias, is_used_once=is_used_once)
            expected = x @ weight.t() + (0 if bias is None else bias)
            torch.testing.assert_close(product(x), expected, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(product(x, addend), expected + addend, rtol=1e-4, atol=1e-4)
        total = torch.randn((1024, 1025), dtype=dtype)
        torch.testing.assert_close(add_outer_products(total, addend, x), total + addend.t() @ x, rtol=1e-4, atol=1e-4)
    assert not uses_onednn(torch.randn(1024, 1025, dtype=torch.float64), 48)
    assert not uses_onednn(torch.randn(20, 512), 8)


def test_a_learned_initial_pose_gets_its_gradient() -> None:
    model = build_model("emgpose50", learned_initial_pose=True, hidden_size=8, **SMALL)
    assert isinstance(model, PoseModel)
    model.rollout(torch.randn(2, 16, 2_500)).sum().backward()
    assert model.initial_pose is not None
    assert model.initial_pose.grad is not None
    assert model.initial_pose.grad.abs().min() > 0


def test_frozen_weights_and_features_without_gradients_are_left_alone() -> None:
    decoder = make_decoder(_DECODERS["lstm"], VelocityUpdate()).requires_grad_(False)
    decoder.out.requires_grad_(True)
    features, pose, *state = (x.detach() for x in make_inputs(decoder, 2, n_steps=9))
    at_once(decoder, VelocityUpdate(), features, pose, *state)[0].sum().backward()
    with_gradient = [name for name, parameter in decoder.named_parameters() if parameter.grad is not None]
    assert with_gradient == ["out.weight", "out.bias"]


def test_two_rollouts_of_one_decoder_add_up_and_a_graph_can_be_used_twice() -> None:
    decoder, update = make_decoder(_DECODERS["lstm"], VelocityUpdate()), VelocityUpdate()
    inputs = make_inputs(decoder, 2, n_steps=9)
    once = torch.autograd.grad(at_once(decoder, update, *inputs)[0].sum(), list(decoder.parameters()))
    total = at_once(decoder, update, *inputs)[0].sum() + at_once(decoder, update, *inputs)[0].sum()
    for keep in (True, False):
        twice = torch.autograd.grad(total, list(decoder.parameters()), retain_graph=keep)
        torch.testing.assert_close(twice, tuple(2 * gradient for gradient in once))


@pytest.mark.parametrize("name", ["tracking_vemg2pose", "tracking_emg2pose"])
def test_pruned_and_wrapped_layers_train_and_hooks_are_called(name: str) -> None:
    model, called = small_model(name), []
    assert isinstance(model, PoseModel)
    feed_forward = next(layer for layer in model.featurizer.layers if isinstance(layer, TdsFeedForward))
    layers = [model.featurizer.layers[0].conv, feed_forward.inner, model.decoder.out]
    for layer in layers:
        prune.l1_unstructured(layer, "weight", 0.5)
        layer.register_forward_hook(lambda layer, *_: called.append(layer))
    weight_norm(feed_forward.outer)
    emg, optimizer = torch.randn(2, 16, 12_000), torch.optim.SGD(model.parameters(), 1e-3)
    for _ in range(2):
        model.zero_grad()
        model.rollout(emg, torch.zeros(2, 20)).square().mean().backward()
        optimizer.step()
    assert set(called) == set(layers)
    assert all(layer.weight_orig.grad[layer.weight_mask == 0].eq(0).all() for layer in layers)


def test_poses_changed_in_place_leave_the_stream_alone() -> None:
    model = small_model("tracking_vemg2pose", scale=0.1)
    with torch.no_grad():
        poses, state = model(torch.randn(2, 16, 3_000), model.initial_state(batch_size=2))
    last = poses[..., -1].clone()
    poses.zero_()
    assert torch.equal(state.pose, last)
    assert last.any()


def test_weights_changed_before_the_backward_pass_are_noticed() -> None:
    decoder = make_decoder(_DECODERS["mlp"], VelocityUpdate())
    total = at_once(decoder, VelocityUpdate(), *make_inputs(decoder, 2, n_steps=9))[0].sum()
    with torch.no_grad():
        decoder.out.weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


def test_mixed_precision_other_than_bfloat16_takes_the_plain_loop() -> None:
    features = torch.zeros(2, 8, MIN_STEPS)
    assert rollout_gradient.can_run_at_once(features)
    with torch.autocast("cpu", torch.float16):
        assert not rollout_gradient.can_run_at_once(features)
    with torch.autocast("cpu", torch.bfloat16):
        assert rollout_gradient.can_run_at_once(features) == can_multiply_bfloat16(features.device)


@pytest.mark.skipif(not can_multiply_bfloat16(torch.device("cpu")), reason="needs a CPU that multiplies bfloat16")
@pytest.mark.parametrize("batch_size", [1, 4])
def test_in_bfloat16_a_wide_decoder_comes_close_to_float32(batch_size: int) -> None:
    """Closer than 1 % of the largest pose, and 3 % of the largest gradient of each tensor."""
    decoder = make_decoder(LstmConfig(hidden_size=512, scale=0.01), VelocityUpdate(), torch.float32)
    inputs = make_inputs(decoder, batch_size, n_steps=20)
    of_all = [*inputs, *decoder.parameters()]
    expected = at_once(decoder, VelocityUpdate(), *inputs)
    largest = [float(x.detach().abs().max()) for x in expected]
    with torch.autocast("cpu", torch.bfloat16):
        found = at_once(decoder, VelocityUpdate(), *inputs)
        with torch.no_grad():
            assert torch.allclose(at_once(decoder, VelocityUpdate(), *inputs)[0], found[0], atol=1e-5)
    assert all(x.dtype == torch.float32 for x in found)
    assert not torch.equal(found[0], expected[0])
    for ours, wide, size in zip(found, expected, largest, strict=True):
        torch.testing.assert_close(ours, wide, rtol=0, atol=0.01 * size)
    for ours, wide in zip(gradients(found, of_all), gradients(expected, of_all), strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, wide, rtol=0, atol=0.03 * float(wide.abs().max()))


def test_a_model_trains_in_mixed_precision() -> None:
    model = small_model("tracking_vemg2pose")
    assert isinstance(model, PoseModel)
    emg, pose = torch.randn((2, 16, 3_000), generator=torch.Generator().manual_seed(0)), torch.zeros(2, 20)
    whole = model.rollout(emg, pose)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model.rollout(emg, pose)
    mixed.float().square().mean().backward()
    torch.testing.assert_close(mixed.float(), whole, rtol=0, atol=0.02)
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("config", _DECODERS.values(), ids=_DECODERS.keys())
def test_a_batch_of_none_gives_no_poses_and_gradients_of_zero(config) -> None:
    decoder = make_decoder(config, VelocityUpdate())
    inputs = make_inputs(decoder, 0, MIN_STEPS)
    poses, *_ = at_once(decoder, VelocityUpdate(), *inputs)
    assert poses.shape == (MIN_STEPS, 0, 20)
    assert not torch.autograd.grad(poses.sum(), decoder.out.weight)[0].any()


def test_shapes_can_be_found_without_numbers() -> None:
    model = small_model("tracking_vemg2pose").to("meta")
    emg, pose = torch.empty((2, 16, 3_000), device="meta"), torch.empty((2, 20), device="meta")
    assert model.rollout(emg, pose).shape == (2, 20, 3_000 - model.left_context)
