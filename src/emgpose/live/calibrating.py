"""Calibrating one person: a rest and a set of gestures, each asked for, give scaling, place of the band and first pose.

The rest tells the level of each channel; the gestures tell how the band is turned (`emgpose.live.band_roll`).
`GuidedCalibration` in `emgpose.live.guided_calibration` does it on a live stream.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emgpose.errors import ConfigError, DataError
from emgpose.hand import N_JOINTS
from emgpose.live.band_roll import centre_of_errors, roll_errors, turn_between
from emgpose.live.calibration import LEAST_MARGIN, Calibration, CalibrationQuality, GesturePattern
from emgpose.models import EmgModel

Signal = NDArray[np.float64]

WINDOW_S: Final = 0.25
# Of a scaled channel at rest: within these, the scaling counts as right.
LEVELS_AS_SCALED: Final = (0.5, 2.0)
# A channel this many times louder or softer than the middle one at rest is of no use.
_BAD_FACTOR: Final = 20.0


@dataclass(frozen=True)
class Rest:
    """What a rest tells.

    Parameters
    ----------
    levels : array, shape (channel,)
        RMS of the middle quarter second of each channel.
    bad_channels : tuple of int
    restlessness : float
        See `CalibrationQuality`.
    """

    levels: Signal
    bad_channels: tuple[int, ...]
    restlessness: float


def measure_rest(emg: ArrayLike, sample_rate_hz: float) -> Rest:
    """Measure the level of each channel in a span of rest.

    Parameters
    ----------
    emg : array, shape (time, channel)
        Filtered as the model has it; any unit.
    sample_rate_hz : float

    Raises
    ------
    DataError : less than a second, or silence in all channels.
    """
    samples = np.asarray(emg, dtype=np.float64)
    width = round(WINDOW_S * sample_rate_hz)
    n_windows = len(samples) // width
    if n_windows * WINDOW_S < 1:
        raise DataError(f"a rest needs at least 1 s of EMG, got {len(samples) / sample_rate_hz:.2f} s; rest longer")
    levels = np.sqrt((samples[: n_windows * width].reshape(n_windows, width, -1) ** 2).mean(axis=1))
    middle = np.median(levels, axis=0)
    alive = middle > 0
    if not alive.any():
        raise DataError("every channel is silent (zero) at rest; check that the band is on and its stream runs")
    usual = np.median(middle[alive])
    bad = ~alive | (middle > _BAD_FACTOR * usual) | (middle < usual / _BAD_FACTOR)
    restlessness = np.median(levels[:, alive].max(axis=0) / middle[alive])
    return Rest(middle, tuple(np.flatnonzero(bad).tolist()), float(restlessness))


def scaling_of(rest: Rest, *, is_scaled: bool) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Give noise floor and gains for a calibration.

    Parameters
    ----------
    rest : Rest
    is_scaled : bool
        Whether the EMG had been scaled to its noise floor already, so that only gains are open.

    Returns
    -------
    (noise_floor, gains) : None for what need not be set. A channel of no use gets the usual value.
    """
    levels = rest.levels.copy()
    good = np.delete(levels, rest.bad_channels)
    levels[list(rest.bad_channels)] = np.median(good) if good.size else 1.0
    if not is_scaled:
        return tuple(levels.tolist()), None
    lowest, highest = LEVELS_AS_SCALED
    if ((levels >= lowest) & (levels <= highest)).all():
        return None, None
    return None, tuple((1 / levels).tolist())


@dataclass(frozen=True)
class HeldGesture:
    """EMG of one gesture that was asked for.

    Parameters
    ----------
    name : str
    emg : array, shape (time, channel)
        From when it was asked for; filtered as the model has it, in the source's unit.
    joint_angles : array, shape (joint=20,) [rad]
        The pose asked for.
    settle_s : float
        How long people take to get there; what comes before is not compared.
    """

    name: str
    emg: NDArray[np.float32]
    joint_angles: NDArray[np.float32]
    settle_s: float = 1.0


def calibrate(
    model: EmgModel,
    rest: HeldGesture | None,
    gestures: Sequence[HeldGesture] = (),
    *,
    is_scaled: bool,
    earlier: Calibration | None = None,
) -> Calibration:
    """Measure a calibration.

    Parameters
    ----------
    model : EmgModel
        Causal, set to its task.
    rest : HeldGesture, or None
        The relaxed hand, before the gestures; its pose becomes the initial one. None where the scaling is known.
    gestures : sequence of HeldGesture
        One after the other without a break; none: the band counts as worn in its usual place, or as earlier.
    is_scaled : bool
        Whether the EMG had been scaled to its noise floor already.
    earlier : Calibration, optional
        Of the same person: the band's place is found by it, and what is not measured is taken from it.

    Returns
    -------
    Calibration

    Raises
    ------
    DataError : rest or gestures are too short or silent.
    ConfigError : no rest where the scaling is not known, a model that cannot stream, or an earlier calibration that
        does not fit.
    """
    calibration = earlier or Calibration()
    quality = CalibrationQuality()
    if rest is not None:
        settled = rest.emg[round(rest.settle_s * model.sample_rate_hz) :]
        measured = measure_rest(settled, model.sample_rate_hz)
        noise_floor, gains = scaling_of(measured, is_scaled=is_scaled)
        pose = tuple(np.asarray(rest.joint_angles, dtype=np.float64).tolist())
        calibration = replace(calibration, noise_floor=noise_floor, gains=gains, initial_pose=pose)
        quality = replace(quality, bad_channels=measured.bad_channels, restlessness=measured.restlessness)
    if not is_scaled and calibration.noise_floor is None:
        raise ConfigError(
            "this source's EMG has not been scaled: a calibration needs a rest, to measure the noise floor"
        )
    if gestures:
        scale = np.ones(model.n_channels) / (calibration.noise_floor or 1.0) * (calibration.gains or 1.0)
        spoken = [replace(held, emg=(held.emg * scale).astype(np.float32)) for held in gestures]
        calibration, quality = _with_roll(model, calibration, quality, spoken, earlier)
    return replace(calibration, quality=quality)


def _with_roll(
    model: EmgModel,
    calibration: Calibration,
    quality: CalibrationQuality,
    gestures: Sequence[HeldGesture],
    earlier: Calibration | None,
) -> tuple[Calibration, CalibrationQuality]:
    """Find the roll from scaled gestures."""
    patterns = tuple(_pattern(held, model.sample_rate_hz) for held in gestures)
    if earlier is not None and earlier.gestures:
        turned, likeness = turn_between(patterns, earlier.gestures)
        roll = (earlier.roll + turned + model.n_channels // 2) % model.n_channels - model.n_channels // 2
        # The gestures that the first roll was found with stay the measure, so that errors do not add up.
        return replace(calibration, roll=roll, gestures=_turned(earlier.gestures, -turned)), replace(
            quality, likeness=likeness
        )
    wanted = np.concatenate([_wanted(held, model.sample_rate_hz) for held in gestures])
    emg = np.concatenate([held.emg for held in gestures])
    errors = roll_errors(model, emg, wanted, calibration.initial_pose)
    roll, margin = centre_of_errors(errors)
    quality = replace(quality, roll_errors_rad=tuple(errors.tolist()), roll_margin=margin)
    return replace(calibration, roll=roll if margin >= LEAST_MARGIN else 0, gestures=patterns), quality


def _pattern(held: HeldGesture, rate_hz: float) -> GesturePattern:
    settled = held.emg[round(held.settle_s * rate_hz) :]
    if not len(settled):
        raise DataError(f"gesture {held.name}: {len(held.emg) / rate_hz:.2f} s are too short; hold it for 2 s or more")
    return GesturePattern(held.name, tuple(np.sqrt((settled.astype(np.float64) ** 2).mean(axis=0)).tolist()))


def _turned(patterns: Sequence[GesturePattern], roll: int) -> tuple[GesturePattern, ...]:
    return tuple(GesturePattern(p.name, tuple(np.roll(p.levels, roll).tolist())) for p in patterns)


def _wanted(held: HeldGesture, rate_hz: float) -> NDArray[np.float32]:
    wanted = np.full((len(held.emg), N_JOINTS), np.nan, dtype=np.float32)
    wanted[round(held.settle_s * rate_hz) :] = held.joint_angles
    return wanted
