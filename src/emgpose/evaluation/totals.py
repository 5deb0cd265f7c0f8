"""Sums over windows that a mean of window scores cannot give: percentiles, R2 and drift."""

from dataclasses import dataclass, field, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emgpose.hand import JOINTS, N_JOINTS
from emgpose.metrics import HISTOGRAM_BINS, histogram_percentile, r2

PERCENTILES: Final = (50, 90, 95, 99)
# Metrics of whole groups of windows; they stand in summary.csv, not in windows.csv.
GROUP_METRIC_UNITS: Final[dict[str, str]] = {
    **{f"error_p{percent}": "rad" for percent in PERCENTILES},
    "r2": "1",
    **{f"r2_{joint}": "1" for joint in JOINTS},
}
DRIFT_BIN_SAMPLES: Final = 1000


@dataclass
class Totals:
    """Sums of some windows of one mode; two of them add up.

    Parameters
    ----------
    histogram, static_histogram : int64 array, shape (bin,)
        Errors of the model and of the static hand, see `metrics.error_histogram`.
    variance : float64 array, shape (sum=3, joint=20)
        See `metrics.variance_sums`.
    n_valid : int64 array, shape ()
        Valid samples.
    drift, static_drift : float64 array, shape (bin,) [rad]
        Error of the model and of the static hand by time since the window's start, see `metrics.error_over_time`.
    drift_count : int64 array, shape (bin,)
    """

    n_drift_bins: int
    histogram: NDArray[np.int64] = field(default_factory=lambda: np.zeros(HISTOGRAM_BINS, dtype=np.int64))
    static_histogram: NDArray[np.int64] = field(default_factory=lambda: np.zeros(HISTOGRAM_BINS, dtype=np.int64))
    variance: NDArray[np.float64] = field(default_factory=lambda: np.zeros((3, N_JOINTS)))
    n_valid: NDArray[np.int64] = field(default_factory=lambda: np.zeros((), dtype=np.int64))
    drift: NDArray[np.float64] = field(init=False)
    static_drift: NDArray[np.float64] = field(init=False)
    drift_count: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.drift, self.static_drift = np.zeros(self.n_drift_bins), np.zeros(self.n_drift_bins)
        self.drift_count = np.zeros(self.n_drift_bins, dtype=np.int64)

    def add(self, other: "Totals") -> None:
        """Add the sums of other windows."""
        for item in fields(self):
            if item.name != "n_drift_bins":
                setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))

    def group_metrics(self) -> dict[str, float]:
        """Error percentiles [rad] and R2 over all these windows taken together."""
        explained = r2(self.variance, self.n_valid)
        moved = explained[~np.isnan(explained)]
        return {
            **{f"error_p{percent}": histogram_percentile(self.histogram, percent) for percent in PERCENTILES},
            "r2": float(moved.mean()) if len(moved) else float("nan"),
            **{f"r2_{joint}": float(value) for joint, value in zip(JOINTS, explained, strict=True)},
        }


def merged(parts: list[Totals]) -> Totals:
    """Add up a list of totals that is not empty."""
    total = Totals(parts[0].n_drift_bins)
    for part in parts:
        total.add(part)
    return total
