"""Published scores on emg2pose, and what may be set beside them.

Mean absolute joint-angle error with its SD over users [deg], and landmark distance with the UmeTrack generic hand [mm],
on the test split.

Sources: Salter et al. 2024 (arXiv 2412.02725); Hadidi et al. (arXiv 2603.08212); NHN (arXiv 2610.07713).
"""

from dataclasses import dataclass
from typing import Final

CONDITION_TITLES: Final = {"user": "U", "stage": "S", "user_stage": "US"}


@dataclass(frozen=True)
class PublishedScore:
    """One method on one condition: error and its SD over users [deg], landmark distance [mm]."""

    mae_deg: float
    sd_deg: float
    landmark_distance_mm: float


def _row(*cells: tuple[float, float, float]) -> dict[str, PublishedScore]:
    return {condition: PublishedScore(*cell) for condition, cell in zip(CONDITION_TITLES, cells, strict=True)}


PUBLISHED_SCORES: Final[dict[str, dict[str, dict[str, PublishedScore]]]] = {
    "regression": {
        "static (constant) hand": _row((16.86, 1.80, 25.17), (19.18, 1.71, 28.57), (18.87, 2.01, 28.77)),
        "SensingDynamics": _row((15.5, 1.4, 21.8), (18.8, 1.6, 26.6), (18.7, 1.6, 27.2)),
        "NeuroPose": _row((13.2, 1.1, 17.5), (17.2, 1.7, 24.0), (17.5, 1.5, 24.9)),
        "emg2pose (position)": _row((12.57, 1.30, 16.28), (15.17, 1.59, 20.53), (15.57, 1.30, 21.49)),
        "vemg2pose": _row((12.24, 1.34, 15.82), (15.22, 1.58, 20.38), (15.63, 1.37, 21.30)),
        "Hadidi position, multi-task": _row((11.54, 1.19, 14.74), (14.02, 1.62, 18.61), (14.58, 1.29, 19.78)),
        "Hadidi velocity, multi-task": _row((11.64, 1.25, 14.74), (13.85, 1.62, 18.33), (14.63, 1.34, 19.77)),
        "NHN, best known": _row((11.38, 1.13, 14.42), (13.78, 1.57, 18.21), (14.22, 1.26, 19.26)),
    },
    "tracking": {
        "static (initial pose held)": _row((10.48, 1.81, 15.71), (14.86, 1.91, 21.81), (14.29, 1.86, 21.48)),
        "emg2pose (position)": _row((11.33, 1.10, 14.75), (15.39, 1.50, 20.88), (15.05, 1.22, 20.69)),
        "vemg2pose": _row((7.70, 0.98, 10.22), (11.20, 1.43, 15.18), (11.03, 1.01, 15.35)),
        "Hadidi position, single task": _row((7.35, 0.92, 9.67), (10.21, 1.32, 13.73), (10.25, 0.93, 14.18)),
        "NHN, best known": _row((7.30, 0.88, 9.55), (10.12, 1.31, 13.59), (10.16, 0.99, 14.03)),
    },
}
