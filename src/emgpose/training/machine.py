"""Where a run computes: device, processes, threads and precision, and Lightning's trainer set up for them."""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.plugins.environments import SLURMEnvironment

from emgpose.config import LoopConfig, TrainConfig
from emgpose.errors import ConfigError, MissingExtraError
from emgpose.training.run_folder import RunFolder, WholeCheckpoints

# What torchrun, Slurm and Lightning's own launcher tell a process about its place.
_RANKS: Final = ("RANK", "SLURM_PROCID", "LOCAL_RANK")
_LAUNCHER_VARIABLES: Final = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE", "OMP_NUM_THREADS")
_PRECISIONS: Final[dict[str, Any]] = {"32": "32-true", "bf16": "bf16-mixed"}
# Advice of Lightning's that does not fit: loops, workers and checkpoints are ours.
_LIGHTNING_ADVICE: Final = (
    "does not have many workers",
    r"module\(s\) in eval mode",
    "not resumable",
    "smaller than the logging interval",
    "no `val_dataloader`",
    "defined a `validation_step` but have no",
    "Total length of `list` across ranks is zero",
    "Trying to infer the `batch_size`",
    "srun` command is available",
    "isinstance.*LeafSpec",
)


def process_rank() -> int:
    """Give the number of this process among those that train one model; the first one writes and speaks."""
    return int(next((os.environ[name] for name in _RANKS if os.environ.get(name)), "0"))


def choose_accelerator(loop: LoopConfig) -> str:
    """Give "cuda" or "cpu".

    Raises
    ------
    ConfigError : more GPUs are asked for than there are, or other processes than those that were started.
    """
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    accelerator = loop.accelerator if loop.accelerator != "auto" else ("cuda" if n_gpus else "cpu")
    if accelerator == "cuda" and n_gpus < loop.devices:
        raise ConfigError(
            f"loop.accelerator={loop.accelerator} loop.devices={loop.devices}: this machine has {n_gpus} usable CUDA "
            "GPUs; give fewer devices, or loop.accelerator=cpu"
        )
    if accelerator == "cuda" and loop.precision == "bf16" and not torch.cuda.is_bf16_supported():
        raise ConfigError("loop.precision=bf16: this GPU does not know bfloat16; give loop.precision=32")
    started = os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_NTASKS") or "1"
    wanted = loop.devices * loop.num_nodes
    if int(started) > 1 and int(started) != wanted:
        raise ConfigError(
            f"{started} processes were started for this run, but loop.devices x loop.num_nodes is {wanted}; give the "
            "processes per machine as loop.devices and the machines as loop.num_nodes"
        )
    return accelerator


def choose_threads(loop: LoopConfig) -> int:
    """Give the CPU threads of this process: its share of the cores it may use."""
    if loop.threads is not None:
        return loop.threads
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, n_cores // loop.devices)


def build_trainer(
    config: TrainConfig, folder: RunFolder, accelerator: str, record: dict[str, Any], callbacks: list[pl.Callback]
) -> pl.Trainer:
    """Set up Lightning's trainer: it loops, places tensors and speaks with other processes; what is kept is ours.

    Raises
    ------
    MissingExtraError : the logger chosen is not installed.
    """
    loop = config.loop
    plugins: list[Any] = [WholeCheckpoints()]
    if SLURMEnvironment.detect():
        # Lightning would save at any moment and queue the job again; we save between steps and leave that to Slurm.
        plugins.append(SLURMEnvironment(auto_requeue=False))
    return pl.Trainer(
        accelerator=accelerator,
        devices=loop.devices,
        num_nodes=loop.num_nodes,
        strategy="ddp" if loop.devices * loop.num_nodes > 1 else "auto",
        precision=_PRECISIONS[loop.precision],
        max_epochs=loop.max_epochs,
        check_val_every_n_epoch=loop.val_every_epochs,
        num_sanity_val_steps=0,
        logger=_loggers(config, folder.path, record),
        callbacks=callbacks,
        plugins=plugins,
        default_root_dir=folder.path,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def _loggers(config: TrainConfig, folder: Path, record: dict[str, Any]) -> list[Logger]:
    if config.loop.logger == "none":
        return []
    if config.loop.logger == "tensorboard":
        if find_spec("tensorboard") is None:
            raise MissingExtraError(
                "loop.logger=tensorboard needs the library tensorboard, which is not installed; run: "
                'pip install "emgpose[train]", or give loop.logger=none'
            )
        # Steps after the checkpoint will be made again.
        steps = {"purge_step": record["steps"] + 1} if record["steps"] else {}
        return [TensorBoardLogger(folder, name="tensorboard", version="", default_hp_metric=False, **steps)]
    if find_spec("wandb") is None:
        raise MissingExtraError(
            "loop.logger=wandb needs the library wandb, which is not installed; run: pip install wandb, or give "
            "loop.logger=tensorboard"
        )
    from lightning.pytorch.loggers import WandbLogger

    return [WandbLogger(name=config.experiment, project="emgpose", save_dir=folder, id=record["id"], resume="allow")]


@contextlib.contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep Lightning's notices and advice away for a while; its errors are left alone."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for advice in _LIGHTNING_ADVICE:
                warnings.filterwarnings("ignore", message=f".*{advice}")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def processes_ended() -> Iterator[None]:
    """Leave this process as it was: out of any process group, and with its environment."""
    before = {name: os.environ.get(name) for name in _LAUNCHER_VARIABLES}
    try:
        yield
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
