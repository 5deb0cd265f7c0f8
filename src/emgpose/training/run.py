"""One training run, from a configuration to models in a folder; safe to interrupt at any moment."""

import contextlib
import logging
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from emgpose.config import TrainConfig
from emgpose.errors import ConfigError, DataError, EmgPoseError
from emgpose.kinematics import HandModel
from emgpose.models import EmgModel, write_model_config
from emgpose.training import record as records
from emgpose.training.card_writer import CardWriter
from emgpose.training.data import PoseData
from emgpose.training.keeper import Keeper
from emgpose.training.machine import (
    build_trainer,
    choose_accelerator,
    choose_threads,
    process_rank,
    processes_ended,
    quiet_lightning,
)
from emgpose.training.module import PoseTraining
from emgpose.training.optimisation import total_steps
from emgpose.training.progress import TrainingProgress
from emgpose.training.run_folder import BEST, LAST, RECORD_FILE, RunFolder, UnusableCheckpointError
from emgpose.training.start import is_out_of_memory, start_facts, starting_model
from emgpose.training.stopping import INTERRUPTED, StoppedNow, StopRequest

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """What a run came to.

    Parameters
    ----------
    folder : Path
    best, last : Path
        Model folders, for `emgpose.load_model`; without validation `best` is `last`.
    best_epoch : int or None
        Counted from 1.
    best_val_loss : float or None
    epochs, steps : int
        Whole epochs, and optimiser steps, since the run began.
    stopped : str
        Why it ended: max_epochs, max_steps, max_minutes or patience.
    """

    folder: Path
    best: Path
    last: Path
    best_epoch: int | None
    best_val_loss: float | None
    epochs: int
    steps: int
    stopped: str


def train(config: TrainConfig, folder: str | Path) -> TrainResult:
    """Train a model.

    Parameters
    ----------
    config : TrainConfig
    folder : path
        Gets run.json, metrics.csv, last.ckpt, best/ and last/; see `emgpose.training.run_folder`.

    Raises
    ------
    ConfigError : impossible or contradicting settings; a run is there already and `resume` is not set, or it began with
        other settings.
    DataError : the data cannot be trained on, a file vanished, the loss is not finite, the disk is full, or another run
        is writing to the folder.
    CheckpointError : what is to be gone on from cannot be read, or a model cannot be written.
    MissingExtraError : the logger chosen is not installed.
    KeyboardInterrupt : Ctrl-C, SIGTERM or SIGUSR1, after all was saved.
    """
    run_folder = RunFolder(Path(folder))
    is_first = process_rank() == 0
    if is_first:
        run_folder.lock()
    try:
        return _train(config, run_folder, is_first)
    finally:
        run_folder.unlock()


@dataclass(frozen=True)
class _Parts:
    """All that training needs, made and checked."""

    config: TrainConfig
    folder: RunFolder
    is_first: bool
    accelerator: str
    threads: int
    model: EmgModel
    start: dict[str, Any]
    data: PoseData


def _train(config: TrainConfig, folder: RunFolder, is_first: bool) -> TrainResult:
    before = folder.read_record()
    if is_first:
        folder.mend()
    is_there = _is_begun(folder)
    if is_there and not config.resume:
        raise ConfigError(
            f"{folder.path}: a training run is there already; go on with it with resume=true, or choose another `out`"
        )
    if is_there and before is None:
        raise DataError(
            f"{folder.path}: a run is there, but not its {RECORD_FILE}, so nothing tells what its settings were; "
            "put that file back, or choose another `out`"
        )
    goes_on = folder.checkpoint.exists()
    parts = _make_parts(config, folder, is_first, before if goes_on else None)
    if before is not None and is_there:
        fingerprints = {"fingerprint": parts.data.fingerprint, "val_fingerprint": parts.data.val_fingerprint}
        records.require_same_run(before, config, fingerprints, str(folder.path))
        over = records.why_over(before, config)
        if over is not None:
            logger.warning("%s: this run has reached its end already (%s); nothing was done", folder.path, over)
            return _result(folder, {**before, "stopped": over})
        if not goes_on and is_first:
            logger.warning("%s is not there, so this run begins again with its first step", folder.checkpoint)
        record = records.continued_record(before, config, _facts(parts))
        if not (folder.path / BEST).is_dir():
            # Somebody took it away; the best from here on takes its place.
            record["best"] = None
    else:
        record = records.new_record(config, _facts(parts))
    stopped = _fit(parts, record)
    if stopped == INTERRUPTED:
        if is_first:
            raise KeyboardInterrupt
        # The first process speaks for all.
        sys.exit(0)
    return _result(folder, record)


def _make_parts(config: TrainConfig, folder: RunFolder, is_first: bool, record: dict[str, Any] | None = None) -> _Parts:
    accelerator, threads = choose_accelerator(config.loop), choose_threads(config.loop)
    torch.set_num_threads(threads)
    model = starting_model(config, record)
    start = start_facts(config, model, record)
    data = PoseData(config.data, config.augment, model, seed=config.seed, pin_memory=accelerator == "cuda")
    data.setup()
    return _Parts(config, folder, is_first, accelerator, threads, model, start, data)


def _is_begun(folder: RunFolder) -> bool:
    """Say whether there is anything that a new run would destroy."""
    return folder.checkpoint.exists() or any((folder.path / name).exists() for name in (BEST, LAST))


def _warn_of_endless_warmup(config: TrainConfig, n_batches: int) -> None:
    total, warmup = total_steps(config.loop, n_batches), config.optim.warmup_epochs * n_batches
    if config.optim.schedule == "warmup_cosine" and warmup >= total:
        logger.warning(
            "the warm-up takes %d steps (optim.warmup_epochs=%d) and training %d: it never reaches optim.lr; lower "
            "optim.warmup_epochs or train longer",
            warmup, config.optim.warmup_epochs, total,
        )  # fmt: skip


def _fit(parts: _Parts, record: dict[str, Any]) -> str:
    """Train; says why training ended. Keeps the record up to date whatever happens."""
    config, folder, data, is_first = parts.config, parts.folder, parts.data, parts.is_first
    hand = HandModel.generic() if config.loss.hand is None else HandModel.load(config.loss.hand)
    stop = StopRequest(config.loop.max_minutes, announces=is_first)
    module = PoseTraining(config, parts.model, hand, stop, data.describe)
    keeper = Keeper(config, folder, record, stop, CardWriter(config, parts.model.card, data), parts.threads)
    callbacks = [keeper, *([TrainingProgress(config.loop)] if is_first and sys.stderr.isatty() else [])]
    if is_first and not data.n_val_windows:
        logger.warning("no recording to validate on: the newest model counts as the best, and patience has no end")
    if is_first:
        _warn_of_endless_warmup(config, data.n_train_batches)
    with _recorded(folder, record, is_first), quiet_lightning(), processes_ended(), stop.watching():
        trainer = build_trainer(config, folder, parts.accelerator, record, callbacks)
        checkpoint = folder.checkpoint if folder.checkpoint.exists() else None
        try:
            trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        except StoppedNow as stopped:
            if str(stopped) and is_first:
                logger.warning("%s", stopped)
            keeper.stopped = INTERRUPTED
        except BaseException:
            launcher = trainer.strategy.launcher
            if launcher is not None:
                # Processes that this one started wait for it, and nobody else would end them.
                launcher.kill(signal.SIGKILL)
            raise
        finally:
            # Ending the workers takes a moment, and who pressed Ctrl-C may well press it again.
            stop.settle()
            # Lightning leaves the workers to the end of the process where a run is stopped.
            data.teardown()
        records.set_status(
            record, records.STOPPED if keeper.stopped == INTERRUPTED else records.FINISHED, keeper.stopped
        )
    return keeper.stopped


@contextlib.contextmanager
def _recorded(folder: RunFolder, record: dict[str, Any], is_first: bool) -> Iterator[None]:
    """Write how the run stands before and after, and say in our words what the machine could not do."""
    records.set_status(record, records.RUNNING)
    if is_first:
        folder.write_record(record)
    try:
        with _our_errors(folder):
            yield
    except BaseException as error:
        records.set_status(record, records.FAILED, message=str(error) or type(error).__name__)
        raise
    finally:
        if is_first:
            # On a full disk the record stays as it was; the error says what happened.
            with contextlib.suppress(EmgPoseError, OSError):
                folder.write_record(record)


@contextlib.contextmanager
def _our_errors(folder: RunFolder) -> Iterator[None]:
    try:
        yield
    except UnusableCheckpointError:
        raise
    except EmgPoseError as error:
        raise type(error)(f"{error}; {_what_is_safe(folder)}") from error.__cause__
    except OSError as error:
        what = f"{error.filename or folder.path}: {error.strerror or error}"
        raise DataError(f"{what}; {_what_is_safe(folder)}") from error
    except RuntimeError as error:
        text = str(error)
        if isinstance(error, torch.OutOfMemoryError) or is_out_of_memory(error):
            raise DataError(
                f"there is too little memory for this step; give a smaller optim.micro_batch_size, which changes no "
                f"number; {_what_is_safe(folder)}"
            ) from error
        if "loading state_dict" in text:
            raise UnusableCheckpointError(
                f"{folder.checkpoint}: holds the weights of another model than this run's; put the right one back, or "
                "begin again in another `out`"
            ) from error
        if "DataLoader worker" in text:
            # torch raises it wherever the first process happens to be.
            raise DataError(
                f"a process that reads windows was ended, as the system does when memory is short; "
                f"{_what_is_safe(folder)}"
            ) from error
        if isinstance(error, torch.distributed.DistBackendError) or "onnection closed" in text or "gloo" in text:
            raise DataError(
                "another process of this run has ended; its message says why, or there is none because the system "
                f"killed it, as it does when memory is short; {_what_is_safe(folder)}"
            ) from error
        raise


def _what_is_safe(folder: RunFolder) -> str:
    if folder.checkpoint.exists():
        return f"{folder.checkpoint} is whole: go on with resume=true out={folder.path}"
    return "nothing had been saved yet"


def _facts(parts: _Parts) -> dict[str, Any]:
    """Tell what the run's numbers depend on beside its configuration."""
    config, model, data = parts.config, parts.model, parts.data
    return {
        "model": {
            "name": model.name,
            "config": write_model_config(model.config),
            "n_parameters": model.n_parameters,
            "n_learning": sum(weight.numel() for weight in model.parameters() if weight.requires_grad),
            "left_context": model.left_context,
        },
        **parts.start,
        "data": {
            "subset": data.subset,
            "fingerprint": data.fingerprint,
            "val_fingerprint": data.val_fingerprint,
            "trained_on": data.trained_on,
            "preparations": data.preparations,
            "in_memory": data.in_memory,
            "steps_per_epoch": data.n_train_batches,
        },
        "machine": {
            "accelerator": parts.accelerator,
            "device": torch.cuda.get_device_name() if parts.accelerator == "cuda" else "cpu",
            "processes": config.loop.devices * config.loop.num_nodes,
            "threads": parts.threads,
        },
    }


def _result(folder: RunFolder, record: dict[str, Any]) -> TrainResult:
    best = record["best"]
    return TrainResult(
        folder.path,
        folder.path / (LAST if best is None else BEST),
        folder.path / LAST,
        None if best is None else best["epoch"],
        None if best is None else best["val_loss"],
        record["epochs"],
        record["steps"],
        record["stopped"],
    )
