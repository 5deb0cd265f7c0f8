"""The order in which an epoch takes its windows: a function of (seed, epoch), so that any of it can be made again."""

import numpy as np
from numpy.typing import NDArray

from emgpose.training.streams import Purpose, random_stream


def epoch_batches(
    n_windows: int, batch_size: int, seed: int, epoch: int, groups: NDArray[np.int64] | None = None
) -> list[NDArray[np.int64]]:
    """Shuffle the windows of an epoch and divide them into global batches.

    Parameters
    ----------
    n_windows, batch_size : int
        The last batch may be smaller.
    seed, epoch : int
    groups : int64 array, shape (window,), optional
        Draw every group as often as every other, see `balanced_order`; without it, every window comes once.

    Returns
    -------
    list of int64 array, shape (window,)
    """
    rng = random_stream(seed, Purpose.ORDER, epoch)
    order = rng.permutation(n_windows).astype(np.int64) if groups is None else balanced_order(groups, rng)
    return _divided(order, batch_size)


def batches_in_order(n_windows: int, batch_size: int) -> list[NDArray[np.int64]]:
    """Divide windows into global batches as they come, for validation."""
    return _divided(np.arange(n_windows, dtype=np.int64), batch_size)


def balanced_order(groups: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw as many windows as there are, as many of each group, in a shuffled order.

    Of a group with fewer windows than its share, each comes once more before any comes twice more; of one with more, a
    random part comes, another one at every draw.

    Parameters
    ----------
    groups : int64 array, shape (window,)
        The group of each window.
    rng : Generator

    Returns
    -------
    int64 array, shape (window,)
    """
    n_windows = len(groups)
    _, group, counts = np.unique(groups, return_inverse=True, return_counts=True)
    shuffled = rng.permutation(n_windows)
    members = shuffled[np.argsort(group[shuffled], kind="stable")]
    share, n_larger = divmod(n_windows, len(counts))
    shares = share + (rng.permutation(len(counts)) < n_larger)
    of = np.repeat(np.arange(len(counts)), shares)
    within = np.arange(n_windows) - np.repeat(np.cumsum(shares) - shares, shares)
    drawn = members[(np.cumsum(counts) - counts)[of] + within % counts[of]]
    return drawn[rng.permutation(n_windows)].astype(np.int64)


def _divided(order: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    return [order[first : first + batch_size] for first in range(0, len(order), batch_size)]
