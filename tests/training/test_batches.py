"""Batches: each window once per epoch, the same whatever the workers, processes and restarts."""

import multiprocessing
import os
import signal
import warnings

import numpy as np
import pytest
import torch

from emgpose.errors import ConfigError, DataError
from emgpose.training.batch_reader import BatchReader, Share
from emgpose.training.batches import TrainBatches, ValBatches, batches_in_order, epoch_batches
from emgpose.training.streams import Purpose, check_seed, random_stream
from made_batches import assert_same_batches

# Torch warns when a machine has fewer cores than a test takes workers.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


LAYOUT = {
    "emg": ((2, 5), np.dtype(np.float32)),
    "valid": ((5,), np.dtype(np.bool_)),
    "window": ((), np.dtype(np.int64)),
    "start": ((), np.dtype(np.int64)),
}


class MadeWindows:
    """Windows whose content says which window and epoch they are, without a file."""

    def __init__(self, trouble=None):
        self.trouble = trouble or {}

    def expect(self, window, epoch):
        pass

    def __call__(self, window, epoch, room):
        if window in self.trouble:
            raise self.trouble[window]
        noise = np.random.default_rng([window, epoch]).standard_normal((2, 5)).astype(np.float32)
        return {
            "emg": torch.from_numpy(noise),
            "valid": torch.ones(5, dtype=torch.bool),
            "window": torch.tensor(window),
            "start": torch.tensor(100 * window + epoch),
        }


class DyingWindows(MadeWindows):
    """Its process ends at window 3, as if the system had killed it."""

    def __call__(self, window, epoch, room):
        if window == 3:
            os._exit(9)
        return super().__call__(window, epoch, room)


@pytest.fixture
def train(request):
    """Make training batches, and end their workers afterwards."""
    readers = []

    def make(n_windows=23, batch_size=4, seed=1, rank=0, world_size=1, windows=None, **options):
        readers.append(BatchReader(windows or MadeWindows(), LAYOUT, 4, **options))
        return TrainBatches(readers[-1], n_windows, batch_size, seed, rank, world_size)

    yield make
    for reader in readers:
        reader.close()


@pytest.mark.parametrize(("n_windows", "batch_size"), [(23, 4), (24, 4), (3, 64), (1, 1)])
def test_an_epoch_holds_every_window_once(n_windows, batch_size):
    batches = epoch_batches(n_windows, batch_size, seed=7, epoch=2)
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert 1 <= len(batches[-1]) <= batch_size
    assert sorted(np.concatenate(batches).tolist()) == list(range(n_windows))


def test_the_order_is_a_function_of_seed_and_epoch():
    orders = {
        (seed, epoch): tuple(np.concatenate(epoch_batches(50, 8, seed, epoch)).tolist())
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(set(orders.values())) == 9
    assert orders[1, 2] == tuple(np.concatenate(epoch_batches(50, 8, 1, 2)).tolist())


def test_the_order_does_not_depend_on_the_size_of_batches():
    order = np.concatenate(epoch_batches(50, 8, 1, 2))
    np.testing.assert_array_equal(order, np.concatenate(epoch_batches(50, 7, 1, 2)))


def test_validation_takes_windows_as_they_come():
    assert [batch.tolist() for batch in batches_in_order(5, 2)] == [[0, 1], [2, 3], [4]]
    assert batches_in_order(0, 2) == []


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_the_shares_of_all_ranks_make_up_the_batch(world_size):
    batch = np.array([9, 4, 7])
    shares = [Share.of_rank(0, batch, rank, world_size) for rank in range(world_size)]
    taken = [share.windows.tolist() for share in shares if not share.is_padding]
    assert sorted(window for part in taken for window in part) == [4, 7, 9]
    assert taken[0][0] == 9
    assert sum(share.is_padding for share in shares) == max(0, world_size - 3)


def test_a_rank_left_without_a_window_gets_one_that_counts_for_nothing(train):
    last = list(train(n_windows=5, batch_size=4, rank=1, world_size=2))[-1]
    assert last["emg"].shape == (1, 2, 5)
    assert not last["valid"].any()
    assert last["emg"].abs().sum() > 0
    assert last["window"].tolist() == last["start"].tolist() == [-1]


def test_two_ranks_see_what_one_process_sees(train):
    whole = list(train())
    ranks = [list(train(rank=rank, world_size=2)) for rank in range(2)]
    for number, batch in enumerate(whole):
        for rank in range(2):
            part = ranks[rank][number]
            assert torch.equal(part["emg"], batch["emg"][rank::2])
            assert torch.equal(part["window"], batch["window"][rank::2])


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_nothing(train, workers):
    alone, helped = train(), train(workers=workers, keep_workers=True)
    for _ in range(3):
        assert_same_batches(list(alone), list(helped))
    assert alone.state_dict() == helped.state_dict() == {"epoch": 3, "batch": 0}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_pass_can_start_in_the_middle_of_an_epoch(train, workers):
    uninterrupted = train()
    epochs = [list(uninterrupted) for _ in range(3)]
    resumed = train(workers=workers)
    resumed.start_at(1, 4)
    assert_same_batches(list(resumed), epochs[1][4:])
    assert_same_batches(list(resumed), epochs[2])


@pytest.mark.parametrize("workers", [0, 2])
def test_the_position_counts_batches_given_and_not_those_read_ahead(train, workers):
    interrupted = train(workers=workers, keep_workers=True)
    passing = iter(interrupted)
    for _ in range(2):
        next(passing)
    state = interrupted.state_dict()
    assert state == {"epoch": 0, "batch": 2}
    rest = list(passing)
    resumed = train()
    resumed.load_state_dict(state)
    assert_same_batches(list(resumed), rest)


def test_an_abandoned_pass_goes_on_from_its_position_with_the_same_workers(train):
    expected = list(train())
    batches = train(workers=2, keep_workers=True)
    first = [batch for batch, _ in zip(batches, range(2), strict=False)]
    # zip asks for one more batch than it gives.
    assert batches.state_dict()["batch"] in (2, 3)
    batches.start_at(0, 2)
    assert_same_batches([*first, *batches], expected)


def test_the_last_batch_of_an_epoch_leaves_the_position_at_the_next_epoch(train):
    batches = train(n_windows=8, batch_size=4)
    passing = iter(batches)
    next(passing)
    next(passing)
    assert batches.state_dict() == {"epoch": 1, "batch": 0}


def test_setting_the_epoch_keeps_a_position_inside_it(train):
    batches = train()
    batches.start_at(2, 3)
    batches.set_epoch(2)
    assert batches.state_dict() == {"epoch": 2, "batch": 3}
    batches.set_epoch(3)
    assert batches.state_dict() == {"epoch": 3, "batch": 0}


def test_the_end_of_an_epoch_is_the_beginning_of_the_next(train):
    batches = train()
    batches.start_at(1, len(batches))
    assert batches.state_dict() == {"epoch": 2, "batch": 0}


@pytest.mark.parametrize("position", [(0, 7), (0, -1), (-1, 0)])
def test_a_position_that_is_not_there_is_refused(train, position):
    with pytest.raises(ConfigError, match=r"an epoch has 6 batches; the data or data\.batch_size are not"):
        train().start_at(*position)


def test_validation_always_passes_over_all_windows(train):
    batches = ValBatches(BatchReader(MadeWindows(), LAYOUT, 2), 5, 2)
    assert len(batches) == 3
    next(iter(batches))
    windows = [batch["window"].tolist() for batch in batches]
    assert windows == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("workers", [0, 2])
def test_passing_over_data_leaves_the_random_numbers_of_torch_alone(train, workers):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    list(train(workers=workers))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        (DataError("u1.hdf5: gone"), "u1.hdf5: gone"),
        (FileNotFoundError(2, "No such file or directory", "u1.hdf5"), "u1.hdf5: cannot be read: No such file"),
    ],
)
def test_a_recording_that_cannot_be_read_is_one_message_from_workers_too(train, workers, trouble, message):
    batches = train(workers=workers, windows=MadeWindows({3: trouble}))
    with pytest.raises(DataError) as raised:
        list(batches)
    assert str(raised.value).startswith(message)
    assert "Traceback" not in str(raised.value)


def test_a_worker_that_dies_is_one_message(train):
    batches = train(workers=1, windows=DyingWindows())
    with pytest.raises(DataError, match=r"a process that reads windows ended unexpectedly .* fewer data\.workers"):
        list(batches)


@pytest.mark.parametrize("name", ["SIGINT", "SIGUSR1"])
def test_a_signal_to_all_processes_of_a_run_leaves_its_workers_reading(train, name):
    whole = list(train())
    batches = iter(train(workers=1))
    read = [next(batches)]
    for worker in multiprocessing.active_children():
        os.kill(worker.pid, getattr(signal, name))
    assert_same_batches([*read, *batches], whole)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_fault_of_the_program_is_not_taken_for_one_of_the_data(train, workers):
    batches = train(workers=workers, windows=MadeWindows({3: RuntimeError("a fault")}))
    with pytest.raises(RuntimeError, match="a fault"):
        list(batches)


def test_the_streams_of_a_window_are_independent_of_each_other():
    def draw(rng):
        return rng.integers(2**62)

    draws = [draw(random_stream(1, purpose, 2, 3)) for purpose in Purpose]
    # The jitter of emgpose.windows.
    draws.append(draw(np.random.default_rng([1, 2, 3])))
    assert len(set(draws)) == len(draws)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, True, "1"])
def test_a_seed_that_is_none_is_refused(seed):
    with pytest.raises(ConfigError, match="seed: expected a whole number from 0 to 4294967295"):
        check_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_seed(0)
