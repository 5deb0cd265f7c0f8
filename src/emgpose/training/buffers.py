"""Memory for batches that is used again.

Fresh memory is given by the system page by page, and where a worker shares it with the process that it reads for, that
takes longer than reading the windows. So a batch is filled in a buffer that an earlier one had, once nothing refers to
that one any more: tensors, views of them, arrays made from them.
"""

import contextlib
import math
import mmap
import os
import weakref
from collections.abc import Mapping
from multiprocessing.reduction import DupFd
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emgpose.errors import DataError

# Of one window: the shape and type of each of its tensors.
Layout = Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]

_ALIGNMENT_BYTES: Final = 4096


class SharedMemory:
    """Memory that this process and the workers that it starts see alike, forked or not.

    It has no name, and takes nothing of /dev/shm, which is small in many containers. The system takes it back when the
    last process that has it has ended, in whatever way. Pages take memory once they are written.

    Parameters
    ----------
    n_bytes : int

    Raises
    ------
    OSError : the system has no such memory.
    """

    def __init__(self, n_bytes: int) -> None:
        descriptor = os.memfd_create("emgpose-batches")
        try:
            os.ftruncate(descriptor, n_bytes)
            self._attach(descriptor, n_bytes)
        except BaseException:
            os.close(descriptor)
            raise

    @staticmethod
    def is_there() -> bool:
        """Whether this system has it; Linux does."""
        return hasattr(os, "memfd_create")

    def _attach(self, descriptor: int, n_bytes: int) -> None:
        memory = mmap.mmap(descriptor, n_bytes)
        with contextlib.suppress(OSError, AttributeError):
            # Large pages: fewer to be given. A system that has none for shared memory says so.
            memory.madvise(mmap.MADV_HUGEPAGE)
        self.bytes: NDArray[np.uint8] = np.frombuffer(memory, dtype=np.uint8)
        self._descriptor = descriptor
        # The mapping goes with the last array that stands on it.
        weakref.finalize(self, os.close, descriptor)

    def __getstate__(self) -> dict[str, Any]:
        # Only while a process is being started; what is sent is a handle of its own.
        return {"handle": DupFd(self._descriptor), "n_bytes": len(self.bytes)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._attach(state["handle"].detach(), state["n_bytes"])


class Buffers:
    """Some buffers for batches of one layout.

    One process hands them out (`take`) and gives out what was written into them (`lend`); that process or its workers
    write (`room`). A buffer that was lent is free again when the last reference to any part of it is gone.

    Parameters
    ----------
    layout : mapping of name to (shape, dtype)
        Of one window.
    n_windows : int
        Of the largest batch.
    n_buffers : int
        Those that are never needed take no memory.
    shared : bool
        Workers write into them.
    """

    def __init__(self, layout: Layout, n_windows: int, n_buffers: int, *, shared: bool) -> None:
        self.n_windows = n_windows
        self._layout = dict(layout)
        self._n_bytes = sum(_field_bytes(shape, dtype, n_windows) for shape, dtype in self._layout.values())
        self._shared = SharedMemory(n_buffers * self._n_bytes) if shared else None
        self._blocks: list[NDArray[np.uint8] | None] = [None] * n_buffers
        self._taken: set[int] = set()
        self._lent: list[list[weakref.ref[Any]]] = [[] for _ in range(n_buffers)]

    def take(self) -> int | None:
        """Reserve a free buffer to be written; None where there is none."""
        for number, arrays in enumerate(self._lent):
            if number not in self._taken and all(array() is None for array in arrays):
                self._taken.add(number)
                return number
        return None

    def take_back_all(self) -> None:
        """Free the buffers that were reserved and not lent: nobody writes any more."""
        self._taken.clear()

    def room(self, number: int, n_windows: int) -> dict[str, Tensor]:
        """Give the tensors of a buffer, to write a batch of so many windows."""
        return {name: torch.from_numpy(array) for name, array in self._arrays(number, n_windows).items()}

    def lend(self, number: int, n_windows: int) -> dict[str, Tensor]:
        """Give the tensors of a buffer that was written. It is not handed out again while anything refers to them."""
        arrays = self._arrays(number, n_windows)
        # A tensor keeps its array, and whatever shares its memory keeps the tensor's storage.
        self._lent[number] = [weakref.ref(array) for array in arrays.values()]
        self._taken.discard(number)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def _arrays(self, number: int, n_windows: int) -> dict[str, NDArray[Any]]:
        block, arrays, at = self._block(number), dict[str, NDArray[Any]](), 0
        for name, (shape, dtype) in self._layout.items():
            used = n_windows * math.prod(shape) * dtype.itemsize
            arrays[name] = block[at : at + used].view(dtype).reshape(n_windows, *shape)
            at += _field_bytes(shape, dtype, self.n_windows)
        return arrays

    def _block(self, number: int) -> NDArray[np.uint8]:
        if self._shared is not None:
            return self._shared.bytes[number * self._n_bytes : (number + 1) * self._n_bytes]
        block = self._blocks[number]
        if block is None:
            block = self._blocks[number] = _aligned(self._n_bytes)
        return block

    def __getstate__(self) -> dict[str, Any]:
        # Arrays that are lent are this process's own affair.
        return self.__dict__ | {"_lent": [[] for _ in self._lent], "_taken": set()}


def fresh_room(layout: Layout, n_windows: int, *, shared: bool) -> dict[str, Tensor]:
    """Make room for a batch in fresh memory, where no buffer is free; if `shared`, another process can be given it.

    Raises
    ------
    DataError : there is no shared memory.
    """
    make = _shared_tensor if shared else _private_tensor
    return {name: make((n_windows, *shape), dtype) for name, (shape, dtype) in layout.items()}


def _private_tensor(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
    return torch.from_numpy(_aligned(math.prod(shape) * dtype.itemsize).view(dtype).reshape(shape))


def _aligned(n_bytes: int) -> NDArray[np.uint8]:
    """Give memory that begins a page, as shared memory does: products may be rounded by where their factors lie."""
    # numpy asks the system for large pages, without which touching them first takes as long as reading.
    block = np.empty(n_bytes + _ALIGNMENT_BYTES, dtype=np.uint8)
    begin = -block.ctypes.data % _ALIGNMENT_BYTES
    return block[begin : begin + n_bytes]


def _shared_tensor(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
    n_bytes = math.prod(shape) * dtype.itemsize
    try:
        storage = torch.UntypedStorage._new_shared(n_bytes)
    except RuntimeError as error:
        raise DataError(
            f"there is no shared memory for a batch ({n_bytes} bytes; {' '.join(str(error).split())[:200]}); give "
            "fewer data.workers, a smaller data.batch_size, or more room in /dev/shm"
        ) from None
    return torch.from_numpy(np.empty(0, dtype=dtype)).set_(storage).view(shape)


def _field_bytes(shape: tuple[int, ...], dtype: np.dtype[Any], n_windows: int) -> int:
    n_bytes = n_windows * math.prod(shape) * dtype.itemsize
    return -(-n_bytes // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
