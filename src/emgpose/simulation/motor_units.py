"""Motor-unit pools: who fires, and when.

Size-ordered recruitment and rate coding after Fuglevand, Winter and Patla (1993): thresholds grow exponentially from
unit to unit, the rate grows linearly with excitation above the threshold, and intervals vary as a renewal process.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emgpose.simulation.anatomy import UserAnatomy
from emgpose.simulation.muscles import MUSCLES

Signal = NDArray[np.float64]

# Ratio of the largest threshold to the smallest, as in Fuglevand et al. 1993 (their broad range).
THRESHOLD_RANGE: Final = 30.0
# Excitation at which the last unit starts; forearm muscles go on recruiting to high forces. Our own choice.
LAST_THRESHOLD: Final = 0.6
MINIMUM_RATE_HZ: Final = 8.0
# Early units reach higher rates than late ones.
PEAK_RATE_HZ: Final = 35.0
PEAK_RATE_FALL_HZ: Final = 10.0
# Rate gained per unit of excitation above the threshold [Hz]; our own choice.
RATE_GAIN_HZ: Final = 60.0
INTERVAL_CV: Final = 0.2
# Fibres of the largest unit, as a multiple of the smallest's; Fuglevand et al. take 100 for the twitch force.
SIZE_RANGE: Final = 10.0
# Slow fluctuation of the excitation that a muscle's units share (common drive, De Luca 1985); size our own choice.
COMMON_DRIVE_CV: Final = 0.15
COMMON_DRIVE_HZ: Final = 2.0


@dataclass(frozen=True)
class MotorUnits:
    """All motor units of a person; arrays of shape (unit,), muscle by muscle.

    Parameters
    ----------
    muscle : int array
        Index into `MUSCLES`.
    threshold : array
        Excitation, from 0 to 1, at which the unit starts to fire.
    peak_rate_hz : array
    size : array
        Number of fibres, relative.
    angle_rad, depth_mm : arrays
        Where its fibres lie around the arm and below the fat.
    plate_mm : array
        Where its end plates lie along the arm; positive towards the hand.
    towards_hand_mm, towards_elbow_mm : arrays
        Length of its fibres on either side of the end plates.
    velocity_m_s : array
    """

    muscle: NDArray[np.int64]
    threshold: Signal
    peak_rate_hz: Signal
    size: Signal
    angle_rad: Signal
    depth_mm: Signal
    plate_mm: Signal
    towards_hand_mm: Signal
    towards_elbow_mm: Signal
    velocity_m_s: Signal


def motor_units(anatomy: UserAnatomy) -> MotorUnits:
    """Draw a person's motor units; always the same for one anatomy."""
    rng = np.random.Generator(np.random.PCG64DXSM(anatomy.unit_seed))
    counts = [entry.n_units for entry in MUSCLES.values()]
    muscle = np.repeat(np.arange(len(counts)), counts)
    n_units = len(muscle)
    rank = np.concatenate([np.arange(1, count + 1) / count for count in counts])
    angle, depth, velocity = rng.standard_normal((3, n_units))
    along, hand, elbow = rng.random((3, n_units))
    width = np.radians([entry.width_deg for entry in MUSCLES.values()])
    half_mm = np.array([entry.half_fibre_mm for entry in MUSCLES.values()])[muscle]
    stagger_mm = np.array([entry.stagger_mm for entry in MUSCLES.values()])[muscle]
    towards_hand_mm = half_mm * (0.85 + 0.3 * hand)
    return MotorUnits(
        muscle=muscle,
        threshold=LAST_THRESHOLD * THRESHOLD_RANGE ** (rank - 1),
        peak_rate_hz=PEAK_RATE_HZ - PEAK_RATE_FALL_HZ * THRESHOLD_RANGE ** (rank - 1),
        size=np.asarray(anatomy.muscle_size)[muscle] * SIZE_RANGE ** (rank - 1),
        angle_rad=np.asarray(anatomy.muscle_angle_rad)[muscle] + width[muscle] * angle,
        depth_mm=np.maximum(np.asarray(anatomy.muscle_depth_mm)[muscle] + 1.5 * depth, 2.0),
        # Fibres end at staggered places along the muscle.
        plate_mm=np.asarray(anatomy.muscle_end_mm)[muscle] - stagger_mm * along - towards_hand_mm,
        towards_hand_mm=towards_hand_mm,
        towards_elbow_mm=half_mm * (0.85 + 0.3 * elbow),
        # Large units conduct faster.
        velocity_m_s=anatomy.velocity_m_s + 0.6 * (rank - 0.5) + 0.15 * np.clip(velocity, -2.5, 2.5),
    )


def firings(
    activation: Signal, rate_hz: float, units: MotorUnits, rng: np.random.Generator
) -> tuple[Signal, NDArray[np.int64]]:
    """Let the motor units fire.

    Intervals are drawn in units of the expected interval and stretched by the momentary rate (time rescaling), so their
    number depends on the duration only.

    Parameters
    ----------
    activation : array, shape (time, muscle)
        From 0 to 1.
    rate_hz : float
        Of the activation.
    units : MotorUnits
    rng : numpy Generator
        Of the stream "motor_units".

    Returns
    -------
    times : array, shape (firing,) [s]
        Sorted.
    unit : array of int, shape (firing,)
    """
    excitation = activation * _common_drive(activation.shape, rate_hz, rng)
    seconds = (len(activation) - 1) / rate_hz
    # With the margin, intervals that happen to be short do not run out.
    n_intervals = int(np.ceil(1.1 * PEAK_RATE_HZ * seconds)) + 10
    # Where each unit stands in its first interval is left to chance.
    first = rng.random(len(units.muscle))
    shape = 1 / INTERVAL_CV**2
    grid_s = np.arange(len(activation)) / rate_hz
    times, fired = [], []
    for unit, muscle in enumerate(units.muscle):
        due = np.cumsum(rng.standard_gamma(shape, n_intervals)) / shape + first[unit] - 1
        above = excitation[:, muscle] - units.threshold[unit]
        rate = np.where(above >= 0, np.minimum(MINIMUM_RATE_HZ + RATE_GAIN_HZ * above, units.peak_rate_hz[unit]), 0.0)
        passed = np.concatenate([[0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]))]) / rate_hz
        due = due[(due > 0) & (due < passed[-1])]
        times.append(np.interp(due, passed, grid_s))
        fired.append(np.full(len(due), unit))
    time, unit_of = np.concatenate(times), np.concatenate(fired)
    order = np.argsort(time, kind="stable")
    return time[order], unit_of[order]


def _common_drive(shape: tuple[int, ...], rate_hz: float, rng: np.random.Generator) -> Signal:
    """Slow factors about 1, shape (time, muscle)."""
    n_knots = int(np.ceil(shape[0] / rate_hz * 2 * COMMON_DRIVE_HZ)) + 2
    knots = np.clip(rng.standard_normal((n_knots, shape[1])), -2.5, 2.5)
    at = np.arange(shape[0]) / rate_hz * 2 * COMMON_DRIVE_HZ
    low = at.astype(np.int64)
    # Half a cosine from knot to knot.
    part = (0.5 - 0.5 * np.cos(np.pi * (at - low)))[:, None]
    return 1 + COMMON_DRIVE_CV * ((1 - part) * knots[low] + part * knots[low + 1])
