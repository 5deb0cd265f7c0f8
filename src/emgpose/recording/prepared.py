"""One function that brings a recording to what a model expects; training, prediction and evaluation all use it.

Only the steps that the recording has not had are applied, and `session.preparation` says which.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emgpose.errors import ConfigError, DataError, EmgPoseError
from emgpose.recording.prepared_reader import PreparedReader
from emgpose.recording.session import CHUNK_SAMPLES, Session
from emgpose.signals import (
    Preprocessing,
    Resample,
    Scale,
    estimate_noise_floor,
    measure_noise_floor,
    missing_steps,
)
from emgpose.timing import EMG_RATE_HZ

# Below this rate surface EMG has lost a good part of its own band, and no resampling brings that back.
# Source: SENIAM recommends 1 kHz or more (Hermens et al. 2000, J. Electromyogr. Kinesiol. 10:361).
MIN_EMG_RATE_HZ: Final = 1000.0


@dataclass(frozen=True)
class Preparation:
    """What was done to a recording so that a model can use it.

    Parameters
    ----------
    applied, skipped : Preprocessing
        The required steps that were carried out, and those that the recording had had.
    noise_floor : str or None
        Where the scale came from: `given`, `measured` (in a rest span), `estimated`, `had` (by the recording), or None
        where the model wants no scaling.
    noise_floor_sd : tuple of float
        What each channel was divided by, in the recording's unit after the filters; empty where nothing was.
    delay_samples : int
        Recorded samples that preparing looks ahead.
    delay_s : float
    from_rate_hz, rate_hz : float
        Sample rate before and after.
    notes : tuple of str
        What else a user should know, one sentence each.
    """

    applied: Preprocessing
    skipped: Preprocessing
    noise_floor: str | None
    noise_floor_sd: tuple[float, ...]
    delay_samples: int
    delay_s: float
    from_rate_hz: float
    rate_hz: float
    notes: tuple[str, ...] = ()

    def describe(self) -> str:
        """Say it in one line."""
        parts = [f"applied: {self.applied.describe()}"]
        if self.skipped.steps:
            parts.append(f"already had: {self.skipped.describe()}")
        if self.noise_floor in ("given", "measured"):
            parts.append(f"noise floor {self.noise_floor}")
        elif self.noise_floor == "estimated":
            parts.append("noise floor estimated (5th percentile of 0.25 s RMS per channel)")
        if self.delay_samples:
            parts.append(f"looks {self.delay_samples} recorded samples ({1000 * self.delay_s:.1f} ms) ahead")
        return "; ".join([*parts, *self.notes])

    @property
    def look_ahead(self) -> tuple[str, ...]:
        """In what ways a prepared sample depends on recorded samples after it; empty where it does not."""
        ways = []
        if self.delay_samples:
            ways.append(f"resampling looks {1000 * self.delay_s:.1f} ms ahead")
        if self.noise_floor == "estimated":
            ways.append("the noise floor is estimated over the whole recording")
        elif self.noise_floor == "measured":
            ways.append("the noise floor is measured in a span of the recording")
        return tuple(ways)

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data for JSON."""
        return {
            "applied": self.applied.to_config(),
            "skipped": self.skipped.to_config(),
            "noise_floor": self.noise_floor,
            "noise_floor_sd": list(self.noise_floor_sd),
            "delay_samples": self.delay_samples,
            "delay_s": self.delay_s,
            "from_rate_hz": self.from_rate_hz,
            "rate_hz": self.rate_hz,
            "notes": list(self.notes),
        }


def prepare_session(
    session: Session,
    required: Preprocessing,
    noise_floor: ArrayLike | None = None,
    rest_span: tuple[float, float] | None = None,
    *,
    sample_rate_hz: float = EMG_RATE_HZ,
) -> Session:
    """Bring a recording to what a model expects.

    Reading the result in order runs the filters once and needs the same memory for any length. Reading it backwards
    by more than 65,536 samples runs them again from the start.

    Parameters
    ----------
    session : Session
        As it was opened.
    required : Preprocessing
        What the model expects (`model.card.preprocessing`).
    noise_floor : float or array, shape (channel,), optional
        Standard deviation at rest after the filters, in the recording's unit.
    rest_span : (start, stop) [s], optional
        A span of rest to measure the noise floor in, when it is not given.
        With neither, the floor is estimated from the whole recording, which is read once for that.
    sample_rate_hz : float
        The model's rate.

    Returns
    -------
    Session
        `session` itself where nothing is to be done. Its `preparation` is set either way. Joint angles, validity and
        times are carried along; a resampled label is valid only if both its neighbours are.

    Raises
    ------
    DataError : no EMG, a rate too low or one that the steps do not bring to the model's, a value that is NaN or Inf,
        a dead channel, a rest span outside the recording.
    ConfigError : steps that cannot be carried out at this rate.
    """
    if not session.has_emg:
        raise DataError(f"session {session.name}: expected EMG, the recording holds joint angles only")
    to_apply, skipped = missing_steps(required, session.preprocessing, session.sample_rate_hz)
    _require_rate(session, to_apply, sample_rate_hz)
    try:
        floor, source = _noise_floor(session, required, to_apply, noise_floor, rest_span)
        reader = PreparedReader(session, to_apply, floor)
    except EmgPoseError as error:
        where = f"session {session.name}: "
        # Errors while reading name the session already.
        raise type(error)(where + str(error).removeprefix(where)) from error
    preparation = Preparation(
        applied=to_apply,
        skipped=skipped,
        noise_floor=source,
        noise_floor_sd=() if floor is None else tuple(float(sd) for sd in floor),
        delay_samples=reader.delay_samples,
        delay_s=reader.delay_samples / session.sample_rate_hz,
        from_rate_hz=session.sample_rate_hz,
        rate_hz=reader.facts.sample_rate_hz,
        notes=tuple(_notes(session, to_apply, noise_floor is not None or rest_span is not None)),
    )
    if not to_apply.steps:
        session.preparation = preparation
        return session
    return Session(reader, session.path, preparation)


def _require_rate(session: Session, to_apply: Preprocessing, wanted_hz: float) -> None:
    rate_hz = session.sample_rate_hz
    resamples = [step for step in to_apply if isinstance(step, Resample)]
    reached_hz = resamples[-1].rate_hz if resamples else rate_hz
    where = f"session {session.name}: sample_rate is {rate_hz:g} Hz, the model needs {wanted_hz:g} Hz"
    if not math.isclose(reached_hz, wanted_hz, rel_tol=1e-9):
        raise DataError(
            f"{where}, and its preprocessing has no step that resamples to it; resample with emgpose.signals.resample"
        )
    if rate_hz < MIN_EMG_RATE_HZ:
        raise DataError(
            f"{where}; below {MIN_EMG_RATE_HZ:g} Hz the EMG has lost the band that the model uses: record at "
            f"{MIN_EMG_RATE_HZ:g} Hz or more, or resample with emgpose.signals.resample and save the result"
        )


def _notes(session: Session, to_apply: Preprocessing, floor_given: bool) -> Iterator[str]:
    scales = any(isinstance(step, Scale) for step in to_apply)
    if floor_given and not scales:
        yield "the noise floor given is not used: nothing is to be scaled"
    highest_hz = max((getattr(step, "high_hz", 0.0) for step in to_apply), default=0.0)
    nyquist_hz = session.sample_rate_hz / 2
    if highest_hz > nyquist_hz:
        yield f"the recording holds nothing above {nyquist_hz:g} Hz, the model expects {highest_hz:g} Hz"


def _noise_floor(
    session: Session,
    required: Preprocessing,
    to_apply: Preprocessing,
    given: ArrayLike | None,
    rest_span: tuple[float, float] | None,
) -> tuple[NDArray[np.float64] | None, str | None]:
    """Find the noise floor and say where it came from."""
    if not any(isinstance(step, Scale) for step in to_apply):
        return None, "had" if any(isinstance(step, Scale) for step in required) else None
    if given is not None and rest_span is not None:
        raise ConfigError("give noise_floor or rest_span, not both")
    if given is not None:
        return _one_per_channel(given, session.n_channels), "given"
    before = to_apply.steps[: [isinstance(step, Scale) for step in to_apply].index(True)]
    reader = PreparedReader(session, Preprocessing(before), None)
    filtered = Session(reader, session.path)
    if rest_span is not None:
        start, stop = _span_samples(filtered, rest_span)
        floor = measure_noise_floor(piece.emg for piece in filtered.chunks(start=start, stop=stop))
    else:
        floor = estimate_noise_floor((piece.emg for piece in filtered.chunks()), filtered.sample_rate_hz)
    # What the filters leave of a constant is rounding: a floor below the recording's own float32 steps is none.
    level = np.median(np.abs(session.emg(0, min(CHUNK_SAMPLES, session.n_samples))), axis=0)
    floor = np.where(floor > np.finfo(np.float32).eps * level, floor, 0.0)
    return floor, "estimated" if rest_span is None else "measured"


def _one_per_channel(given: ArrayLike, n_channels: int) -> NDArray[np.float64]:
    try:
        floor = np.asarray(given, dtype=np.float64)
        return np.array(np.broadcast_to(floor, (n_channels,)))
    except (TypeError, ValueError):
        raise ConfigError(f"noise_floor must be one number, or one per channel ({n_channels}), got {given!r}") from None


def _span_samples(session: Session, span_s: tuple[float, float]) -> tuple[int, int]:
    start_s, stop_s = span_s
    if not 0 <= start_s < stop_s <= session.duration_s + 1e-9:
        raise DataError(
            f"rest_span must lie within the recording, 0 to {session.duration_s:g} s, got {start_s:g} to {stop_s:g} s"
        )
    rate_hz = session.sample_rate_hz
    return round(start_s * rate_hz), min(round(stop_s * rate_hz), session.n_samples)
