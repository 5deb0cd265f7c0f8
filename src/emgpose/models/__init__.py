"""Models: EMG of a wrist band at 2 kHz to 20 joint angles.

`MODELS` names them, `build_model` makes one with fresh weights.
"""

from collections.abc import Mapping
from typing import Any, Final

from emgpose.errors import ConfigError
from emgpose.models.card import TASKS, ModelCard, ModelTask, Task
from emgpose.models.config_json import nearest, read_dataclass, read_kind, write_dataclass
from emgpose.models.decoders import LstmConfig, MlpConfig
from emgpose.models.emg_model import MODES, EmgModel, Mode
from emgpose.models.neuropose import NeuroPose, NeuroPoseConfig
from emgpose.models.pose_model import PART_CONFIGS, PoseModel, PoseModelConfig
from emgpose.models.rollouts import PoseTrack, Rollout
from emgpose.models.sensingdynamics import SensingDynamics, SensingDynamicsConfig
from emgpose.models.static_hand import StaticHand, StaticHandConfig
from emgpose.models.stream_state import StreamState
from emgpose.models.tds import TdsConfig
from emgpose.models.update_rules import HybridUpdate, PositionUpdate, VelocityUpdate

__all__ = [
    "MODELS",
    "MODEL_KINDS",
    "MODES",
    "TASKS",
    "EmgModel",
    "Mode",
    "ModelCard",
    "ModelConfig",
    "ModelTask",
    "PoseModel",
    "PoseTrack",
    "Rollout",
    "StreamState",
    "Task",
    "build_model",
    "read_model_config",
    "write_model_config",
]

ModelConfig = PoseModelConfig | NeuroPoseConfig | SensingDynamicsConfig | StaticHandConfig

MODEL_KINDS: Final[dict[str, type]] = {
    "pose": PoseModel,
    "neuropose": NeuroPose,
    "sensingdynamics": SensingDynamics,
    "static": StaticHand,
}
_CONFIG_KINDS: Final[dict[str, type]] = {
    "pose": PoseModelConfig,
    "neuropose": NeuroPoseConfig,
    "sensingdynamics": SensingDynamicsConfig,
    "static": StaticHandConfig,
}

# The improved recipe's head: linear, leaky ReLU, linear. Its source does not say how wide; the LSTM's width is ours.
_HEAD_SIZES: Final = (512,)


def _improved(update: PositionUpdate | VelocityUpdate, task: ModelTask, scale: float) -> PoseModelConfig:
    """Give a model of the improved recipe; whatever may start without a known pose learns one.

    Source: Hadidi et al. (arXiv 2603.08212). At 0.01 position decoding would collapse to a nearly static hand.
    """
    return PoseModelConfig(
        f"improved_{update.kind}_{task}",
        task,
        decoder=LstmConfig(scale=scale, head_sizes=_HEAD_SIZES),
        update=update,
        learned_initial_pose=task != "tracking",
    )


MODELS: Final[dict[str, ModelConfig]] = {
    "tracking_vemg2pose": PoseModelConfig("tracking_vemg2pose", "tracking"),
    "regression_vemg2pose": PoseModelConfig("regression_vemg2pose", "regression", update=HybridUpdate()),
    "tracking_emg2pose": PoseModelConfig("tracking_emg2pose", "tracking", decoder=MlpConfig(), update=PositionUpdate()),
    "regression_emg2pose": PoseModelConfig(
        "regression_emg2pose", "regression", decoder=MlpConfig(), update=PositionUpdate()
    ),
    "regression_neuropose": NeuroPoseConfig("regression_neuropose"),
    "regression_sensingdynamics": SensingDynamicsConfig("regression_sensingdynamics"),
    "improved_position_tracking": _improved(PositionUpdate(), "tracking", scale=0.1),
    "improved_position_regression": _improved(PositionUpdate(), "regression", scale=1.0),
    "improved_position_multitask": _improved(PositionUpdate(), "multitask", scale=0.1),
    "improved_velocity_tracking": _improved(VelocityUpdate(), "tracking", scale=0.01),
    "improved_velocity_regression": _improved(VelocityUpdate(), "regression", scale=0.01),
    "improved_velocity_multitask": _improved(VelocityUpdate(), "multitask", scale=0.01),
    # Native 50 Hz: the last stride is 1, so that features and rollout steps share one grid.
    "emgpose50": PoseModelConfig(
        "emgpose50",
        "multitask",
        featurizer=TdsConfig(strides=(5, 2, 4, 1)),
        decoder=LstmConfig(head_sizes=_HEAD_SIZES),
        alignment="grid",
        learned_initial_pose=True,
    ),
    "static_tracking": StaticHandConfig("static_tracking", "tracking"),
    "static_regression": StaticHandConfig("static_regression", "regression"),
}


def build_model(model: str | ModelConfig, **sizes: Any) -> EmgModel:
    """Make a model with fresh weights.

    Parameters
    ----------
    model : str or configuration
        A name from `MODELS`, or a configuration.
    **sizes
        Settings to change, by name: of the model (`name`, `task`, `alignment`, ...) or of its parts (`channels`,
        `hidden_size`, `num_layers`, `n_features`, ...). A part itself is chosen by its kind or configuration:
        `featurizer="convnet"`.

    Raises
    ------
    ConfigError : an unknown name or setting (the nearest known one is named), or sizes that cannot be.
    """
    if isinstance(model, str):
        if model not in MODELS:
            raise ConfigError(f"unknown model '{model}'; {nearest(model, MODELS)}")
        model = MODELS[model]
    config = _changed(model, sizes) if sizes else model
    built: EmgModel = MODEL_KINDS[config.kind](config)
    return built


def write_model_config(config: ModelConfig) -> dict[str, Any]:
    """Give a model's configuration as JSON values."""
    return write_dataclass(config)


def read_model_config(values: object, where: str = "model") -> ModelConfig:
    """Read what `write_model_config` gave.

    Raises
    ------
    ConfigError : an unknown kind or key (the nearest known one is named), a missing key, a value of the wrong type.
    """
    kind = read_kind(_CONFIG_KINDS, values, where)
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected a mapping of settings, got {type(values).__name__}")
    config: ModelConfig = (
        PoseModelConfig.from_config(values, where) if kind is PoseModelConfig else read_dataclass(kind, values, where)
    )
    return config


def _changed(config: ModelConfig, sizes: Mapping[str, Any]) -> ModelConfig:
    """Change settings of a configuration or of its parts, checked as if they came from JSON."""
    values = write_model_config(config)
    for key, value in sizes.items():
        if key in PART_CONFIGS and key in values:
            values[key] = _part(key, value)
    parts = {key: part for key, part in values.items() if isinstance(part, dict)}
    known = {key for key in values if key != "kind"} | {key for part in parts.values() for key in part if key != "kind"}
    for key, value in sizes.items():
        if key in parts:
            continue
        homes = [part for part in parts.values() if key in part] or ([values] if key in values else [])
        if not homes or key == "kind":
            raise ConfigError(f"{config.name} has no setting '{key}'; {nearest(key, known)}")
        for home in homes:
            home[key] = value
    return read_model_config(values, config.name)


def _part(key: str, value: Any) -> dict[str, Any]:
    """Give the JSON values of a part from its kind's name, its configuration or its JSON."""
    if isinstance(value, str):
        if value not in PART_CONFIGS[key]:
            raise ConfigError(f"unknown {key} '{value}'; {nearest(value, PART_CONFIGS[key])}")
        return write_dataclass(PART_CONFIGS[key][value]())
    return dict(value) if isinstance(value, Mapping) else write_dataclass(value)
