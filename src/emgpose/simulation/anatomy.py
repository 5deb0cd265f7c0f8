"""People and bands: how one forearm differs from the next, and how a band is put on.

All spreads are our own choice unless a line names a source. Those between people are wider than anatomy alone would
have them, because with few training users published models do no better on new users than a hand that never moves; see
docs/decisions/008-how-far-people-differ.md.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from emgpose.errors import ConfigError
from emgpose.simulation.muscles import MOVED, MOVES, MUSCLES, N_MUSCLES

N_ELECTRODES: Final = 16
ELECTRODE_STEP_RAD: Final = 2 * math.pi / N_ELECTRODES


@dataclass(frozen=True)
class UserAnatomy:
    """One person's forearm and hand, as far as EMG depends on them.

    Parameters
    ----------
    muscle_angle_rad, muscle_depth_mm, muscle_end_mm : tuples, one value for each of `MUSCLES`
        Where the muscles lie, as in `Muscle`.
    muscle_size : tuple
        Factor on the number of fibres of each muscle; 1 is average.
    muscle_moves : tuple of tuples, shape (muscle, moved=22)
        What each muscle answers for in this person.
    fat_mm, wrist_circumference_mm, hand_length_mm : float
    strength : float
        The effort of a movement is divided by it; 1 is average.
    noise : float
        Noise of skin and electrodes; 1 is average. EMG in units of the noise floor shrinks as it grows.
    cocontraction : float
        Factor on the share of antagonists; 1 is average.
    delay_s : float
        How long this person's EMG leads the movement, on top of `ActivationShares.delay_s`; may be negative.
    velocity_m_s : float
        Mean conduction velocity of the muscle fibres.
    unit_seed : int
        From which this person's motor units are drawn.
    """

    muscle_angle_rad: tuple[float, ...]
    muscle_depth_mm: tuple[float, ...]
    muscle_end_mm: tuple[float, ...]
    muscle_size: tuple[float, ...]
    muscle_moves: tuple[tuple[float, ...], ...]
    fat_mm: float
    wrist_circumference_mm: float
    hand_length_mm: float
    strength: float
    noise: float
    cocontraction: float
    delay_s: float
    velocity_m_s: float
    unit_seed: int

    def to_dict(self) -> dict[str, Any]:
        """Give numbers and lists of numbers only, for JSON."""
        return {
            key: [list(item) if isinstance(item, tuple) else item for item in value]
            if isinstance(value, tuple)
            else value
            for key, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "UserAnatomy":
        """Take back what `to_dict` gave.

        Raises
        ------
        ConfigError : a name is missing or unknown, or a value has another shape.
        """
        names = {entry.name for entry in dataclasses.fields(cls)}
        if set(values) != names:
            wrong = ", ".join(sorted(names.symmetric_difference(values)))
            raise ConfigError(f"an anatomy holds the values {', '.join(sorted(names))}; missing or unknown: {wrong}")
        try:
            taken: dict[str, Any] = {
                name: float(values[name]) for name in names if not name.startswith(("muscle_", "unit"))
            }
            taken["unit_seed"] = int(values["unit_seed"])
            for name in names - {*taken, "muscle_moves"}:
                taken[name] = _numbers(values[name], N_MUSCLES)
            taken["muscle_moves"] = tuple(_numbers(row, len(MOVED)) for row in values["muscle_moves"])
        except (TypeError, ValueError) as problem:
            raise ConfigError(f"an anatomy holds numbers, one for each of {N_MUSCLES} muscles: {problem}") from None
        if len(taken["muscle_moves"]) != N_MUSCLES:
            raise ConfigError(f"muscle_moves needs {N_MUSCLES} rows, got {len(taken['muscle_moves'])}")
        return cls(**taken)


def _numbers(values: Any, n: int) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in values)
    if len(numbers) != n or not all(map(math.isfinite, numbers)):
        raise ValueError(f"expected {n} finite numbers, got {len(numbers)}")
    return numbers


def draw_user(rng: np.random.Generator) -> UserAnatomy:
    """Draw a person.

    Parameters
    ----------
    rng : numpy Generator
        Of the stream "user".

    Returns
    -------
    UserAnatomy
    """
    angle, depth, end, size = rng.standard_normal((4, N_MUSCLES))
    moves = MOVES * np.exp(0.5 * rng.standard_normal(MOVES.shape))
    whole = np.clip(rng.standard_normal(9), -2.5, 2.5)
    # The muscles of one arm also turn together.
    angle_deg = [muscle.angle_deg for muscle in MUSCLES.values()] + 12.0 * angle + 8.0 * whole[0]
    depth_mm = np.array([muscle.depth_mm for muscle in MUSCLES.values()]) * np.exp(0.3 * depth)
    end_mm = [muscle.end_mm for muscle in MUSCLES.values()] + 6.0 * end
    return UserAnatomy(
        muscle_angle_rad=tuple(np.radians(angle_deg).tolist()),
        muscle_depth_mm=tuple(depth_mm.tolist()),
        muscle_end_mm=tuple(end_mm.tolist()),
        muscle_size=tuple(np.exp(0.45 * size).tolist()),
        muscle_moves=tuple(tuple(row) for row in moves.tolist()),
        fat_mm=float(2.2 * np.exp(0.35 * whole[1])),
        # Large hands go with thick wrists.
        wrist_circumference_mm=float(165.0 + 11.0 * whole[2]),
        hand_length_mm=float(184.0 + 8.0 * whole[2] + 6.0 * whole[3]),
        strength=float(np.exp(0.25 * whole[4])),
        noise=float(np.exp(0.2 * whole[5])),
        cocontraction=float(np.exp(0.4 * whole[6])),
        delay_s=float(0.01 * whole[7]),
        velocity_m_s=float(4.0 + 0.2 * whole[8]),
        unit_seed=int(rng.integers(2**32)),
    )


@dataclass(frozen=True)
class Placement:
    """How the band sits on the arm.

    Parameters
    ----------
    rotation_rad : float
        From the usual place. A rotation by `ELECTRODE_STEP_RAD` puts channel k where channel k + 1 was.
    shift_mm : float
        Along the arm; positive towards the hand.
    gains : tuple of float, one for each of 16 channels
        Of the signal, from how well each electrode touches the skin; the noise floor stays at 1.
    """

    rotation_rad: float = 0.0
    shift_mm: float = 0.0
    gains: tuple[float, ...] = (1.0,) * N_ELECTRODES

    def __post_init__(self) -> None:
        gains = np.asarray(self.gains, dtype=np.float64)
        if gains.shape != (N_ELECTRODES,) or not (np.isfinite(gains) & (gains >= 0)).all():
            raise ConfigError(f"a placement needs {N_ELECTRODES} gains of at least 0, got {self.gains!r}")
        if not (math.isfinite(self.rotation_rad) and math.isfinite(self.shift_mm)):
            raise ConfigError(f"rotation and shift must be finite, got {self.rotation_rad!r} and {self.shift_mm!r}")


NEUTRAL_PLACEMENT: Final = Placement()

# Standard deviations: rotation [electrodes], shift [mm], logarithm of the gains. Our own choice.
PLACEMENT_KINDS: Final = {"neutral": (0.0, 0.0, 0.0), "careful": (0.15, 1.5, 0.05), "worn": (0.5, 4.0, 0.3)}


def draw_placement(rng: np.random.Generator, kind: str = "worn") -> Placement:
    """Put the band on.

    Parameters
    ----------
    rng : numpy Generator
        Of the stream "placement".
    kind : str
        One of `PLACEMENT_KINDS`: "neutral" (always the same), "careful" or "worn" (as people put it on).

    Returns
    -------
    Placement

    Raises
    ------
    ConfigError : an unknown kind.
    """
    if kind not in PLACEMENT_KINDS:
        raise ConfigError(f"placement kind {kind!r} is unknown; the kinds are {', '.join(PLACEMENT_KINDS)}")
    rotation, shift, gain = PLACEMENT_KINDS[kind]
    drawn = rng.standard_normal(2 + N_ELECTRODES)
    return Placement(
        rotation_rad=float(rotation * ELECTRODE_STEP_RAD * drawn[0]),
        shift_mm=float(shift * drawn[1]),
        gains=tuple(np.exp(gain * drawn[2:]).tolist()),
    )
