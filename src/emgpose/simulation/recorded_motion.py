"""Movement taken from recorded joint angles."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.ndimage import binary_dilation

from emgpose.errors import ConfigError, DataError
from emgpose.hand import FINGERS
from emgpose.recording import open_session
from emgpose.simulation.joint_motion import Motion

_RATE_HZ: Final = 200.0
# The end of a recording is joined to its start by a movement of this length [s].
_JOIN_S: Final = 0.6
_GRAVITY: Final = 0.03


def recorded_motion(
    source: Any,
    rate_hz: float | None = None,
    *,
    seconds: float | None = None,
    start_s: float = 0.0,
) -> Motion:
    """Make a movement of recorded joint angles.

    Missing angles, and the samples beside them, which may be blended with zeros, are bridged by minimum-jerk movement.
    The recording starts again at its end, after such a bridge, as often as needed. The wrist rests, because recordings
    hold no wrist angles, and the load is that of the hand's own weight.

    Parameters
    ----------
    source : Path, str or Session
        Anything that `open_session` reads.
    rate_hz : float, optional
        Rate of a recording that does not state it.
    seconds : float, optional
        Length; the recording's own by default.
    start_s : float
        Where in the recording to begin; counted on through repetitions.

    Returns
    -------
    Motion
        At 200 Hz, with `valid` False where angles were bridged.

    Raises
    ------
    DataError : the recording cannot be read, or has less than two usable samples.
    ConfigError : a length or start is impossible.
    """
    if not (start_s >= 0 and (seconds is None or seconds > 0)):
        raise ConfigError(f"recorded motion: expected start_s >= 0 and seconds > 0, got {start_s:g} and {seconds}")
    with open_session(source, rate_hz=rate_hz) as session:
        if not session.has_joint_angles:
            raise DataError(f"{source}: expected joint angles to move by, got a recording without them")
        angles, valid = np.asarray(session.joint_angles(), dtype=np.float64), np.asarray(session.valid())
        from_hz, name = session.sample_rate_hz, str(source)
    usable = ~binary_dilation(~valid) if not valid.all() else valid
    if usable.sum() < 2:
        raise DataError(f"{name}: expected at least two samples with joint angles, got {int(usable.sum())}")
    cycle, cycle_valid = _cycle(angles, usable, from_hz)
    return _played(cycle, cycle_valid, from_hz, len(angles) / from_hz if seconds is None else seconds, start_s)


def _cycle(
    angles: NDArray[np.float64], usable: NDArray[np.bool_], rate_hz: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Bridge what is missing, and add a bridge from the end to the start."""
    join = max(2, round(_JOIN_S * rate_hz))
    cycle = np.concatenate([angles, np.zeros((join, angles.shape[1]))])
    valid = np.concatenate([usable, np.zeros(join, dtype=bool)])
    n = len(cycle)
    known = np.flatnonzero(valid)
    before = np.searchsorted(known, np.arange(n), side="right") - 1
    left, right = known[before], known[(before + 1) % len(known)]
    gap = np.where(valid, 1, (right - left) % n)
    along = (((np.arange(n) - left) % n) / gap)[:, None]
    bridged = cycle[left] + (cycle[right] - cycle[left]) * along**3 * (10 - 15 * along + 6 * along**2)
    return np.where(valid[:, None], cycle, bridged), valid


def _played(
    cycle: NDArray[np.float64], valid: NDArray[np.bool_], from_hz: float, seconds: float, start_s: float
) -> Motion:
    """Play a cycle from a start for some time, at the movement's rate."""
    period = len(cycle)
    n = max(2, int(np.ceil(round(seconds * _RATE_HZ, 6))))
    places = (start_s + np.arange(n) / _RATE_HZ) * from_hz % period
    closed = np.concatenate([cycle, cycle[:1]])
    joint_angles = CubicSpline(np.arange(period + 1), closed, bc_type="periodic")(places)
    low = np.minimum(places.astype(np.int64), period - 1)
    good = valid[low] & (valid[(low + 1) % period] | (places == low))
    load = np.full((n, len(FINGERS)), _GRAVITY)
    return Motion(joint_angles, np.zeros((n, 2)), load, _RATE_HZ, good)
