"""What an evaluation found: window scores, sums for whole groups, and what could not be scored."""

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

import pandas as pd

from emgpose.evaluation.flops import flops_per_window
from emgpose.evaluation.static_hand import StaticHand
from emgpose.evaluation.totals import Totals
from emgpose.kinematics import HandModel
from emgpose.models import EmgModel, Mode, Task
from emgpose.recording.fingerprint import data_fingerprint

ALL: Final = "all"
"""The condition of all windows together."""
GroupKey = tuple[str, str, str]
"""Mode, condition, user."""


@dataclass(frozen=True)
class LeftOut:
    """A recording that could not be scored, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return self.reason if self.path.name in self.reason else f"{self.path.name}: {self.reason}"


@dataclass(frozen=True)
class ReadRecording:
    """A recording that was read to its end.

    Parameters
    ----------
    path : Path
    n_windows : int
        Windows scored in each mode; 0 where no run of valid labels is long enough.
    digest : str
        Fingerprint of its samples as the model got them.
    preparation : str
        What was done to its EMG, in one line.
    simulated : bool
        Whether it says of itself that it was simulated.
    """

    path: Path
    n_windows: int
    digest: str
    preparation: str
    simulated: bool


@dataclass
class Evaluation:
    """What a model scored on a data set.

    Parameters
    ----------
    model : pose model
    task : str
        Which of the model's tasks was scored.
    hand : HandModel
        Whose landmarks were compared.
    static : StaticHand
    modes : tuple of str
        The first is the primary one.
    data_root : Path
    split : str or None
    by : tuple of str
        Metadata columns that make the conditions; empty for the published U / S / US.
    n_recordings : int
        Chosen from the metadata, scored or not.
    windows : DataFrame
        One row per window and mode, see `outputs`.
    totals : dict of (mode, condition, user) -> Totals
    users : dict of condition -> set of users
        All that the metadata name, scored or not.
    recordings : dict of recording name -> ReadRecording
        Those that were read to their end.
    left_out : list of LeftOut
    """

    model: EmgModel
    task: Task
    hand: HandModel
    static: StaticHand
    modes: tuple[Mode, ...]
    data_root: Path
    split: str | None
    by: tuple[str, ...]
    n_recordings: int
    windows: pd.DataFrame = field(default_factory=pd.DataFrame)
    totals: dict[GroupKey, Totals] = field(default_factory=dict)
    users: dict[str, set[str]] = field(default_factory=dict)
    recordings: dict[str, ReadRecording] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)

    @cached_property
    def flops_per_window(self) -> int:
        """Floating-point operations of one test window in the primary mode (see `flops`)."""
        return flops_per_window(self.model, self.modes[0])

    @property
    def n_scored(self) -> int:
        """Recordings that gave at least one window."""
        return sum(recording.n_windows > 0 for recording in self.recordings.values())

    @property
    def without_window(self) -> list[Path]:
        """Recordings that were read but hold no window of valid labels."""
        return [recording.path for recording in self.recordings.values() if not recording.n_windows]

    @property
    def preparations(self) -> Counter[str]:
        """What was done to the EMG of how many recordings."""
        return Counter(recording.preparation for recording in self.recordings.values())

    @property
    def n_simulated(self) -> int:
        """Recordings that say that they were simulated."""
        return sum(recording.simulated for recording in self.recordings.values())

    @property
    def simulated(self) -> bool | None:
        """Whether the recordings read say that they were simulated; None when only some do."""
        return self.n_simulated > 0 if self.n_simulated in (0, len(self.recordings)) else None

    def users_without_window(self) -> dict[str, list[str]]:
        """Users of each condition that no score counts, because none of their recordings gave a window."""
        missing = {}
        for condition, users in self.users.items():
            scored = self.windows.loc[self.windows["condition"] == condition, "user"]
            if left := sorted(users - set(scored)):
                missing[condition] = left
        return missing

    def data_fingerprint(self) -> str:
        """Fingerprint of the recordings that were read whole."""
        return data_fingerprint({name: recording.digest for name, recording in self.recordings.items()})
