"""Groups, learning rates, the clip and the average of the weights."""

import copy

import pytest
import torch

from emgpose.config import OptimConfig
from emgpose.training.optimisation import WeightAverage, build_optimiser, clip_gradients, learning_rate
from small_models import small_model


def test_weight_decay_spares_norms_biases_and_the_initial_pose():
    model = small_model("emgpose50")
    optimiser = build_optimiser(OptimConfig("adamw", weight_decay=0.01), model)
    decay = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    spared = {name for name, p in model.named_parameters() if decay[id(p)] == 0}
    assert {"initial_pose", "decoder.out.bias", "decoder.lstm.bias_ih_l0"} <= spared
    assert any("norm" in name for name in spared)
    assert all(p.ndim >= 2 for name, p in model.named_parameters() if name not in spared)
    assert len(decay) == len(list(model.parameters()))


def test_the_learning_rate_rises_linearly_and_falls_by_a_cosine_to_the_end_of_the_run():
    config = OptimConfig(lr=1e-3, schedule="warmup_cosine", warmup_lr=1e-8, warmup_epochs=10, final_lr=1e-6)
    rates = [learning_rate(config, step, 4, 600) for step in range(601)]
    assert rates[0] == 1e-8
    assert rates[20] == pytest.approx(5e-4, rel=1e-4)
    assert rates[40] == max(rates) == pytest.approx(1e-3)
    assert rates[320] == pytest.approx((1e-3 + 1e-6) / 2)
    assert rates[600] == pytest.approx(1e-6)
    assert learning_rate(OptimConfig(lr=2e-3), 77, 4, 600) == 2e-3


def test_gradients_are_scaled_down_to_the_clip_and_their_norm_is_told():
    weights = [
        torch.nn.Parameter(torch.zeros(2)),
        torch.nn.Parameter(torch.zeros(1)),
        torch.nn.Parameter(torch.ones(1)),
    ]
    weights[0].grad, weights[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    assert float(clip_gradients(weights, None)) == 5
    assert weights[1].grad.item() == 4
    assert float(clip_gradients(weights, 1.0)) == 5
    assert weights[0].grad[0].item() == pytest.approx(0.6, rel=1e-4)


def test_the_average_follows_the_weights_and_is_lent_to_the_model_for_a_while():
    model = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.0)
    average = WeightAverage(model, 0.9)
    expected = 0.0
    for step in range(50):
        with torch.no_grad():
            model.weight.fill_(float(step))
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    with average.applied():
        assert model.weight.item() == pytest.approx(expected, rel=1e-5)
    assert model.weight.item() == 49
    restored = WeightAverage(copy.deepcopy(model), 0.9)
    restored.restore(average.state())
    assert torch.equal(restored.state()[0], average.state()[0])
