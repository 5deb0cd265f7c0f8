"""How long things take, in memory that does not grow."""

import math
from typing import Final

import numpy as np

# Bins from 10 us to 100 s, each 1 % wider than the one before: a quantile is right to 1 %.
_LOWEST_S: Final = 1e-5
_HIGHEST_S: Final = 100.0
_GROWTH: Final = 1.01
_N_BINS: Final = math.ceil(math.log(_HIGHEST_S / _LOWEST_S) / math.log(_GROWTH)) + 1


class Durations:
    """Durations [s] counted in bins, with their exact mean and maximum.

    Attributes
    ----------
    n : int
        How many have been added.
    max_s : float
        The longest [s]; 0 before the first.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(_N_BINS, dtype=np.int64)
        self._sum_s = 0.0
        self.n = 0
        self.max_s = 0.0

    def add(self, duration_s: float) -> None:
        """Count one; below 10 us or above 100 s it counts in the outermost bin."""
        bounded_s = min(max(duration_s, _LOWEST_S), _HIGHEST_S)
        self._counts[round(math.log(bounded_s / _LOWEST_S) / math.log(_GROWTH))] += 1
        self._sum_s += duration_s
        self.n += 1
        self.max_s = max(self.max_s, duration_s)

    @property
    def mean_s(self) -> float:
        """Mean [s]; 0 before the first."""
        return self._sum_s / self.n if self.n else 0.0

    def quantile_s(self, share: float) -> float:
        """Give the duration that `share` of them do not exceed [s], right to 1 %; 0 before the first."""
        if not self.n:
            return 0.0
        bin_ = int(np.searchsorted(np.cumsum(self._counts), max(1, math.ceil(share * self.n))))
        return float(min(_LOWEST_S * _GROWTH**bin_, self.max_s))

    def summary_ms(self) -> dict[str, float]:
        """Give mean, quantiles and maximum [ms] for a report."""
        quantiles_s = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
        values_s = {
            "mean": self.mean_s,
            **{name: self.quantile_s(share) for name, share in quantiles_s.items()},
            "max": self.max_s,
        }
        return {name: 1000 * value_s for name, value_s in values_s.items()}
