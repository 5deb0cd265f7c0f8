"""Decoder steps against the layers of torch that they stand for."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from emgpose.errors import ConfigError
from emgpose.models.decoders import LstmConfig, LstmDecoder, MlpConfig, MlpDecoder
from emgpose.models.update_rules import HybridUpdate, PositionUpdate, VelocityUpdate


def test_the_lstm_step_equals_torch_step_by_step() -> None:
    torch.manual_seed(0)
    decoder = LstmDecoder(LstmConfig(hidden_size=16, num_layers=3, scale=0.1), n_features=6, n_outputs=20)
    features, poses = torch.randn(2, 6, 5), torch.randn(5, 2, 20)
    state, torch_state = decoder.initial_state(2), None
    projected = decoder.project(features)
    for step in range(5):
        output, state = decoder.step(projected[step], poses[step], state)
        joined = torch.cat((features[..., step], poses[step]), dim=1)
        hidden, torch_state = decoder.lstm(joined[None], torch_state)
        expected = decoder.out(functional.leaky_relu(hidden[0])) * 0.1
        torch.testing.assert_close(output, expected, rtol=0, atol=1e-6)


def test_a_head_is_linear_leaky_relu_linear_on_the_hidden_state() -> None:
    torch.manual_seed(0)
    decoder = LstmDecoder(LstmConfig(hidden_size=16, head_sizes=(12,), scale=0.5), n_features=6, n_outputs=20)
    features, pose = torch.randn(2, 6, 1), torch.randn(2, 20)
    output, _ = decoder.step(decoder.project(features)[0], pose, decoder.initial_state(2))
    hidden, _ = decoder.lstm(torch.cat((features[..., 0], pose), dim=1)[None])
    expected = nn.Sequential(decoder.head[0], nn.LeakyReLU(), decoder.out)(hidden[0]) * 0.5
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-6)


def test_the_mlp_step_equals_the_layers_one_after_the_other() -> None:
    torch.manual_seed(0)
    decoder = MlpDecoder(MlpConfig((12, 8), scale=0.5), n_features=6, n_outputs=20)
    layers: list[nn.Module] = []
    for linear, norm in zip(decoder.hidden, decoder.norms, strict=True):
        layers += [linear, norm, nn.LeakyReLU()]
    features, pose = torch.randn(2, 6, 1), torch.randn(2, 20)
    output, _ = decoder.step(decoder.project(features)[0], pose, ())
    expected = nn.Sequential(*layers, decoder.out)(torch.cat((features[..., 0], pose), dim=1)) * 0.5
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-6)


def test_update_rules_move_the_pose_as_their_names_say() -> None:
    pose, output = torch.full((1, 20), 2.0), torch.full((1, 20), 0.5)
    assert VelocityUpdate()(0, output, pose).eq(2.5).all()
    assert PositionUpdate()(0, output, pose).eq(0.5).all()
    both = torch.cat((output, output * 10), dim=1)
    hybrid = HybridUpdate()
    assert hybrid.position_steps == 12
    assert hybrid(11, both, pose).eq(0.5).all()
    assert hybrid(12, both, pose).eq(7.0).all()


@pytest.mark.parametrize(
    "impossible",
    [
        lambda: LstmConfig(hidden_size=0),
        lambda: LstmConfig(head_sizes=(0,)),
        lambda: MlpConfig(()),
        lambda: HybridUpdate(0),
    ],
)
def test_impossible_sizes_are_refused(impossible) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        impossible()
