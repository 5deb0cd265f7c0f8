"""Front ends against filters of SciPy."""

import numpy as np
import pytest
import torch
from scipy import signal

from emgpose.errors import ConfigError
from emgpose.models.front_ends import EnvelopeConfig, EnvelopeFrontEnd, LowpassStackConfig, LowpassStackFrontEnd


def test_the_stacked_low_pass_is_a_causal_butterworth_from_rest() -> None:
    emg = torch.randn((1, 4, 5_000), generator=torch.Generator().manual_seed(0)) * 10
    front_end = LowpassStackFrontEnd(LowpassStackConfig(), 4)
    planes, _ = front_end(emg, front_end.initial_state(1))
    expected = signal.sosfilt(signal.butter(4, 20, fs=2_000, output="sos"), emg.numpy(), axis=-1)
    assert planes.shape == (1, 8, 5_000)
    assert torch.equal(planes[:, :4], emg)
    np.testing.assert_allclose(planes[:, 4:], expected, atol=1e-3 * np.abs(expected).max())


def test_the_envelope_follows_the_amplitude() -> None:
    burst = torch.zeros(1, 2, 4_000)
    burst[:, 0, 1_000:3_000] = torch.tensor([5.0, -5.0]).repeat(1_000)
    front_end = EnvelopeFrontEnd(EnvelopeConfig(), 2)
    envelope, _ = front_end(burst, front_end.initial_state(1))
    assert envelope[0, 0, 2_500].item() == pytest.approx(5, rel=1e-3)
    assert envelope[0, 0, :1_000].abs().max().item() == 0
    assert envelope[0, 1].abs().max().item() == 0


@pytest.mark.parametrize("cutoff_hz", [0.0, 501.0, float("nan")])
def test_an_impossible_cutoff_is_refused(cutoff_hz: float) -> None:
    with pytest.raises(ConfigError, match="cutoff_hz from 1 to 500"):
        EnvelopeConfig(cutoff_hz=cutoff_hz)
