"""From movement to muscle activation: which muscle works how hard, and when."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError
from emgpose.hand import FINGERS
from emgpose.simulation.anatomy import UserAnatomy
from emgpose.simulation.hand_poses import RESTING
from emgpose.simulation.joint_motion import Motion
from emgpose.simulation.motion_style import MotionStyle
from emgpose.simulation.muscles import MOVED_INDEX, MUSCLES

Signal = NDArray[np.float64]


@dataclass(frozen=True)
class ActivationShares:
    """What muscle activation is made of. A knob: no result about the velocity share follows from simulated data.

    Parameters
    ----------
    position, velocity, acceleration : float
        Effort at 1 rad from rest, at `REFERENCE_VELOCITY_RAD_S` and at `REFERENCE_ACCELERATION_RAD_S2`, as shares of
        `effort`.
    load : float
        Effort of a full outer load, as a share of `effort`.
    cocontraction : float
        Activation of antagonists as a share of the agonists'.
    delay_s : float
        How long EMG leads the movement.
    effort : float
        Activation (share of the maximum) where the efforts add up to 1.
    enslaving : float
        Activation that a finger's slip passes on to its neighbours.
    """

    position: float = 0.5
    velocity: float = 0.4
    acceleration: float = 0.1
    load: float = 1.0
    cocontraction: float = 0.15
    delay_s: float = 0.055
    effort: float = 0.35
    enslaving: float = 0.1

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (np.isfinite(value) and value >= 0):
                raise ConfigError(f"activation share {name} must be a number of at least 0, got {value!r}")
        if self.cocontraction > 1 or self.enslaving > 0.5:
            raise ConfigError("cocontraction must be at most 1 and enslaving at most 0.5")


DEFAULT_SHARES: Final = ActivationShares()
REFERENCE_VELOCITY_RAD_S: Final = 5.0
REFERENCE_ACCELERATION_RAD_S2: Final = 100.0
# Passive tissue holds the relaxed hand here [rad]; the wrist is relaxed at zero.
RELAXED_RAD: Final = np.concatenate([RESTING.joint_angles_rad(MotionStyle().dip_per_pip), np.zeros(2)])
RELAXED_RAD.flags.writeable = False
# Deviations from the relaxed pose that passive tissue bears: our own choice.
FREE_RAD: Final = 0.15
# Extension ends nearer to the relaxed pose than flexion, and takes more effort per radian; our own choice.
EXTENSION_GAIN: Final = 1.6


def activations(motion: Motion, anatomy: UserAnatomy, shares: ActivationShares = DEFAULT_SHARES) -> Signal:
    """Work out how hard each muscle works for a movement.

    Parameters
    ----------
    motion : Motion
    anatomy : UserAnatomy
    shares : ActivationShares

    Returns
    -------
    array, shape (time, muscle)
        From 0 to 1, at the rate of the motion, already ahead of the movement by the delay.
    """
    effort = _effort(np.concatenate([motion.joint_angles, motion.wrist], axis=1), motion.rate_hz, shares)
    moves = np.asarray(anatomy.muscle_moves)
    # Unlike a matrix product, einsum gives the same digits on any number of threads.
    pull = np.einsum("tj,mj->tm", effort, moves)
    agonist = np.maximum(pull, 0)
    antagonist = np.maximum(-pull, 0)
    share = min(shares.cocontraction * anatomy.cocontraction, 1.0)
    active = agonist + share * antagonist + shares.load * _grip(motion.load)
    active = _enslaved(active, shares.enslaving)
    active = active + _wrist_balance(active, moves)
    active = -np.expm1(-shares.effort / anatomy.strength * active)
    return _ahead(active, np.clip(shares.delay_s + anatomy.delay_s, 0.0, None) * motion.rate_hz)


def _effort(moved: Signal, rate_hz: float, shares: ActivationShares) -> Signal:
    """Effort in each direction of movement, signed, shape (time, moved)."""
    away = moved - RELAXED_RAD
    away = np.sign(away) * np.maximum(np.abs(away) - FREE_RAD, 0)
    away = np.where(away < 0, EXTENSION_GAIN, 1.0) * away
    velocity = np.gradient(moved, 1 / rate_hz, axis=0)
    acceleration = np.gradient(velocity, 1 / rate_hz, axis=0)
    return (
        shares.position * away
        + shares.velocity / REFERENCE_VELOCITY_RAD_S * velocity
        + shares.acceleration / REFERENCE_ACCELERATION_RAD_S2 * acceleration
    )


def _grip(load: Signal) -> Signal:
    """Effort against an outer load, shape (time, muscle): by finger, the mean load for muscles of none."""
    fingers = [next((f for f, finger in enumerate(FINGERS) if name.endswith(finger.upper())), None) for name in MUSCLES]
    of_thumb = ("FPL", "THENAR", "ADP", "APL")
    columns = [
        load[:, 0] if name in of_thumb else load.mean(axis=1) if finger is None else load[:, finger]
        for name, finger in zip(MUSCLES, fingers, strict=True)
    ]
    return np.stack(columns, axis=1) * np.array([muscle.grips for muscle in MUSCLES.values()])


def _enslaved(active: Signal, enslaving: float) -> Signal:
    """Let each slip of the finger muscles pull its neighbours along."""
    mixed = active.copy()
    for name in ("FDP", "FDS", "EDC"):
        first = list(MUSCLES).index(f"{name}_INDEX")
        slips = active[:, first : first + 4]
        mixed[:, first : first + 3] += enslaving * slips[:, 1:]
        mixed[:, first + 1 : first + 4] += enslaving * slips[:, :3]
    return mixed


def _wrist_balance(active: Signal, moves: Signal) -> Signal:
    """Activation of the wrist muscles against the moment that the finger muscles put on the wrist."""
    wrist = moves[:, [MOVED_INDEX["WRIST_FE"], MOVED_INDEX["WRIST_RU"]]].copy()
    of_wrist = np.array([name in ("FCR", "FCU", "ECR", "ECU") for name in MUSCLES])
    moment = np.einsum("tm,mw->tw", active[:, ~of_wrist], wrist[~of_wrist])
    return np.maximum(-np.einsum("tw,mw->tm", moment, wrist), 0) * of_wrist


def _ahead(active: Signal, lead_samples: float) -> Signal:
    """Take each sample from `lead_samples` later; the end is held."""
    n = len(active)
    at = np.minimum(np.arange(n) + lead_samples, n - 1)
    low = np.minimum(at.astype(np.int64), n - 2)
    part = (at - low)[:, None]
    return (1 - part) * active[low] + part * active[low + 1]
