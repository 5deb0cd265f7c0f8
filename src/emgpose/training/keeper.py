"""What happens between the steps: saving, the learning curve, the best model, and when to stop."""

import logging
import math
import time
from collections.abc import Callable
from typing import Any, Final

import lightning.pytorch as pl
import torch

from emgpose.config import TrainConfig
from emgpose.models import EmgModel
from emgpose.training.module import PoseTraining
from emgpose.training.record import MAX_EPOCHS, MAX_STEPS, PATIENCE
from emgpose.training.run_folder import BEST, LAST, RunFolder
from emgpose.training.stopping import INTERRUPTED, StoppedNow, StopRequest

# TensorBoard and W&B get a step's figures every so many steps; metrics.csv has the epochs.
_LOG_EVERY_STEPS: Final = 10

logger = logging.getLogger(__name__)


class Keeper(pl.Callback):
    """Saves what is learnt and decides when training ends.

    Parameters
    ----------
    config : TrainConfig
    folder : RunFolder
    record : dict
        What run.json holds; kept up to date. Which model is the best stands there alone, because it goes with the
        folder `best`, not with `last.ckpt`.
    stop : StopRequest
    fill_card : callable
        Completes the model's card before it is saved.
    threads : int
        CPU threads of this process.
    """

    def __init__(
        self,
        config: TrainConfig,
        folder: RunFolder,
        record: dict[str, Any],
        stop: StopRequest,
        fill_card: Callable[[EmgModel, dict[str, Any]], None],
        threads: int,
    ) -> None:
        self.stopped = MAX_EPOCHS
        self._config = config
        self._folder = folder
        self._record = record
        self._stop = stop
        self._fill_card = fill_card
        self._threads = threads
        self._rows: list[dict[str, Any]] = []
        # Where training goes on: the next batch to be learnt from.
        self._position = {"epoch": 0, "batch": 0}
        self._clock = _Clock()

    # --- Lightning's hooks, in the order of a run

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set the number of threads; Lightning's launcher has its own idea of it."""
        torch.set_num_threads(self._threads)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Move the data to where training goes on."""
        # Lightning has just put its own handlers there, which neither save nor agree on a step.
        self._stop.take_signals()
        self._stop.start_clock()
        loader: Any = trainer.train_dataloader
        loader.start_at(**self._position)
        self._clock.start()
        if trainer.is_global_zero:
            self._rows = self._folder.read_metrics(self._position["epoch"])

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the last epoch's validation."""
        _training(pl_module).validation = None
        self._clock.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time to, and stop in the middle of an epoch if that is asked for."""
        module = _training(pl_module)
        self._clock.stop(0 if module.figures is None else module.figures.n_windows)
        self._log_step(trainer, module)
        epoch, n_batches = trainer.current_epoch, int(trainer.num_training_batches)
        self._position = {"epoch": epoch, "batch": batch_idx + 1}
        if batch_idx + 1 >= n_batches:
            return
        reason = self._reason(trainer, module)
        every = self._config.loop.checkpoint_every_steps
        if reason or (every is not None and (epoch * n_batches + batch_idx + 1) % every == 0):
            self._save_checkpoint(trainer)
        if reason == INTERRUPTED and trainer.is_global_zero:
            self._save_model(module, LAST, self._notes(trainer))
            self._update_record(trainer)
        if reason:
            self._stop_for(reason, trainer)
        self._clock.start()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write down the epoch, save, and stop if that is asked for."""
        module = _training(pl_module)
        is_whole = self._position["batch"] >= int(trainer.num_training_batches)
        if is_whole:
            self._position = {"epoch": trainer.current_epoch + 1, "batch": 0}
        # An epoch that stopped half-way keeps its sums in the checkpoint, and is counted to its end later.
        train_loss = module.train_loss()
        if trainer.is_global_zero:
            self._write_epoch(trainer, module, train_loss)
            self._save_models(trainer, module)
        # Which model is the best, and so when patience ends, is settled by the first process.
        self._record["best"] = trainer.strategy.broadcast(self._record.get("best"))
        if is_whole:
            self._save_checkpoint(trainer)
            reason = self._reason(trainer, module) or self._out_of_patience(trainer)
            if reason:
                self._stop_for(reason, trainer)

    def state_dict(self) -> dict[str, Any]:
        """Give what the checkpoint keeps."""
        return {"position": self._position}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it back."""
        self._position = dict(state_dict["position"])

    # --- stopping

    def _reason(self, trainer: pl.Trainer, module: PoseTraining) -> str | None:
        """Say why to stop now, the same on all processes."""
        max_steps = self._config.loop.max_steps
        if module.stop_reason is None and max_steps is not None and trainer.global_step >= max_steps:
            return MAX_STEPS
        return module.stop_reason

    def _out_of_patience(self, trainer: pl.Trainer) -> str | None:
        patience, best = self._config.loop.patience_epochs, self._record["best"]
        if patience is None or best is None or trainer.current_epoch + 1 - best["epoch"] < patience:
            return None
        return PATIENCE

    def _stop_for(self, reason: str, trainer: pl.Trainer) -> None:
        self.stopped = reason
        if reason != INTERRUPTED:
            # Lightning validates, ends the epoch and then the run.
            trainer.should_stop = True
            return
        # No process may end while the first one still writes: Lightning would take that for a crash.
        trainer.strategy.barrier()
        raise StoppedNow

    # --- saving

    def _save_checkpoint(self, trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(self._folder.checkpoint)

    def _save_models(self, trainer: pl.Trainer, module: PoseTraining) -> None:
        """Save the newest model, and the best if it is that."""
        figures, best = module.validation, self._record.get("best")
        notes = self._notes(trainer)
        if figures is not None:
            notes |= {"val_loss": figures.loss}
            if math.isfinite(figures.loss) and (best is None or figures.loss < best["val_loss"]):
                self._save_model(module, BEST, notes)
                self._record["best"] = notes
        self._save_model(module, LAST, notes)
        self._update_record(trainer)

    def _notes(self, trainer: pl.Trainer) -> dict[str, Any]:
        """Say when a model was saved; epochs count from 1."""
        return {"epoch": trainer.current_epoch + 1, "step": trainer.global_step}

    def _save_model(self, module: PoseTraining, name: str, notes: dict[str, Any]) -> None:
        self._fill_card(module.model, notes)
        if module.average is None:
            self._folder.save_model(module.model, name)
            return
        with module.average.applied():
            self._folder.save_model(module.model, name)

    def _update_record(self, trainer: pl.Trainer) -> None:
        self._record |= {"epochs": self._position["epoch"], "steps": trainer.global_step}
        self._folder.write_record(self._record)

    # --- the learning curve

    def _write_epoch(self, trainer: pl.Trainer, module: PoseTraining, train_loss: float) -> None:
        figures = module.validation
        row: dict[str, Any] = {
            "step": trainer.global_step,
            "epoch": trainer.current_epoch + 1,
            "train_loss": train_loss,
            "val_loss": None if figures is None else figures.loss,
        }
        for task in module.objective.tasks:
            row[f"val_{task}_mae_deg"] = None if figures is None else math.degrees(figures.mae_rad[task])
        row["lr"] = trainer.optimizers[0].param_groups[0]["lr"]
        row["windows_per_s"] = self._clock.windows_per_s()
        self._rows.append(row)
        self._folder.write_metrics(self._rows)
        logger.info("%s", "  ".join(f"{key} {_short(value)}" for key, value in row.items() if value is not None))
        self._log(
            trainer, {key: value for key, value in row.items() if key not in ("step", "lr") and value is not None}
        )

    def _log_step(self, trainer: pl.Trainer, module: PoseTraining) -> None:
        figures = module.figures
        if figures is not None and trainer.global_step % _LOG_EVERY_STEPS == 0:
            self._log(trainer, {"loss": figures.loss, "lr": figures.learning_rate, "gradient": figures.gradient_norm})

    def _log(self, trainer: pl.Trainer, figures: dict[str, float]) -> None:
        for chosen in trainer.loggers:
            chosen.log_metrics(figures, step=trainer.global_step)


class _Clock:
    """Windows per second since the last question, of reading and learning; validating and saving do not count."""

    def __init__(self) -> None:
        self._began_s = 0.0
        self._seconds = 0.0
        self._n_windows = 0

    def start(self) -> None:
        self._began_s = time.perf_counter()

    def stop(self, n_windows: int) -> None:
        self._seconds += time.perf_counter() - self._began_s
        self._n_windows += n_windows

    def windows_per_s(self) -> float | None:
        rate = self._n_windows / self._seconds if self._seconds else None
        self._seconds, self._n_windows = 0.0, 0
        return rate


def _training(module: pl.LightningModule) -> PoseTraining:
    if not isinstance(module, PoseTraining):
        raise TypeError(f"expected a PoseTraining, got {type(module).__name__}")
    return module


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
