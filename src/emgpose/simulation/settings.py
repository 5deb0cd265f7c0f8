"""What a simulated data set is a function of."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from emgpose.errors import ConfigError, DataError
from emgpose.simulation.activation import DEFAULT_SHARES, ActivationShares
from emgpose.simulation.aggressors import AGGRESSORS
from emgpose.simulation.labels import SHORTEST_S
from emgpose.simulation.splits import PlannedRecording, plan_recordings
from emgpose.timing import EMG_RATE_HZ

# Raised whenever the same settings would give other samples: no data set is finished by another simulator.
SIMULATOR_VERSION: Final = 2
# A recording is made whole in memory.
LONGEST_MINUTES: Final = 60.0
# Seeds are kept in the files as 64-bit integers.
LARGEST_SEED: Final = 2**63 - 1
_NOTHING: Final[Mapping[str, float]] = MappingProxyType({})


@dataclass(frozen=True)
class DataSetSettings:
    """What a simulated data set is a function of.

    Parameters
    ----------
    users, stages : int
    minutes : float
        Length of each recording.
    placements, repeats : int
        Per user and stage; see `plan_recordings`.
    seed : int
    motion_file : Path, optional
        Recorded joint angles that take the place of simulated movement; each recording is another cut of them.
    motion_rate_hz : float, optional
        For a motion file that does not state its rate.
    aggressors : mapping of name to severity, optional
        Each spoils one span of every recording.
    aggressor_share : float
        Length of that span as a share of the recording.
    velocity_share : float
        How much of the muscles' activation follows velocity (`ActivationShares.velocity`): a knob, not a finding.

    Raises
    ------
    ConfigError : a value is impossible, or too small for every condition to have a recording.
    """

    users: int
    stages: int
    minutes: float
    placements: int = 2
    repeats: int = 2
    seed: int = 0
    motion_file: Path | None = None
    motion_rate_hz: float | None = None
    aggressors: Mapping[str, float] = field(default_factory=lambda: _NOTHING)
    aggressor_share: float = 1.0
    velocity_share: float = DEFAULT_SHARES.velocity

    def __post_init__(self) -> None:
        # 1 and 1.0 are the same settings, and so the same text and bytes.
        object.__setattr__(self, "minutes", float(self.minutes))
        object.__setattr__(self, "aggressor_share", float(self.aggressor_share))
        object.__setattr__(self, "velocity_share", float(self.velocity_share))
        object.__setattr__(self, "aggressors", {name: float(value) for name, value in self.aggressors.items()})
        if self.motion_rate_hz is not None:
            object.__setattr__(self, "motion_rate_hz", float(self.motion_rate_hz))
        if not (math.isfinite(self.minutes) and self.minutes * 60 >= SHORTEST_S):
            raise ConfigError(
                f"minutes: expected at least {SHORTEST_S / 60:.3f} ({SHORTEST_S:g} s per recording, so that a test "
                f"window of valid labels fits), got {self.minutes:g}"
            )
        if self.minutes > LONGEST_MINUTES:
            raise ConfigError(
                f"minutes: expected at most {LONGEST_MINUTES:g} per recording, got {self.minutes:g}; more repeats or "
                "stages give more hours"
            )
        if not 0 <= self.seed <= LARGEST_SEED:
            raise ConfigError(f"seed: expected 0 or more, below 2^63, got {self.seed}")
        for name, severity in self.aggressors.items():
            if name not in AGGRESSORS:
                raise ConfigError(f"aggressor {name!a}: expected one of {', '.join(AGGRESSORS)}")
            if not 0 <= severity <= 1:
                raise ConfigError(f"aggressor {name}: expected a severity from 0 to 1, got {severity:g}")
        if not 0 < self.aggressor_share <= 1:
            raise ConfigError(f"aggressor share: expected more than 0 and at most 1, got {self.aggressor_share:g}")
        self._check_motion()
        self.plan()

    def _check_motion(self) -> None:
        if self.motion_rate_hz is not None and self.motion_file is None:
            raise ConfigError("motion rate: given without a motion file; leave it out")
        if self.motion_rate_hz is not None and not (math.isfinite(self.motion_rate_hz) and self.motion_rate_hz > 0):
            raise ConfigError(f"motion rate: expected a positive rate in Hz, got {self.motion_rate_hz:g}")
        if not (math.isfinite(self.velocity_share) and self.velocity_share >= 0):
            raise ConfigError(f"velocity share: expected 0 or more, got {self.velocity_share:g}")
        if self.motion_file is not None and not Path(self.motion_file).is_file():
            what = "is not a file" if Path(self.motion_file).exists() else "no such file"
            raise DataError(f"{self.motion_file}: {what}; expected recorded joint angles")

    @property
    def shares(self) -> ActivationShares:
        """What muscle activation is made of."""
        return replace(DEFAULT_SHARES, velocity=self.velocity_share)

    @property
    def n_samples(self) -> int:
        """Samples of each recording."""
        return round(self.minutes * 60 * EMG_RATE_HZ)

    @property
    def seconds(self) -> float:
        """Length of each recording [s]."""
        return self.n_samples / EMG_RATE_HZ

    def plan(self) -> list[PlannedRecording]:
        """Lay out the recordings."""
        return plan_recordings(
            self.users,
            self.stages,
            placements=self.placements,
            repeats=self.repeats,
            prefix=f"sim{self.seed}",
        )

    def to_dict(self) -> dict[str, Any]:
        """Give everything that decides the samples, as plain data; the motion file by name and content."""
        values: dict[str, Any] = {
            **{entry.name: getattr(self, entry.name) for entry in dataclasses.fields(self)},
            "aggressors": dict(sorted(self.aggressors.items())),
            "simulator_version": SIMULATOR_VERSION,
        }
        if self.motion_file is not None:
            digest = _file_digest(Path(self.motion_file))
            values["motion_file"] = {"name": Path(self.motion_file).name, "sha256": digest}
        return values

    def digest(self) -> str:
        """Give a name to these settings: a hash over `to_dict`."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
