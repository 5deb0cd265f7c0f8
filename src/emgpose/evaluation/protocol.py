"""The test protocol: which windows are scored, on which recordings, and what had to be left out.

Windows of 10,000 samples after the model's left context, every 10,000 samples, inside runs of valid labels. Recordings
are read one after the other, each once; memory does not grow with their length.

Source: the published test protocol (Salter et al. 2024).
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from emgpose.errors import ConfigError, DataError, EmgPoseError
from emgpose.evaluation.result import ALL, Evaluation, LeftOut, ReadRecording
from emgpose.evaluation.scoring import Window, WindowScorer, WindowScores
from emgpose.evaluation.static_hand import choose_static_hand
from emgpose.evaluation.totals import Totals
from emgpose.hand import N_JOINTS
from emgpose.kinematics import HandModel
from emgpose.models import MODES, EmgModel, Mode
from emgpose.recording import (
    Session,
    open_session,
    prepare_session,
    read_metadata,
    select_sessions,
    session_path,
)
from emgpose.recording.fingerprint import SamplesDigest
from emgpose.recording.opening import recording_exists
from emgpose.recording.session import SessionSlice
from emgpose.windows import read_windows, window_tensors

TEST_STRIDE_SAMPLES: Final = 10_000
# Of the metadata, kept with every window where the table has them.
OPTIONAL_COLUMNS: Final = ("filename", "placement", "placement_split")

Row = dict[str, Any]


def choose_modes(model: EmgModel, modes: Sequence[str] | None) -> tuple[Mode, ...]:
    """The modes to score a model in: those asked for, else all that it has, the published one first.

    Raises
    ------
    ConfigError : a mode does not exist, or the model does not run in it.
    """
    if modes is None:
        return tuple(mode for mode in MODES if mode in model.modes)
    for mode in modes:
        model.check_mode(mode)
    if not modes:
        raise ConfigError(f"expected at least one mode of {', '.join(model.modes)}, got none")
    return tuple(mode for mode in dict.fromkeys(modes) if mode in MODES)


def evaluate(
    model: EmgModel,
    data_root: str | Path,
    *,
    split: str | None = "test",
    hand: HandModel | None = None,
    modes: Sequence[str] | None = None,
    task: str | None = None,
    by: Sequence[str] = (),
    where: str | None = None,
    batch_size: int = 32,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score a model on a data set by the published protocol.

    A recording that cannot be read to its end, or that the model cannot take, is left out whole; the rest is scored.

    Parameters
    ----------
    model : pose model
        From `load_model`; set to evaluation mode and to the task, and moved to `device`.
    data_root : path
        Folder with metadata.csv and `<filename>.hdf5`.
    split : str, optional
        train, val or test; None for all.
    hand : HandModel, optional
        For landmarks; the generic hand by default. Published landmark figures need the UmeTrack hand.
    modes : sequence of str, optional
        "published", "stream" or both, the primary one first; by default all that the model has.
    task : str, optional
        "tracking" or "regression", for a multitask model; by default the one that it is set to, at first tracking. It
        also decides the static hand and the published figures beside the scores.
    by : sequence of str
        Metadata columns whose values make the conditions, instead of `generalization` (U, S, US).
    where : str, optional
        A pandas query on the metadata.
    batch_size : int
        Windows predicted at once; scores do not depend on it.
    device : str
    progress : callable, optional
        Called with (recordings done, recordings in all).

    Raises
    ------
    ConfigError : a mode, task or option that the model or the metadata do not have.
    DataError : no metadata, or not one window could be scored.
    SplitError : the split or query selects nothing.
    """
    root = Path(data_root)
    if batch_size < 1:
        raise ConfigError(f"the batch size must be at least 1, got {batch_size}")
    chosen_modes = choose_modes(model, modes)
    model.set_task(model.task if task is None else task)
    table = read_metadata(root)
    _require_columns(table, by)
    chosen = select_sessions(table, split=split, where=where)
    rows = [{str(name): value for name, value in row.items()} for row in chosen.to_dict("records")]
    if ALL in {condition_of(row, by) for row in rows}:
        raise ConfigError(f"--by {', '.join(by)}: its value '{ALL}' is the name of all windows together; rename it")
    model = model.to(device).eval()
    hand = HandModel.generic() if hand is None else hand
    static = choose_static_hand(model, root, table)
    run = Evaluation(model, model.task, hand, static, chosen_modes, root, split, tuple(by), len(rows))
    scorer = WindowScorer(model, hand.to(device), static, chosen_modes, device)
    _Pass(run, rows, scorer, batch_size).go(progress)
    if run.windows.empty:
        reasons = "; ".join(map(str, run.left_out[:3])) or "look at the labels with emgpose check"
        raise DataError(
            f"{root}: not one window of {len(rows)} recordings could be scored ({len(run.left_out)} left out, "
            f"{len(run.without_window)} without a window of {model.test_window} valid samples): {reasons}"
        )
    return run


def _require_columns(table: pd.DataFrame, by: Sequence[str]) -> None:
    for column in by:
        if column not in table.columns:
            raise ConfigError(f"--by {column}: the metadata have no such column; they have {', '.join(table.columns)}")


@dataclass
class _Tally:
    """Scores of one recording, kept apart until it has proved whole."""

    columns: list[dict[str, Any]] = field(default_factory=list)
    totals: dict[str, Totals] = field(default_factory=dict)
    not_finite_at: int | None = None


class _Pass:
    """One pass over the recordings: fills an Evaluation."""

    def __init__(self, run: Evaluation, rows: list[Row], scorer: WindowScorer, batch_size: int) -> None:
        self.run = run
        self.rows = rows
        self.scorer = scorer
        self.batch_size = batch_size
        self.pending: list[Window] = []
        self.tallies: dict[int, _Tally] = {}
        self.columns: list[dict[str, Any]] = []

    def go(self, progress: Callable[[int, int], None] | None) -> None:
        for number, row in enumerate(self.rows):
            self.run.users.setdefault(self._condition(row), set()).add(str(row["user"]))
            self._score(number, row)
            if progress is not None:
                progress(number + 1, len(self.rows))
        self._flush()
        self._confirm(before=len(self.rows))
        self.run.windows = pd.DataFrame(self.columns)

    def _score(self, number: int, row: Row) -> None:
        """Read one recording and score its windows; a batch may hold windows of several recordings."""
        self.tallies[number] = _Tally()
        path = session_path(self.run.data_root, row)
        windows = self._windows(number, path, str(row["filename"]))
        while True:
            try:
                window = next(windows, None)
            except (EmgPoseError, OSError) as error:
                self.pending = [window for window in self.pending if window.recording != number]
                del self.tallies[number]
                self.run.left_out.append(LeftOut(path, str(error)))
                return
            if window is None:
                return
            self.pending.append(window)
            if len(self.pending) >= self.batch_size:
                self._flush()
                self._confirm(before=number)

    def _windows(self, number: int, path: Path, name: str) -> Iterator[Window]:
        """Read the windows of one recording, and note it once it has proved whole."""
        digest, n_windows = SamplesDigest(), 0
        length = self.run.model.test_window
        # In a thread of its own, which needs no interpreter; one chunk at a time, so that none wait in memory.
        with open_for(self.run.model, path) as session, ThreadPoolExecutor(1) as beside:
            taken_in: Future[Any] = beside.submit(SamplesDigest)

            def take_in(chunk: SessionSlice) -> None:
                nonlocal taken_in
                taken_in.result()
                taken_in = beside.submit(digest.update, chunk)

            for part in read_windows(session, length, TEST_STRIDE_SAMPLES, on_chunk=take_in):
                _require_finite(session, part.start, part.emg)
                n_windows += 1
                yield Window(number, part.start, part.stop, **window_tensors(part))
            taken_in.result()
            how, simulated = session.preparation.describe(), session.facts.is_simulated
        self.run.recordings[name] = ReadRecording(path, n_windows, digest.hexdigest(), how, simulated)

    def _flush(self) -> None:
        """Score the windows that wait."""
        if not self.pending:
            return
        for scores_of_mode in self.scorer.score(self.pending):
            for window, score in zip(self.pending, scores_of_mode, strict=True):
                self._note(window, score)
        self.pending = []

    def _note(self, window: Window, score: WindowScores) -> None:
        row, tally = self.rows[window.recording], self.tallies[window.recording]
        if not score.finite and tally.not_finite_at is None:
            tally.not_finite_at = window.start
        tally.columns.append(
            {
                **{name: row.get(name, "") for name in ("session", "user", "stage", "side", "split")},
                "condition": self._condition(row),
                "start_sample": window.start,
                "stop_sample": window.stop,
                "n_valid": score.n_valid,
                "mode": score.mode,
                "hand": self.run.hand.name,
                **{name: row[name] for name in OPTIONAL_COLUMNS if name in row},
                **score.values,
            }
        )
        tally.totals.setdefault(score.mode, Totals(score.totals.n_drift_bins)).add(score.totals)

    def _confirm(self, before: int) -> None:
        """Count the scores of the recordings before this one, all of whose windows have been scored."""
        for number in [known for known in self.tallies if known < before]:
            row, tally = self.rows[number], self.tallies.pop(number)
            if tally.not_finite_at is not None:
                self._leave_out_not_finite(row, tally.not_finite_at)
                continue
            self.columns.extend(tally.columns)
            for mode, totals in tally.totals.items():
                key = (mode, self._condition(row), str(row["user"]))
                self.run.totals.setdefault(key, Totals(totals.n_drift_bins)).add(totals)

    def _leave_out_not_finite(self, row: Row, start: int) -> None:
        path = self.run.recordings.pop(str(row["filename"])).path
        reason = (
            f"the model's output is not finite in the window that starts at sample {start}; look at the recording with "
            "emgpose check, and at the checkpoint's weights"
        )
        self.run.left_out.append(LeftOut(path, reason))

    def _condition(self, row: Row) -> str:
        return condition_of(row, self.run.by)


def condition_of(row: Row, by: Sequence[str]) -> str:
    """Name the group of a recording: the values of the columns `by`, else what was held out."""
    if by:
        return "|".join(str(row[column]) or "(empty)" for column in by)
    # Train rows have no generalization: their condition is the split.
    return str(row["generalization"] or row["split"])


def open_for(model: EmgModel, path: Path) -> Session:
    """Open a recording and prepare it for a model, or say why it cannot be scored."""
    if not recording_exists(path):
        raise DataError(f"{path}: the metadata name this file, but it is missing; download it or remove its row")
    session = open_session(path)
    if not session.has_emg or not session.has_joint_angles:
        has = "EMG" if session.has_emg else "joint angles"
        raise DataError(f"{session.name}: scoring needs EMG and joint angles, the recording has {has} only")
    if session.facts.missing_joints:
        raise DataError(
            f"{session.name}: scoring needs the angles of all {N_JOINTS} joints, the recording has none of "
            f"{', '.join(session.facts.missing_joints)}; remove its row, or leave it out with --where"
        )
    if session.n_channels != model.n_channels:
        raise DataError(
            f"{session.name}: {model.name} needs {model.n_channels} EMG channels, "
            f"the recording has {session.n_channels}"
        )
    return prepare_session(session, model.card.preprocessing, sample_rate_hz=model.sample_rate_hz)


def _require_finite(session: Session, start: int, emg: Any) -> None:
    finite = np.isfinite(emg)
    if not finite.all():
        bad = np.argwhere(~finite)
        sample, channel = bad[0]
        raise DataError(
            f"{session.name}: EMG channel {session.channel_names[channel]} is {emg[sample, channel]} at sample "
            f"{start + sample}, expected finite values; emgpose check names every fault of the file"
        )
