"""The rollout on a GPU against the CPU: the same code, in float64 to 1e-8, and mixed precision by the plain loop."""

import pytest
import torch

from emgpose.models import PoseModel
from emgpose.models.decoders import LstmConfig, LstmDecoder, MlpConfig, MlpDecoder
from emgpose.models.rollout_gradient import MIN_STEPS, can_run_at_once, roll_out_steps
from emgpose.models.update_rules import HybridUpdate, PositionUpdate, UpdateRule, VelocityUpdate
from small_models import small_model

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: torch finds no CUDA device")


@pytest.mark.parametrize("update", [VelocityUpdate(), PositionUpdate(), HybridUpdate(120)])
@pytest.mark.parametrize("config", [LstmConfig(7, 2, 0.5), LstmConfig(7, 3, 0.5, (6, 5)), MlpConfig((7, 6), 0.5)])
def test_poses_and_gradients_are_those_of_the_cpu(config: LstmConfig | MlpConfig, update: UpdateRule) -> None:
    torch.manual_seed(0)
    kind = LstmDecoder if isinstance(config, LstmConfig) else MlpDecoder
    decoder = kind(config, n_features=3, n_outputs=20 * update.outputs_per_joint).double()
    shapes = [(2, 3, MIN_STEPS + 1), (2, 20), *(state.shape for state in decoder.initial_state(2))]
    inputs = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
    results = []
    for device in ("cpu", "cuda"):
        decoder.to(device).zero_grad()
        features, pose, *state = (x.to(device).requires_grad_() for x in inputs)
        assert can_run_at_once(features)
        poses, _ = roll_out_steps(decoder.rollout_layers(), update, features, pose, tuple(state), 1)
        gradients = torch.autograd.grad(poses.square().sum(), [features, pose, *decoder.parameters()])
        results.append([x.detach().cpu() for x in (poses, *gradients)])
    torch.testing.assert_close(results[1], results[0], rtol=1e-8, atol=1e-10)


def test_a_model_trains_and_mixed_precision_takes_the_plain_loop() -> None:
    model = small_model("tracking_vemg2pose").cuda()
    assert isinstance(model, PoseModel)
    emg, pose = torch.randn((2, 16, 3_000), device="cuda"), torch.zeros((2, 20), device="cuda")
    whole = model.rollout(emg, pose)
    with torch.autocast("cuda", torch.bfloat16):
        assert not can_run_at_once(torch.zeros((2, 8, MIN_STEPS), device="cuda"))
        mixed = model.rollout(emg, pose)
    torch.testing.assert_close(mixed.float(), whole, rtol=0, atol=0.02)
    for poses in (whole, mixed):
        model.zero_grad()
        poses.float().square().mean().backward()
        assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())
