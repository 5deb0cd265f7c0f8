"""What SensingDynamics' description pins."""

import torch

from emgpose.models import build_model
from emgpose.models.sensingdynamics import SMU, SensingDynamics


def test_167_samples_give_one_frame_and_the_published_window_1251() -> None:
    model = build_model("regression_sensingdynamics", channels=(4, 4, 4), hidden_size=4).eval()
    assert isinstance(model, SensingDynamics)
    assert model.frames(torch.randn(1, 16, 167)).shape == (1, 20, 1)
    assert model.frames(torch.randn(1, 16, 174)).shape == (1, 20, 1)
    assert model.frames(torch.randn(1, 16, 175)).shape == (1, 20, 2)
    assert model.test_window == 10_167
    assert model.frames(torch.randn(1, 16, 10_167)).shape == (1, 20, 1_251)


def test_the_band_is_a_ring() -> None:
    torch.manual_seed(0)
    model = build_model("regression_sensingdynamics", channels=(4, 4, 4), hidden_size=4).eval()
    assert isinstance(model, SensingDynamics)
    seen = []
    model.last_conv.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    emg = torch.randn(1, 16, 300)
    model.frames(emg)
    model.frames(emg.roll(3, dims=1))
    # Ten rows are computed of a ring of 16: those that both runs have agree.
    torch.testing.assert_close(seen[1][:, :, 3:], seen[0][:, :, :-3], rtol=0, atol=1e-5)


def test_smu_starts_near_a_leaky_relu() -> None:
    x = torch.tensor([-3.0, 0.0, 3.0])
    torch.testing.assert_close(SMU()(x), torch.tensor([-0.03, 0.0, 3.0]), atol=1e-4, rtol=0)
