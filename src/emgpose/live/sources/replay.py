"""Play a recording as if its device were connected: as it was recorded, not preprocessed, at its own rate."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import DataError
from emgpose.live.chunk import EmgChunk, SourceFacts
from emgpose.recording import Session, SessionSlice

# Read from the file at a time; reading every packet by itself would cost more than the model.
_BLOCK_SAMPLES: Final = 16_384


class SessionTrack:
    """A recording as a track: every sample in order, joint angles as the truth beside.

    The clock is that of the recording, `start_s` plus sample number over rate, since stored time stamps jitter.

    Parameters
    ----------
    session : Session
        As it was opened; closed with the track.

    Raises
    ------
    DataError : the recording has no EMG, or its file is damaged.
    """

    def __init__(self, session: Session) -> None:
        if not session.has_emg:
            raise DataError(f"replay:{session.name}: expected EMG, the recording holds joint angles only")
        self._session = session
        self._start_s = session.facts.start_s or 0.0
        # Read here, so that the first packet is not late.
        self._block = self._read_block(0)
        prepared = session.preparation
        self._facts = SourceFacts(
            name=f"replay:{session.name}",
            sample_rate_hz=session.sample_rate_hz,
            channel_names=session.channel_names,
            preprocessing=session.preprocessing,
            emg_unit=session.emg_unit,
            side=session.side,
            is_simulated=session.facts.is_simulated,
            is_causal=not session.facts.look_ahead and (prepared is None or not prepared.look_ahead),
        )

    @property
    def facts(self) -> SourceFacts:
        """What it is."""
        return self._facts

    @property
    def n_samples(self) -> int:
        """Length of the recording."""
        return self._session.n_samples

    def read(self, start: int, stop: int) -> EmgChunk:
        """Give samples [start, stop).

        Raises
        ------
        DataError : the file is damaged there.
        """
        if not self._block.start <= start < self._block.stop:
            self._block = self._read_block(start)
        block = self._block
        stop = min(stop, block.stop)
        rows = slice(start - block.start, stop - block.start)
        return EmgChunk(
            first_sample=start,
            emg=block.emg[rows],
            time_s=self._start_s + (stop - 1) / self._facts.sample_rate_hz,
            joint_angles=_truth(block, rows) if self._session.has_joint_angles else None,
        )

    def close(self) -> None:
        """Close the file."""
        self._session.close()

    def _read_block(self, start: int) -> SessionSlice:
        return self._session.read(start, min(start + _BLOCK_SAMPLES, self.n_samples))


def _truth(block: SessionSlice, rows: slice) -> NDArray[np.float32]:
    return np.where(block.valid[rows, None], block.joint_angles[rows], np.float32(np.nan))
