"""Batches of windows in the order of an epoch or of validation, and each process's share of them.

The order of an epoch is a function of (seed, epoch) and a window of (seed, epoch, window), so neither the number of
workers, nor of processes, nor a restart in the middle of an epoch changes what the model sees.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError
from emgpose.training.batch_reader import Batch, BatchReader, Share
from emgpose.training.order import batches_in_order, epoch_batches


class TrainBatches:
    """The training batches of one process, from any point of any epoch on.

    Each pass goes from the position to the end of its epoch. The position is read when the first batch is asked for,
    and counts batches that were given, not those that workers have read ahead.

    Parameters
    ----------
    reader : BatchReader
    n_windows, batch_size, seed : int
        See `epoch_batches`.
    rank, world_size : int
        Which process this is, of how many.
    groups : int64 array, shape (window,), optional
        See `epoch_batches`.
    """

    def __init__(
        self,
        reader: BatchReader,
        n_windows: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        *,
        groups: NDArray[np.int64] | None = None,
    ) -> None:
        self._reader = reader
        self._groups = groups
        self._sizes = n_windows, batch_size, seed
        self._rank, self._world_size = rank, world_size
        self._n_batches = -(-n_windows // batch_size)
        self._epoch, self._batch = 0, 0

    def __len__(self) -> int:
        """Global batches of a whole epoch."""
        return self._n_batches

    def __iter__(self) -> Iterator[Batch]:
        epoch, first = self._epoch, self._batch
        batches = epoch_batches(*self._sizes, epoch, self._groups)[first:]
        shares = [Share.of_rank(epoch, batch, self._rank, self._world_size) for batch in batches]
        for number, batch in enumerate(self._reader.read(shares), start=first + 1):
            # Before the batch is given: a checkpoint that is written during its step counts it as done.
            self._epoch, self._batch = (epoch, number) if number < self._n_batches else (epoch + 1, 0)
            yield batch

    def start_at(self, epoch: int, batch: int = 0) -> None:
        """Move the position: the next pass starts at this batch of this epoch.

        Raises
        ------
        ConfigError : the epoch has no such batch.
        """
        if epoch < 0 or not 0 <= batch <= self._n_batches:
            raise ConfigError(
                f"cannot go on at batch {batch} of epoch {epoch}: an epoch has {self._n_batches} batches; the data or "
                "data.batch_size are not those that the run began with"
            )
        self._epoch, self._batch = (epoch + 1, 0) if batch == self._n_batches else (epoch, batch)

    def set_epoch(self, epoch: int) -> None:
        """Start the next pass at the beginning of an epoch, unless the position lies inside that epoch already."""
        if epoch != self._epoch:
            self.start_at(epoch)

    def state_dict(self) -> dict[str, int]:
        """Give the next batch and its epoch."""
        return {"epoch": self._epoch, "batch": self._batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where `state_dict` was taken."""
        self.start_at(state["epoch"], state["batch"])


class ValBatches:
    """The validation batches of one process, in order, all of them at each pass.

    Parameters
    ----------
    reader : BatchReader
    n_windows, batch_size : int
    rank, world_size : int
    """

    def __init__(
        self, reader: BatchReader, n_windows: int, batch_size: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self._reader = reader
        batches = batches_in_order(n_windows, batch_size)
        self._shares = [Share.of_rank(0, batch, rank, world_size) for batch in batches]

    def __len__(self) -> int:
        """Global batches."""
        return len(self._shares)

    def __iter__(self) -> Iterator[Batch]:
        return self._reader.read(self._shares)
