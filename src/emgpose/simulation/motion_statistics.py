"""Figures that describe a movement: how many dimensions it has, how fast and how far the joints go."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import DataError, ShapeError
from emgpose.hand import N_JOINTS

SPEED_PERCENTILES: Final = (25, 50, 75, 90, 95, 99)
# Range of a joint: between these percentiles, so that single frames do not count.
RANGE_PERCENTILES: Final = (1, 99)


@dataclass(frozen=True, eq=False)
class MotionStatistics:
    """Figures of a movement.

    Parameters
    ----------
    n_samples : int
        Valid samples.
    explained : array, shape (component=20,)
        Share of the variance that the first 1, 2, ... principal components hold together.
    speed_rad_s : dict of int to float
        Percentiles of the absolute joint velocity over all joints, of `SPEED_PERCENTILES`.
    low_rad, high_rad : array, shape (joint=20,)
        1st and 99th percentile of each angle.
    mean_rad, sd_rad : array, shape (joint=20,)
    """

    n_samples: int
    explained: NDArray[np.float64]
    speed_rad_s: dict[int, float]
    low_rad: NDArray[np.float64]
    high_rad: NDArray[np.float64]
    mean_rad: NDArray[np.float64]
    sd_rad: NDArray[np.float64]

    @property
    def range_rad(self) -> NDArray[np.float64]:
        """From the 1st to the 99th percentile, shape (joint=20,) [rad]."""
        return self.high_rad - self.low_rad


def motion_statistics(
    joint_angles: NDArray[np.floating], rate_hz: float, valid: NDArray[np.bool_] | None = None
) -> MotionStatistics:
    """Describe a movement.

    Parameters
    ----------
    joint_angles : array, shape (time, joint=20) [rad]
    rate_hz : float
        Velocities are differences between neighbouring samples: compare movements at one rate only.
    valid : array, shape (time,), bool, optional
        Samples to count; differences count where both samples do.

    Returns
    -------
    MotionStatistics

    Raises
    ------
    ShapeError : the axes do not fit.
    DataError : no two valid samples lie side by side.
    """
    angles = np.asarray(joint_angles, dtype=np.float64)
    usable = np.ones(len(angles), dtype=bool) if valid is None else np.asarray(valid, dtype=bool)
    if angles.ndim != 2 or angles.shape[1] != N_JOINTS or usable.shape != (len(angles),):
        raise ShapeError(
            f"motion statistics need joint angles (time, {N_JOINTS}) and valid (time,), "
            f"got {angles.shape} and {usable.shape}"
        )
    pairs = usable[1:] & usable[:-1]
    if not pairs.any():
        raise DataError("motion statistics need two neighbouring valid samples, got none")
    used = angles[usable]
    variances = np.linalg.eigvalsh(np.cov(used, rowvar=False))[::-1].clip(0.0)
    speeds = np.abs(np.diff(angles, axis=0)[pairs]) * rate_hz
    low, high = np.percentile(used, RANGE_PERCENTILES, axis=0)
    return MotionStatistics(
        n_samples=int(usable.sum()),
        explained=np.cumsum(variances) / max(float(variances.sum()), np.finfo(float).tiny),
        speed_rad_s=dict(zip(SPEED_PERCENTILES, np.percentile(speeds, SPEED_PERCENTILES).tolist(), strict=True)),
        low_rad=low,
        high_rad=high,
        mean_rad=used.mean(axis=0),
        sd_rad=used.std(axis=0),
    )
