"""What must be known of a recording before its first chunk can be stored, gathered in constant memory."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import DataError
from emgpose.hand import N_JOINTS
from emgpose.recording.fingerprint import SamplesDigest, middle_of
from emgpose.recording.prepared import MIN_EMG_RATE_HZ
from emgpose.recording.session import Session
from emgpose.recording.store.emg_steps import UnusedCount, is_negative_zero, smallest_magnitudes, to_counts
from emgpose.recording.store.pieces import Piece

_LARGEST_FLOAT16: Final = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Survey:
    """What one pass over a recording finds.

    Parameters
    ----------
    emg_dtype : str
        `int16` (whole steps), `float32`, or `float16` where that was asked for; empty without EMG.
    emg_steps : tuple of float
        Step of each channel where `emg_dtype` is `int16`.
    emg_negative_zero : int or None
        The count that stands for -0.0, where there is any.
    has_time : bool
        Whether the file has time stamps of its own.
    valid_runs : list of (start, stop)
    angle_sum : array, shape (joint=20,) [rad]
        Over valid samples.
    digest : str
        `SamplesDigest` of the samples that a reader of the store will get.
    middle_digest : str
        The same of the samples of `fingerprint.middle_of`, by which training knows its data.
    """

    emg_dtype: str
    emg_steps: tuple[float, ...]
    emg_negative_zero: int | None
    has_time: bool
    valid_runs: list[tuple[int, int]]
    angle_sum: NDArray[np.float64]
    digest: str
    middle_digest: str

    @property
    def n_valid(self) -> int:
        """Number of samples with a usable label."""
        return sum(stop - start for start, stop in self.valid_runs)


def survey(session: Session, pieces: Callable[[], Iterable[Piece]], *, float16: bool) -> Survey:
    """Look a recording over.

    Parameters
    ----------
    session : Session
    pieces : callable
        Gives the recording's pieces from the start, each time it is called.
    float16 : bool
        Whether EMG is to be rounded to float16.

    Raises
    ------
    DataError : the file cannot be read, or is one that neither training nor evaluation takes.
    """
    _require_usable_rate(session)
    digest, edges, was_valid, has_time = SamplesDigest(), list[int](), False, False
    middle, middle_digest = middle_of(session.n_samples), SamplesDigest()
    angle_sum = np.zeros(N_JOINTS)
    smallest: NDArray[np.float32] | None = None
    for piece in pieces():
        part = piece.slice_of(session)
        if session.has_emg:
            _require_finite(session, part.emg, piece.start, float16)
            smallest = smallest_magnitudes(part.emg, smallest)
        changes = np.flatnonzero(np.diff(part.valid, prepend=was_valid))
        edges.extend((changes + piece.start).tolist())
        was_valid = bool(part.valid[-1])
        angle_sum += part.joint_angles[part.valid].sum(axis=0, dtype=np.float64)
        stored = rounded(piece, float16).slice_of(session)
        digest.update(stored)
        middle_digest.update(stored.part(*middle))
        has_time = "time_s" in piece.fields
    edges += [session.n_samples] if was_valid else []
    runs = list(zip(edges[::2], edges[1::2], strict=True))
    dtype = "float16" if float16 else "float32"
    steps: tuple[float, ...] = ()
    negative_zero: int | None = None
    if smallest is None:
        dtype = ""
    elif not float16:
        dtype, steps, negative_zero = _exact_steps(pieces(), np.where(np.isfinite(smallest), smallest, np.float32(1)))
    return Survey(dtype, steps, negative_zero, has_time, runs, angle_sum, digest.hexdigest(), middle_digest.hexdigest())


def rounded(piece: Piece, float16: bool) -> Piece:
    """Give a piece as the store will give it back."""
    if not float16 or "emg" not in piece.fields:
        return piece
    emg = piece.fields["emg"].astype(np.float16).astype(np.float32)
    return Piece(piece.start, piece.fields | {"emg": emg}, piece.valid)


def _exact_steps(pieces: Iterable[Piece], steps: NDArray[np.float32]) -> tuple[str, tuple[float, ...], int | None]:
    """Find out whether all EMG is whole multiples of the smallest magnitudes, and what can stand for -0.0."""
    as_it_is: tuple[str, tuple[float, ...], int | None] = ("float32", (), None)
    if (steps < np.finfo(np.float32).tiny).any():
        # A process may have been told to take denormal products for zero; copies are never touched.
        return as_it_is
    unused, has_negative_zero = UnusedCount(), False
    for piece in pieces:
        counts = to_counts(piece.fields["emg"], steps)
        if counts is None:
            return as_it_is
        unused.update(counts)
        has_negative_zero |= bool(is_negative_zero(piece.fields["emg"]).any())
    if not has_negative_zero:
        return "int16", tuple(steps.tolist()), None
    stand_in = unused.largest()
    return as_it_is if stand_in is None else ("int16", tuple(steps.tolist()), stand_in)


def _require_usable_rate(session: Session) -> None:
    if session.has_emg and session.sample_rate_hz < MIN_EMG_RATE_HZ:
        raise DataError(
            f"sample rate {session.sample_rate_hz:g} Hz, expected {MIN_EMG_RATE_HZ:g} Hz or more: below that the band "
            "of surface EMG is lost"
        )


def _require_finite(session: Session, emg: NDArray[np.float32], start: int, float16: bool) -> None:
    bad = ~np.isfinite(emg)
    if float16:
        bad |= np.abs(emg) > _LARGEST_FLOAT16
    if bad.any():
        sample, channel = (int(number) for number in np.argwhere(bad)[0])
        value: Any = emg[sample, channel]
        fit = "that fit into float16" if float16 else "as training and evaluation need"
        raise DataError(
            f"EMG channel {session.channel_names[channel]} is {value} at sample {start + sample}, expected finite "
            f"values {fit}"
        )
