"""Subsets of the training recordings are nested, fixed by the seed, and say what they are."""

import json

import numpy as np
import pandas as pd
import pytest

from emgpose.errors import ConfigError, SplitError
from emgpose.training.subsets import choose_training_rows, choose_validation_rows


def _table(n_users=12, n_stages=6):
    """Every user does every stage, for 6 minutes and more; the last two users are for validation."""
    rows = []
    for user in range(n_users + 2):
        for stage in range(n_stages):
            is_train = user < n_users
            rows.append(
                {
                    "filename": f"u{user:02d}-s{stage}",
                    "session": f"u{user:02d}",
                    "user": f"u{user:02d}",
                    "stage": f"s{stage}",
                    "side": "left" if stage % 2 else "right",
                    "split": "train" if is_train else "val",
                    "generalization": "" if is_train else "user",
                    "start": 1000.0 * user,
                    "end": 1000.0 * user + 360.0 + 10 * stage,
                }
            )
    return pd.DataFrame(rows)


def _files(table, **choice):
    return set(choose_training_rows(table, **{"seed": 3} | choice)[0]["filename"])


def test_everything_of_the_train_split_is_chosen_when_nothing_is_asked():
    table = _table()
    rows, record = choose_training_rows(table, seed=0)
    assert rows.equals(table[table["split"] == "train"])
    assert len(record["users"]) == 12
    assert len(record["stages"]) == 6
    assert len(record["files"]) == 72
    assert record["hours"] == pytest.approx(12 * (6 * 360 + 150) / 3600)
    json.dumps(record)


@pytest.mark.parametrize(
    ("key", "numbers"), [("num_users", range(1, 13)), ("num_stages", range(1, 7)), ("hours", np.arange(0.1, 7, 0.3))]
)
@pytest.mark.parametrize("seed", [0, 1, 7])
def test_less_is_always_a_part_of_more(key, numbers, seed):
    table = _table()
    smaller = set()
    for number in numbers:
        larger = _files(table, seed=seed, **{key: number})
        assert smaller <= larger
        smaller = larger


def test_a_number_of_users_and_of_stages_gives_every_pair_of_them():
    rows, record = choose_training_rows(_table(), seed=5, num_users=4, num_stages=3)
    assert rows["user"].nunique() == 4
    assert rows["stage"].nunique() == 3
    assert len(rows) == 12
    assert record["users"] == sorted(set(rows["user"]))


def test_hours_are_reached_and_not_exceeded_by_more_than_one_recording():
    rows, record = choose_training_rows(_table(), seed=5, hours=2.0)
    lengths = (rows["end"] - rows["start"]) / 3600
    assert 2.0 <= lengths.sum() <= 2.0 + lengths.max()
    assert record["hours"] == pytest.approx(lengths.sum(), abs=1e-6)
    assert rows["user"].nunique() > 6, "hours are drawn from all users"


def test_all_the_hours_there_are_can_be_asked_for():
    table = _table()
    everything, record = choose_training_rows(table, seed=1)
    assert _files(table, seed=1, hours=record["hours"] - 1e-6) == set(everything["filename"])


def test_the_draw_depends_on_the_seed_and_not_on_the_order_of_the_table():
    table = _table()
    shuffled = table.sample(frac=1, random_state=2)
    for choice in ({"num_users": 5}, {"num_stages": 2}, {"hours": 1.0}):
        assert _files(table, **choice) == _files(shuffled, **choice)
        assert any(_files(table, **choice) != _files(table, seed=seed, **choice) for seed in (4, 5, 6))


def test_a_query_limits_what_is_drawn_from():
    rows, record = choose_training_rows(_table(), seed=0, where="side == 'left'", num_users=3)
    assert set(rows["side"]) == {"left"}
    assert record["stages"] == ["s1", "s3", "s5"]
    assert len(record["users"]) == 3


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"num_users": 13}, "data.num_users=13: there are 12 training users; ask for 12 or fewer"),
        ({"num_stages": 4, "where": "side == 'left'"}, "there are 3 training stages that data.where leaves"),
        ({"hours": 8.0}, "data.hours=8: there are 7.7 hours"),
        ({"where": "user == 'nobody'"}, "no recording has split train, where user == 'nobody'"),
    ],
)
def test_asking_for_more_than_there_is_says_how_much_there_is(choice, message):
    with pytest.raises(SplitError) as raised:
        choose_training_rows(_table(), seed=0, **choice)
    assert message in str(raised.value)


def test_users_and_stages_that_never_meet_are_named():
    table = _table(n_users=2, n_stages=2)
    table = table[table["filename"].isin(["u00-s0", "u01-s1"])]
    choices = [{"seed": seed, "num_users": 1, "num_stages": 1} for seed in range(8)]
    outcomes = []
    for choice in choices:
        try:
            outcomes.append(len(choose_training_rows(table, **choice)[0]))
        except SplitError as error:
            outcomes.append(str(error))
    assert 1 in outcomes
    assert any("none of the users u0" in str(outcome) for outcome in outcomes)


@pytest.mark.parametrize("spoil", ["drop", "nan", "backwards"])
def test_hours_need_a_table_that_gives_times(spoil):
    table = _table()
    if spoil == "drop":
        table = table.drop(columns="start")
    else:
        table.loc[3, "end"] = np.nan if spoil == "nan" else -1.0
    with pytest.raises(ConfigError, match="do not give start and end of u00-s"):
        choose_training_rows(table, seed=0, hours=1.0)
    assert choose_training_rows(table, seed=0, num_users=2)[1]["users"]


def test_a_table_without_times_has_no_hours_in_its_record():
    assert choose_training_rows(_table().drop(columns="end"), seed=0)[1]["hours"] is None


def test_validation_takes_the_val_split_and_follows_the_query():
    table = _table()
    assert len(choose_validation_rows(table)) == 12
    assert set(choose_validation_rows(table, "side == 'left'")["side"]) == {"left"}
    assert choose_validation_rows(table, "user == 'u00'").empty
    assert choose_validation_rows(table[table["split"] == "train"]).empty
