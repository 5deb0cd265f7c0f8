"""Movements of the hand: simulated for each stage of emg2pose, or taken from a recording.

Target poses follow each other as the stage asks; each is reached by a minimum-jerk movement (Flash & Hogan 1985), which
starts a little earlier or later in each finger and may begin before the last one has ended (the movements add up).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from emgpose.errors import ConfigError
from emgpose.hand import FINGERS, JOINTS, N_JOINTS
from emgpose.simulation.hand_poses import POSES, RESTING, HandPose
from emgpose.simulation.joint_motion import Motion
from emgpose.simulation.motion_families import GESTURES, STAGE_FAMILIES, Family, Step
from emgpose.simulation.motion_statistics import MotionStatistics, motion_statistics
from emgpose.simulation.motion_style import MotionStyle, draw_style
from emgpose.simulation.recorded_motion import recorded_motion

__all__ = [
    "STAGE_FAMILIES",
    "Motion",
    "MotionStatistics",
    "MotionStyle",
    "draw_style",
    "motion_statistics",
    "recorded_motion",
    "simulate_motion",
]

Signal = NDArray[np.float64]

MOTION_RATE_HZ: Final = 200.0
_N_FINGERS: Final = len(FINGERS)
# Columns of everything that moves: 20 joints, 2 wrist angles, 5 loads.
_N_MOVED: Final = N_JOINTS + 2 + _N_FINGERS
_FINGER_OF: Final = np.array([*np.repeat(np.arange(_N_FINGERS), 4), 0, 0, *range(_N_FINGERS)])
# Between executions of one pose [rad]; our own choice.
_FINGER_SPREAD_RAD: Final = np.radians(7.0)
_JOINT_SPREAD_RAD: Final = np.radians(5.0)
_WRIST_SPREAD_RAD: Final = np.radians(3.0)
_LOOSE_IN_CONTACT: Final = 0.2
# While a pose is held: standard deviation of drift and of fidgeting [rad], and the share of it in each joint.
_DRIFT_RAD: Final = np.radians(2.5)
_RESTLESS_RAD: Final = np.radians(2.0)
_UNSTEADY_JOINTS: Final = np.array([1.0, 0.7, 0.8, 1.0, *(0.6, 1.0, 1.3, 1.0) * 4])
# What people use without strain [deg], inside of `JOINT_LIMITS_RAD`: our own choice. Then the two wrist angles.
_COMFORTABLE_DEG: Final = {
    "THUMB_CMC_FE": (-30, 46),
    "THUMB_CMC_AA": (-30, 30),
    "THUMB_MCP_FE": (-10, 60),
    "THUMB_IP_FE": (-24, 72),
    "MCP_AA": (-26, 24),
    "PINKY_MCP_AA": (-45, 24),
    "MCP_FE": (-25, 88),
    "PINKY_MCP_FE": (-36, 98),
    "PIP_FE": (-6, 114),
    "DIP_FE": (-7, 90),
}
_LIMITS_RAD: Final = np.radians(
    [
        *(_COMFORTABLE_DEG.get(name) or _COMFORTABLE_DEG[name.partition("_")[2]] for name in JOINTS),
        (-70, 75),
        (-35, 20),
    ]
)
# Within this distance of a limit [rad] angles are compressed, so that they approach it smoothly.
_SOFT_EDGE_RAD: Final = np.radians(5.0)


@dataclass
class _Script:
    """Movements: where to, when, how long; each entry has one value per moved quantity."""

    targets: list[Signal]
    starts_s: list[Signal]
    moves_s: list[Signal]
    clock_s: float = 0.0


def simulate_motion(
    stage: str, style: MotionStyle, seconds: float, rng: np.random.Generator, *, rate_hz: float = MOTION_RATE_HZ
) -> Motion:
    """Simulate how a person moves in a stage.

    Parameters
    ----------
    stage : str
        One of `STAGE_FAMILIES`.
    style : MotionStyle
    seconds : float
    rng : numpy Generator
        Another one gives another performance: other order, timing and exact poses, the same gestures. A longer
        performance begins like a shorter one.
    rate_hz : float

    Returns
    -------
    Motion
        ceil(seconds * rate_hz) samples within `JOINT_LIMITS_RAD`.

    Raises
    ------
    ConfigError : the stage is unknown, or the length or rate is not positive.

    Source: minimum jerk, Flash & Hogan 1985, J. Neurosci. 5:1688-1703.
    """
    if stage not in STAGE_FAMILIES:
        raise ConfigError(f"stage {stage!a}: expected one of {', '.join(STAGE_FAMILIES)}")
    if not (np.isfinite(seconds) and seconds > 0 and np.isfinite(rate_hz) and rate_hz > 0):
        raise ConfigError(f"a motion needs a positive length and rate, got {seconds:g} s at {rate_hz:g} Hz")
    family = STAGE_FAMILIES[stage]
    n_samples = max(2, int(np.ceil(round(seconds * rate_hz, 6))))
    of_script, of_slow, of_quick, of_tremor = rng.spawn(4)
    script = _script(family, style, n_samples / rate_hz, of_script)
    moved = _performed(script, n_samples, rate_hz)
    slow = _noise((0.05, 0.7), n_samples, rate_hz, of_slow)
    quick = _noise((0.5, 2.5), n_samples, rate_hz, of_quick)
    tremor = _noise((8.0, 12.0), n_samples, rate_hz, of_tremor)
    moved = moved + _unsteadiness(family, style, np.clip(moved[:, N_JOINTS + 2 :], 0.0, 1.0), slow, quick, tremor)
    angles = _softly_within(moved[:, : N_JOINTS + 2], _LIMITS_RAD[:, 0], _LIMITS_RAD[:, 1])
    load = np.clip(moved[:, N_JOINTS + 2 :], 0.0, 1.0)
    return Motion(angles[:, :N_JOINTS], angles[:, N_JOINTS:], load, rate_hz)


def _script(family: Family, style: MotionStyle, seconds: float, rng: np.random.Generator) -> _Script:
    """Put gestures in order until the time is filled."""
    resting = _target(Step("resting"), style, np.zeros(N_JOINTS), rng)
    script = _Script([resting], [np.zeros(_N_MOVED)], [np.full(_N_MOVED, 0.01)], rng.uniform(0.1, 0.8))
    names = [
        name if isinstance(name, str) else name[min(int(style.habit * len(name)), len(name) - 1)]
        for name in family.gestures
    ]
    while script.clock_s < seconds:
        for place in rng.permutation(len(names)):
            manner = _variation(rng)
            for _ in range(rng.integers(family.repeats[0], family.repeats[1] + 1)):
                for step in GESTURES[names[place]]:
                    _add(script, step, style, manner, rng)
            if rng.uniform() < style.rest_share:
                _add(script, Step("resting", 0.5, 0.8), style, manner, rng)
    return script


def _add(script: _Script, step: Step, style: MotionStyle, manner: Signal, rng: np.random.Generator) -> None:
    """Let one step follow the script; `manner` is how this row of gestures differs from the next [rad]."""
    spread = style.sloppiness
    move_s = step.move_s / style.tempo * np.exp(rng.normal(0.0, 0.15 * spread))
    hold_s = step.hold_s / style.tempo * np.exp(rng.normal(0.0, 0.3 * spread))
    late_s = step.lag_s / style.tempo * (np.arange(_N_FINGERS) if step.lag_s >= 0 else np.arange(_N_FINGERS) - 4)
    late_s = late_s + np.abs(rng.normal(0.0, 0.1 * spread * move_s, _N_FINGERS))
    late_s = late_s[_FINGER_OF] + np.abs(rng.normal(0.0, 0.1 * spread * move_s, _N_MOVED))
    slower = rng.uniform(0.5, 1.3, _N_MOVED)
    target, last, moves_s = _target(step, style, manner, rng), script.targets[-1], move_s * slower
    # Contact begins when the fingers have nearly arrived, and ends as soon as they leave.
    load = np.arange(_N_MOVED) >= N_JOINTS + 2
    late_s = late_s + np.where(load & (target > last), 0.6 * moves_s, 0.0)
    script.targets.append(target)
    script.starts_s.append(script.clock_s + late_s)
    script.moves_s.append(np.where(load, 0.4, 1.0) * moves_s)
    script.clock_s += move_s + hold_s


def _target(step: Step, style: MotionStyle, manner: Signal, rng: np.random.Generator) -> Signal:
    """Where a step goes: the pose in this person's way, a little different each time."""
    pose = _free_pose(rng) if step.pose == "free" else POSES[step.pose]
    wanted, resting = pose.joint_angles_rad(style.dip_per_pip), RESTING.joint_angles_rad(style.dip_per_pip)
    own_way = _enslaved(resting + style.range * (wanted - resting), style.enslaving)
    own_way = own_way + np.asarray(style.resting_offset_rad) + style.sloppiness * (manner + _variation(rng))
    # A finger that touches something goes where that is, whoever moves it.
    loose = np.where(np.asarray(pose.load) > 0, _LOOSE_IN_CONTACT, 1.0)[_FINGER_OF[:N_JOINTS]]
    angles = wanted + loose * (own_way - wanted)
    wrist = style.range * np.radians(step.wrist_deg) + _WRIST_SPREAD_RAD * style.sloppiness * rng.standard_normal(2)
    load = (np.asarray(pose.load) + step.grip) * np.exp(rng.normal(0.0, 0.2))
    return np.concatenate([angles, wrist, load])


def _variation(rng: np.random.Generator) -> Signal:
    """How one execution differs from the next [rad]: whole fingers flex more or less, and each joint by itself."""
    together, single = rng.standard_normal((_N_FINGERS, 1)), rng.standard_normal((_N_FINGERS, 4))
    flexion = np.broadcast_to(together, (_N_FINGERS, 4)) * np.array([0.0, 1.0, 1.0, 0.7])
    flexion[0] = together[0]
    return (_FINGER_SPREAD_RAD * flexion + _JOINT_SPREAD_RAD * single).ravel()


def _free_pose(rng: np.random.Generator) -> HandPose:
    """Draw a pose: fingers of two named poses, or each finger flexed by itself around a common flexion."""
    if rng.uniform() < 0.5:
        first, second = (list(POSES.values())[place] for place in rng.integers(len(POSES), size=2))
        parts = [(first, second)[choice] for choice in rng.integers(2, size=_N_FINGERS)]
        return HandPose(parts[0].thumb, parts[1].index, parts[2].middle, parts[3].ring, parts[4].pinky)
    flexed = np.clip(rng.uniform() + 0.3 * rng.standard_normal(_N_FINGERS), 0.0, 1.0)
    aside, balance = 7.0 * rng.standard_normal(4), rng.uniform(0.5, 1.2, 4)
    fingers = [
        (float(a), float(-12 + 85 * f * b), float(5 + 95 * f))
        for a, f, b in zip(aside, flexed[1:], balance, strict=True)
    ]
    thumb = tuple(
        float(v) for v in rng.uniform((-18, -16, -2, -10), (-8, 16, 6, 4)) + flexed[0] * np.array([42, 4, 30, 45])
    )
    return HandPose((thumb[0], thumb[1], thumb[2], thumb[3]), fingers[0], fingers[1], fingers[2], fingers[3])


def _enslaved(angles: Signal, share: float) -> Signal:
    """Let each finger's flexion follow its neighbours'."""
    fingers = angles[4:].reshape(4, 4).copy()
    neighbours = np.stack([fingers[1], (fingers[0] + fingers[2]) / 2, (fingers[1] + fingers[3]) / 2, fingers[2]])
    fingers[:, 1:] += share * (neighbours - fingers)[:, 1:]
    return np.concatenate([angles[:4], fingers.ravel()])


def _performed(script: _Script, n_samples: int, rate_hz: float) -> Signal:
    """Add up the minimum-jerk movements of a script, shape (time, moved)."""
    targets, starts_s, moves_s = (np.stack(part) for part in (script.targets, script.starts_s, script.moves_s))
    moved = np.zeros((n_samples + 1, _N_MOVED))
    moved[0] = targets[0]
    # Each movement writes its increments; the sum over time turns them into positions.
    for change, start_s, move_s in zip(np.diff(targets, axis=0), starts_s[1:], moves_s[1:], strict=True):
        first = max(int(start_s.min() * rate_hz), 0)
        last = min(int(np.ceil((start_s + move_s).max() * rate_hz)) + 1, n_samples)
        if first < last:
            along = np.clip((np.arange(first, last)[:, None] / rate_hz - start_s) / move_s, 0.0, 1.0)
            gone = change * along**3 * (10 - 15 * along + 6 * along**2)
            moved[first:last] += np.diff(gone, axis=0, prepend=np.zeros((1, _N_MOVED)))
    return np.cumsum(moved[:n_samples], axis=0)


def _unsteadiness(
    family: Family, style: MotionStyle, contact: Signal, slow: Signal, quick: Signal, tremor: Signal
) -> Signal:
    """Drift, restless fingers and tremor of all that moves, and the hand's own weight, shape (time, moved)."""
    joints, wrist, load = slice(0, N_JOINTS), slice(N_JOINTS, N_JOINTS + 2), slice(N_JOINTS + 2, _N_MOVED)
    of_finger = _FINGER_OF[joints]
    # A finger's joints fidget together, now more, now less.
    liveliness = 3.0 / (1 + np.exp(1.2 - 2.0 * slow[:, load]))
    fidget = 0.7 * (quick[:, load][:, of_finger] + quick[:, joints]) * liveliness[:, of_finger]
    unsteady = np.empty_like(slow)
    unsteady[:, joints] = _DRIFT_RAD * slow[:, joints] + _RESTLESS_RAD * style.sloppiness * fidget
    # What a finger presses on steadies it.
    unsteady[:, joints] *= _UNSTEADY_JOINTS / (1 + 20 * contact[:, of_finger])
    unsteady[:, wrist] = np.radians(family.wrist_deg) * slow[:, wrist]
    unsteady[:, : N_JOINTS + 2] += style.tremor_rad * tremor[:, : N_JOINTS + 2]
    unsteady[:, load] = family.gravity * (1 + 0.3 * slow[:, load])
    return unsteady


def _noise(band_hz: tuple[float, float], n_samples: int, rate_hz: float, rng: np.random.Generator) -> Signal:
    """Noise of a band with a standard deviation of 1, shape (time, moved)."""
    high_hz = min(band_hz[1], 0.45 * rate_hz)
    if band_hz[0] >= high_hz:
        return np.zeros((n_samples, _N_MOVED))
    white = rng.standard_normal((n_samples, _N_MOVED))
    sos = butter(2, (band_hz[0], high_hz), "bandpass", fs=rate_hz, output="sos")
    # White noise of SD 1 keeps the share of its power that lies in the band.
    return np.asarray(sosfilt(sos, white, axis=0)) / np.sqrt((high_hz - band_hz[0]) / (rate_hz / 2))


def _softly_within(angles: Signal, low: Signal, high: Signal) -> Signal:
    """Compress angles near their limits, so that none goes beyond and none stops abruptly."""
    edge = _SOFT_EDGE_RAD
    over = np.maximum(angles - (high - edge), 0.0)
    under = np.maximum((low + edge) - angles, 0.0)
    inside = np.clip(angles, low + edge, high - edge)
    return inside + edge * (np.tanh(over / edge) - np.tanh(under / edge))
