"""Small sets of users and stages: fixed, nested, and useful from the first ones on."""

import io
import itertools

import pandas as pd
import pytest

from emgpose.download.selection import choose_recordings
from emgpose.errors import ConfigError, SplitError
from made_archives import made_rows, made_table


@pytest.fixture
def table():
    return pd.read_csv(io.BytesIO(made_table(made_rows(12))), keep_default_na=False)


def test_three_users_are_one_of_each_split(table):
    rows = choose_recordings(table, users=3)
    assert rows["user"].nunique() == 3
    assert set(rows["split"]) == {"train", "val", "test"}


def test_fewer_are_a_part_of_more(table):
    chosen = [set(choose_recordings(table, users=n, stages=2)["filename"]) for n in range(1, 13)]
    assert all(few < more for few, more in itertools.pairwise(chosen))


def test_the_draw_depends_on_names_and_not_on_their_order(table):
    shuffled = table.sample(frac=1, random_state=3)
    few = choose_recordings(table, users=4, stages=2)["filename"]
    assert set(few) == set(choose_recordings(shuffled, users=4, stages=2)["filename"])


def test_the_draw_is_the_same_for_ever(table):
    assert sorted(set(choose_recordings(table, users=4)["user"])) == ["u10", "u3", "u5", "u9"]
    assert sorted(set(choose_recordings(table, stages=2)["stage"])) == ["Point", "Wave"]


def test_users_and_stages_are_drawn_from_what_the_query_leaves(table):
    rows = choose_recordings(table, where="split == 'test' and generalization == 'user'", users=2)
    assert set(rows["generalization"]) == {"user"}
    assert rows["user"].nunique() == 2


@pytest.mark.parametrize("options", [{"users": 0}, {"stages": -1}])
def test_a_number_below_one_is_refused(table, options):
    with pytest.raises(ConfigError, match="expected at least 1"):
        choose_recordings(table, **options)


@pytest.mark.parametrize("options", [{"users": 13}, {"stages": 5}, {"where": "user == 'nobody'"}, {"where": "1 +"}])
def test_what_finds_nothing_is_refused(table, options):
    with pytest.raises(SplitError):
        choose_recordings(table, **options)
