"""One training step and one validation, exact however a batch is divided.

The counts of valid samples of the whole batch are known before the first backward pass, so parts of a batch, in turn or
on other processes, add up to the very gradient of the whole. (Batch norms and dropout see parts; only they differ.)
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from emgpose.config import TrainConfig
from emgpose.errors import DataError
from emgpose.kinematics import HandModel
from emgpose.models import EmgModel
from emgpose.training.objective import Batch, PoseObjective
from emgpose.training.optimisation import WeightAverage, build_optimiser, clip_gradients, learning_rate, total_steps
from emgpose.training.stopping import STOP_REASONS, StoppedNow, StopRequest

# So many windows are named where a loss is not finite.
_WINDOWS_NAMED: Final = 5
Describe = Callable[[Literal["train", "val"], int, int], str]


@dataclass(frozen=True)
class StepFigures:
    """What one step tells: loss, learning rate, norm of the gradient before the clip, windows of the whole batch."""

    loss: float
    learning_rate: float
    gradient_norm: float
    n_windows: int


@dataclass(frozen=True)
class ValidationFigures:
    """Loss, and the mean absolute angle error [rad] of each task, pooled over all valid samples."""

    loss: float
    mae_rad: dict[str, float]


class PoseTraining(pl.LightningModule):
    """A model, its loss and its optimiser, for Lightning's trainer.

    Parameters
    ----------
    config : TrainConfig
    model : pose model
        As `emgpose.training.start` gives it: frozen where it must not learn.
    hand : HandModel
    stop : StopRequest
    describe : callable
        Names a window from "train" or "val", its number and its first sample.

    Attributes
    ----------
    figures : StepFigures or None
        Of the last step; None where no sample of the batch was valid, and so no step was made.
    stop_reason : str or None
        Why to stop after this step, agreed between all processes.
    validation : ValidationFigures or None
        Of this epoch.
    """

    def __init__(
        self, config: TrainConfig, model: EmgModel, hand: HandModel, stop: StopRequest, describe: Describe
    ) -> None:
        super().__init__()
        # The gradient is scaled, added up and checked between backward and step.
        self.automatic_optimization = False
        self.model = model
        self.settings = config
        self.objective = PoseObjective(config.loss, hand, model)
        self.average = None if config.optim.ema_decay is None else WeightAverage(model, config.optim.ema_decay)
        self.figures: StepFigures | None = None
        self.stop_reason: str | None = None
        self.validation: ValidationFigures | None = None
        self._stop = stop
        self._describe = describe
        self._epoch_sums = self._no_sums()
        self._val_sums = self._no_sums()

    def configure_optimizers(self) -> Optimizer:
        """Give Lightning the optimiser."""
        return build_optimiser(self.settings.optim, self.model)

    # --- training

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Learn from one batch; `figures` then tells how it went.

        Raises
        ------
        DataError : the loss or the gradient is not finite; the windows are named.
        StoppedNow : so on another process than the first, which says it for all.
        """
        n_batches = cast(int, self.trainer.num_training_batches)
        step = self.trainer.current_epoch * n_batches + batch_idx
        # What a step draws, for dropout, is a function of the step alone, so that a resumed run draws the same.
        torch.manual_seed(
            int(np.random.SeedSequence([self.settings.seed, step, self.global_rank]).generate_state(1)[0])
        )
        counts, n_windows = self._agree(batch)
        self.figures = None
        if not counts[:, 0].any():
            return
        sums = self._accumulate_gradients(batch, counts)
        optimiser = cast(Any, self.optimizers())
        norm = clip_gradients(self.model.parameters(), self.settings.optim.grad_clip)
        total = self._over_processes(sums.detach().sum(0).double())
        loss = float(self.objective.loss(total, counts))
        if not (np.isfinite(loss) and bool(norm.isfinite())):
            self._raise_not_finite(batch, sums, loss, step)
        rate = learning_rate(self.settings.optim, step, n_batches, total_steps(self.settings.loop, n_batches))
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update(step)
        self._epoch_sums = self._epoch_sums.to(total) + torch.stack((total, counts))
        self.figures = StepFigures(loss, rate, float(norm), n_windows)

    def _agree(self, batch: Batch) -> tuple[Tensor, int]:
        """Count what is valid in the whole batch, and settle whether to stop after it, in one exchange."""
        counts = self.objective.counts(batch)
        wish = self._stop.reason()
        wishes = [float(wish == reason) for reason in STOP_REASONS]
        flags = torch.tensor([*wishes, float((batch["window"] >= 0).sum())], dtype=counts.dtype, device=counts.device)
        agreed = self._over_processes(torch.cat((counts.flatten(), flags)))
        *asked, n_windows = agreed[counts.numel() :].tolist()
        self.stop_reason = next((reason for reason, votes in zip(STOP_REASONS, asked, strict=True) if votes), None)
        return agreed[: counts.numel()].reshape(counts.shape), int(n_windows)

    def _accumulate_gradients(self, batch: Batch, counts: Tensor) -> Tensor:
        """Add up the gradient over the parts of this process's batch; give the sums of each window."""
        sums = []
        parts = list(_parts(batch, self.settings.optim.micro_batch_size))
        for number, part in enumerate(parts, start=1):
            with self._gradients_stay_here(number < len(parts)):
                part_sums = self.objective.sums(self.model, part)
                # Processes average their gradients; this makes it a sum.
                loss = self.objective.loss(part_sums.sum(0), counts) * self.trainer.world_size
                self.manual_backward(loss)
            sums.append(part_sums.detach())
        return torch.cat(sums)

    def _gradients_stay_here(self, stay: bool) -> AbstractContextManager[None]:
        """Hold back the exchange of gradients between processes until the last part."""
        wrapped = self.trainer.strategy.model
        if stay and isinstance(wrapped, DistributedDataParallel):
            return cast(AbstractContextManager[None], wrapped.no_sync())
        return nullcontext()

    def _over_processes(self, tensor: Tensor) -> Tensor:
        """Sum over all processes."""
        if self.trainer.world_size == 1:
            return tensor
        summed: Tensor = self.trainer.strategy.reduce(tensor, reduce_op="sum")
        return summed

    def _raise_not_finite(self, batch: Batch, sums: Tensor, loss: float, step: int) -> None:
        """Name the windows whose own loss is not finite, on whatever process, or all of the batch."""
        own = [
            (int(window), int(start), bool(finite))
            for window, start, finite in zip(
                batch["window"], batch["start"], sums.flatten(1).isfinite().all(1), strict=True
            )
            if window >= 0
        ]
        gathered: list[Any] = [own]
        if self.trainer.world_size > 1:
            gathered = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(gathered, own)
        if self.global_rank > 0:
            # The first process tells it for all.
            raise StoppedNow
        windows = [item for part in gathered for item in part]
        bad = [item for item in windows if not item[2]] or windows
        named = "; ".join(self._describe("train", window, start) for window, start, _ in bad[:_WINDOWS_NAMED])
        more = f" and {len(bad) - _WINDOWS_NAMED} more" if len(bad) > _WINDOWS_NAMED else ""
        what = "the gradient" if np.isfinite(loss) else f"the loss ({loss})"
        advice = (
            "all windows of the batch are concerned, so the weights have probably run away: try a smaller optim.lr or "
            "an optim.grad_clip"
            if len(bad) == len(windows)
            else "look at these recordings with `emgpose check`, or leave them out with data.where"
        )
        raise DataError(
            f"step {step}: {what} is not finite, for {len(bad)} of {len(windows)} windows: {named}{more}; {advice}"
        )

    def train_loss(self) -> float:
        """Give the loss over the steps of this epoch so far, pooled over their samples; then begin anew."""
        loss = self._pooled_loss(self._epoch_sums)
        self._epoch_sums = self._no_sums()
        return loss

    # --- validation

    def on_validation_epoch_start(self) -> None:
        """Begin to count; with an average of the weights, that is what is validated."""
        self._val_sums = self._no_sums()
        if self.average is not None:
            self.average.swap()

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Add up the errors of one batch."""
        for part in _parts(batch, self.settings.optim.micro_batch_size):
            sums = self.objective.sums(self.model, part).sum(0).double()
            self._val_sums = self._val_sums.to(sums) + torch.stack((sums, self.objective.counts(part)))

    def on_validation_epoch_end(self) -> None:
        """Pool the errors over all processes."""
        if self.average is not None:
            self.average.swap()
        pooled = self._over_processes(self._val_sums.to(self.device))
        sums, counts = pooled.cpu()
        mae = dict(zip(self.objective.tasks, (sums[:, 0] / counts[:, 0]).tolist(), strict=True))
        self.validation = ValidationFigures(self._pooled_loss(pooled), mae)

    # --- sums and checkpoints

    def _no_sums(self) -> Tensor:
        """Give (sums and counts, task, term), all 0."""
        return torch.zeros((2, len(self.objective.tasks), 2), dtype=torch.float64)

    def _pooled_loss(self, pooled: Tensor) -> float:
        if not pooled[1].any():
            return float("nan")
        return float(self.objective.loss(pooled[0], pooled[1]))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what the trainer does not know of."""
        checkpoint["epoch_sums"] = self._epoch_sums.cpu()
        if self.average is not None:
            checkpoint["weight_average"] = self.average.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it back."""
        self._epoch_sums = checkpoint["epoch_sums"]
        if self.average is not None:
            self.average.restore(checkpoint["weight_average"])


def _parts(batch: Batch, size: int | None) -> Iterator[dict[str, Tensor]]:
    """Divide a batch into parts of at most `size` windows."""
    n_windows = len(batch["valid"])
    for start in range(0, n_windows, size or n_windows):
        yield {key: tensor[start : start + (size or n_windows)] for key, tensor in batch.items()}
