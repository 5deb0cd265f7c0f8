"""Separate random streams: drawing more from one leaves all others bit-identical."""

from typing import Final
from zlib import crc32

import numpy as np

from emgpose.errors import ConfigError

STREAMS: Final = ("user", "motion", "motor_units", "placement", "noise", "aggressors", "labels")


def rng_for(seed: int, stream: str, *keys: int | str) -> np.random.Generator:
    """Give the random generator of one stream, for one thing in it.

    Parameters
    ----------
    seed : int
        Of the data set; not negative.
    stream : str
        One of `STREAMS`.
    *keys : int or str
        Which user, stage, repeat, ... The number 1 and the text "1" are two keys.

    Returns
    -------
    numpy Generator
        PCG64DXSM at its start: the same arguments give the same numbers, whatever else was drawn.

    Raises
    ------
    ConfigError : an unknown stream, a negative seed, or a key that is neither a whole number nor a text.
    """
    if stream not in STREAMS:
        raise ConfigError(f"random stream {stream!r} is unknown; the streams are {', '.join(STREAMS)}")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ConfigError(f"the seed must be a whole number of at least 0, got {seed!r}")
    words = [crc32(f"stream {stream}".encode()), *(_word(key) for key in keys)]
    return np.random.Generator(np.random.PCG64DXSM(np.random.SeedSequence(int(seed), spawn_key=tuple(words))))


def _word(key: int | str) -> int:
    if isinstance(key, str):
        return crc32(f"text {key}".encode())
    if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
        return crc32(f"number {int(key)}".encode())
    raise ConfigError(f"a key of a random stream must be a whole number or a text, got {key!r}")
