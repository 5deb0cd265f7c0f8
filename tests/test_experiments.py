"""Experiments: each YAML file composes into what its source says, and a mistake names what was probably meant."""

from pathlib import Path

import pytest

from emgpose.config import TrainConfig
from emgpose.errors import ConfigError
from emgpose.experiments import compose_config, config_keys, experiments
from emgpose.models import MODELS, build_model

PUBLISHED = {
    # name: training window, validation window [samples], largest gradient norm (models.md section 6)
    "tracking_vemg2pose": (11_790, 11_790, 1.0),
    "regression_vemg2pose": (11_790, 11_790, None),
    "tracking_emg2pose": (5_790, 11_790, 1.0),
    "regression_emg2pose": (5_790, 11_790, 1.0),
    "regression_neuropose": (4_000, 10_000, None),
    "regression_sensingdynamics": (10_167, 10_167, None),
}
IMPROVED = sorted(name for name in MODELS if name.startswith("improved_") or name == "emgpose50")


def windows(config: TrainConfig) -> tuple[int, int]:
    test_window = build_model(config.model.name).test_window
    return config.data.window_samples or test_window, config.data.val_window_samples or test_window


def test_there_is_one_experiment_for_each_model_that_can_be_trained_and_it_says_what_it_is():
    assert list(experiments()) == sorted(name for name, config in MODELS.items() if config.kind != "static")
    for name, sentence in experiments().items():
        assert sentence.endswith(".")
        config = compose_config(name, "data.root=set")
        assert (config.experiment, config.model.name, config.model.sizes()) == (name, name, {})
        assert config.out.startswith(f"runs/{name}/")


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_baseline_has_the_published_recipe(name):
    config = compose_config(name, "data.root=set")
    assert (*windows(config), config.optim.grad_clip) == PUBLISHED[name]
    optim, loop, data, loss = config.optim, config.loop, config.data, config.loss
    assert (optim.name, optim.lr, optim.weight_decay, optim.schedule, optim.ema_decay) == (
        "adam",
        1e-3,
        0,
        "constant",
        None,
    )
    assert (loop.max_epochs, loop.patience_epochs, loop.precision, config.seed) == (500, 50, "32", 42)
    assert (data.batch_size, data.stride_samples, data.jitter, data.skip_invalid) == (64, None, True, True)
    assert (config.augment.rotation, config.augment.aggressor_probability) == (1, 0)
    assert (loss.angle_weight, loss.fingertip_weight, loss.fingertip_every_samples) == (1, 0.01, 40)


@pytest.mark.parametrize("name", IMPROVED)
def test_an_improved_experiment_has_the_improved_recipe(name):
    config = compose_config(name, "data.root=set")
    optim = config.optim
    assert (optim.name, optim.weight_decay, optim.grad_clip, optim.schedule) == ("adamw", 0.01, 1.0, "warmup_cosine")
    assert (optim.warmup_lr, optim.lr, optim.final_lr, optim.warmup_epochs) == (1e-8, 1e-3, 1e-6, 10)
    assert (config.loop.max_epochs, config.loop.patience_epochs) == (150, None)
    assert config.loss.tracking_share == 0.875
    assert windows(config)[0] == build_model(name).left_context + 10_000


def test_the_command_line_changes_numbers_switches_lists_and_texts():
    config = compose_config(
        "tracking_vemg2pose",
        "data.root=my set",
        "optim.lr=3e-4",
        "data.jitter=false",
        "optim.grad_clip=null",
        "model.kernels=[11,5]",
        "model.channels=[8,16]",
        "loop.precision=32",
        "data.where='side == \"left\"'",
    )
    assert (config.data.root, config.data.where, config.data.jitter) == ("my set", 'side == "left"', False)
    assert (config.optim.lr, config.optim.grad_clip, config.loop.precision) == (3e-4, None, "32")
    assert config.model.sizes() == {"kernels": [11, 5], "channels": [8, 16]}


def test_an_experiment_of_ones_own_is_found_in_ones_own_folder(tmp_path):
    file = tmp_path / "my config's, 1" / "experiment" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(
        "# @package _global_\n# Mine.\ndefaults: [{/recipe: improved}, _self_]\n"
        "experiment: mine\nmodel: {name: emgpose50, hidden_size: 8}\n"
    )
    folder = file.parents[1]
    assert experiments(folder)["mine"] == "Mine."
    config = compose_config("mine", "data.root=set", folder=folder)
    assert (config.experiment, config.model.sizes(), config.optim.name) == ("mine", {"hidden_size": 8}, "adamw")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "data.root is missing; give data.root=VALUE"),
        (["data.rooot=set"], "unknown key 'data.rooot'; did you mean 'data.root'?"),
        (["+data.rooot=set"], "unknown key 'data.rooot'; did you mean 'data.root'?"),
        (["lr=0.1"], "unknown key 'lr'; did you mean 'optim.lr'?"),
        (["learning_speed=0.1"], "known: experiment, seed, resume, out, data, augment"),
        (
            ["data.root=set", "data.batch_size=many"],
            "data.batch_size: Value 'many' of type 'str' could not be converted",
        ),
        (["data.root=set", "data.batch_size=0"], "data.batch_size: expected at least 1, got 0"),
        (["data.root=set", "seed=1,2"], "seed=1,2: several values; add --multirun"),
        (
            ["data.root=a=b"],
            "the value cannot be read; put it in quotes that the shell leaves alone: \"data.root='a=b'\"",
        ),
        (["data.root"], "data.root: expected key=value"),
        (["experiment=[a,b]"], "experiment=[a,b]: expected one name; for several, give experiment=A,B and --multirun"),
        (["data.root=set", "hydra/launcher=joblub"], "unknown hydra/launcher 'joblub'; did you mean 'joblib'?"),
        (["data.root=set", "hydra.nothing=1"], "hydra.nothing: Key 'nothing' not in"),
        (["data.root=null"], "data.root: field 'data.root' is not Optional"),
    ],
)
def test_a_mistake_ends_in_one_line_that_names_what_was_meant(overrides, message):
    with pytest.raises(ConfigError) as error:
        compose_config("tracking_vemg2pose", *overrides)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_experiment_names_the_nearest():
    with pytest.raises(
        ConfigError, match=r"unknown experiment 'tracking_vemgpose'; did you mean 'tracking_vemg2pose'\?"
    ):
        compose_config("tracking_vemgpose", "data.root=set")


def test_the_pages_on_training_name_every_experiment_and_every_key():
    page = (Path(__file__).parents[1] / "docs" / "training.md").read_text(encoding="utf-8")
    assert [name for name in experiments() if f"`{name}`" not in page] == []
    settings = [key for key in config_keys() if "." in key or key in ("seed", "resume", "out")]
    assert [key for key in settings if not key.startswith("model.") and f"`{key}`" not in page] == []
