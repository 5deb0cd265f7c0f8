"""What a user can choose about the engine."""

from dataclasses import dataclass
from typing import Protocol

from numpy.typing import ArrayLike

from emgpose.errors import ConfigError
from emgpose.live.smoothing import DEFAULT_SMOOTHING, OneEuro


class CalibrationLike(Protocol):
    """What the engine needs of a calibration (`emgpose.live.calibration.Calibration`).

    Channels are the model's, after the channel map and before the roll.
    """

    @property
    def noise_floor(self) -> tuple[float, ...] | None:
        """Standard deviation of each channel at rest, after the filters, in the source's unit; None: not measured."""

    @property
    def roll(self) -> int:
        """Electrodes to turn the band by: the model's channel c gets channel c - roll (`numpy.roll` by +roll)."""

    @property
    def gains(self) -> tuple[float, ...] | None:
        """What each scaled channel is multiplied by, before the roll; None for 1."""

    @property
    def initial_pose(self) -> ArrayLike | None:
        """Joint angles (joint=20,) [rad] from which tracking starts; None for the model's own."""


@dataclass(frozen=True)
class EngineSettings:
    """Choices about the engine; the defaults need a source that suits the model.

    Parameters
    ----------
    smoothing : OneEuro or None
        None gives the model's own poses.
    joint_limits : bool
        Whether angles are kept within what the hand's joints can do.
    channel_map : tuple of int or None, optional
        For each channel of the model the source's channel that it gets, counted from 0; None leaves it at zero.
        Without it the source must have as many channels as the model.
    resample : bool
        Whether a source of another rate may be resampled, which delays poses by the filter's look-ahead.
    noise_floor : tuple of float, optional
        Standard deviation at rest after the filters, in the source's unit: one number, or one per channel of the model.
        Needed where the model wants scaled EMG and the source has not been scaled; a calibration's comes first.
    max_fill_s : float
        Gaps up to this length are filled with the last sample; longer ones make the model begin again [s].
    calibration : Calibration, optional
        Scaling, turn of the band and initial pose, measured on this user.

    Raises
    ------
    ConfigError : a number that is impossible.
    """

    smoothing: OneEuro | None = DEFAULT_SMOOTHING
    joint_limits: bool = True
    channel_map: tuple[int | None, ...] | None = None
    resample: bool = False
    noise_floor: tuple[float, ...] | None = None
    max_fill_s: float = 0.05
    calibration: CalibrationLike | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.max_fill_s <= 1:
            raise ConfigError(f"max_fill_s must lie between 0 and 1 s, got {self.max_fill_s!r}")
