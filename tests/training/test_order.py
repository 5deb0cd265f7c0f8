"""The order of an epoch: a function of seed and epoch, with as many windows of each group where that is asked."""

import numpy as np
import pytest
import torch

from emgpose.training.batch_reader import BatchReader
from emgpose.training.batches import TrainBatches
from emgpose.training.order import balanced_order, epoch_batches

# Three groups of 60, 7 and 1 windows.
GROUPS = np.repeat([5, 2, 9], [60, 7, 1])


def _order(seed=1, epoch=0, groups=GROUPS, batch_size=8):
    return np.concatenate(epoch_batches(len(groups), batch_size, seed, epoch, groups))


def test_every_group_is_drawn_as_often_as_every_other():
    for epoch in range(20):
        drawn = GROUPS[_order(epoch=epoch)]
        assert len(drawn) == 68
        assert sorted(np.unique(drawn, return_counts=True)[1].tolist()) == [22, 23, 23]


def test_windows_of_a_small_group_come_equally_often():
    _, counts = np.unique([window for window in _order() if GROUPS[window] == 2], return_counts=True)
    assert len(counts) == 7
    assert counts.max() - counts.min() <= 1


def test_over_the_epochs_every_window_of_a_large_group_comes():
    windows = np.concatenate([_order(epoch=epoch) for epoch in range(20)])
    counts = np.bincount(windows, minlength=68)[:60]
    assert counts.min() > 0
    # 23 of 60 at each of 20 epochs.
    assert counts.max() < 16


def test_equal_groups_are_drawn_like_windows_without_groups_each_once():
    groups = np.tile([0, 1, 2], 10)
    assert sorted(_order(groups=groups).tolist()) == list(range(30))


def test_the_order_with_groups_is_a_function_of_seed_and_epoch_too():
    orders = {(seed, epoch): tuple(_order(seed, epoch).tolist()) for seed in range(3) for epoch in range(3)}
    assert len(set(orders.values())) == 9
    assert orders[2, 1] == tuple(_order(2, 1, batch_size=5).tolist())


def test_the_draw_is_shuffled_and_not_group_by_group():
    drawn = GROUPS[balanced_order(GROUPS, np.random.default_rng(0))]
    assert np.count_nonzero(np.diff(drawn)) > 30


@pytest.mark.parametrize("world_size", [1, 2])
def test_a_pass_with_groups_can_start_in_the_middle_of_an_epoch(world_size):
    def batches(rank):
        # A window that is its own number.
        number = ((), np.dtype(np.int64))
        layout = {"window": number, "valid": ((1,), np.dtype(np.bool_)), "start": number}
        reader = BatchReader(_Numbers(), layout, 8)
        return TrainBatches(reader, len(GROUPS), 8, 1, rank, world_size, groups=GROUPS)

    whole = [batches(rank) for rank in range(world_size)]
    first, second = ([[batch["window"].tolist() for batch in each] for each in whole] for _ in range(2))
    for rank in range(world_size):
        resumed = batches(rank)
        resumed.load_state_dict({"epoch": 1, "batch": 3})
        assert [batch["window"].tolist() for batch in resumed] == second[rank][3:]
    together = [window for rank in first for batch in rank for window in batch if window >= 0]
    assert sorted(together) == sorted(_order().tolist())


class _Numbers:
    def expect(self, window, epoch):
        pass

    def __call__(self, window, epoch, room):
        return {"window": torch.tensor(window), "valid": torch.ones(1, dtype=torch.bool), "start": torch.tensor(epoch)}
