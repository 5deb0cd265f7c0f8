"""A recording in pieces, each with all of its fields read at once, as a store takes it in."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.hand import N_JOINTS
from emgpose.recording.session import Session, SessionSlice, label_is_valid
from emgpose.recording.store.frames import CHUNK_SAMPLES

# Some chunks at a time: 11 MB with 16 channels.
PIECE_SAMPLES: Final = 16 * CHUNK_SAMPLES


@dataclass(frozen=True)
class Piece:
    """Samples of a recording from `start` on, a whole number of chunks but for the last.

    Parameters
    ----------
    start : int
    fields : dict
        Those that the recording has, among `emg` (time, channel) float32, `joint_angles` (time, joint=20) float32 [rad]
        and `time_s` (time,) float64 [s].
    valid : array, shape (time,), bool
    """

    start: int
    fields: dict[str, NDArray[Any]]
    valid: NDArray[np.bool_]

    def slice_of(self, session: Session) -> SessionSlice:
        """Give it as `Session.read` would."""
        n = len(self.valid)
        emg = self.fields.get("emg", np.empty((n, session.n_channels), dtype=np.float32))
        angles = self.fields.get("joint_angles", np.full((n, N_JOINTS), np.nan, dtype=np.float32))
        return SessionSlice(self.start, emg, angles, self.valid)


def pieces_of(session: Session) -> Iterator[Piece]:
    """Read a recording in order.

    Raises
    ------
    DataError : the file cannot be read.
    """
    wanted = {"time_s"}
    if session.has_emg:
        wanted.add("emg")
    if session.has_joint_angles:
        wanted |= {"joint_angles", "valid"}
    for start in range(0, session.n_samples, PIECE_SAMPLES):
        stop = min(start + PIECE_SAMPLES, session.n_samples)
        values = session.reader.read(start, stop, frozenset(wanted))
        marked = values.pop("valid", None)
        if session.has_joint_angles:
            valid = label_is_valid(values["joint_angles"])
            valid = valid & marked if marked is not None else valid
        else:
            valid = np.zeros(stop - start, dtype=np.bool_)
        yield Piece(start, values, valid)
