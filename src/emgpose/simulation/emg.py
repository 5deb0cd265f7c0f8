"""Simulated EMG of the wrist band on the published scale: from movement to 16 channels."""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emgpose.preprocessing import Bandpass
from emgpose.signals import Preprocessor
from emgpose.simulation.activation import DEFAULT_SHARES, ActivationShares, activations
from emgpose.simulation.anatomy import N_ELECTRODES, NEUTRAL_PLACEMENT, Placement, UserAnatomy
from emgpose.simulation.joint_motion import Motion
from emgpose.simulation.motor_units import firings, motor_units
from emgpose.simulation.volume_conductor import action_potentials
from emgpose.timing import EMG_RATE_HZ

# One step of the 16-bit converter, in units of the noise floor; it clips at -1024 and just below 1024.
ADC_STEP: Final = 2.0**-5
# The amplifier of the band (Salter et al. 2024).
BAND: Final = Bandpass(20.0, 850.0)
# From the units of the volume conductor to the noise floor, so that data sets have the published pooled SD.
SIGNAL_SCALE: Final = 615.0


def simulate_emg(
    motion: Motion,
    anatomy: UserAnatomy,
    placement: Placement = NEUTRAL_PLACEMENT,
    *,
    motor_units_rng: np.random.Generator,
    noise_rng: np.random.Generator,
    rate_hz: float = float(EMG_RATE_HZ),
    shares: ActivationShares = DEFAULT_SHARES,
) -> NDArray[np.float32]:
    """Simulate the EMG of a movement.

    Firings depend on motion, anatomy and `motor_units_rng` only, so two placements see the same firings.

    Parameters
    ----------
    motion : Motion
    anatomy : UserAnatomy
    placement : Placement
    motor_units_rng, noise_rng : numpy Generators
        Of the streams "motor_units" and "noise".
    rate_hz : float
        Of the EMG.
    shares : ActivationShares

    Returns
    -------
    array of float32, shape (time, channel=16)
        As long as the motion; in units of the noise floor, 20 to 850 Hz, in whole multiples of `ADC_STEP`.

    Raises
    ------
    ConfigError : a rate that is too low for the band.
    """
    activation = activations(motion, anatomy, shares)
    units = motor_units(anatomy)
    times_s, fired = firings(activation, motion.rate_hz, units, motor_units_rng)
    n_samples = round(len(activation) * rate_hz / motion.rate_hz)
    templates = action_potentials(units, anatomy, placement, rate_hz)
    signal = _superposed(times_s, fired, templates, n_samples, rate_hz)
    signal *= SIGNAL_SCALE / anatomy.noise
    signal += noise_rng.standard_normal(signal.shape, dtype=np.float32) / noise_gain(rate_hz)
    filtered = Preprocessor((BAND,), rate_hz, N_ELECTRODES).process(signal)
    return np.clip(np.rint(filtered / ADC_STEP), -(2**15), 2**15 - 1).astype(np.float32) * np.float32(ADC_STEP)


@lru_cache(maxsize=8)
def noise_gain(rate_hz: float) -> float:
    """Give the standard deviation that the band leaves of white noise of standard deviation 1."""
    impulse = np.zeros((round(rate_hz), 1))
    impulse[1] = 1.0
    return float(np.sqrt(np.sum(Preprocessor((BAND,), rate_hz, 1).process(impulse).astype(np.float64) ** 2)))


def _superposed(
    times_s: NDArray[np.float64],
    fired: NDArray[np.int64],
    templates: NDArray[np.float32],
    n_samples: int,
    rate_hz: float,
) -> NDArray[np.float32]:
    """Add up the action potentials of all firings, shape (time, channel)."""
    n_lags = templates.shape[1]
    total = np.zeros((n_samples + n_lags + 1) * N_ELECTRODES, dtype=np.float32)
    rows = list(templates.reshape(len(templates), -1))
    starts = np.rint(times_s * rate_hz).astype(np.int64) * N_ELECTRODES
    width = n_lags * N_ELECTRODES
    for start, unit in zip(starts.tolist(), fired.tolist(), strict=True):
        piece = total[start : start + width]
        np.add(piece, rows[unit], out=piece)
    return total.reshape(-1, N_ELECTRODES)[:n_samples]
