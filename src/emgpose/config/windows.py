"""What the network sees: which recordings, how they are cut into windows, and what is done to these."""

from dataclasses import dataclass, field
from typing import Final

from omegaconf import MISSING

from emgpose.config.limits import above_zero, at_least, at_most, not_empty, one_of, share
from emgpose.errors import ConfigError
from emgpose.models.config_json import nearest
from emgpose.simulation.aggressors import AGGRESSORS

_SAMPLINGS: Final = ("uniform", "user", "stage")
# A number mistyped would fill the machine with processes.
_MOST_WORKERS: Final = 256


@dataclass
class DataConfig:
    """Which recordings, and how they are cut into windows and batches.

    Parameters
    ----------
    root : str
        Folder of the data set: `metadata.csv` and the recordings, a prepared store, or a BIDS data set.
    window_samples, val_window_samples : int or None
        Samples at 2 kHz of a training and of a validation window, the model's left context included. None: the model's
        `test_window` (its context and 10,000 samples that are scored).
    stride_samples : int or None
        Samples between the starts of training windows. None: the window's length.
    jitter : bool
        Move each training window by a random number of samples at every epoch.
    skip_invalid : bool
        Leave out training windows with an invalid label; else invalid samples are masked. Validation always leaves
        them out, as the test protocol does.
    num_users, num_stages : int or None
        Train on so many users, and so many stages. With the same seed, a smaller number is a subset of a larger one.
    hours : float or None
        Train on so many hours [h] of recordings, nested likewise.
    where : str or None
        A pandas query over the columns of the metadata; limits training and validation recordings.
    sampling : "uniform", "user" or "stage"
        What training windows an epoch takes. "uniform": every one once. "user", "stage": as many windows in all, but as
        many of each user, or of each stage, whatever was recorded of them; some then come more than once in an epoch,
        and others not in each. A window that comes again in the same epoch has the same jitter and augmentation.
    batch_size : int
        Windows of a batch, over all processes together.
    workers : int
        Processes that read windows, beside each training process; they change no number.
    in_memory_gib : float
        Recordings are kept in memory when all of them fit into this many GiB, of each training process. Those of a
        prepared store never are: nothing of it is read before a window is drawn, and the system's page cache holds it.
    """

    root: str = MISSING
    window_samples: int | None = None
    val_window_samples: int | None = None
    stride_samples: int | None = None
    jitter: bool = True
    skip_invalid: bool = True
    num_users: int | None = None
    num_stages: int | None = None
    hours: float | None = None
    where: str | None = None
    sampling: str = "uniform"
    batch_size: int = 64
    workers: int = 0
    in_memory_gib: float = 4.0

    def __post_init__(self) -> None:
        not_empty(self, "data.", "root")
        at_least(self, "data", 1, "window_samples", "val_window_samples", "stride_samples", "batch_size")
        at_least(self, "data", 1, "num_users", "num_stages")
        at_least(self, "data", 0, "workers", "in_memory_gib")
        at_most(self, "data", _MOST_WORKERS, "workers")
        above_zero(self, "data", "hours")
        one_of("data.sampling", self.sampling, _SAMPLINGS)


@dataclass
class AugmentConfig:
    """What is done to training windows; each draw is a function of (seed, epoch, window).

    Parameters
    ----------
    rotation : int
        Roll the electrodes by -rotation to +rotation places. 0: not at all.
    aggressor_probability : float
        Share of windows that one simulated aggressor (power line, sweat, a lifted electrode, ...) spoils.
    aggressors : list of str
        The aggressors to draw from, names of `emgpose.simulation.aggressors.AGGRESSORS`. Empty: all of them.
    max_severity : float
        Severities are drawn between 0 and this; at most 1.
    """

    rotation: int = 1
    aggressor_probability: float = 0.0
    aggressors: list[str] = field(default_factory=list)
    max_severity: float = 0.5

    def __post_init__(self) -> None:
        at_least(self, "augment", 0, "rotation")
        share(self, "augment", "aggressor_probability", "max_severity")
        for name in self.aggressors:
            if name not in AGGRESSORS:
                raise ConfigError(f"augment.aggressors: unknown aggressor '{name}'; {nearest(name, AGGRESSORS)}")
