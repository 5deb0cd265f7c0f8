"""Notice that a recording was changed after it had been converted."""

from pathlib import Path

import numpy as np

from emgpose.errors import DataError
from emgpose.recording import Session


def was_changed(source: Path, target: Path) -> bool:
    """Tell whether a file was changed after another had been written from it."""
    return source.stat().st_mtime_ns > target.stat().st_mtime_ns


def require_same_samples(given: Session, written: Session, emg_step: float = 0.0, angle_step_rad: float = 0.0) -> None:
    """See that what was written from a recording still is what the recording holds.

    Parameters
    ----------
    given, written : Session
    emg_step, angle_step_rad : float
        EMG [noise floors] and valid joint angles may differ by so much.

    Raises
    ------
    DataError : they differ.
    """
    same = given.n_samples == written.n_samples and given.n_channels == written.n_channels
    for piece in given.chunks() if same else ():
        other = written.read(piece.start, piece.stop)
        off_rad = np.abs(piece.joint_angles.astype(np.float64) - other.joint_angles)[piece.valid & other.valid]
        same = (
            bool((np.abs(piece.emg.astype(np.float64) - other.emg) <= emg_step).all())
            and bool((piece.valid == other.valid).all())
            and bool((off_rad <= angle_step_rad).all())
        )
        if not same:
            break
    if not same:
        raise DataError(
            f"{written.path}: has other samples than {given.name}, which was changed since; nothing is overwritten: "
            "remove the first to have it written again, or choose another folder"
        )
