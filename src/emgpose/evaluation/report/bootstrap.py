"""Paired differences with bootstrap intervals over users."""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

N_RESAMPLES: Final = 10_000
SEED: Final = 0
INTERVAL_PERCENT: Final = 95
# A bootstrap over fewer users gives intervals that are far too narrow.
FEW_USERS: Final = 6


@dataclass(frozen=True)
class Difference:
    """A paired difference, other minus reference, with its 95 % bootstrap interval over users.

    Parameters
    ----------
    n_users : int
    mean, low, high : float
        In the unit of the values; low and high are NaN with fewer than two users.
    percent, percent_low, percent_high : float
        Change of the mean relative to the reference's mean [%].
    """

    n_users: int
    mean: float
    low: float
    high: float
    percent: float
    percent_low: float
    percent_high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def paired_difference(reference: "pd.Series[float]", other: "pd.Series[float]") -> Difference:
    """Compare two scores of the same users.

    Users are drawn with replacement 10,000 times with a fixed seed; the interval is that between the 2.5th and the
    97.5th percentile of the mean difference.

    Parameters
    ----------
    reference, other : Series indexed by user
        Users that only one of the two has are left out.

    Returns
    -------
    Difference
        All NaN where no user is in both.

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13 (percentile interval).
    """
    users = sorted(set(reference.dropna().index) & set(other.dropna().index))
    if not users:
        return Difference(0, *(math.nan,) * 6)
    first, second = (values.loc[users].to_numpy(dtype=np.float64) for values in (reference, other))
    mean, percent = float((second - first).mean()), float(_percent(first.mean(), second.mean()))
    if len(users) < 2:
        return Difference(len(users), mean, math.nan, math.nan, percent, math.nan, math.nan)
    drawn = np.random.default_rng(SEED).integers(len(users), size=(N_RESAMPLES, len(users)))
    firsts, seconds = first[drawn].mean(axis=1), second[drawn].mean(axis=1)
    ends = [(100 - INTERVAL_PERCENT) / 2, (100 + INTERVAL_PERCENT) / 2]
    low, high = np.percentile((second - first)[drawn].mean(axis=1), ends)
    percent_low, percent_high = np.percentile(_percent(firsts, seconds), ends)
    return Difference(len(users), mean, float(low), float(high), percent, float(percent_low), float(percent_high))


def _percent(first: Any, second: Any) -> Any:
    """Change relative to the first [%]; NaN or infinite where that is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return 100 * (np.divide(second, first) - 1)
