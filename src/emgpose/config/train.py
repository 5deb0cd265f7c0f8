"""One training run: all its sections together."""

from dataclasses import dataclass, field

from omegaconf import MISSING

from emgpose.config.learning import LoopConfig, LossConfig, OptimConfig
from emgpose.config.limits import not_empty
from emgpose.config.model_choice import InitConfig, ModelChoice
from emgpose.config.windows import AugmentConfig, DataConfig
from emgpose.errors import ConfigError


@dataclass
class TrainConfig:
    """One training run.

    Parameters
    ----------
    experiment : str
        The name of the recipe, one of `experiments()`; goes into the model's card.
    seed : int
        Of the weights, the order, jitter and augmentation of windows, dropout and data subsets.
    resume : bool
        Go on with the run that is in the folder, or begin where there is none yet.
    out : str
        Folder of the run; of a sweep, the folder that gets one numbered folder per run.
    data, augment, loss, optim, loop, model, init : the parts
    """

    experiment: str = MISSING
    seed: int = 42
    resume: bool = False
    out: str = MISSING
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    model: ModelChoice = field(default_factory=ModelChoice)
    init: InitConfig = field(default_factory=InitConfig)

    def __post_init__(self) -> None:
        not_empty(self, "", "out")
        # Larger seeds would not stay apart from the numbers of epochs and windows beside them.
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"seed: expected a whole number from 0 to {2**32 - 1}, got {self.seed}")
        changed = self.model.sizes()
        if self.init.checkpoint is not None and changed:
            raise ConfigError(
                f"model.{next(iter(changed))}: with init.checkpoint the model's sizes are the checkpoint's; "
                "leave out either of the two"
            )
