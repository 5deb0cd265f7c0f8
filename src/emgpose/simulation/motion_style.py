"""How a person moves: tempo, range, pauses, and how far the fingers follow each other."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from emgpose.errors import ConfigError
from emgpose.hand import JOINTS, N_JOINTS

_NO_OFFSET: Final = (0.0,) * N_JOINTS


@dataclass(frozen=True)
class MotionStyle:
    """How a person moves.

    Parameters
    ----------
    tempo : float
        Movements and holds last 1 / tempo of what the family states; more than 0.
    range : float
        Joint angles away from the resting pose, as a share of what the family states.
    rest_share : float
        Probability of a rest between two gestures.
    sloppiness : float
        Spread of target poses and of timing between executions, 1 for the average person.
    enslaving : float
        Share of a finger's flexion that comes from its neighbours' (Zatsiorsky et al. 2000; amount our own choice).
    dip_per_pip : float
        DIP flexion that goes with PIP flexion when a finger bends freely.
    tremor_rad : float
        Standard deviation of tremor per joint [rad].
    habit : float
        From 0 to 1: which of two ways of doing a gesture this person has.
    resting_offset_rad : tuple of 20 float
        Added to every pose [rad]: this person's hand.

    Raises
    ------
    ConfigError : a value is not finite or impossible.
    """

    tempo: float = 1.0
    range: float = 1.0
    rest_share: float = 0.2
    sloppiness: float = 1.0
    enslaving: float = 0.12
    dip_per_pip: float = 0.66
    tremor_rad: float = 0.001
    habit: float = 0.0
    resting_offset_rad: tuple[float, ...] = field(default=_NO_OFFSET)

    def __post_init__(self) -> None:
        offset = np.asarray(self.resting_offset_rad, dtype=np.float64)
        if offset.shape != (N_JOINTS,) or not np.isfinite(offset).all():
            raise ConfigError(f"motion style: resting_offset_rad must be {N_JOINTS} finite numbers, got {offset.shape}")
        for name in ("tempo", "range", "rest_share", "sloppiness", "enslaving", "dip_per_pip", "tremor_rad", "habit"):
            value = getattr(self, name)
            highest = 1.0 if name in ("rest_share", "enslaving", "habit") else np.inf
            if not (np.isfinite(value) and 0 <= value <= highest) or (name == "tempo" and value == 0):
                raise ConfigError(f"motion style: {name} must be a number from 0 to {highest:g}, got {value!r}")


def draw_style(rng: np.random.Generator) -> MotionStyle:
    """Draw how one person moves; the spreads between people are our own choice."""
    offset_deg = np.array([3.0 if name.endswith("_AA") else 4.0 for name in JOINTS])
    return MotionStyle(
        tempo=float(np.exp(rng.normal(0.0, 0.2))),
        range=float(np.clip(rng.normal(0.97, 0.07), 0.75, 1.1)),
        rest_share=float(rng.uniform(0.05, 0.35)),
        sloppiness=float(np.exp(rng.normal(0.0, 0.25))),
        enslaving=float(rng.uniform(0.05, 0.2)),
        dip_per_pip=float(np.clip(rng.normal(0.66, 0.08), 0.45, 0.9)),
        tremor_rad=float(0.001 * np.exp(rng.normal(0.0, 0.3))),
        habit=float(rng.uniform()),
        resting_offset_rad=tuple(float(value) for value in np.radians(offset_deg) * rng.standard_normal(N_JOINTS)),
    )
