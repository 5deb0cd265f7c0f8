"""What is changed in a training window: the band turned by a few electrodes, and now and then an aggressor.

Every draw is a function of (seed, epoch, window), so workers, restarts and other processes change nothing.
"""

import torch
from torch import Tensor

from emgpose.config import AugmentConfig
from emgpose.errors import ConfigError
from emgpose.simulation.aggressors import AGGRESSORS, apply_aggressor
from emgpose.timing import EMG_RATE_HZ
from emgpose.training.streams import Purpose, random_stream


def augment_emg(
    emg: Tensor, seed: int, epoch: int, window: int, config: AugmentConfig, rate_hz: float = EMG_RATE_HZ
) -> Tensor:
    """Change the EMG of one training window.

    Parameters
    ----------
    emg : Tensor, shape (channel, time)
        Neighbouring channels are neighbouring electrodes, the last beside the first.
    seed, epoch, window : int
        Decide what is drawn.
    config : AugmentConfig
    rate_hz : float

    Returns
    -------
    Tensor, shape (channel, time)
        The given one where nothing was drawn; that one is never changed in place.

    Source: rotation by up to one electrode as in Salter et al. 2024; aggressors are ours.
    """
    if config.rotation:
        turn = int(random_stream(seed, Purpose.ROTATION, epoch, window).integers(-config.rotation, config.rotation + 1))
        emg = torch.roll(emg, turn, dims=0) if turn else emg
    if config.aggressor_probability:
        emg = _spoil(emg, seed, epoch, window, config, rate_hz)
    return emg


def _spoil(emg: Tensor, seed: int, epoch: int, window: int, config: AugmentConfig, rate_hz: float) -> Tensor:
    rng = random_stream(seed, Purpose.AGGRESSOR, epoch, window)
    if rng.random() >= config.aggressor_probability:
        return emg
    # Sorted, so that the order of a list in a configuration does not matter.
    names = sorted(config.aggressors or AGGRESSORS)
    name = names[int(rng.integers(len(names)))]
    spoilt = apply_aggressor(name, emg.numpy().T, rate_hz, float(rng.uniform(0, config.max_severity)), rng)
    return torch.from_numpy(spoilt.T.copy())


def check_rotation(config: AugmentConfig, n_channels: int) -> None:
    """Refuse a rotation that the band cannot have had.

    Raises
    ------
    ConfigError
    """
    if config.rotation > n_channels // 2:
        raise ConfigError(
            f"augment.rotation: expected 0 to {n_channels // 2} electrodes, half of the band's {n_channels}, "
            f"got {config.rotation}"
        )
