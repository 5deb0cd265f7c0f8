"""Run a model over a whole recording, block by block: memory does not grow with its length."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError, DataError
from emgpose.kinematics import HandModel, forward_kinematics
from emgpose.models import EmgModel, Mode, PoseTrack
from emgpose.prediction.initial_pose import InitialPose
from emgpose.prediction.writers import PoseWriter
from emgpose.recording import Session

# Ten seconds at 2 kHz: large enough that overheads vanish, small enough (a few MB per layer) for any machine.
BLOCK_SAMPLES = 20_000


@dataclass
class PredictionReport:
    """What a prediction was and, where the recording holds the truth, how far off it is.

    `causal` is False also where only the preparation of the EMG looks ahead, now or when the recording was made;
    `causality` says how.
    Errors are over the written rows with a valid label, in one rollout over the whole recording; they are no benchmark
    score, which `emgpose evaluate` gives. `static_mae_rad` is the error of holding the initial pose.
    """

    model: str
    task: str
    mode: str
    causal: bool
    causality: str
    hand: str
    preparation: str
    initial_pose: str
    rate_hz: float
    n_rows: int = 0
    first_sample: int | None = None
    last_sample: int | None = None
    n_valid: int = 0
    mae_rad: float | None = None
    static_mae_rad: float | None = None
    warnings: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Rows:
    """A block of written rows with what belongs to them; handed to observers such as the page."""

    sample: NDArray[np.int64]
    time_s: NDArray[np.float64]
    joint_angles: NDArray[np.float32]
    recorded: NDArray[np.float32] | None
    valid: NDArray[np.bool_] | None


def output_stride(sample_rate_hz: float, rate_hz: float | None) -> int:
    """Samples between output rows.

    Raises
    ------
    ConfigError : the model's rate is no whole multiple of the rate asked for.
    """
    if rate_hz is None:
        return 1
    stride = round(sample_rate_hz / rate_hz) if rate_hz > 0 and np.isfinite(rate_hz) else 0
    if stride < 1 or abs(stride * rate_hz - sample_rate_hz) > 1e-6 * sample_rate_hz:
        raise ConfigError(
            f"--rate {rate_hz:g}: expected a rate that divides {sample_rate_hz:g} Hz, such as 50, 100, 250 or "
            f"{sample_rate_hz:g}"
        )
    return stride


def predict_recording(
    session: Session,
    model: EmgModel,
    writer: PoseWriter,
    *,
    initial_pose: InitialPose,
    hand: HandModel,
    mode: Mode = "stream",
    rate_hz: float | None = 50,
    landmarks: bool = False,
    on_rows: Callable[[Rows], None] | None = None,
    on_emg: Callable[[int, NDArray[np.float32]], None] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> PredictionReport:
    """Predict the pose through a recording and write it.

    Parameters
    ----------
    session : Session
        Prepared for the model (`recording.prepare_session`).
    model : pose model
        From `load_model`.
    writer : PoseWriter
        Where rows go.
    initial_pose : InitialPose
        Where the rollout starts.
    hand : HandModel
        For the landmarks [mm].
    mode : str
        `stream` (causal, fixed grid) or `published` (one rollout over the whole recording).
    rate_hz : float or None
        Rows per second; None for the model's sample rate.
    on_rows, on_emg, on_progress : callables, optional
        See every block of rows; every block of prepared EMG (first sample, (time, channel)); the samples done so far.

    Returns
    -------
    PredictionReport

    Raises
    ------
    DataError : the recording is too short, has no EMG, or holds NaN or Inf.
    ConfigError : the model cannot run in that mode, or the rate does not divide its own.

    Source: Salter et al. 2024, section 4; streaming is ours (docs/decisions).
    """
    _require_fit(session, model, mode)
    stride = output_stride(model.sample_rate_hz, rate_hz)
    preparation = session.preparation
    ahead = _ways_ahead(session, model, mode)
    report = PredictionReport(
        model=model.name,
        task=model.task,
        mode=mode,
        causal=not ahead,
        causality="causal" if not ahead else f"not causal: {'; '.join(ahead)}",
        hand=hand.name,
        preparation=preparation.describe() if preparation else "none needed",
        initial_pose=initial_pose.source,
        rate_hz=model.sample_rate_hz / stride,
    )
    track = _rolled_out(session, model, mode, initial_pose, on_emg, on_progress)
    errors = _ErrorSums(initial_pose.joint_angles)
    for rows in _rows(session, track, stride):
        errors.add(rows)
        table: dict[str, NDArray[Any]] = {
            "sample": rows.sample,
            "time_s": rows.time_s,
            "joint_angles": rows.joint_angles,
        }
        if landmarks:
            table["landmarks"] = forward_kinematics(rows.joint_angles, hand)
        writer.write(table)
        if on_rows is not None:
            on_rows(rows)
        report.n_rows += len(rows.sample)
        report.first_sample = int(rows.sample[0]) if report.first_sample is None else report.first_sample
        report.last_sample = int(rows.sample[-1])
    report.n_valid, report.mae_rad, report.static_mae_rad = errors.means()
    return report


def _ways_ahead(session: Session, model: EmgModel, mode: Mode) -> list[str]:
    """Say in what ways a pose depends on samples after its own: the model, the recording, or preparing the EMG."""
    ahead_s = model.look_ahead_samples(mode) / model.sample_rate_hz
    ways = [f"the model looks {1000 * ahead_s:g} ms ahead"] if ahead_s else []
    return [*ways, *session.facts.look_ahead, *(session.preparation.look_ahead if session.preparation else ())]


def _require_fit(session: Session, model: EmgModel, mode: Mode) -> None:
    if not session.has_emg:
        raise DataError(f"{session.name}: expected EMG, but the recording holds joint angles only")
    if session.n_channels != model.n_channels:
        raise DataError(
            f"{session.name}: {model.name} needs {model.n_channels} EMG channels, the recording has "
            f"{session.n_channels}; "
            "choose channels with --channels"
        )
    model.check_mode(mode)
    if session.n_samples < model.min_samples:
        raise DataError(
            f"{session.name}: {model.name} needs at least {model.min_samples} samples at {model.sample_rate_hz} Hz, "
            f"the recording has {session.n_samples}"
        )


def _rolled_out(
    session: Session,
    model: EmgModel,
    mode: Mode,
    initial_pose: InitialPose,
    on_emg: Callable[[int, NDArray[np.float32]], None] | None,
    on_progress: Callable[[int], None] | None,
) -> PoseTrack:
    """Feed the whole recording to the model."""
    rollout = model.eval().begin(mode, initial_pose.joint_angles)
    for chunk in session.chunks(BLOCK_SAMPLES):
        _require_finite(session, chunk.start, chunk.emg)
        rollout.feed(chunk.emg)
        if on_emg is not None:
            on_emg(chunk.start, chunk.emg)
        if on_progress is not None:
            on_progress(chunk.start + len(chunk.emg))
    return rollout.finish()


def _require_finite(session: Session, start: int, emg: NDArray[np.float32]) -> None:
    bad = np.argwhere(~np.isfinite(emg))
    if len(bad):
        sample, channel = bad[0]
        raise DataError(
            f"{session.name}: EMG channel {session.channel_names[channel]} is {emg[sample, channel]} at sample "
            f"{start + sample}; expected finite values; emgpose check names every fault of the file"
        )


def _rows(session: Session, track: PoseTrack, stride: int) -> Iterator[Rows]:
    """Read the written rows off the track: samples left_context, left_context + stride, ..., with the truth beside."""
    block = stride * max(1, BLOCK_SAMPLES // stride)
    for start in range(0, track.n_rows, block):
        stop = min(start + block, track.n_rows)
        sample = np.arange(start, stop, stride, dtype=np.int64) + track.left_context
        joint_angles = track.joint_angles(start, stop, stride)
        time_s = sample / session.sample_rate_hz
        if not session.has_joint_angles:
            yield Rows(sample, time_s, joint_angles, None, None)
            continue
        # Two reads of labels rather than one of everything: a prepared session would filter its EMG again.
        first, last = int(sample[0]), int(sample[-1]) + 1
        recorded, valid = session.joint_angles(first, last), session.valid(first, last)
        yield Rows(sample, time_s, joint_angles, recorded[::stride], valid[::stride])


class _ErrorSums:
    def __init__(self, initial_pose: NDArray[np.float32]) -> None:
        self._initial_pose = initial_pose
        self._n_valid, self._error, self._static = 0, 0.0, 0.0

    def add(self, rows: Rows) -> None:
        if rows.recorded is None or rows.valid is None or not rows.valid.any():
            return
        truth = rows.recorded[rows.valid].astype(np.float64)
        self._n_valid += len(truth)
        self._error += np.abs(rows.joint_angles[rows.valid] - truth).mean(axis=1).sum()
        self._static += np.abs(self._initial_pose - truth).mean(axis=1).sum()

    def means(self) -> tuple[int, float | None, float | None]:
        if not self._n_valid:
            return 0, None, None
        return self._n_valid, float(self._error / self._n_valid), float(self._static / self._n_valid)


def doubts(model: EmgModel, session: Session) -> list[str]:
    """Say what a reader of the prediction must know before believing it.

    Parameters
    ----------
    model : pose model
    session : Session
        As opened, before preparation.
    """
    doubt = model.card.doubt(session.facts.is_simulated)
    return [*([doubt] if doubt else []), *session.facts.notes]
