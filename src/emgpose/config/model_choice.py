"""What learns: a model and its sizes, and where its weights begin."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from emgpose.config.limits import not_empty
from emgpose.errors import ConfigError
from emgpose.models import MODELS
from emgpose.models.config_json import nearest


@dataclass
class ModelChoice:
    """A model of `emgpose.models.MODELS`, and the settings to change in it; None keeps the model's own.

    What each setting means stands with the model's configuration (`PoseModelConfig`, `TdsConfig`, `LstmConfig`, ...).
    `front_end`, `featurizer`, `decoder` and `update` name a kind of part.
    """

    name: str = MISSING
    task: str | None = None
    n_channels: int | None = None
    # The pose model and its parts.
    front_end: str | None = None
    featurizer: str | None = None
    decoder: str | None = None
    update: str | None = None
    alignment: str | None = None
    between: str | None = None
    learned_initial_pose: bool | None = None
    n_features: int | None = None
    # One number for "tds", a list for the other networks.
    channels: Any = None
    tds_channels: int | None = None
    kernels: list[int] | None = None
    strides: list[int] | None = None
    tds_kernels: list[int] | None = None
    tds_pairs: int | None = None
    hidden_size: int | None = None
    num_layers: int | None = None
    head_sizes: list[int] | None = None
    layer_sizes: list[int] | None = None
    scale: float | None = None
    position_samples: int | None = None
    cutoff_hz: float | None = None
    order: int | None = None
    # NeuroPose and SensingDynamics.
    pools: list[list[int]] | None = None
    upsamples: list[list[int]] | None = None
    residual_blocks: int | None = None
    dropout: float | None = None
    lowpass: str | None = None

    def __post_init__(self) -> None:
        trainable = [name for name, config in MODELS.items() if config.kind != "static"]
        if self.name not in (MISSING, *trainable):
            raise ConfigError(f"model.name: no model '{self.name}' to train; {nearest(self.name, trainable)}")

    def sizes(self) -> dict[str, Any]:
        """Give the settings that are set, for `build_model(name, **sizes)`."""
        values = {part.name: getattr(self, part.name) for part in dataclasses.fields(self) if part.name != "name"}
        return {name: value for name, value in values.items() if value is not None}


@dataclass
class InitConfig:
    """Where the weights begin.

    Parameters
    ----------
    checkpoint : str or None
        A model folder of emgpose or a published .ckpt to go on from (fine-tuning); its sizes are then the model's.
        None: fresh weights, drawn from the seed.
    train_only : list of str
        Names of parts, or prefixes (featurizer, decoder, decoder.out, initial_pose, front_end): only these learn, the
        rest stays as it is. Empty: everything learns.
    """

    checkpoint: str | None = None
    train_only: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        not_empty(self, "init.", "checkpoint")
