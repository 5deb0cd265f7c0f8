"""Random numbers of a training run: each draw has a stream of its own, named by (seed, epoch, window, purpose).

Nothing here has a state that a worker, a restart or the number of processes could change. The jitter of a window is
drawn by `emgpose.windows` from (seed, epoch, window), which is purpose 0 here: numpy's seeds take trailing zeros for
nothing.
"""

from enum import IntEnum

import numpy as np

from emgpose.errors import ConfigError


class Purpose(IntEnum):
    """What a stream is for; the numbers are part of what a seed means, so they never change."""

    ROTATION = 1
    AGGRESSOR = 2
    ORDER = 3
    USERS = 4
    STAGES = 5
    RECORDINGS = 6


def random_stream(seed: int, purpose: Purpose, epoch: int = 0, window: int = 0) -> np.random.Generator:
    """Give the generator of one purpose at its start.

    Parameters
    ----------
    seed : int
        Of the run.
    purpose : Purpose
    epoch, window : int
        0 where the draw is not for one epoch or window.
    """
    return np.random.default_rng([seed, epoch, window, purpose])


def check_seed(seed: int) -> None:
    """Refuse a seed that no stream can be made from.

    Raises
    ------
    ConfigError : not a whole number from 0 to 2**32 - 1.
    """
    # Larger seeds take two words, and (seed, epoch, window) would no longer be three separate ones.
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ConfigError(f"seed: expected a whole number from 0 to {2**32 - 1}, got {seed!r}")
