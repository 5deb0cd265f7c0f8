"""Which recordings are fetched: a query over the metadata table, and small sets of users and stages.

Users (stages) are ordered by the SHA-256 of their names and taken in turn from those that are in train and those that
are held out, so that a few of them already hold what training, validation and test need. The draw depends on the names
alone; fewer are always a part of more, so a later call with a larger number fetches only what is missing.
"""

import hashlib
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

from emgpose.errors import ConfigError, SplitError
from emgpose.recording.metadata import SPLITS, select_sessions

if TYPE_CHECKING:
    import pandas as pd


def choose_recordings(
    table: "pd.DataFrame", *, where: str | None = None, users: int | None = None, stages: int | None = None
) -> "pd.DataFrame":
    """Choose recordings to fetch.

    Parameters
    ----------
    table : DataFrame
        From `read_metadata`.
    where : str, optional
        A pandas query over the columns, as `select_sessions` takes it.
    users, stages : int, optional
        How many of those that the query leaves.

    Returns
    -------
    DataFrame
        The rows, in the order of the table.

    Raises
    ------
    ConfigError : a number below 1.
    SplitError : the query cannot be understood, there are fewer users or stages, or nothing is left.
    """
    rows = select_sessions(table, where=where)
    chosen_users = _draw(rows, "user", users)
    chosen_stages = _draw(rows, "stage", stages)
    rows = rows[rows["user"].isin(chosen_users) & rows["stage"].isin(chosen_stages)]
    if rows.empty:
        raise SplitError(
            f"--users {users} --stages {stages}: none of these users has a recording of these stages; ask for more of "
            "either"
        )
    return rows


def _draw(rows: "pd.DataFrame", column: str, count: int | None) -> list[str]:
    splits_of: dict[str, set[str]] = {}
    for name, split in zip(rows[column], rows["split"], strict=True):
        splits_of.setdefault(name, set()).add(split)
    if count is None:
        return list(splits_of)
    if count < 1:
        raise ConfigError(f"--{column}s {count}: expected at least 1")
    if count > len(splits_of):
        raise SplitError(f"--{column}s {count}: there are only {len(splits_of)} left to choose from")
    groups: dict[str, list[str]] = {split: [] for split in SPLITS}
    for name in sorted(splits_of, key=lambda name: hashlib.sha256(name.encode()).digest()):
        # Whoever is in train belongs there, whatever else is tested with them.
        groups[next(split for split in SPLITS if split in splits_of[name])].append(name)
    in_turn = chain.from_iterable(zip_longest(*groups.values()))
    return [name for name in in_turn if name is not None][:count]
