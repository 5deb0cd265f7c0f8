"""The progress bar of training: loss, learning rate, windows per second, and when the whole run will have ended."""

import time
from datetime import timedelta
from typing import Any

import lightning.pytorch as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from emgpose.config import LoopConfig
from emgpose.training.module import PoseTraining


class TrainingProgress(pl.Callback):
    """One bar per epoch, and one while validating, on stderr.

    Parameters
    ----------
    loop : LoopConfig
        Says when the run ends at the latest.
    console : Console, optional
        stderr by default.
    """

    def __init__(self, loop: LoopConfig, console: Console | None = None) -> None:
        self._loop = loop
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console or Console(stderr=True),
            transient=True,
            refresh_per_second=4,
        )
        self._epoch: TaskID | None = None
        self._validation: TaskID | None = None
        self._began_s = 0.0
        self._n_windows = 0
        self._n_batches_done = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar."""
        self._began_s = time.monotonic()
        self._epoch = self._bar.add_task("", figures="")
        self._validation = self._bar.add_task("validation", figures="", visible=False)
        self._bar.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar by one batch."""
        if self._epoch is None or not isinstance(pl_module, PoseTraining):
            return
        self._n_batches_done += 1
        n_batches = int(trainer.num_training_batches)
        description = f"epoch {trainer.current_epoch + 1}/{self._loop.max_epochs}"
        self._bar.update(self._epoch, description=description, total=n_batches, completed=batch_idx + 1)
        figures = pl_module.figures
        if figures is not None:
            self._n_windows += figures.n_windows
            rate = self._n_windows / (time.monotonic() - self._began_s)
            text = f"loss {figures.loss:.4f}  lr {figures.learning_rate:.2g}  {rate:.1f} windows/s"
            self._bar.update(
                self._epoch, figures=f"{text}  ends in {self._remaining(trainer, batch_idx)} at the latest"
            )

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Move the bar of the validation."""
        if self._validation is not None:
            total = sum(int(n_batches) for n_batches in trainer.num_val_batches)
            self._bar.update(self._validation, visible=batch_idx + 1 < total, total=total, completed=batch_idx + 1)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Take the bar away."""
        self._bar.stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Take the bar away, so that the message stands alone."""
        self._bar.stop()

    def _remaining(self, trainer: pl.Trainer, batch_idx: int) -> str:
        """Say how long all other batches will take, at the pace so far, validations included."""
        n_batches = int(trainer.num_training_batches)
        left = (self._loop.max_epochs - trainer.current_epoch) * n_batches - batch_idx - 1
        if self._loop.max_steps is not None:
            left = min(left, self._loop.max_steps - trainer.global_step)
        elapsed_s = time.monotonic() - self._began_s
        seconds = elapsed_s / self._n_batches_done * max(0, left)
        if self._loop.max_minutes is not None:
            seconds = min(seconds, max(0.0, 60 * self._loop.max_minutes - elapsed_s))
        return str(timedelta(seconds=round(seconds)))
