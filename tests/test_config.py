"""What a training run can be told: every value is checked when its dataclass is made."""

import dataclasses

import pytest

from emgpose.config import (
    AugmentConfig,
    DataConfig,
    InitConfig,
    LoopConfig,
    LossConfig,
    ModelChoice,
    OptimConfig,
    TrainConfig,
)
from emgpose.errors import ConfigError
from emgpose.models import MODELS, build_model
from emgpose.models.pose_model import PART_CONFIGS


def test_every_setting_of_every_model_and_part_can_be_chosen():
    configs = {type(config) for config in MODELS.values() if config.kind != "static"}
    configs |= {config for kinds in PART_CONFIGS.values() for config in kinds.values()}
    settings = {field.name for config in configs for field in dataclasses.fields(config)}
    assert {field.name for field in dataclasses.fields(ModelChoice)} == settings


def test_only_settings_that_are_given_reach_the_model():
    assert ModelChoice("emgpose50").sizes() == {}
    choice = ModelChoice("emgpose50", hidden_size=8, head_sizes=[4], scale=0.0, learned_initial_pose=True)
    assert choice.sizes() == {"hidden_size": 8, "head_sizes": [4], "scale": 0.0, "learned_initial_pose": True}
    model = build_model(choice.name, **choice.sizes())
    assert (model.config.decoder.hidden_size, model.config.decoder.head_sizes) == (8, (4,))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DataConfig(batch_size=0), "data.batch_size: expected at least 1, got 0"),
        (lambda: DataConfig(window_samples=0), "data.window_samples: expected at least 1"),
        (lambda: DataConfig(hours=0.0), "data.hours: expected a number above 0, got 0"),
        (lambda: DataConfig(workers=-1), "data.workers: expected at least 0"),
        (lambda: DataConfig(workers=1_000_000), "data.workers: expected at most 256, got 1000000"),
        (lambda: LoopConfig(devices=1_000_000), "loop.devices: expected at most 1024, got 1000000"),
        (lambda: DataConfig(in_memory_gib=float("nan")), "data.in_memory_gib: expected at least 0, got nan"),
        (lambda: AugmentConfig(rotation=-1), "augment.rotation: expected at least 0"),
        (lambda: AugmentConfig(aggressor_probability=1.5), "expected a number from 0 to 1, got 1.5"),
        (lambda: AugmentConfig(aggressors=["sweet"]), "unknown aggressor 'sweet'; did you mean 'sweat'?"),
        (lambda: LossConfig(tracking_share=-0.1), "loss.tracking_share: expected a number from 0 to 1"),
        (lambda: LossConfig(angle_weight=0, fingertip_weight=0), "both 0"),
        (lambda: LossConfig(fingertip_every_samples=0), "loss.fingertip_every_samples: expected at least 1"),
        (lambda: OptimConfig(name="adamx"), "optim.name: unknown choice 'adamx'; did you mean 'adam"),
        (lambda: OptimConfig(schedule="cosine"), "did you mean 'warmup_cosine'?"),
        (lambda: OptimConfig(lr=float("inf")), "optim.lr: expected a number above 0, got inf"),
        (lambda: OptimConfig(ema_decay=1.0), "optim.ema_decay: expected a number above 0 and below 1"),
        (lambda: DataConfig(root=""), "data.root: expected a path, got an empty text"),
        (lambda: TrainConfig(out=""), "out: expected a path, got an empty text"),
        (lambda: LoopConfig(max_minutes=0.0), "loop.max_minutes: expected a number above 0"),
        (lambda: LoopConfig(precision="16"), "loop.precision: unknown choice '16'"),
        (lambda: LoopConfig(accelerator="gpu"), "loop.accelerator: unknown choice 'gpu'"),
        (lambda: LoopConfig(threads=100_000), "loop.threads: expected at most 1024, got 100000"),
        (lambda: LoopConfig(devices=0), "loop.devices: expected at least 1"),
        (lambda: ModelChoice("emgpose500"), "no model 'emgpose500' to train; did you mean 'emgpose50'?"),
        (lambda: ModelChoice("static_tracking"), "no model 'static_tracking' to train"),
        (lambda: TrainConfig(seed=-1), "seed: expected a whole number from 0 to 4294967295, got -1"),
        (
            lambda: TrainConfig(model=ModelChoice("emgpose50", scale=1.0), init=InitConfig("weights.ckpt")),
            "model.scale: with init.checkpoint the model's sizes are the checkpoint's",
        ),
    ],
)
def test_an_impossible_value_names_its_key_and_what_was_expected(make, message):
    with pytest.raises(ConfigError) as error:
        make()
    assert message in str(error.value)
