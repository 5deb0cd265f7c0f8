"""What a recording is (`SessionFacts`) and what a reader of a file format offers (`SessionReader`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import SessionFormatError
from emgpose.hand import JOINTS, SIDES
from emgpose.preprocessing import Preprocessing

# Outside this range a rate is a broken number, not a recording of movement or muscle.
MIN_RATE_HZ: Final = 1.0
MAX_RATE_HZ: Final = 1e6
EMG_UNITS: Final = ("noise_floor", "uV", "unknown")
# The attribute that lists the joints with angles, separated by commas, in a recording that lacks some.
KNOWN_JOINTS: Final = "known_joints"
# The attribute that says in what ways the file's EMG depends on EMG after it, through how the file was made.
LOOK_AHEAD: Final = "look_ahead"


def checked_rate_hz(rate_hz: object, where: str) -> float:
    """Give a sample rate back as a float, if it can be one.

    Parameters
    ----------
    rate_hz : object
        A number, or whatever a file held in its place.
    where : str
        File and key, for the message.

    Raises
    ------
    SessionFormatError : it is no number between 1 Hz and 1 MHz.
    """
    is_number = isinstance(rate_hz, int | float | np.integer | np.floating) and not isinstance(rate_hz, bool)
    if not is_number or not MIN_RATE_HZ <= float(rate_hz) <= MAX_RATE_HZ:  # type: ignore[arg-type]
        raise SessionFormatError(
            f"{where}: expected a sample rate between {MIN_RATE_HZ:g} and {MAX_RATE_HZ:g} Hz, got {rate_hz!r}; "
            "correct the file, or give the true rate where the reader takes one"
        )
    return float(rate_hz)  # type: ignore[arg-type]


@dataclass(frozen=True)
class SessionFacts:
    """What a recording is, known without reading its samples.

    Parameters
    ----------
    format : str
        Name of the file format, for example `emg2pose HDF5`.
    sample_rate_hz : float
        Rate of every field [Hz].
    n_samples : int
        Length of every field.
    channel_names : tuple of str
        EMG channels in order; empty where the recording has no EMG.
    has_joint_angles : bool
        Whether there are labels (some or all of which may be invalid).
    session : str
        Identifier of the recording session.
    user, stage, side : str or None
        Who, what and which hand (`left` or `right`), where known.
    emg_unit : str
        `noise_floor` (noise floor SD is 1), `uV`, or `unknown`.
    preprocessing : Preprocessing
        What the EMG has already been through.
    start_s : float or None
        Time of the first sample [s, Unix time where the file has that].
    notes : tuple of str
        What a user should know about how the file was read, one sentence each.
    attributes : mapping
        Everything else the file says about itself.

    Raises
    ------
    SessionFormatError : a fact is impossible.
    """

    format: str
    sample_rate_hz: float
    n_samples: int
    channel_names: tuple[str, ...]
    has_joint_angles: bool
    session: str
    user: str | None = None
    stage: str | None = None
    side: str | None = None
    emg_unit: str = "unknown"
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    start_s: float | None = None
    notes: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checked_rate_hz(self.sample_rate_hz, f"session {self.session}: sample_rate_hz")
        if self.n_samples < 1:
            raise SessionFormatError(f"session {self.session}: expected at least one sample, got {self.n_samples}")
        if self.side is not None and self.side not in SIDES:
            raise SessionFormatError(f"session {self.session}: expected side left or right, got {self.side!r}")
        if self.emg_unit not in EMG_UNITS:
            raise SessionFormatError(
                f"session {self.session}: expected an EMG unit among {', '.join(EMG_UNITS)}, got {self.emg_unit!r}"
            )
        if not self.channel_names and not self.has_joint_angles:
            raise SessionFormatError(f"session {self.session}: expected EMG or joint angles, found neither")

    @property
    def is_simulated(self) -> bool:
        """Whether the recording says of itself that it was simulated."""
        return bool(self.attributes.get("simulated", False))

    @property
    def look_ahead(self) -> tuple[str, ...]:
        """In what ways the EMG depends on EMG after it, as the recording says of how it was made."""
        stated = self.attributes.get(LOOK_AHEAD)
        return (f"in making the recording, {stated}",) if isinstance(stated, str) and stated else ()

    @property
    def missing_joints(self) -> tuple[str, ...]:
        """Joints without angles in a recording that has some: NaN throughout, so that no sample has a whole label."""
        known = self.attributes.get(KNOWN_JOINTS)
        if not self.has_joint_angles or not isinstance(known, str):
            return ()
        return tuple(joint for joint in JOINTS if joint not in known.split(","))


def note_on_missing_joints(missing: Sequence[str]) -> tuple[str, ...]:
    """Say which joints have no angles, and what follows from that."""
    if not missing:
        return ()
    known = f"joint angles of {len(JOINTS) - len(missing)} of {len(JOINTS)} joints"
    return (f"{known}; not known (NaN), so that no sample counts as labelled: {', '.join(missing)}",)


class SessionReader(Protocol):
    """Reads one file format; a `Session` stands on it.

    Readers are picklable: they open their file when it is first needed, drop the handle when pickled, and open it
    again when they are read after `close`.
    """

    @property
    def facts(self) -> SessionFacts:
        """What the recording is."""
        ...

    def read(self, start: int, stop: int, fields: frozenset[str]) -> dict[str, NDArray[Any]]:
        """Read samples [start, stop), a range inside the recording.

        Parameters
        ----------
        fields : frozenset of str
            Among `emg` (time, channel) float32, `joint_angles` (time, joint=20) float32 [rad], `valid` (time,) bool and
            `time_s` (time,) float64 [s]. A reader gives the first two where its facts promise them. It may leave out
            `valid` (then the labels decide) and `time_s` (then sample number and rate do).
        """
        ...

    def close(self) -> None:
        """Give back the file."""
        ...
