"""Scaling to the noise floor."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emgpose.errors import ConfigError, DataError, ShapeError


class Scaler:
    """Division by the noise floor, one number per channel.

    Raises
    ------
    ConfigError : no noise floor, or no numbers.
    ShapeError : not one number per channel.
    DataError : one that is not positive.
    """

    def __init__(self, noise_floor: ArrayLike | None, n_channels: int) -> None:
        self._noise_floor = _checked_floor(noise_floor, n_channels)

    def process(self, chunk: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scale the next samples, shape (time, channel)."""
        return chunk / self._noise_floor

    def flush(self) -> NDArray[np.float64]:
        """Give what was held back: nothing."""
        return np.empty((0, len(self._noise_floor)))

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Give what it remembers: nothing."""
        return {}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `state` gave."""


def _checked_floor(noise_floor: ArrayLike | None, n_channels: int) -> NDArray[np.float64]:
    if noise_floor is None:
        raise ConfigError(
            "scaling to the noise floor needs noise_floor, one number per channel; measure it with measure_noise_floor "
            "or estimate it with estimate_noise_floor"
        )
    try:
        floor = np.asarray(noise_floor, dtype=np.float64)
    except (TypeError, ValueError):
        raise ConfigError(f"noise_floor must hold {n_channels} numbers, got {noise_floor!r}") from None
    if floor.shape != (n_channels,):
        raise ShapeError(f"noise_floor must have shape (channel={n_channels},), got {floor.shape}")
    bad = np.flatnonzero(~(np.isfinite(floor) & (floor > 0)))
    if len(bad):
        raise DataError(
            f"the noise floor of channel(s) {', '.join(map(str, bad))} is {floor[bad[0]]:g}, it must be positive; the "
            "channel is dead there: leave it out, or give noise_floor"
        )
    return floor
