"""Read batches of windows, in this process or ahead of it in workers."""

import itertools
import os
import signal
import threading
import warnings
import weakref
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from emgpose.errors import DataError, EmgPoseError
from emgpose.training.buffers import Buffers, Layout, SharedMemory, fresh_room

Batch = dict[str, Tensor]
# Batches that each worker reads ahead.
_READ_AHEAD: Final = 2
# Batches that whoever takes them holds at once: one in a training step, one ready for the next, one just being given.
_HELD: Final = 3
# Windows that the disk is asked for before they are read.
_EXPECTED: Final = 4
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


class ReadWindow(Protocol):
    """Reads windows; a worker has a copy."""

    def __call__(self, window: int, epoch: int, room: Batch) -> Batch:
        """Give a window: in that room, where it will stand in its batch, or beside it."""

    def expect(self, window: int, epoch: int) -> None:
        """Be told that a window will be read soon."""


@dataclass(frozen=True)
class _Order:
    """A share, and the buffer to read it into; None where all are in use."""

    share: Share
    buffer: int | None


@dataclass(frozen=True)
class _Filled:
    """What a worker gives back: the buffer that it has written, instead of its content."""

    reader: int
    buffer: int
    n_windows: int

    def batch(self) -> Batch:
        return _readers[self.reader].lend(self)

    def pin_memory(self) -> Batch:
        """Copy the batch into page-locked memory; torch calls this in a thread of its own, where it was asked to."""
        return {name: tensor.pin_memory() for name, tensor in self.batch().items()}


# The readers of this process: torch's thread that copies into page-locked memory knows nothing else of them.
_readers: "weakref.WeakValueDictionary[int, BatchReader]" = weakref.WeakValueDictionary()
_numbers: Final = itertools.count()


class _Shares(Dataset[Any]):
    """Reads whole shares, so that a worker hands over one batch instead of many windows."""

    def __init__(self, read_window: ReadWindow, layout: Layout, reader: int, *, in_worker: bool) -> None:
        self._read_window, self._layout = read_window, layout
        self._reader, self._in_worker = reader, in_worker
        # Set before each pass that has any.
        self.buffers: Buffers | None = None

    def __getitem__(self, order: _Order) -> Batch | _Filled | EmgPoseError:
        """Read a share; an error that a user can cause is given back as a value, so that no worker rewrites it."""
        try:
            return self._read(order.share, order.buffer)
        except EmgPoseError as error:
            return error
        except OSError as error:
            return DataError(f"{error.filename or 'a recording'}: cannot be read: {error.strerror or error}")

    def _read(self, share: Share, buffer: int | None) -> Batch | _Filled:
        n_windows = len(share.windows)
        if self.buffers is None or buffer is None:
            batch = fresh_room(self._layout, n_windows, shared=self._in_worker)
            self._fill(batch, share)
            return batch
        self._fill(self.buffers.room(buffer, n_windows), share)
        filled = _Filled(self._reader, buffer, n_windows)
        return filled if self._in_worker else filled.batch()

    def _fill(self, batch: Batch, share: Share) -> None:
        numbers = share.windows.tolist()
        for number in numbers[:_EXPECTED]:
            self._read_window.expect(number, share.epoch)
        for place, number in enumerate(numbers):
            for coming in numbers[place + _EXPECTED : place + _EXPECTED + 1]:
                self._read_window.expect(coming, share.epoch)
            room = {name: tensors[place] for name, tensors in batch.items()}
            # Copied while it is in the processor's cache, so that no more than one window is held beside the batch.
            for name, tensor in self._read_window(number, share.epoch, room).items():
                if tensor is not room[name]:
                    room[name].copy_(tensor)
        if share.is_padding:
            batch["valid"].fill_(False)
            batch["window"].fill_(PADDING)
            batch["start"].fill_(PADDING)


class BatchReader:
    """Reads shares one after the other, in this process or ahead of it in workers.

    A batch is good for as long as anything refers to it; its memory then serves another one.

    Parameters
    ----------
    read_window : ReadWindow
    layout : mapping of name to (shape, dtype)
        Of one window.
    n_windows : int
        Of the largest share that is usual; larger ones are read into fresh memory.
    workers : int
        0 reads in this process.
    pin_memory : bool
        Give batches in page-locked memory, for a GPU.
    keep_workers : bool
        Keep the workers, and the memory for batches, from one pass to the next.
    """

    def __init__(
        self,
        read_window: ReadWindow,
        layout: Layout,
        n_windows: int,
        *,
        workers: int = 0,
        pin_memory: bool = False,
        keep_workers: bool = False,
    ) -> None:
        self._layout, self._n_windows, self._workers, self._keep = layout, n_windows, workers, keep_workers
        self._pass: Generator[Batch, None, bool] | None = None
        self._next: list[Share] = []
        self._number = next(_numbers)
        _readers[self._number] = self
        self._shares = _Shares(read_window, layout, self._number, in_worker=bool(workers))
        self._loader: DataLoader[Any] | None = DataLoader(
            self._shares,
            batch_size=None,
            sampler=_Orders(self._orders),
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
        """Read shares in order; a pass that was not read to its end is broken off here.

        Raises
        ------
        DataError : a recording cannot be read, a worker ended, or a pass that was broken off is gone on with.
        """
        self._stop()
        self._pass = self._read(list(shares))
        return _whole(self._pass)

    def lend(self, filled: _Filled) -> Batch:
        """Give the batch that stands in a buffer."""
        if self._shares.buffers is None:
            raise DataError("the batches of this run were closed while one was read; make a new data module")
        return self._shares.buffers.lend(filled.buffer, filled.n_windows)

    def close(self) -> None:
        """End the workers."""
        self._stop()
        self._loader = self._shares.buffers = None

    def _stop(self) -> None:
        if self._pass is not None:
            self._pass.close()
            self._pass = None

    def _read(self, shares: list[Share]) -> Generator[Batch, None, bool]:
        """Give the batches; returns True once all were given."""
        if self._loader is None:
            raise DataError("the batches of this run were closed; make a new data module")
        self._next[:] = shares
        if self._shares.buffers is None:
            self._shares.buffers = self._make_buffers()
        batches = _passing(self._loader)
        try:
            for batch in batches:
                if isinstance(batch, EmgPoseError):
                    raise batch
                yield batch.batch() if isinstance(batch, _Filled) else batch
            return True
        finally:
            # Here, and not when the garbage is collected: workers are to end while their queues still work.
            batches.close()
            if not self._keep:
                self._shares.buffers = None

    def _make_buffers(self) -> Buffers | None:
        n_buffers = _READ_AHEAD * self._workers + _HELD
        if not self._workers:
            return Buffers(self._layout, self._n_windows, n_buffers, shared=False)
        try:
            return Buffers(self._layout, self._n_windows, n_buffers, shared=True) if SharedMemory.is_there() else None
        except OSError:
            # Fresh memory for every batch is slower, and does as well.
            return None

    def _orders(self) -> Iterator[_Order]:
        """Give each share its buffer when it is its turn: by then, an earlier batch may have been done with."""
        buffers = self._shares.buffers
        if buffers is not None:
            # Torch has waited for what its workers still had to do for an earlier pass.
            buffers.take_back_all()
        for share in self._next:
            usual = buffers is not None and len(share.windows) <= self._n_windows
            yield _Order(share, buffers.take() if buffers is not None and usual else None)


class _Orders:
    """A sampler that asks anew at each pass."""

    def __init__(self, orders: Callable[[], Iterator[_Order]]) -> None:
        self._orders = orders

    def __iter__(self) -> Iterator[_Order]:
        return self._orders()


def _whole(batches: Generator[Batch, None, bool]) -> Iterator[Batch]:
    """Pass batches on; one that was broken off is not taken for one that ended."""
    if not (yield from batches):
        raise DataError(
            "this pass over the batches was broken off, because another one was begun or they were closed; read a pass "
            "to its end first, or make a second data module"
        )


def _begun(loader: DataLoader[Any]) -> Iterator[Any]:
    with warnings.catch_warnings():
        # Python 3.12 warns of every fork beside threads. Workers only run numpy and single-threaded torch.
        warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork", category=DeprecationWarning)
        return iter(loader)


def _passing(loader: DataLoader[Any]) -> Generator[Any]:
    batches: Iterator[Any] | None = None
    while True:
        try:
            # Workers that were kept are asked here whether they are still there.
            if batches is None:
                batches = _begun(loader)
            batch = next(batches)
        except StopIteration:
            return
        except RuntimeError as error:
            # "(pid 7) is killed by signal", "(pid(s) 7) exited unexpectedly"; what a worker raised is another matter.
            if "DataLoader worker (pid" not in str(error):
                raise
            raise DataError(
                f"a process that reads windows ended unexpectedly ({' '.join(str(error).split())[:200]}); memory "
                "or shared memory (/dev/shm) may be short: give fewer data.workers, or 0"
            ) from None
        yield batch


def _as_it_is(batch: Any) -> Any:
    return batch


def _start_worker(_: int) -> None:
    """Leave signals to the parent: it saves its work first, and ends its workers then, by a SIGTERM of its own."""
    for number in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    # Where it is missing (macOS), a SIGTERM to all processes ends the workers, and the run with a message.
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_when_parent_says, name="emgpose-worker-end", daemon=True).start()


def _end_when_parent_says() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
