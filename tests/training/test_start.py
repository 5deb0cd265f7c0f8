"""Where weights begin, and which of them learn."""

import pytest
import torch

from emgpose.checkpoints import save_model
from emgpose.errors import CheckpointError, ConfigError
from emgpose.training.start import freeze, starting_model, train_mode
from small_models import small_model
from small_runs import small_config


def test_fresh_weights_are_a_function_of_the_seed(tmp_path):
    first, again, other = (starting_model(small_config(tmp_path, "emgpose50", f"seed={s}")) for s in (1, 1, 2))
    names = [name for name, _ in first.named_parameters() if name.endswith("weight") and "norm" not in name]
    assert all(torch.equal(first.get_parameter(n), again.get_parameter(n)) for n in names)
    assert not torch.equal(first.decoder.out.weight, other.decoder.out.weight)


def test_only_the_named_parts_learn_and_the_rest_stays_in_eval_mode():
    model = small_model("regression_vemg2pose").train()
    freeze(model, ["decoder.out", "decoder.lstm.bias_hh_l0"])
    train_mode(model)
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    assert learning == {"decoder.out.weight", "decoder.out.bias", "decoder.lstm.bias_hh_l0"}
    assert (model.featurizer.training, model.decoder.training, model.decoder.out.training) == (False, True, True)


def test_a_learned_initial_pose_does_not_learn_where_no_task_starts_from_it():
    model = small_model("tracking_vemg2pose", learned_initial_pose=True)
    freeze(model, [])
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["initial_pose"]


@pytest.mark.parametrize(
    ("part", "message"),
    [("decoder.outt", "did you mean 'decoder.out'?"), ("zzz", "known: decoder, featurizer"), ("decode", "'decoder'")],
)
def test_an_unknown_part_is_refused_with_the_nearest_one(part, message):
    with pytest.raises(ConfigError, match=r"init\.train_only: regression_vemg2pose has no part") as refusal:
        freeze(small_model("regression_vemg2pose"), [part])
    assert message in str(refusal.value)


def test_a_part_that_cannot_learn_leaves_nothing_to_do():
    model = small_model("tracking_vemg2pose", learned_initial_pose=True)
    with pytest.raises(ConfigError, match="leaves nothing of tracking_vemg2pose to learn"):
        freeze(model, ["initial_pose"])


def test_a_checkpoint_gives_weights_and_sizes_and_must_be_the_model_asked_for(tmp_path):
    saved = small_model("tracking_vemg2pose")
    save_model(saved, tmp_path / "saved")
    config = small_config(tmp_path)
    config.model.__dict__.update(dict.fromkeys(config.model.sizes()))
    config.init.checkpoint = str(tmp_path / "saved")
    model = starting_model(config)
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in saved.state_dict().items())
    assert model.training
    config.model.name = "regression_vemg2pose"
    with pytest.raises(CheckpointError, match="is tracking_vemg2pose, not regression_vemg2pose"):
        starting_model(config)
