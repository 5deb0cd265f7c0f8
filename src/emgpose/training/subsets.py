"""Which recordings a model is trained on: nested subsets that the seed fixes.

For one seed, fewer users are a part of more users, fewer stages of more stages, and fewer hours of more hours. The draw
depends on the names in the table alone, not on their order.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from emgpose.errors import ConfigError, SplitError
from emgpose.recording import select_sessions
from emgpose.training.streams import Purpose, random_stream

_SECONDS_PER_HOUR = 3600.0


def choose_training_rows(
    table: pd.DataFrame,
    *,
    seed: int,
    num_users: int | None = None,
    num_stages: int | None = None,
    hours: float | None = None,
    where: str | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Choose the recordings to train on.

    Parameters
    ----------
    table : DataFrame
        From `read_metadata`; only its train split is used.
    seed : int
        Of the run: decides which users, stages and recordings.
    num_users, num_stages : int, optional
        How many of them; all by default.
    hours : float, optional
        Recorded time [h], invalid labels included. Recordings are taken in a shuffled order until it is reached, so the
        last one may exceed it.
    where : str, optional
        A pandas query over the columns; users, stages and hours are drawn from what it leaves.

    Returns
    -------
    rows : DataFrame
        In the order of the table.
    record : dict
        users, stages, files (sorted) and hours (None where the table has no times), for run.json.

    Raises
    ------
    SplitError : the train split, or what `where` leaves of it, is empty or holds less than what is asked for.
    ConfigError : hours of a table without times.
    """
    rows = select_sessions(table, split="train", where=where)
    hours_of = _hours(rows)
    place = _places(rows["filename"], seed, Purpose.RECORDINGS)
    users = _draw(rows["user"], num_users, seed, Purpose.USERS, "data.num_users", "training users", where)
    stages = _draw(rows["stage"], num_stages, seed, Purpose.STAGES, "data.num_stages", "training stages", where)
    rows = rows[rows["user"].isin(users) & rows["stage"].isin(stages)]
    if rows.empty:
        raise SplitError(
            f"data.num_users={num_users}, data.num_stages={num_stages}: none of the users {', '.join(users)} has a "
            f"training recording of the stages {', '.join(stages)}; ask for more of either, or take another seed"
        )
    if hours is not None:
        rows = _first_hours(rows, hours, hours_of, place)
    return rows, describe_rows(rows)


def choose_validation_rows(table: pd.DataFrame, where: str | None = None) -> pd.DataFrame:
    """Choose the recordings that decide which epoch is best: the val split, or what a query leaves of it.

    Parameters
    ----------
    table : DataFrame
        From `read_metadata`.
    where : str, optional
        The query that training recordings are chosen by.

    Returns
    -------
    DataFrame
        Empty where nothing is left: training goes on without validation.

    Raises
    ------
    SplitError : the query cannot be understood.
    """
    of_split = table[table["split"] == "val"]
    if where is None or of_split.empty:
        return of_split
    chosen = select_sessions(table, where=where)
    return chosen[chosen["split"] == "val"]


def describe_rows(rows: pd.DataFrame) -> dict[str, Any]:
    """Say which recordings these are: users, stages and files by name, and hours (None where no times are known)."""
    hours = float(_hours(rows).sum(skipna=False))
    return {
        "users": sorted(set(rows["user"])),
        "stages": sorted(set(rows["stage"])),
        "files": sorted(rows["filename"]),
        "hours": round(hours, 6) if np.isfinite(hours) else None,
    }


def _places(names: "pd.Series[str]", seed: int, purpose: Purpose) -> Mapping[str, int]:
    """Give each distinct name its place in the shuffled order."""
    known = sorted(set(names))
    order = random_stream(seed, purpose).permutation(len(known))
    return {known[name]: place for place, name in enumerate(order)}


def _draw(
    names: "pd.Series[str]", count: int | None, seed: int, purpose: Purpose, key: str, what: str, where: str | None
) -> Sequence[str]:
    """Draw so many of the names; all where no count is given."""
    known = sorted(set(names))
    if count is None:
        return known
    if count > len(known):
        left = "" if where is None else f" that data.where leaves ({where})"
        raise SplitError(f"{key}={count}: there are {len(known)} {what}{left}; ask for {len(known)} or fewer")
    place = _places(names, seed, purpose)
    return sorted(known, key=place.__getitem__)[:count]


def _hours(rows: pd.DataFrame) -> "pd.Series[float]":
    """Length of each recording [h]; NaN where the table does not say."""
    if not {"start", "end"} <= set(rows.columns):
        return pd.Series(np.nan, index=rows.index)
    hours = (rows["end"] - rows["start"]) / _SECONDS_PER_HOUR
    return hours.where(hours > 0)


def _first_hours(
    rows: pd.DataFrame, hours: float, hours_of: "pd.Series[float]", place: Mapping[str, int]
) -> pd.DataFrame:
    lengths = hours_of[rows.index]
    if lengths.isna().any():
        name = rows.loc[lengths.isna(), "filename"].iloc[0]
        raise ConfigError(
            f"data.hours={hours:g}: the metadata do not give start and end of {name} [s]; fill in both columns, or "
            "choose by data.num_users and data.num_stages"
        )
    # A hair below what was asked counts as reached, so that the sum of all recordings can be asked for.
    enough = hours * (1 - 1e-9)
    if float(lengths.sum()) < enough:
        raise SplitError(f"data.hours={hours:g}: there are {lengths.sum():.4g} hours to choose from; ask for fewer")
    order = sorted(range(len(rows)), key=lambda row: place[rows["filename"].iloc[row]])
    reached = np.cumsum(lengths.to_numpy()[order])
    taken = order[: int(np.searchsorted(reached, enough)) + 1]
    return rows.iloc[sorted(taken)]
