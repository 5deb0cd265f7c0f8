"""One set of weights for two tasks: what a multitask model runs, and what the improved recipe's models are."""

import pytest
import torch
from torch import Tensor

from emgpose.checkpoints import load_model, save_model
from emgpose.errors import ConfigError
from emgpose.models import MODELS, PoseModel, build_model
from emgpose.models.pose_model import PoseModelConfig
from small_models import small_model

pytestmark = pytest.mark.usefixtures("one_thread")

MULTITASK = [name for name, config in MODELS.items() if config.task == "multitask"]
POSE = torch.full((1, 20), 0.3)


def multitask(name: str = "emgpose50") -> PoseModel:
    model = small_model(name, scale=0.1)
    assert isinstance(model, PoseModel)
    assert model.initial_pose is not None
    torch.nn.init.constant_(model.initial_pose, 0.7)
    return model


def some_emg() -> Tensor:
    return torch.randn((1, 16, 2_500), generator=torch.Generator().manual_seed(1)) * 3


def test_emgpose50_and_two_improved_models_are_multitask() -> None:
    assert MULTITASK == ["improved_position_multitask", "improved_velocity_multitask", "emgpose50"]


@pytest.mark.parametrize("name", MULTITASK)
@torch.inference_mode()
def test_tracking_starts_from_the_pose_given_and_regression_from_the_learned_one(name: str) -> None:
    model, emg = multitask(name), some_emg()
    tracked = model.rollout(emg, POSE)
    model.set_task("regression")
    regressed = model.rollout(emg, POSE)
    assert torch.equal(regressed, model.rollout(emg))
    assert not torch.equal(regressed, tracked)
    model.set_task("tracking")
    assert torch.equal(model.rollout(emg, POSE), tracked)
    assert torch.equal(model.rollout(emg, torch.full((1, 20), 0.7)), regressed)


@pytest.mark.parametrize("name", MULTITASK)
def test_one_featurizer_pass_is_rolled_out_both_ways_and_trains_every_weight(name: str) -> None:
    model, emg = multitask(name).train(), some_emg()
    features, _ = model.featurize(emg)
    ways = [model.roll_out(features, emg.shape[-1], pose) for pose in (POSE, None)]
    (0.875 * ways[0].abs().mean() + 0.125 * ways[1].abs().mean()).backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in (model.initial_pose, model.decoder.out.bias))
    with torch.inference_mode():
        for task, way in zip(model.tasks, ways, strict=True):
            model.set_task(task)
            torch.testing.assert_close(model.rollout(emg, POSE), way.detach(), rtol=0, atol=1e-6)


@torch.inference_mode()
def test_a_stream_in_regression_begins_at_the_learned_pose_whatever_is_given() -> None:
    model, emg = multitask(), some_emg()
    model.set_task("regression")
    state = model.initial_state(POSE)
    assert (state.pose == 0.7).all()
    frames = []
    for chunk in emg.split(701, dim=-1):
        new, state = model(chunk, state)
        frames.append(new)
    whole, _ = model(emg, model.initial_state())
    torch.testing.assert_close(torch.cat(frames, dim=-1), whole, rtol=0, atol=1e-5)


def test_a_task_that_a_model_does_not_have_is_refused_and_the_old_one_kept() -> None:
    model = multitask()
    model.set_task("regression")
    with pytest.raises(ConfigError, match="emgpose50 runs tracking and regression, not 'multitask'"):
        model.set_task("multitask")
    assert model.task == "regression"
    single = small_model("tracking_emg2pose")
    single.set_task("tracking")
    with pytest.raises(ConfigError, match="tracking_emg2pose runs tracking, not 'regression'"):
        single.set_task("regression")


def test_a_multitask_model_needs_a_learned_initial_pose() -> None:
    with pytest.raises(ConfigError, match="needs learned_initial_pose"):
        build_model("emgpose50", learned_initial_pose=False)
    with pytest.raises(ConfigError, match="needs learned_initial_pose"):
        build_model("tracking_emg2pose", task="multitask")
    assert build_model("emgpose50", learned_initial_pose=False, task="regression").tasks == ("regression",)


def test_a_static_hand_has_one_task() -> None:
    with pytest.raises(ConfigError, match="unknown choice 'multitask'"):
        build_model("static_tracking", task="multitask")


def test_a_saved_multitask_model_loads_with_both_tasks_and_says_so_in_its_card(tmp_path) -> None:
    model = multitask()
    model.set_task("regression")
    loaded = load_model(save_model(model, tmp_path))
    assert (loaded.task, loaded.tasks, loaded.card.task) == ("tracking", ("tracking", "regression"), "multitask")
    assert "| Task | tracking and regression (multitask) |" in (tmp_path / "README.md").read_text()


def test_the_improved_models_have_the_scalars_head_and_initial_poses_of_their_recipe() -> None:
    scalars = {"position_tracking": 0.1, "position_regression": 1.0, "position_multitask": 0.1}
    scalars |= dict.fromkeys(("velocity_tracking", "velocity_regression", "velocity_multitask"), 0.01)
    for name, scale in scalars.items():
        config = MODELS[f"improved_{name}"]
        assert isinstance(config, PoseModelConfig)
        update, task = name.split("_")
        assert (config.name, config.update.kind, config.task) == (f"improved_{name}", update, task)
        assert (config.decoder.hidden_size, config.decoder.num_layers, config.decoder.head_sizes) == (512, 2, (512,))
        assert config.decoder.scale == scale
        assert config.learned_initial_pose == (task != "tracking")
        assert (config.alignment, config.featurizer.strides) == ("published", (5, 2, 4, 2))
