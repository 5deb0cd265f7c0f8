"""What a source of live EMG is, and what it gives."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emgpose.preprocessing import Preprocessing


@dataclass(frozen=True)
class SourceFacts:
    """What a source says about its EMG before the first sample.

    Parameters
    ----------
    name : str
        For messages and logs, such as `lsl:MyBand` or `replay:rec.hdf5`.
    sample_rate_hz : float
        Nominal rate.
    channel_names : tuple of str
        In the order in which samples hold them.
    preprocessing : Preprocessing
        What the EMG has had already.
    emg_unit : str
        "V", "noise_floor" and so on, as in `SessionFacts`; "unknown" where the source does not say.
    side : str or None
        "left" or "right".
    is_simulated : bool
    is_causal : bool
        False where its samples depend on later ones, as when a recording is resampled.
    """

    name: str
    sample_rate_hz: float
    channel_names: tuple[str, ...]
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    emg_unit: str = "unknown"
    side: str | None = None
    is_simulated: bool = False
    is_causal: bool = True

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return len(self.channel_names)


@dataclass(frozen=True)
class EmgChunk:
    """Samples that arrived together.

    Parameters
    ----------
    first_sample : int
        Number of the first sample since the source began, lost ones counted: a gap shows as a jump.
    emg : array, shape (time, channel)
        At the source's rate, in its unit; may hold NaN.
    time_s : float
        The source's clock at the last sample [s].
    joint_angles : array, shape (time, joint=20), or None
        The truth beside, where a recording or the simulator knows it [rad]; NaN where it is not valid.
    """

    first_sample: int
    emg: NDArray[np.float32]
    time_s: float
    joint_angles: NDArray[np.float32] | None = None


class Source(Protocol):
    """A stream of EMG. Use it from one thread."""

    @property
    def facts(self) -> SourceFacts:
        """What it is; known when the source has been opened."""

    def read(self, timeout_s: float) -> EmgChunk | None:
        """Give the samples that have arrived since the last call; wait at most `timeout_s` for the first.

        Returns
        -------
        EmgChunk, or None where nothing came in that time.

        Raises
        ------
        SourceEnded : there will be no more, as at the end of a recording.
        SourceLost : the source has gone; a later call may find it again.
        """

    def close(self) -> None:
        """Let go of device, socket or file; further calls do nothing."""


def parts_of(chunk: EmgChunk, n_samples: int, sample_rate_hz: float) -> Iterator[EmgChunk]:
    """Divide a chunk into parts of at most `n_samples`."""
    for start in range(0, max(len(chunk.emg), 1), n_samples):
        stop = min(start + n_samples, len(chunk.emg))
        time_s = chunk.time_s - (len(chunk.emg) - stop) / sample_rate_hz
        truth = None if chunk.joint_angles is None else chunk.joint_angles[start:stop]
        yield EmgChunk(chunk.first_sample + start, chunk.emg[start:stop], time_s, truth)
