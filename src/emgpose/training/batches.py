"""Batches of windows: their order, each process's share, and reading them in this process or in workers.

The order of an epoch is a function of (seed, epoch) and a window of (seed, epoch, window), so neither the number of
workers, nor of processes, nor a restart in the middle of an epoch changes what the model sees.
"""

import math
import signal
import warnings
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from emgpose.errors import ConfigError, DataError, EmgPoseError
from emgpose.training.order import batches_in_order, epoch_batches

Batch = dict[str, Tensor]
# Batches that each worker reads ahead.
_READ_AHEAD: Final = 2
# What stands in the fields `window` and `start` of a padding window.
PADDING: Final = -1


@dataclass(frozen=True)
class Share:
    """What one process reads of one global batch.

    Parameters
    ----------
    epoch : int
    windows : int64 array, shape (window,)
    is_padding : bool
        The windows are read in place of none, and none of their samples is valid.
    """

    epoch: int
    windows: NDArray[np.int64]
    is_padding: bool = False

    @classmethod
    def of_rank(cls, epoch: int, batch: NDArray[np.int64], rank: int, world_size: int) -> "Share":
        """Take windows rank, rank + world_size, ... of a global batch; one padding window where that leaves none."""
        windows = batch[rank::world_size]
        return cls(epoch, windows) if len(windows) else cls(epoch, batch[:1], is_padding=True)


# (window, epoch, room for it or None) -> the window, in that room or beside it
ReadWindow = Callable[[int, int, Batch | None], Batch]


class _Shares(Dataset[Any]):
    """Reads whole shares, so that a worker hands over one batch instead of many windows."""

    def __init__(self, read_window: ReadWindow) -> None:
        self._read_window = read_window

    def __getitem__(self, share: Share) -> Batch | EmgPoseError:
        """Read a share; an error that a user can cause is given back as a value, so that no worker rewrites it."""
        try:
            return self._read(share)
        except EmgPoseError as error:
            return error
        except OSError as error:
            return DataError(f"{error.filename or 'a recording'}: cannot be read: {error.strerror or error}")

    def _read(self, share: Share) -> Batch:
        first = self._read_window(int(share.windows[0]), share.epoch, None)
        batch = {name: _room_for(tensor, len(share.windows)) for name, tensor in first.items()}
        for place, number in enumerate(share.windows):
            room = {name: tensors[place] for name, tensors in batch.items()}
            window = self._read_window(int(number), share.epoch, room) if place else first
            # Copied while it is in the processor's cache, so that no more than one window is held beside the batch.
            for name, tensor in window.items():
                if tensor is not room[name]:
                    room[name].copy_(tensor)
        if share.is_padding:
            batch["valid"].fill_(False)
            batch["window"].fill_(PADDING)
            batch["start"].fill_(PADDING)
        return batch


def _room_for(window: Tensor, n_windows: int) -> Tensor:
    """Make room for windows like this one; in a worker, in memory that the process it reads for can see."""
    shape = (n_windows, *window.shape)
    if get_worker_info() is None:
        # numpy asks the system for large pages, without which touching them first takes as long as reading.
        return torch.from_numpy(np.empty(shape, dtype=window.numpy().dtype))
    shared = torch.UntypedStorage._new_shared(math.prod(shape) * window.element_size())
    return torch.empty(0, dtype=window.dtype).set_(shared).view(shape)


class BatchReader:
    """Reads shares one after the other, in this process or ahead of it in workers.

    Parameters
    ----------
    read_window : callable (window, epoch, room) -> dict of Tensor
        Reads one window; in workers, a copy of it does. `room` is None, or where the window will stand in its batch:
        what is read straight into it need not be copied.
    workers : int
        0 reads in this process.
    pin_memory : bool
        Give batches in page-locked memory, for a GPU.
    keep_workers : bool
        Keep the workers from one pass to the next.
    """

    def __init__(
        self, read_window: ReadWindow, *, workers: int = 0, pin_memory: bool = False, keep_workers: bool = False
    ) -> None:
        self._pass: Generator[Batch] | None = None
        self._next: list[Share] = []
        self._loader: DataLoader[Any] | None = DataLoader(
            _Shares(read_window),
            batch_size=None,
            sampler=_Listed(self._next),
            num_workers=workers,
            collate_fn=_as_it_is,
            pin_memory=pin_memory,
            worker_init_fn=_start_worker if workers else None,
            persistent_workers=bool(workers) and keep_workers,
            prefetch_factor=_READ_AHEAD if workers else None,
            # Its own generator, or each pass would draw from torch's, and move every later draw of the run.
            generator=torch.Generator(),
        )

    def read(self, shares: list[Share]) -> Iterator[Batch]:
        """Read shares in order; a pass that was not read to its end stops here.

        Raises
        ------
        DataError : a recording cannot be read, or a worker ended.
        """
        self._stop()
        self._pass = self._read(list(shares))
        return self._pass

    def close(self) -> None:
        """End the workers."""
        self._stop()
        self._loader = None

    def _stop(self) -> None:
        if self._pass is not None:
            self._pass.close()
            self._pass = None

    def _read(self, shares: list[Share]) -> Generator[Batch]:
        if self._loader is None:
            raise DataError("the batches of this run were closed; make a new data module")
        self._next[:] = shares
        batches = _passing(self._loader)
        try:
            for batch in batches:
                if isinstance(batch, EmgPoseError):
                    raise batch
                yield batch
        finally:
            # Here, and not when the garbage is collected: workers are to end while their queues still work.
            batches.close()


def _passing(loader: DataLoader[Any]) -> Generator[Any]:
    with warnings.catch_warnings():
        # Python 3.12 warns of every fork beside threads. Workers only run numpy and single-threaded torch.
        warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork", category=DeprecationWarning)
        batches = iter(loader)
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise DataError(
                f"a process that reads windows ended unexpectedly ({' '.join(str(error).split())[:200]}); memory "
                "or shared memory (/dev/shm) may be short: give fewer data.workers, or 0"
            ) from None
        yield batch


class _Listed:
    """A sampler over a list that may change between passes."""

    def __init__(self, shares: list[Share]) -> None:
        self._shares = shares

    def __iter__(self) -> Iterator[Share]:
        return iter(list(self._shares))

    def __len__(self) -> int:
        return len(self._shares)


def _as_it_is(batch: Any) -> Any:
    return batch


def _start_worker(_: int) -> None:
    """Leave Ctrl-C and SIGUSR1 to the parent: it saves its work first, and ends its workers then, by SIGTERM."""
    for number in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)


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
