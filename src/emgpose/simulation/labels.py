"""Which samples of a simulated recording have no valid label: in runs, as where cameras lose sight of a hand."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

# Of all samples in the published data set.
INVALID_SHARE: Final = 0.127
# Our own choice: with it a minute holds as many test windows as in the published test split (3,562 in 450 recordings).
MEAN_RUN_S: Final = 2.5
# One stretch of valid labels stays at least this long, so that every recording has a test window (5.9 s).
KEPT_S: Final = 6.5
# Below this a recording with the invalid share could not keep that stretch.
SHORTEST_S: Final = 8.0


def draw_valid(
    n_samples: int, rate_hz: float, rng: np.random.Generator, missing: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Draw which samples have a valid label.

    Parameters
    ----------
    n_samples : int
    rate_hz : float
    rng : numpy Generator
    missing : array, shape (time,), bool, optional
        Samples that have no label in any case; they count towards the share.

    Returns
    -------
    array, shape (time,), bool
        All but 12.7 % True; fewer only where more are missing anyway.
    """
    labelled = ~missing if missing is not None else np.ones(n_samples, dtype=np.bool_)
    n_invalid = max(0, round(INVALID_SHARE * n_samples) - int((~labelled).sum()))
    n_runs = max(1, round(n_invalid / (MEAN_RUN_S * rate_hz)))
    run_shares, gap_shares = rng.dirichlet(np.ones(n_runs)), rng.dirichlet(np.ones(n_runs + 1))
    valid = labelled.copy()
    where = np.flatnonzero(labelled & ~_kept(labelled, round(KEPT_S * rate_hz), rng.random()))
    n_invalid = min(n_invalid, len(where))
    # Gaps and runs take turns; their ends are rounded as a whole, so that no sample is lost.
    lengths = np.empty(2 * n_runs + 1)
    lengths[::2], lengths[1::2] = gap_shares * (len(where) - n_invalid), run_shares * n_invalid
    ends = np.round(np.cumsum(lengths)).astype(np.int64)
    for start, stop in zip(ends[::2], ends[1::2], strict=False):
        valid[where[start:stop]] = False
    return valid


def has_stretch(labelled: NDArray[np.bool_], rate_hz: float) -> bool:
    """Whether labels are there without a gap for as long as a recording keeps them."""
    return bool(_kept(labelled, round(KEPT_S * rate_hz), 0.0).any())


def _kept(labelled: NDArray[np.bool_], n_kept: int, place: float) -> NDArray[np.bool_]:
    """Choose one stretch without missing labels, at a place from 0 (the first such) to 1 (the last)."""
    before = np.concatenate([[0], np.cumsum(labelled)])
    starts = np.flatnonzero(before[n_kept:] - before[:-n_kept] == n_kept) if n_kept < len(before) else np.empty(0, int)
    kept = np.zeros(len(labelled), dtype=np.bool_)
    if len(starts):
        start = starts[int(place * len(starts))]
        kept[start : start + n_kept] = True
    return kept
