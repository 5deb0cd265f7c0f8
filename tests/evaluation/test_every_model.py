"""Every kind of registered model can be evaluated, and says how causal that was."""

import pytest
import torch

from emgpose.errors import ConfigError
from emgpose.evaluation import causality_label, evaluate
from emgpose.evaluation.scoring import WindowScorer
from emgpose.models import MODELS, build_model
from emgpose.models.pose_model import PoseModelConfig
from small_models import small_model


def _small(name):
    if isinstance(MODELS[name], PoseModelConfig):
        return small_model(name)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return build_model(name).eval()


@pytest.mark.parametrize("name", [name for name in MODELS if name != "regression_neuropose"])
def test_every_model_is_scored_in_every_mode_that_it_has(name, generated_root):
    model = _small(name)
    result = evaluate(model, generated_root, split="val", where="side == 'left' and generalization == 'user_stage'")
    assert result.modes == model.modes
    assert set(result.windows["mode"]) == set(model.modes)
    assert (result.windows["n_valid"] == 10_000).all()
    assert (result.windows["stop_sample"] - result.windows["start_sample"] == model.test_window).all()
    labels = {mode: causality_label(model, mode) for mode in model.modes}
    assert labels.get("stream", "causal") == "causal"
    if name == "static_tracking":
        assert result.windows["mae"].tolist() == pytest.approx(result.windows["static_mae"].tolist())


def test_a_result_keeps_the_task_that_was_scored(generated_root):
    model = small_model("emgpose50")
    torch.nn.init.constant_(model.initial_pose, 0.3)
    where = {"split": "val", "where": "side == 'left' and generalization == 'user_stage'", "modes": ["stream"]}
    results = {task: evaluate(model, generated_root, task=task, **where) for task in ("regression", "tracking")}
    again = evaluate(model, generated_root, **where)
    assert {task: result.task for task, result in results.items()} == {task: task for task in model.tasks}
    assert results["regression"].static.label == "static_median_train"
    assert again.task == "tracking"
    assert again.windows["mae"].tolist() == results["tracking"].windows["mae"].tolist()
    assert again.windows["mae"].tolist() != results["regression"].windows["mae"].tolist()
    with pytest.raises(ConfigError, match="runs tracking and regression, not 'multitask'"):
        evaluate(model, generated_root, task="multitask", **where)


@pytest.mark.parametrize("name", MODELS)
def test_every_window_scores_ten_thousand_samples(name):
    model = build_model(name)
    scorer = WindowScorer(model, None, None, model.modes, "cpu")
    assert scorer.n_scored == 10_000


def test_the_published_mode_of_the_baselines_is_labelled_not_causal():
    assert causality_label(build_model("tracking_vemg2pose"), "published") == "not causal: looks up to 30 ms ahead"
    assert causality_label(build_model("regression_sensingdynamics"), "published") == (
        "not causal: sees the whole window"
    )
    assert causality_label(build_model("emgpose50"), "published") == "causal"
    assert causality_label(build_model("regression_neuropose"), "published").startswith("not causal: looks up to")
