"""How the files of Ninapro's databases look, and what their documents say that the files do not.

Source: Atzori et al. 2014, Scientific Data 1:140053 (DB2, DB3); Pizzolato et al. 2017, PLoS ONE 12(10):e0186132 (DB5);
Krasoulis, Vijayakumar, Nazarpour 2019, Front. Neurosci. 13:891 (DB8); instructions of each at ninapro.hevs.ch.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Database:
    """How the files of a database look.

    Parameters
    ----------
    name : str
    n_emg, n_glove : int
        Columns of `emg` and `glove`.
    rate_hz : float
    side : str or None
        Of the EMG, where the database has one side only.
    notes : tuple of str
    """

    name: str
    n_emg: int
    n_glove: int
    rate_hz: float
    side: str | None = None
    notes: tuple[str, ...] = ()


_UNCALIBRATED: Final = "field glove holds uncalibrated sensor values and is not read; DB9 has calibrated angles"
DATABASES: Final = (
    Database("DB2", 12, 22, 2000.0, notes=(_UNCALIBRATED, "DB3 (amputees) has the same layout")),
    Database("DB5", 16, 22, 200.0, notes=(_UNCALIBRATED, "two armbands of 8 electrodes, not one ring of 16")),
    Database(
        "DB8",
        16,
        18,
        2000.0,
        "right",
        (
            "recorded at 1111 Hz and upsampled to 2 kHz by its authors: it holds nothing above 555 Hz",
            "two rows of 8 electrodes, not one ring of 16",
            "field glove is not read: the glove was on the left hand, the EMG on the right forearm",
        ),
    ),
)


def db9_subject(database: str, subject: int) -> int | None:
    """Give the number that a subject has in DB9; None for a database that DB9 does not hold.

    Source: ninapro.hevs.ch, instructions of DB9: 1 to 27 are DB1, 28 to 67 DB2, 68 to 77 DB5.
    """
    offset, n_subjects = {"DB2": (27, 40), "DB5": (67, 10)}.get(database, (0, 0))
    return subject + offset if 1 <= subject <= n_subjects else None
