"""The published split logic, and the labels that are missing."""

import itertools

import numpy as np
import pytest

from emgpose.errors import ConfigError
from emgpose.simulation.labels import INVALID_SHARE, draw_valid
from emgpose.simulation.settings import DataSetSettings
from emgpose.simulation.splits import (
    HELD_OUT_STAGES,
    N_STAGES,
    TRAIN_STAGES,
    chosen_stages,
    plan_recordings,
    split_of_users,
)


def test_all_29_stages_are_there_once():
    assert N_STAGES == len({*TRAIN_STAGES, *HELD_OUT_STAGES}) == 29
    assert (len(TRAIN_STAGES), len(HELD_OUT_STAGES)) == (23, 6)


def test_the_published_numbers_of_users_and_stages_come_out():
    assert split_of_users(193) == {"train": 158, "val": 15, "test": 20}
    trained, held_out = chosen_stages(29)
    assert (len(trained), len(held_out)) == (23, 6)


@pytest.mark.parametrize(("users", "stages"), [(3, 2), (6, 5), (10, 8), (25, 29)])
def test_every_condition_has_recordings_of_both_hands(users, stages):
    plan = plan_recordings(users, stages)
    assert len(plan) == users * stages * 2 * 2 * 2
    for side in ("left", "right"):
        conditions = {(r.split, r.generalization) for r in plan if r.side == side}
        assert conditions == {
            ("train", ""),
            ("val", "user"),
            ("val", "user_stage"),
            ("test", "user"),
            ("test", "stage"),
            ("test", "user_stage"),
            ("test", "seen"),
        }


def test_nothing_held_out_is_trained_on_and_seen_is_the_last_repeat_of_what_is():
    plan = plan_recordings(10, 8, placements=3, repeats=3)
    train = [r for r in plan if r.split == "train"]
    users, stages = {r.user for r in train}, {r.stage for r in train}
    for r in plan:
        assert (r.user in users) == (not r.held_out_user)
        assert (r.stage in stages) == (not r.held_out_stage)
        if r.generalization == "seen":
            assert r.user in users
            assert r.stage in stages
            assert r.repeat == 2
    assert {r.repeat for r in train} == {0, 1}
    assert not {r.user for r in plan if r.split == "val"} & {r.user for r in plan if r.split == "test"}
    assert {r.placement for r in train if r.placement_split == "train"} == {0, 1}
    assert {r.placement for r in plan if r.placement_split == "test"} == {2}


def test_file_names_are_unique_and_larger_data_sets_take_the_same_stages_first():
    plan = plan_recordings(6, 5)
    assert len({r.filename for r in plan}) == len(plan)
    assert [r.number for r in plan] == list(range(len(plan)))
    for fewer, more in itertools.pairwise(range(2, 30)):
        assert all(set(few) <= set(many) for few, many in zip(chosen_stages(fewer), chosen_stages(more), strict=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"users": 2}, "at least 3"),
        ({"stages": 1}, "2 .* to 29"),
        ({"stages": 30}, "2 .* to 29"),
        ({"repeats": 1}, "`seen`"),
        ({"placements": 0}, "at least 1"),
        ({"minutes": 0.1}, "0.133"),
        ({"minutes": float("nan")}, "0.133"),
        ({"minutes": 1e12}, "at most 60"),
        ({"seed": -1}, "0 or more"),
        ({"seed": 2**63}, "below 2\\^63"),
        ({"users": 10**9}, "1,000,000 recordings"),
        ({"motion_rate_hz": 30.0}, "without a motion file"),
        ({"aggressors": {"hum": 1.0}}, "power_line"),
        ({"aggressors": {"sweat": 2.0}}, "from 0 to 1"),
        ({"aggressor_share": 0.0}, "more than 0"),
    ],
)
def test_settings_that_cannot_give_every_condition_are_refused_in_words(changes, message):
    with pytest.raises(ConfigError, match=message):
        DataSetSettings(**{"users": 3, "stages": 2, "minutes": 0.2, **changes})


@pytest.mark.parametrize("seconds", [8, 20, 60])
def test_12_7_percent_of_the_labels_are_invalid_in_runs_and_a_test_window_is_left(seconds):
    for seed in range(20):
        valid = draw_valid(seconds * 2000, 2000, np.random.default_rng(seed))
        assert 1 - valid.mean() == pytest.approx(INVALID_SHARE, abs=1e-4)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], valid.astype(int), [0]])))
        runs = edges[1::2] - edges[::2]
        assert runs.max() >= 6.4 * 2000
        assert len(runs) <= 3 + seconds / 10


def test_labels_missing_anyway_count_towards_the_share():
    missing = np.zeros(40_000, dtype=bool)
    missing[5000:7000] = True
    valid = draw_valid(40_000, 2000, np.random.default_rng(0), missing)
    assert not valid[missing].any()
    assert 1 - valid.mean() == pytest.approx(INVALID_SHARE, abs=1e-4)
    missing[:] = True
    assert not draw_valid(40_000, 2000, np.random.default_rng(0), missing).any()
