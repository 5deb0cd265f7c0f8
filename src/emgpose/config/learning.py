"""How it learns: the loss, the optimiser, and the loop around them."""

from dataclasses import dataclass
from typing import Final

from emgpose.config.limits import above_zero, at_least, at_most, not_empty, one_of, share
from emgpose.errors import ConfigError

_OPTIMIZERS: Final = ("adam", "adamw")
_SCHEDULES: Final = ("constant", "warmup_cosine")
_ACCELERATORS: Final = ("auto", "cpu", "cuda")
_PRECISIONS: Final = ("32", "bf16")
_LOGGERS: Final = ("tensorboard", "wandb", "none")
# More would be refused by the operating system, in a way that ends the process without a word.
_MAX_THREADS: Final = 1024


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
        at_least(self, "loss", 0, "angle_weight", "fingertip_weight")
        at_least(self, "loss", 1, "fingertip_every_samples")
        share(self, "loss", "tracking_share")
        not_empty(self, "loss.", "hand")
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
        one_of("optim.name", self.name, _OPTIMIZERS)
        one_of("optim.schedule", self.schedule, _SCHEDULES)
        above_zero(self, "optim", "lr", "grad_clip")
        at_least(self, "optim", 0, "weight_decay", "warmup_lr", "warmup_epochs", "final_lr")
        at_least(self, "optim", 1, "micro_batch_size")
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
        at_least(self, "loop", 1, "max_epochs", "max_steps", "patience_epochs", "checkpoint_every_steps")
        at_least(self, "loop", 1, "val_every_epochs", "devices", "num_nodes", "threads")
        above_zero(self, "loop", "max_minutes")
        at_most(self, "loop", _MAX_THREADS, "threads", "devices")
        one_of("loop.accelerator", self.accelerator, _ACCELERATORS)
        one_of("loop.precision", self.precision, _PRECISIONS)
        one_of("loop.logger", self.logger, _LOGGERS)
