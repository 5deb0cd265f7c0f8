"""EMG as whole multiples of a converter's step, where it is that: two bytes for four, without loss.

Only what comes back bit for bit is stored so; anything else stays as it is.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def smallest_magnitudes(emg: NDArray[np.float32], before: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Smallest magnitude other than 0 per channel, going on from earlier samples; Inf where all are 0.

    Parameters
    ----------
    emg : array, shape (time, channel)
    before : array, shape (channel,), optional
    """
    magnitudes = np.abs(emg)
    smallest = np.where(magnitudes > 0, magnitudes, np.float32(np.inf)).min(axis=0, initial=np.float32(np.inf))
    return smallest if before is None else np.minimum(smallest, before)


def to_counts(
    emg: NDArray[np.float32], steps: NDArray[np.float32], negative_zero: int | None = None
) -> NDArray[np.int16] | None:
    """Count steps, if every value is exactly a whole number of them.

    Parameters
    ----------
    emg : array, shape (time, channel)
    steps : array, shape (channel,)
    negative_zero : int, optional
        The count that stands for -0.0; without it, 0 does.

    Returns
    -------
    array, shape (time, channel), or None
    """
    with np.errstate(over="ignore", invalid="ignore"):
        counts = np.rint(emg / steps)
        if not ((counts >= -(2**15)) & (counts < 2**15)).all():
            return None
    counts = counts.astype(np.int16)
    # Adding zero makes 0.0 of -0.0 and changes nothing else.
    if not np.array_equal(from_counts(counts, steps).view(np.uint32), (emg + np.float32(0)).view(np.uint32)):
        return None
    if negative_zero is not None:
        counts[is_negative_zero(emg)] = negative_zero
    return counts


def is_negative_zero(emg: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which values are -0.0, a different float32 than 0.0."""
    return np.asarray(np.signbit(emg) & (emg == 0))


class UnusedCount:
    """Finds a count that no sample has, to stand for -0.0; a converter that clips uses both of its ends."""

    def __init__(self) -> None:
        self._used = np.zeros(2**16, dtype=np.bool_)

    def update(self, counts: NDArray[np.int16]) -> None:
        """Take in counts."""
        self._used[counts.view(np.uint16)] = True

    def largest(self) -> int | None:
        """Give the largest count that was not taken in, or None where all were."""
        free = np.flatnonzero(~self._used[: 2**15])
        return int(free[-1]) if len(free) else None


def from_counts(
    counts: NDArray[np.int16], steps: NDArray[np.float32], negative_zero: int | None = None
) -> NDArray[np.float32]:
    """Turn counts into EMG; `steps` must broadcast against them."""
    emg = np.empty(counts.shape, dtype=np.float32)
    fill_from_counts(counts, steps, emg, negative_zero)
    return emg


def fill_from_counts(
    counts: NDArray[np.int16], steps: NDArray[np.float32], target: NDArray[Any], negative_zero: int | None
) -> None:
    """Turn counts into EMG in place; `steps` must broadcast against them."""
    np.multiply(counts, steps, out=target, dtype=np.float32)
    if negative_zero is not None:
        np.copyto(target, np.float32(-0.0), where=counts == negative_zero)
