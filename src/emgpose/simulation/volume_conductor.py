"""Motor-unit action potentials at the electrode pairs, from a model of the tissue between.

Source: the transmembrane current of a fibre of finite length, with generation at the end plate, propagation and
extinction at the tendons, in the form of Farina and Merletti (2001), from the intracellular action potential of
Rosenfalck (1969). Conductor: the potential of a point source falls with 1 / distance; muscle conducts better along its
fibres, which stretches depth by the square root of that ratio; fat adds its thickness. The arm is a cylinder as far as
distances go. So depth, fat and distance act as spatial and, through propagation, temporal low-pass.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from emgpose.simulation.anatomy import ELECTRODE_STEP_RAD, N_ELECTRODES, Placement, UserAnatomy
from emgpose.simulation.motor_units import MotorUnits

Signal = NDArray[np.float64]

# Between the two electrodes of a pair, along the arm.
PAIR_SPACING_MM: Final = 20.0
# Conductivity along the fibres over that across them.
ANISOTROPY: Final = 5.0
# The same for distances around the arm, where skin and fat spread the field: fitted to the correlation of neighbours in
# GRABMyo (Pradhan et al. 2022).
AROUND_STRETCH: Final = 1.0
# End plates and tendons of one unit scatter along the arm.
SCATTER_MM: Final = 1.5
# Radius of a unit's territory: its fibres do not lie in one line. Counts as depth.
TERRITORY_MM: Final = 3.5
_STEP_MM: Final = 1.0
_TENDON_MM: Final = 6.0
LAGS_S: Final = 0.032


def action_potentials(
    units: MotorUnits, anatomy: UserAnatomy, placement: Placement, rate_hz: float
) -> NDArray[np.float32]:
    """Work out the action potential of each motor unit in each channel, in arbitrary units.

    Parameters
    ----------
    units : MotorUnits
    anatomy : UserAnatomy
    placement : Placement
    rate_hz : float

    Returns
    -------
    array of float32, shape (unit, lag, channel=16)
        Lag 0 is the firing at the end plate.
    """
    path_mm = np.arange(0.0, max(units.towards_hand_mm.max(), units.towards_elbow_mm.max()) + _STEP_MM, _STEP_MM)
    seen = np.zeros((len(units.muscle), len(path_mm), N_ELECTRODES))
    across_mm = _transverse_mm(units, anatomy, placement)
    for sign, length_mm in ((1.0, units.towards_hand_mm), (-1.0, units.towards_elbow_mm)):
        along_mm = units.plate_mm[:, None] + sign * path_mm - placement.shift_mm
        # Fibres fade out over the length in which they reach the tendon.
        fading = np.clip((length_mm[:, None] - path_mm) / _TENDON_MM, 0, 1)
        seen += sign * fading[:, :, None] * _pair_slope(along_mm, across_mm)
    lags_s = np.arange(round(LAGS_S * rate_hz)) / rate_hz
    fired_mm = 1e3 * units.velocity_m_s[:, None] * lags_s
    profile = _profile(fired_mm[:, :, None] - path_mm)
    potential = -np.matmul(profile, seen) * _STEP_MM
    return (potential * (units.size[:, None, None] * np.asarray(placement.gains))).astype(np.float32)


def _transverse_mm(units: MotorUnits, anatomy: UserAnatomy, placement: Placement) -> Signal:
    """Effective distance of each unit from each electrode across the arm, shape (unit, channel)."""
    electrode_rad = np.arange(N_ELECTRODES) * ELECTRODE_STEP_RAD + placement.rotation_rad
    radius_mm = anatomy.wrist_circumference_mm / (2 * np.pi)
    below_mm = anatomy.fat_mm + units.depth_mm
    inner_mm = np.maximum(radius_mm - below_mm, 1.0)
    turned = units.angle_rad[:, None] - electrode_rad
    # Depth below the fat is stretched; the way around the arm is not, since skin and fat spread the field there.
    depth_mm = anatomy.fat_mm + np.sqrt(ANISOTROPY) * np.hypot(units.depth_mm, TERRITORY_MM)
    around = 4 * radius_mm * inner_mm[:, None] * np.sin(turned / 2) ** 2
    return np.sqrt(depth_mm[:, None] ** 2 + AROUND_STRETCH**2 * around)


def _pair_slope(along_mm: Signal, across_mm: Signal) -> Signal:
    """Slope along the fibre of the pair's sensitivity, shape (unit, path, channel)."""
    across = across_mm[:, None, :] ** 2
    slopes = []
    for electrode_mm in (-PAIR_SPACING_MM / 2, PAIR_SPACING_MM / 2):
        away = (along_mm - electrode_mm)[:, :, None]
        slopes.append(-away * (away**2 + across) ** -1.5)
    return slopes[1] - slopes[0]


def _profile(behind_mm: Signal) -> Signal:
    """Slope of Rosenfalck's action potential [mV/mm] behind its front, smoothed by the scatter of the fibres."""
    grid_mm = np.arange(-4 * SCATTER_MM, 24.0, 0.1)
    at_mm = np.maximum(grid_mm, 0)
    slope = 96 * (3 * at_mm**2 - at_mm**3) * np.exp(-at_mm)
    kernel = np.exp(-0.5 * (np.arange(-4 * SCATTER_MM, 4 * SCATTER_MM + 0.05, 0.1) / SCATTER_MM) ** 2)
    smooth = np.convolve(slope, kernel / kernel.sum(), mode="same")
    # A grid of even steps needs no search.
    at = np.clip((behind_mm - grid_mm[0]) / 0.1, 0, len(grid_mm) - 1.001)
    low = at.astype(np.int64)
    return smooth[low] + (at - low) * (smooth[low + 1] - smooth[low])
