"""What SensingDynamics' description pins."""

import numpy as np
import torch
from scipy import signal
from torch import nn
from torch.nn import functional

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


def test_it_is_the_layers_of_the_description_one_after_the_other() -> None:
    torch.manual_seed(0)
    model = build_model("regression_sensingdynamics").eval()
    assert isinstance(model, SensingDynamics)
    emg = torch.randn(1, 16, 400)
    low = signal.sosfiltfilt(signal.butter(4, 20, fs=2000, output="sos"), emg.numpy(), axis=-1)
    x = torch.stack((emg, torch.from_numpy(low.copy()).float()), dim=1)

    def smu(x: torch.Tensor) -> torch.Tensor:
        return (1.01 * x + 0.99 * x * torch.erf(2.5 * 0.99 * x)) / 2

    def norm(x: torch.Tensor) -> torch.Tensor:
        return x / np.sqrt(1 + 1e-5)

    def conv(layer: nn.Conv2d, x: torch.Tensor, stride: tuple[int, int], dilation: tuple[int, int]) -> torch.Tensor:
        return smu(norm(functional.conv2d(x, layer.weight, layer.bias, stride, dilation=dilation)))

    x = conv(model.time_conv, x, (1, 8), (1, 1))
    x = conv(model.wide_conv, torch.cat((x[:, :, -4:], x, x[:, :, :4]), dim=2), (1, 1), (2, 1))
    x = conv(model.last_conv, x, (1, 1), (1, 1)).reshape(1, 512, -1).transpose(1, 2)
    first, second, third = (layer for layer in model.head if isinstance(layer, nn.Linear))
    expected = third(smu(second(smu(first(x))))).transpose(1, 2)
    torch.testing.assert_close(model.frames(emg), expected, rtol=0, atol=1e-5)


def test_dropout_is_as_described() -> None:
    model = build_model("regression_sensingdynamics")
    assert isinstance(model, SensingDynamics)
    assert [layer.p for layer in model.head if isinstance(layer, nn.Dropout)] == [0.4]
    neuropose = build_model("regression_neuropose")
    assert {layer.p for layer in neuropose.modules() if isinstance(layer, nn.Dropout)} == {0.05}


def test_smu_starts_near_a_leaky_relu() -> None:
    x = torch.tensor([-3.0, 0.0, 3.0])
    torch.testing.assert_close(SMU()(x), torch.tensor([-0.03, 0.0, 3.0]), atol=1e-4, rtol=0)
