"""Memory for batches is used again, and never while anybody still looks at a batch."""

import gc
import itertools
import multiprocessing
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from emgpose.errors import DataError
from emgpose.training import batch_reader
from emgpose.training.batch_reader import BatchReader, Share
from emgpose.training.buffers import Buffers, SharedMemory

LAYOUT = {
    "emg": ((3, 700), np.dtype(np.float32)),
    "valid": ((700,), np.dtype(np.bool_)),
    "window": ((), np.dtype("i8")),
}
LAYOUT["start"] = LAYOUT["window"]

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


class Numbered:
    """Windows that hold their number throughout; notes what was asked for and read, in this process."""

    def __init__(self):
        self.notes = []

    def expect(self, window, epoch):
        self.notes.append(("expected", window))

    def __call__(self, window, epoch, room):
        self.notes.append(("read", window))
        for name in ("emg", "window", "start"):
            room[name].fill_(window)
        room["valid"].fill_(True)
        return room


@pytest.fixture
def make():
    readers = []

    def reader(windows=None, n_windows=4, **options):
        readers.append(BatchReader(windows or Numbered(), LAYOUT, n_windows, **options))
        return readers[-1]

    yield reader
    for each in readers:
        each.close()


def _shares(n_batches, n_windows=4):
    return [Share(0, np.arange(n_windows) + n_windows * number) for number in range(n_batches)]


def _is_right(batch, number, n_windows=4):
    expected = torch.arange(n_windows) + n_windows * number
    assert torch.equal(batch["window"], expected)
    assert torch.equal(batch["emg"], expected[:, None, None].expand(n_windows, 3, 700).to(torch.float32))
    assert batch["valid"].all()


@pytest.mark.parametrize("shared", [False, True])
def test_a_buffer_is_free_again_when_the_last_part_of_its_batch_is_gone(shared):
    if shared and not SharedMemory.is_there():
        pytest.skip("needs memfd")
    buffers = Buffers(LAYOUT, 4, 1, shared=shared)
    assert buffers.take() == 0
    assert buffers.take() is None
    buffers.room(0, 3)["emg"].fill_(7)
    for keep in (
        lambda tensors: tensors,
        lambda tensors: tensors["emg"][1, :, 5:9],
        lambda tensors: tensors["valid"].numpy(),
        lambda tensors: tensors["emg"].detach().view(-1)[3:],
        lambda tensors: tensors["window"].untyped_storage(),
        lambda tensors: np.asarray(tensors["emg"])[0][None],
    ):
        batch = buffers.lend(0, 3)
        assert batch["emg"].shape == (3, 3, 700)
        assert batch["emg"].unique().tolist() == [7]
        kept = keep(batch)
        del batch
        assert buffers.take() is None
        del kept
        assert buffers.take() == 0


def test_the_fields_of_a_batch_lie_apart():
    buffers = Buffers(LAYOUT, 4, 2, shared=False)
    batches = [buffers.lend(buffers.take(), 4) for _ in range(2)]
    places = sorted(
        (tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes) for batch in batches for tensor in batch.values()
    )
    assert all(one[1] <= two[0] for one, two in itertools.pairwise(places))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_that_are_kept_stay_as_they_were(make, workers):
    reader = make(workers=workers, keep_workers=True)
    kept = [*reader.read(_shares(15)), *reader.read(_shares(15))]
    for number, batch in enumerate(kept):
        _is_right(batch, number % 15)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_that_are_done_with_give_their_memory_to_others(make, workers):
    reader = make(workers=workers, keep_workers=True)
    places = []
    for _ in range(2):
        for number, batch in enumerate(reader.read(_shares(20))):
            _is_right(batch, number)
            places.append(batch["emg"].data_ptr())
    assert len(set(places)) <= 2 * workers + 3


@pytest.mark.parametrize("workers", [0, 1])
def test_passes_that_are_broken_off_lose_no_buffer(make, workers):
    reader = make(workers=workers, keep_workers=True)
    places = set()
    for _ in range(8):
        batches = reader.read(_shares(9))
        places.add(next(batches)["emg"].data_ptr())
        _is_right(next(batches), 1)
    assert len(places) <= 2 * workers + 3


@pytest.mark.parametrize("workers", [0, 1])
def test_a_pass_that_was_broken_off_is_not_taken_for_one_that_ended(make, workers):
    reader = make(workers=workers, keep_workers=True)
    first = reader.read(_shares(4))
    _is_right(next(first), 0)
    second = reader.read(_shares(4))
    with pytest.raises(DataError, match="broken off, because another one was begun"):
        next(first)
    for number, batch in enumerate(second):
        _is_right(batch, number)
    assert list(second) == []
    third = reader.read(_shares(4))
    next(third)
    reader.close()
    with pytest.raises(DataError, match="or they were closed"):
        next(third)


@pytest.mark.slow
def test_kept_workers_that_have_died_are_one_message_in_the_next_pass_too(make):
    reader = make(workers=2, keep_workers=True)
    batches = reader.read(_shares(20))
    next(batches)
    multiprocessing.active_children()[0].kill()
    with pytest.raises(DataError, match="a process that reads windows ended unexpectedly"):
        list(batches)
    # Torch waits five seconds for an answer.
    with pytest.raises(DataError, match="a process that reads windows ended unexpectedly"):
        list(reader.read(_shares(2)))


@pytest.mark.parametrize("workers", [0, 1])
def test_every_batch_lies_alike_in_memory_so_that_nothing_is_rounded_another_way(make, workers):
    reader = make(workers=workers, keep_workers=True)
    batches = list(reader.read(_shares(15)))
    assert {tensor.data_ptr() % 4096 for batch in batches for tensor in batch.values()} == {0}


@pytest.mark.parametrize("workers", [0, 1])
def test_shares_larger_than_usual_are_read_as_well(make, workers):
    reader = make(n_windows=2, workers=workers)
    for number, batch in enumerate(reader.read(_shares(3))):
        _is_right(batch, number)


def test_a_system_without_such_memory_reads_into_fresh_memory(make, monkeypatch):
    monkeypatch.setattr(SharedMemory, "is_there", staticmethod(lambda: False))
    for number, batch in enumerate(make(workers=1).read(_shares(4))):
        _is_right(batch, number)


def test_a_system_that_refuses_such_memory_reads_into_fresh_memory(make, monkeypatch):
    def refused(*_):
        raise PermissionError(1, "not here")

    monkeypatch.setattr(os, "memfd_create", refused, raising=False)
    for number, batch in enumerate(make(workers=1).read(_shares(4))):
        _is_right(batch, number)


def _n_handles_and_mappings():
    gc.collect()
    handles = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    of_ours = sum("emgpose-batches" in str(target) for target in handles)
    return of_ours, Path("/proc/self/maps").read_text().count("emgpose-batches")


@pytest.mark.parametrize("ending", ["closed", "broken off", pytest.param("failed", marks=pytest.mark.slow)])
def test_no_handle_and_no_memory_is_left_behind(make, ending):
    if not Path("/proc/self/maps").is_file():
        pytest.skip("needs /proc")

    class Failing(Numbered):
        def __call__(self, window, epoch, room):
            if window == 5:
                raise RuntimeError("a fault")
            return super().__call__(window, epoch, room)

    before = _n_handles_and_mappings()
    reader = make(Failing() if ending == "failed" else None, workers=1, keep_workers=ending != "broken off")
    batches = reader.read(_shares(6))
    _is_right(next(batches), 0)
    assert _n_handles_and_mappings() > before
    if ending == "failed":
        with pytest.raises(RuntimeError, match="a fault"):
            list(batches)
    if ending == "broken off":
        batches.close()
    else:
        reader.close()
    del batches
    assert _n_handles_and_mappings() == before
    assert not multiprocessing.active_children()


def test_what_is_written_after_a_reader_was_closed_is_still_there(make):
    reader = make(workers=1, keep_workers=True)
    batches = reader.read(_shares(3))
    batch = next(batches)
    reader.close()
    _is_right(batch, 0)
    batch["emg"].fill_(3)
    assert batch["emg"].unique().tolist() == [3]


def test_a_batch_can_be_copied_to_page_locked_memory_and_its_buffer_is_free_then(make, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor.clone())
    reader = make(keep_workers=True)
    list(reader.read(_shares(1)))
    buffers = reader._shares.buffers
    number = buffers.take()
    buffers.room(number, 2)["emg"].fill_(9)
    # As torch's own thread for it does.
    copied = []
    filled = batch_reader._Filled(reader._number, number, 2)
    thread = threading.Thread(target=lambda: copied.append(filled.pin_memory()))
    thread.start()
    thread.join()
    assert copied[0]["emg"].unique().tolist() == [9]
    assert buffers.take() == number


def test_every_window_is_asked_for_once_and_before_it_is_read(make):
    windows = Numbered()
    list(make(windows).read([*_shares(2), Share(0, np.arange(8, 21))]))
    for number in range(21):
        assert windows.notes.count(("expected", number)) == windows.notes.count(("read", number)) == 1
        assert windows.notes.index(("expected", number)) < windows.notes.index(("read", number))
    # Never more than a few ahead.
    ahead = np.cumsum([1 if what == "expected" else -1 for what, _ in windows.notes])
    assert ahead.max() <= 5


def test_a_system_without_shared_memory_is_one_message(make, monkeypatch):
    def full(_):
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1_2_0>")

    monkeypatch.setattr(SharedMemory, "is_there", staticmethod(lambda: False))
    monkeypatch.setattr(torch.UntypedStorage, "_new_shared", full)
    with pytest.raises(DataError, match=r"no shared memory for a batch .* fewer data\.workers"):
        list(make(workers=1).read(_shares(2)))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_that_are_not_forked_write_into_the_same_buffers(make, method):
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method(method, force=True)
    try:
        reader = make(workers=1, keep_workers=True)
        places = set()
        for _ in range(2):
            for number, batch in enumerate(reader.read(_shares(12))):
                _is_right(batch, number)
                places.add(batch["emg"].data_ptr())
        assert len(places) <= 5
        reader.close()
    finally:
        multiprocessing.set_start_method(before, force=True)
