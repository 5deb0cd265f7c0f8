"""Which columns of a table are EMG, joint angles and time; what a column's values must be like."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import DataError, SessionFormatError
from emgpose.hand import JOINTS, N_JOINTS
from emgpose.recording.facts import checked_rate_hz

_EMG_NAME: Final = re.compile(r"(emg|ch|channel)[ _-]?(\d{1,4})", re.IGNORECASE)
_JOINT_NAME: Final = re.compile(r"((?:gt_)?joint)_?(\d{1,2})")
# No hand reaches 2 pi; a table in degrees does, and would otherwise be taken for radians.
_LARGEST_ANGLE_RAD: Final = 2 * np.pi
# Time stamps may be rounded and jitter; rows off the even spacing by more than this mean that some are missing.
_JITTER_SAMPLES: Final = 1.5
_JITTER_S: Final = 0.02
_RATE_AGREEMENT: Final = 0.01
# Names of ignored columns that a note spells out.
_NAMED_COLUMNS: Final = 8


@dataclass(frozen=True)
class Columns:
    """Column numbers by meaning.

    Parameters
    ----------
    emg : tuple of int
        EMG channels in order; empty where there are none.
    emg_names : tuple of str
        As the header spells them.
    joints : tuple of int
        The 20 joint angles in data set order; empty where there are none.
    time, valid : int or None
        `time_s` [s] and `valid` (1 or 0).
    ignored : tuple of str
        Columns that mean nothing here.
    """

    emg: tuple[int, ...]
    emg_names: tuple[str, ...]
    joints: tuple[int, ...]
    time: int | None
    valid: int | None
    ignored: tuple[str, ...]

    @property
    def used(self) -> tuple[int, ...]:
        """All columns with a meaning, in file order."""
        others = tuple(column for column in (self.time, self.valid) if column is not None)
        return tuple(sorted((*self.emg, *self.joints, *others)))

    @property
    def n_columns(self) -> int:
        """All columns of the table."""
        return len(self.ignored) + len(self.used)


def find_columns(header: Sequence[str], where: str) -> Columns:
    """Recognise the columns of a table by their names.

    Parameters
    ----------
    header : sequence of str
    where : str
        File, for the message.

    Raises
    ------
    SessionFormatError : a name stands twice, a family of columns is incomplete, two families could be meant, or there
        is neither EMG nor joint angles.
    """
    repeated = [name for name, count in Counter(header).items() if count > 1]
    if repeated:
        raise SessionFormatError(
            f"{where}: column {repeated[0][:80]!a} stands twice in the header; expected distinct names"
        )
    emg = _one_family(_families(header, _EMG_NAME), "EMG", None, where)
    joints = _one_family(_joint_families(header), "joint angle", N_JOINTS, where)
    if not emg and not joints:
        shown = ", ".join(name[:40] for name in header[:_NAMED_COLUMNS]).encode("ascii", "replace").decode()
        raise SessionFormatError(
            f"{where}: expected columns of EMG (emg0, emg1, ...) or of joint angles ({JOINTS[0]}, ... or joint_0 to "
            f"joint_{N_JOINTS - 1}), found {shown}; name the columns in the first line, "
            "or say what they mean in a mapping file (emgpose convert --mapping FILE)"
        )
    place = {name: column for column, name in enumerate(header)}
    time, valid = place.get("time_s"), place.get("valid")
    used = {*emg, *joints, time, valid}
    ignored = tuple(name for column, name in enumerate(header) if column not in used)
    return Columns(emg, tuple(header[column] for column in emg), joints, time, valid, ignored)


def _families(header: Sequence[str], pattern: re.Pattern[str]) -> dict[str, dict[int, int]]:
    """Columns that share a prefix: prefix -> number in the name -> column."""
    families: dict[str, dict[int, int]] = {}
    for column, name in enumerate(header):
        match = pattern.fullmatch(name)
        if match:
            # emg1 and EMG_1 are two columns for one channel; the second gets a negative key and is found out.
            family = families.setdefault(match[1].lower(), {})
            number = int(match[2])
            family[number if number not in family else -1 - column] = column
    return families


def _joint_families(header: Sequence[str]) -> dict[str, dict[int, int]]:
    families = _families(header, _JOINT_NAME)
    named = {number: header.index(name) for number, name in enumerate(JOINTS) if name in header}
    return {**families, "joint name": named} if named else families


def _one_family(families: dict[str, dict[int, int]], kind: str, size: int | None, where: str) -> tuple[int, ...]:
    if not families:
        return ()
    if len(families) > 1:
        raise SessionFormatError(
            f"{where}: expected one set of {kind} columns, found several ({', '.join(sorted(families))}); "
            "leave one in the file"
        )
    prefix, family = next(iter(families.items()))
    numbers = sorted(family)
    first = 1 if size is None and numbers[0] == 1 else 0
    expected = list(range(first, first + (size or len(numbers))))
    if numbers != expected:
        missing = next((number for number in expected if number not in family), None)
        problem = f"number {missing} is missing" if missing is not None else f"there are {len(numbers)}"
        raise SessionFormatError(
            f"{where}: expected {kind} columns {expected[0]} to {expected[-1]}, each once, but of those called "
            f"{prefix} {problem}"
        )
    return tuple(family[number] for number in numbers)


def note_on_ignored(names: Sequence[str]) -> tuple[str, ...]:
    """Say which columns or arrays were not read."""
    if not names:
        return ()
    shown = ", ".join(name[:40] for name in names[:_NAMED_COLUMNS]).encode("ascii", "replace").decode()
    more = f" and {len(names) - _NAMED_COLUMNS} more" if len(names) > _NAMED_COLUMNS else ""
    return (f"not read: {shown}{more}",)


def require_radians(joint_angles: NDArray[np.floating[Any]], first_row: int, where: str) -> None:
    """Refuse joint angles that cannot be radians.

    Raises
    ------
    DataError : a finite angle is beyond 2 pi.
    """
    too_large = np.argwhere(np.isfinite(joint_angles) & (np.abs(joint_angles) > _LARGEST_ANGLE_RAD))
    if len(too_large):
        row, joint = too_large[0]
        raise DataError(
            f"{where}: {JOINTS[joint]} is {joint_angles[row, joint]:g} at sample {first_row + row}, expected radians; "
            "convert the file if it is in degrees"
        )


def table_rate_hz(
    times: Iterable[tuple[int, NDArray[np.float64]]] | None,
    n_rows: int,
    given_hz: float | None,
    where: str,
    *,
    column: str = "time_s",
) -> tuple[float, float | None, tuple[str, ...]]:
    """Find the sample rate of a table.

    Parameters
    ----------
    times : iterable of (first row, time stamps), or None
        The time column in blocks, if there is one; may be iterated more than once.
    n_rows : int
    given_hz : float or None
        The rate that the user gave.
    where, column : str
        File and time column, for the message.

    Returns
    -------
    rate [Hz], time of the first sample [s] or None, notes

    Raises
    ------
    SessionFormatError : there is neither a rate nor a time column, or the time stamps are broken or uneven.
    DataError : the rate given is not that of the time stamps.
    """
    if given_hz is not None:
        given_hz = checked_rate_hz(given_hz, f"{where}: rate_hz")
    if times is None:
        if given_hz is None:
            raise SessionFormatError(
                f"{where}: the file does not say its sample rate; give it as rate_hz (--input-rate)"
            )
        return given_hz, None, ()
    first_s, last_s = _first_and_last(times, where, column)
    if n_rows < 2 or last_s <= first_s:
        if given_hz is None:
            raise SessionFormatError(
                f"{where}: column {column} does not run forward; give the rate as rate_hz (--input-rate)"
            )
        return given_hz, first_s, (f"{column} does not run forward; sample numbers and the rate given are the clock",)
    rate_hz = _without_rounding((n_rows - 1) / (last_s - first_s))
    if given_hz is not None and abs(rate_hz / given_hz - 1) > _RATE_AGREEMENT:
        raise DataError(
            f"{where}: the rate given is {given_hz:g} Hz, column {column} says {rate_hz:g} Hz; leave the wrong one out"
        )
    uneven = _first_uneven_row(times, first_s, rate_hz)
    if uneven is not None and given_hz is None:
        raise SessionFormatError(
            f"{where}: column {column} leaves its even spacing ({rate_hz:g} Hz) at sample {uneven}: samples are "
            "missing or stamped late; give the true rate as rate_hz (--input-rate) to take the rows as evenly spaced"
        )
    notes = (
        () if uneven is None else (f"{column} leaves its even spacing at sample {uneven}; the rate given is the clock",)
    )
    checked_rate_hz(rate_hz, f"{where}: column {column}")
    return given_hz or rate_hz, first_s, notes


def _first_and_last(times: Iterable[tuple[int, NDArray[np.float64]]], where: str, column: str) -> tuple[float, float]:
    first_s = last_s = np.nan
    for start, block in times:
        bad = np.flatnonzero(~np.isfinite(block))
        if len(bad):
            raise SessionFormatError(
                f"{where}: column {column} is {block[bad[0]]} at sample {start + bad[0]}, expected seconds"
            )
        first_s, last_s = (block[0] if start == 0 else first_s), block[-1]
    return float(first_s), float(last_s)


def _without_rounding(rate_hz: float) -> float:
    # Stamps are written with some decimals: 1999.9999997 Hz is 2000 Hz.
    nearest = round(rate_hz, 3)
    return nearest if abs(nearest - rate_hz) <= 1e-6 * rate_hz else rate_hz


def _first_uneven_row(times: Iterable[tuple[int, NDArray[np.float64]]], first_s: float, rate_hz: float) -> int | None:
    tolerance_s = max(_JITTER_SAMPLES / rate_hz, _JITTER_S)
    for start, block in times:
        even_s = first_s + np.arange(start, start + len(block)) / rate_hz
        off = np.flatnonzero(np.abs(block - even_s) > tolerance_s)
        if len(off):
            return int(start + off[0])
    return None
