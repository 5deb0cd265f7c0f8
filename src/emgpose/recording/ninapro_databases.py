"""How the files of Ninapro's databases look, and what their documents say that the files do not.

Source: Atzori et al. 2014, Scientific Data 1:140053 (DB2, DB3); Pizzolato et al. 2017, PLoS ONE 12(10):e0186132 (DB5);
Krasoulis, Vijayakumar, Nazarpour 2019, Front. Neurosci. 13:891 (DB8); instructions of each at ninapro.hevs.ch.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from emgpose.errors import ConfigError


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
    Database("DB2", 12, 22, 2000.0, notes=(_UNCALIBRATED,)),
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

# DB3 is laid out as DB2, so that its files do not tell which of the two they are of.
DB2, DB3 = DATABASES[0], replace(DATABASES[0], name="DB3", notes=(_UNCALIBRATED, "of a hand amputee"))
DB2_OR_DB3: Final = replace(
    DB2,
    name="DB2 or DB3",
    notes=(
        _UNCALIBRATED,
        "DB2 (intact) and DB3 (amputees) are laid out alike, and no name of file or folder says which this is",
    ),
)
# DB3 has 11 subjects, DB2 has 40. Source: Atzori et al. 2014.
_SUBJECTS_OF_DB3: Final = 11
_NAMED: Final = re.compile(r"(?:ninapro[ _-]*)?db[ _-]*([23])(?![0-9])", re.IGNORECASE)


def which_of_two(path: Path, subject: int | None, *, has_db9: bool, stated: str | None) -> Database:
    """Tell a file of DB2 from one of DB3.

    Parameters
    ----------
    path : Path
        Its name, or else the nearest of its folders that begins with the name of one of the two, tells.
    subject : int or None
        Some numbers are in DB2 only.
    has_db9 : bool
        Whether a file of DB9, which has subjects of DB2 and none of DB3, was found to belong to it.
    stated : str or None
        What the user says.

    Returns
    -------
    Database
        `DB2_OR_DB3` where nothing tells.

    Raises
    ------
    ConfigError : what the user says contradicts the rest.
    """
    names = [path.name, *(folder.name for folder in path.absolute().parents)]
    found = next((match[1] for name in names if (match := _NAMED.match(name))), None)
    if has_db9 or (subject is not None and subject > _SUBJECTS_OF_DB3):
        found = "2"
    told = {"2": DB2, "3": DB3}.get(found or "")
    if stated is None or (told is not None and told.name == stated):
        return told or DB2_OR_DB3
    if told is not None:
        raise ConfigError(f"{path}: is of {told.name} by its name, folder, subject or angles, not of {stated}")
    return DB2 if stated == DB2.name else DB3


def db9_subject(database: str, subject: int) -> int | None:
    """Give the number that a subject has in DB9; None for a database that DB9 does not hold.

    Source: ninapro.hevs.ch, instructions of DB9: 1 to 27 are DB1, 28 to 67 DB2, 68 to 77 DB5.
    """
    offset, n_subjects = {DB2.name: (27, 40), DB2_OR_DB3.name: (27, 40), "DB5": (67, 10)}.get(database, (0, 0))
    return subject + offset if 1 <= subject <= n_subjects else None
