"""The folder of a training run: what is in it, who may write to it, and files that appear whole or not at all.

| file | what |
|---|---|
| run.json | configuration, seed, versions, data, and how the run stands |
| metrics.csv | the learning curve, one row per epoch |
| last.ckpt | everything that is needed to go on |
| best/, last/ | models, for `emgpose.load_model`: the lowest validation loss, and the newest |
| tensorboard/ | the learning curve, if that logger is chosen |
"""

import contextlib
import csv
import fcntl
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any, Final

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from emgpose.atomic import atomic_file, write_text_atomically
from emgpose.checkpoints import save_model
from emgpose.errors import CheckpointError, DataError
from emgpose.json_values import json_values
from emgpose.models import EmgModel

RECORD_FILE: Final = "run.json"
METRICS_FILE: Final = "metrics.csv"
CHECKPOINT_FILE: Final = "last.ckpt"
LOCK_FILE: Final = ".lock"
BEST: Final = "best"
LAST: Final = "last"
# What Lightning and we need to go on.
_CHECKPOINT_PARTS: Final = ("pytorch-lightning_version", "state_dict", "loops", "callbacks", "optimizer_states")


class RunFolder:
    """The files of one run; see the module.

    Parameters
    ----------
    path : Path
        Made if it does not exist.

    Raises
    ------
    DataError : it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: io.TextIOWrapper | None = None
        self._is_held = False
        try:
            self._made = [folder for folder in (path, *path.parents) if not folder.exists()]
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{path}: cannot be the folder of a run: {error.strerror}; choose another `out`") from None

    @property
    def checkpoint(self) -> Path:
        """Where the checkpoint is, or will be."""
        return self.path / CHECKPOINT_FILE

    # --- the lock

    def lock(self) -> None:
        """Keep other runs out until `unlock`, or the end of this process, however it ends.

        Raises
        ------
        DataError : another run has the folder, or it cannot be written to.
        """
        try:
            self._lock = (self.path / LOCK_FILE).open("a+", encoding="utf-8")
            # A record lock: worker processes do not inherit it, so it cannot outlive the run.
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._is_held = True
            self._lock.truncate(0)
            self._lock.write(f"{os.getpid()}\n")
            self._lock.flush()
        except BlockingIOError:
            holder = (self.path / LOCK_FILE).read_text(encoding="utf-8").strip() or "unknown"
            self.unlock()
            raise DataError(
                f"{self.path}: another run is writing here (process {holder}); wait for it, or choose another `out`"
            ) from None
        except OSError as error:
            self.unlock()
            raise DataError(f"{self.path}: cannot write there: {error.strerror}; choose another `out`") from None

    def unlock(self) -> None:
        """Let other runs in; of a run that wrote nothing neither the lock stays behind nor folders made for it."""
        if self._lock is not None:
            lock = self.path / LOCK_FILE
            if self._is_held and list(self.path.iterdir()) == [lock]:
                lock.unlink()
                # Not where somebody has put something there meanwhile.
                with contextlib.suppress(OSError):
                    for folder in self._made:
                        folder.rmdir()
            self._lock.close()
            self._lock, self._is_held = None, False

    # --- the record

    def read_record(self) -> dict[str, Any] | None:
        """Give run.json, None where there is none.

        Raises
        ------
        DataError : it cannot be read.
        """
        path = self.path / RECORD_FILE
        if not path.exists():
            return None
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read: {error}; choose another `out`") from None
        if not _is_record(record):
            raise DataError(f"{path}: this is not the record of a training run; choose another `out`")
        known: dict[str, Any] = record
        return known

    def write_record(self, record: dict[str, Any]) -> None:
        """Write run.json."""
        text = json.dumps(json_values(record), indent=2, allow_nan=False) + "\n"
        write_text_atomically(self.path / RECORD_FILE, text)

    # --- the learning curve

    def read_metrics(self, n_epochs: int) -> list[dict[str, Any]]:
        """Give the rows of metrics.csv of the first epochs; later ones will be made again.

        Raises
        ------
        DataError : it was changed so that it is no learning curve.
        """
        path = self.path / METRICS_FILE
        if not path.exists():
            return []
        try:
            with path.open(newline="", encoding="utf-8") as file:
                return [row for row in csv.DictReader(file) if int(row["epoch"]) <= n_epochs]
        except (KeyError, TypeError, ValueError):
            raise DataError(f"{path}: expected a row per epoch, as training writes it; move the file away") from None

    def write_metrics(self, rows: list[dict[str, Any]]) -> None:
        """Write metrics.csv."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(rows[-1]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text_atomically(self.path / METRICS_FILE, text.getvalue())

    # --- models

    def save_model(self, model: EmgModel, name: str) -> None:
        """Save a model as folder `name`; the one before stays until the new one is whole.

        Raises
        ------
        CheckpointError : the disk is full, or the folder cannot be written to.
        """
        unfinished, target, before = (self.path / part for part in (f".{name}.new", name, f".{name}.old"))
        try:
            shutil.rmtree(unfinished, ignore_errors=True)
            save_model(model, unfinished)
            shutil.rmtree(before, ignore_errors=True)
            if target.exists():
                target.rename(before)
            unfinished.rename(target)
            shutil.rmtree(before, ignore_errors=True)
        except OSError as error:
            raise CheckpointError(f"{target}: cannot save the model there: {error.strerror}") from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def mend(self) -> None:
        """Put back a model that a kill caught between two renames, and clear away what was not written to its end."""
        for name in (BEST, LAST):
            target, before = self.path / name, self.path / f".{name}.old"
            if before.exists() and not target.exists():
                before.rename(target)
            shutil.rmtree(before, ignore_errors=True)
            shutil.rmtree(self.path / f".{name}.new", ignore_errors=True)
        for name in (RECORD_FILE, METRICS_FILE, CHECKPOINT_FILE):
            # The temporary folders of `atomic_file`.
            for unfinished in self.path.glob(f".{name}.*"):
                shutil.rmtree(unfinished, ignore_errors=True)


def _is_record(record: object) -> bool:
    """Whether it has what going on with a run needs."""
    if not isinstance(record, dict) or not all(isinstance(record.get(name), dict) for name in ("config", "model")):
        return False
    best = record.get("best", "missing")
    if best is not None and not (
        isinstance(best, dict) and isinstance(best.get("epoch"), int) and isinstance(best.get("val_loss"), float | int)
    ):
        return False
    return all(isinstance(record.get(name), int) for name in ("epochs", "steps"))


class UnusableCheckpointError(CheckpointError):
    """What a run was to go on from cannot be read."""


class WholeCheckpoints(TorchCheckpointIO):
    """Lightning's checkpoints, written whole or not at all, and read without running what is in them."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint.

        Raises
        ------
        DataError : the disk is full, or the folder cannot be written to; what was there before still is.
        """
        with atomic_file(Path(path)) as unfinished:
            try:
                torch.save(checkpoint, unfinished)
            except RuntimeError as error:
                # torch's own writer says no more than that it failed.
                raise OSError(f"the checkpoint could not be written, the disk may be full ({error})") from error

    def load_checkpoint(
        self, path: Any, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint, tensors and plain values alone.

        Raises
        ------
        UnusableCheckpointError : it cannot be read.
        """
        try:
            checkpoint: dict[str, Any] = torch.load(path, map_location=map_location or "cpu", weights_only=True)
        except Exception as error:  # a damaged file can raise anything
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UnusableCheckpointError(
                f"{path}: cannot go on from this checkpoint: {reason}; begin again in another `out`, or go on from "
                f"the models beside it with init.checkpoint"
            ) from None
        missing = [name for name in _CHECKPOINT_PARTS if not (isinstance(checkpoint, dict) and checkpoint.get(name))]
        if missing:
            raise UnusableCheckpointError(
                f"{path}: is no checkpoint that a run wrote, or not of this version: it has no {', '.join(missing)}; "
                "put the right one back, or begin again in another `out`"
            )
        return checkpoint
