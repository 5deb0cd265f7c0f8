"""What a training run can be told, as structured configs; the recipes themselves are the YAML files in `configs/`.

`TrainConfig` is the whole of it, one dataclass per part. `emgpose train` has Hydra compose it from an experiment and
the command line; `emgpose.experiments.compose_config` does the same from Python. Every value is checked when its
dataclass is made, so what `emgpose.training.train` gets holds names that exist and numbers that can be.
"""

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from omegaconf import MISSING

from emgpose.errors import ConfigError
from emgpose.models import MODELS
from emgpose.models.config_json import nearest
from emgpose.simulation.aggressors import AGGRESSORS

OPTIMIZERS: Final = ("adam", "adamw")
SCHEDULES: Final = ("constant", "warmup_cosine")
ACCELERATORS: Final = ("auto", "cpu", "cuda")
PRECISIONS: Final = ("32", "bf16")
SAMPLINGS: Final = ("uniform", "user", "stage")
# More would be refused by the operating system, in a way that ends the process without a word.
MAX_THREADS: Final = 1024
LOGGERS: Final = ("tensorboard", "wandb", "none")


def _at_least(part: Any, section: str, least: float, *names: str) -> None:
    """Refuse numbers below `least`; None is no number."""
    for name in names:
        value = getattr(part, name)
        if value is not None and not (value >= least and math.isfinite(value)):
            raise ConfigError(f"{section}.{name}: expected at least {least:g}, got {value}")


def _above_zero(part: Any, section: str, *names: str) -> None:
    for name in names:
        value = getattr(part, name)
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise ConfigError(f"{section}.{name}: expected a number above 0, got {value}")


def _share(part: Any, section: str, *names: str) -> None:
    for name in names:
        value = getattr(part, name)
        if not 0 <= value <= 1:
            raise ConfigError(f"{section}.{name}: expected a number from 0 to 1, got {value}")


def _not_empty(part: Any, section: str, *names: str) -> None:
    """Refuse the empty text that an unset variable of the shell leaves; as a path, it would be the current folder."""
    for name in names:
        if getattr(part, name) == "":
            raise ConfigError(f"{section}{name}: expected a path, got an empty text")


def _one_of(key: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        raise ConfigError(f"{key}: unknown choice '{value}'; {nearest(value, known)}")


@dataclass
class DataConfig:
    """Which recordings, and how they are cut into windows and batches.

    Parameters
    ----------
    root : str
        Folder of the data set: `metadata.csv` and the recordings, a prepared store, or a BIDS data set.
    window_samples, val_window_samples : int or None
        Samples at 2 kHz of a training and of a validation window, the model's left context included. None: the model's
        `test_window` (its context and 10,000 samples that are scored).
    stride_samples : int or None
        Samples between the starts of training windows. None: the window's length.
    jitter : bool
        Move each training window by a random number of samples at every epoch.
    skip_invalid : bool
        Leave out training windows with an invalid label; else invalid samples are masked. Validation always leaves
        them out, as the test protocol does.
    num_users, num_stages : int or None
        Train on so many users, and so many stages. With the same seed, a smaller number is a subset of a larger one.
    hours : float or None
        Train on so many hours [h] of recordings, nested likewise.
    where : str or None
        A pandas query over the columns of the metadata; limits training and validation recordings.
    sampling : "uniform", "user" or "stage"
        What training windows an epoch takes. "uniform": every one once. "user", "stage": as many windows in all, but as
        many of each user, or of each stage, whatever was recorded of them; some then come more than once in an epoch,
        and others not in each. A window that comes again in the same epoch has the same jitter and augmentation.
    batch_size : int
        Windows of a batch, over all processes together.
    workers : int
        Processes that read windows, beside each training process; they change no number.
    in_memory_gib : float
        Recordings are kept in memory when all of them fit into this many GiB, of each training process. Those of a
        prepared store never are: nothing of it is read before a window is drawn, and the system's page cache holds it.
    """

    root: str = MISSING
    window_samples: int | None = None
    val_window_samples: int | None = None
    stride_samples: int | None = None
    jitter: bool = True
    skip_invalid: bool = True
    num_users: int | None = None
    num_stages: int | None = None
    hours: float | None = None
    where: str | None = None
    sampling: str = "uniform"
    batch_size: int = 64
    workers: int = 0
    in_memory_gib: float = 4.0

    def __post_init__(self) -> None:
        _not_empty(self, "data.", "root")
        _at_least(self, "data", 1, "window_samples", "val_window_samples", "stride_samples", "batch_size")
        _at_least(self, "data", 1, "num_users", "num_stages")
        _at_least(self, "data", 0, "workers", "in_memory_gib")
        _above_zero(self, "data", "hours")
        _one_of("data.sampling", self.sampling, SAMPLINGS)


@dataclass
class AugmentConfig:
    """What is done to training windows; each draw is a function of (seed, epoch, window).

    Parameters
    ----------
    rotation : int
        Roll the electrodes by -rotation to +rotation places. 0: not at all.
    aggressor_probability : float
        Share of windows that one simulated aggressor (power line, sweat, a lifted electrode, ...) spoils.
    aggressors : list of str
        The aggressors to draw from, names of `emgpose.simulation.aggressors.AGGRESSORS`. Empty: all of them.
    max_severity : float
        Severities are drawn between 0 and this; at most 1.
    """

    rotation: int = 1
    aggressor_probability: float = 0.0
    aggressors: list[str] = field(default_factory=list)
    max_severity: float = 0.5

    def __post_init__(self) -> None:
        _at_least(self, "augment", 0, "rotation")
        _share(self, "augment", "aggressor_probability", "max_severity")
        for name in self.aggressors:
            if name not in AGGRESSORS:
                raise ConfigError(f"augment.aggressors: unknown aggressor '{name}'; {nearest(name, AGGRESSORS)}")


@dataclass
class LossConfig:
    """The loss: angle_weight x mean |angle error| [rad] + fingertip_weight x mean fingertip distance [mm].

    Parameters
    ----------
    angle_weight : float
        Per rad.
    fingertip_weight : float
        Per mm.
    fingertip_every_samples : int
        Fingertips are compared at every so-many-th sample [samples at 2 kHz] that is valid.
    tracking_share : float
        Of a multi-task model: loss = share x tracking loss + (1 - share) x regression loss.
    hand : str or None
        Path of a hand model JSON for the fingertips. None: the generic hand of emgpose.
    """

    angle_weight: float = 1.0
    fingertip_weight: float = 0.01
    fingertip_every_samples: int = 40
    tracking_share: float = 0.875
    hand: str | None = None

    def __post_init__(self) -> None:
        _at_least(self, "loss", 0, "angle_weight", "fingertip_weight")
        _at_least(self, "loss", 1, "fingertip_every_samples")
        _share(self, "loss", "tracking_share")
        _not_empty(self, "loss.", "hand")
        if self.angle_weight == self.fingertip_weight == 0:
            raise ConfigError("loss: angle_weight and fingertip_weight are both 0; one must be above it")


@dataclass
class OptimConfig:
    """The optimiser, its schedule, and what is kept of the weights.

    Parameters
    ----------
    name : "adam" or "adamw"
    lr : float
        Learning rate; with a schedule, the highest.
    weight_decay : float
        Never on norms, biases and initial poses.
    grad_clip : float or None
        Largest norm of the gradient over all weights; longer ones are scaled down. None: no limit.
    schedule : "constant" or "warmup_cosine"
        "warmup_cosine" rises linearly from `warmup_lr` to `lr` over `warmup_epochs` and falls by a cosine to `final_lr`
        at the end of `loop.max_epochs`, or of `loop.max_steps` if that comes first.
    warmup_lr, final_lr : float
        Only of "warmup_cosine".
    warmup_epochs : int
        Only of "warmup_cosine".
    micro_batch_size : int or None
        Windows that go through the model at once; the gradients of a batch's parts are added up exactly. None: as many
        as the process has of the batch.
    ema_decay : float or None
        Validate and save an exponential moving average of the weights, with this decay per step. None: the weights.
    """

    name: str = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    grad_clip: float | None = None
    schedule: str = "constant"
    warmup_lr: float = 1e-8
    warmup_epochs: int = 10
    final_lr: float = 1e-6
    micro_batch_size: int | None = None
    ema_decay: float | None = None

    def __post_init__(self) -> None:
        _one_of("optim.name", self.name, OPTIMIZERS)
        _one_of("optim.schedule", self.schedule, SCHEDULES)
        _above_zero(self, "optim", "lr", "grad_clip")
        _at_least(self, "optim", 0, "weight_decay", "warmup_lr", "warmup_epochs", "final_lr")
        _at_least(self, "optim", 1, "micro_batch_size")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ConfigError(f"optim.ema_decay: expected a number above 0 and below 1, got {self.ema_decay}")


@dataclass
class LoopConfig:
    """How long, on what, and what is written down.

    Parameters
    ----------
    max_epochs : int
    max_steps : int or None
        Optimiser steps after which training ends. None: no limit.
    max_minutes : float or None
        Training time of this process [min] after which it saves and ends. None: no limit.
    patience_epochs : int or None
        End after so many epochs without a better validation loss. None: never.
    checkpoint_every_steps : int or None
        Write `last.ckpt` every so many steps too, not only at the end of an epoch. None: only there.
    val_every_epochs : int
    accelerator : "auto", "cpu" or "cuda"
        "auto" takes a CUDA GPU where there is one.
    devices : int
        Processes on this machine, one for each GPU (or, on "cpu", each a gloo process).
    num_nodes : int
        Machines.
    precision : "32" or "bf16"
        "bf16" computes in bfloat16 where that is safe; weights stay float32.
    threads : int or None
        CPU threads of torch. None: the cores of this machine, shared between the runs of a sweep that go on at once.
    logger : "tensorboard", "wandb" or "none"
        Beside `metrics.csv`, which is always written.
    """

    max_epochs: int = 500
    max_steps: int | None = None
    max_minutes: float | None = None
    patience_epochs: int | None = 50
    checkpoint_every_steps: int | None = None
    val_every_epochs: int = 1
    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    precision: str = "32"
    threads: int | None = None
    logger: str = "tensorboard"

    def __post_init__(self) -> None:
        _at_least(self, "loop", 1, "max_epochs", "max_steps", "patience_epochs", "checkpoint_every_steps")
        _at_least(self, "loop", 1, "val_every_epochs", "devices", "num_nodes", "threads")
        _above_zero(self, "loop", "max_minutes")
        if self.threads is not None and self.threads > MAX_THREADS:
            raise ConfigError(f"loop.threads: expected at most {MAX_THREADS}, got {self.threads}")
        _one_of("loop.accelerator", self.accelerator, ACCELERATORS)
        _one_of("loop.precision", self.precision, PRECISIONS)
        _one_of("loop.logger", self.logger, LOGGERS)


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
        _not_empty(self, "init.", "checkpoint")


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
        _not_empty(self, "", "out")
        # Larger seeds would not stay apart from the numbers of epochs and windows beside them.
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"seed: expected a whole number from 0 to {2**32 - 1}, got {self.seed}")
        changed = self.model.sizes()
        if self.init.checkpoint is not None and changed:
            raise ConfigError(
                f"model.{next(iter(changed))}: with init.checkpoint the model's sizes are the checkpoint's; "
                "leave out either of the two"
            )
