"""The loss: what it averages, what it leaves out, and that dividing a batch does not change it."""

import numpy as np
import pytest
import torch

from emgpose.config import LossConfig
from emgpose.hand import FINGERTIPS
from emgpose.kinematics import HandModel, forward_kinematics
from emgpose.training.objective import PoseObjective, predict_tasks
from small_models import small_model

N_SAMPLES = 2300


def made_batch(n_windows=3, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "emg": torch.from_numpy(rng.standard_normal((n_windows, 16, N_SAMPLES)).astype(np.float32)),
        "joint_angles": torch.from_numpy(rng.uniform(-0.5, 1, (n_windows, 20, N_SAMPLES)).astype(np.float32)),
        "valid": torch.from_numpy(rng.uniform(size=(n_windows, N_SAMPLES)) < 0.7),
    }


@pytest.fixture
def tracking():
    model = small_model("tracking_vemg2pose")
    return model, PoseObjective(LossConfig(), HandModel.generic(), model)


def test_the_loss_is_that_of_a_plain_computation_over_the_valid_samples(tracking):
    model, objective = tracking
    batch = made_batch()
    batch["valid"][:, model.left_context] = True
    sums = objective.sums(model, batch).sum(0)
    loss = objective.loss(sums, objective.counts(batch))

    target = batch["joint_angles"][..., model.left_context :].numpy()
    valid = batch["valid"][:, model.left_context :].numpy()
    with torch.no_grad():
        predicted = model.rollout(batch["emg"], torch.from_numpy(target[..., 0])).numpy()
    errors = np.abs(predicted - target).transpose(0, 2, 1)[valid]
    tips = [forward_kinematics(x.transpose(0, 2, 1)[:, ::40].astype(np.float64)) for x in (predicted, target)]
    distances = np.linalg.norm(tips[0] - tips[1], axis=-1)[..., list(FINGERTIPS)][valid[:, ::40]]
    assert loss.item() == pytest.approx(errors.mean() + 0.01 * distances.mean(), rel=1e-5)


def test_tracking_leaves_out_a_window_whose_initial_sample_is_invalid_and_regression_keeps_it(tracking):
    model, objective = tracking
    batch = made_batch(2)
    batch["valid"][:, model.left_context] = torch.tensor([True, False])
    kept, left_out = objective.masks(batch)[0].sum(1).tolist()
    assert (kept, left_out) == (int(batch["valid"][0, model.left_context :].sum()), 0)
    regression = small_model("regression_vemg2pose")
    masks = PoseObjective(LossConfig(), HandModel.generic(), regression).masks(batch)
    assert torch.equal(masks[0], batch["valid"][:, model.left_context :])


def test_sums_and_counts_of_parts_are_those_of_the_whole(tracking):
    model, objective = tracking
    batch = made_batch(4)
    parts = [{key: tensor[i : i + 1] for key, tensor in batch.items()} for i in range(4)]
    assert torch.allclose(torch.cat([objective.sums(model, part) for part in parts]), objective.sums(model, batch))
    assert torch.equal(sum(objective.counts(part) for part in parts), objective.counts(batch))


def test_a_multitask_model_is_rolled_out_once_with_what_each_of_its_tasks_would_give():
    model = small_model("emgpose50")
    with torch.no_grad():
        model.initial_pose.uniform_(-1, 1)
    batch = made_batch(2)
    start = batch["joint_angles"][..., model.left_context]
    both = predict_tasks(model, batch["emg"], start)
    for task, prediction in zip(model.tasks, both, strict=True):
        model.set_task(task)
        assert torch.allclose(prediction, model.rollout(batch["emg"], start), atol=1e-6)


def test_the_tasks_of_a_multitask_model_are_mixed_by_their_share():
    model = small_model("emgpose50")
    objective = PoseObjective(LossConfig(tracking_share=0.75, fingertip_weight=0), HandModel.generic(), model)
    sums, counts = torch.tensor([[4.0, 9.0], [2.0, 9.0]]), torch.tensor([[2.0, 3.0], [1.0, 3.0]])
    assert float(objective.loss(sums, counts)) == pytest.approx(0.75 * 2 + 0.25 * 2)


def test_a_batch_without_a_valid_sample_has_loss_0_and_finite_gradients(tracking):
    model, objective = tracking
    batch = made_batch(2)
    batch["valid"].fill_(False)
    loss = objective.loss(objective.sums(model, batch).sum(0), objective.counts(batch))
    loss.backward()
    assert loss.item() == 0
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
