"""What a training run can be told, as structured configs; the recipes themselves are the YAML files in `configs/`.

`TrainConfig` is the whole of it, one dataclass per part. `emgpose train` has Hydra compose it from an experiment and
the command line; `emgpose.experiments.compose_config` does the same from Python. Every value is checked when its
dataclass is made, so what `emgpose.training.train` gets holds names that exist and numbers that can be.
"""

from emgpose.config.learning import LoopConfig, LossConfig, OptimConfig
from emgpose.config.model_choice import InitConfig, ModelChoice
from emgpose.config.train import TrainConfig
from emgpose.config.windows import AugmentConfig, DataConfig

__all__ = [
    "AugmentConfig",
    "DataConfig",
    "InitConfig",
    "LoopConfig",
    "LossConfig",
    "ModelChoice",
    "OptimConfig",
    "TrainConfig",
]
