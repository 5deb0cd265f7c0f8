"""A rehearsal of a submission: shapes, finite radians, the same for one window as for eight, and time per batch."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.challenge.data_windows import Scores, score_data
from emgpose.challenge.fresh_solver import FreshSolver
from emgpose.challenge.predictor import N_CHANNELS, WINDOW_SAMPLES
from emgpose.errors import DataError
from emgpose.hand import JOINT_LIMITS_RAD, N_JOINTS
from emgpose.recording import read_metadata, select_sessions
from emgpose.simulation.settings import DataSetSettings
from emgpose.simulation.simulated_session import simulate_session
from emgpose.timing import EMG_RATE_HZ

_N_WINDOWS: Final = 8
_TIMED_BATCHES: Final = (1, 8, 32)
_TIMED_TIMES: Final = 3
_SEED: Final = 2_026
# Sums in another order differ in their last digits, and a rollout carries that on; more is another prediction.
_SAME_RAD: Final = 1e-3
# No joint turns further; degrees taken for radians would.
_PLAUSIBLE_RAD: Final = np.pi


@dataclass(frozen=True)
class EmgCheck:
    """What the submission gave for eight windows of one kind of EMG.

    Parameters
    ----------
    emg : str
    shape : tuple of int
        Of the prediction.
    max_rad : float
        Largest angle.
    share_in_limits : float
        Share of angles that a hand can take.
    mae_rad : float or None
        From the true pose; None where there is none.
    repeat_rad, single_rad, tensor_rad : float
        Largest difference when asked again, when asked window by window, and when given a torch tensor.
    """

    emg: str
    shape: tuple[int, ...]
    max_rad: float
    share_in_limits: float
    mae_rad: float | None
    repeat_rad: float
    single_rad: float
    tensor_rad: float


@dataclass(frozen=True)
class DryRun:
    """What a rehearsal showed.

    Parameters
    ----------
    name : str
        What the submission calls itself.
    load_s : float
        From the start of the import to a loaded model.
    checks : tuple of EmgCheck
    batch_s : dict
        Seconds per batch (median of three), by windows in the batch, on this machine's CPU.
    scores : Scores or None
        On recordings, where some were given.
    """

    name: str
    load_s: float
    checks: tuple[EmgCheck, ...]
    batch_s: dict[int, float]
    scores: Scores | None

    @property
    def notes(self) -> tuple[str, ...]:
        """Say what is odd but no fault."""
        return tuple(
            f"on {check.emg} an angle of {check.max_rad:.2f} rad: no joint turns that far"
            for check in self.checks
            if check.max_rad > _PLAUSIBLE_RAD
        )

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data for JSON."""
        return asdict(self) | {"notes": list(self.notes)}


def dry_run(
    submission: Path,
    data_root: Path | None = None,
    *,
    split: str | None = "test",
    static_pose: Sequence[float] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DryRun:
    """Run a submission in a fresh process without our emgpose, on random and simulated EMG.

    Parameters
    ----------
    submission : Path
        The ZIP.
    data_root : Path, optional
        A data set in the emg2pose layout to score on: windows of 10,000 samples, all labels valid.
    split, static_pose, progress
        As `score_data` takes them.

    Raises
    ------
    DataError : the submission fails, or gives other shapes, NaN, or other poses for the same window; nothing to score.
    """
    if data_root is not None:
        # Before anything that takes time.
        select_sessions(read_metadata(data_root), split=split)
    random = np.random.default_rng(_SEED).standard_normal((_N_WINDOWS, N_CHANNELS, WINDOW_SAMPLES), dtype=np.float32)
    simulated, truth = _simulated_windows()
    with FreshSolver(submission) as solver:
        checks = (_check(solver, "random EMG", random, None), _check(solver, "simulated EMG", simulated, truth))
        batch_s = {n_windows: _batch_s(solver, _repeated(random, n_windows)) for n_windows in _TIMED_BATCHES}
        scores = None
        if data_root is not None:
            scores = score_data(
                lambda emg: solver.predict(emg)[0], data_root, split=split, static_pose=static_pose, progress=progress
            )
        return DryRun(solver.facts["name"], float(solver.facts["load_s"]), checks, batch_s, scores)


def _simulated_windows() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Simulate a person; EMG (window, channel, time) and joint angles (window, joint, time) [rad]."""
    seconds = _N_WINDOWS * WINDOW_SAMPLES / EMG_RATE_HZ
    settings = DataSetSettings(users=3, stages=2, minutes=seconds / 60, seed=_SEED)
    simulated = simulate_session(settings, settings.plan()[0])
    emg, angles = (
        rows.reshape(_N_WINDOWS, WINDOW_SAMPLES, -1).transpose(0, 2, 1)
        for rows in (simulated.emg, simulated.joint_angles)
    )
    return np.ascontiguousarray(emg), angles


def _check(solver: FreshSolver, name: str, emg: NDArray[np.float32], truth: NDArray[np.float32] | None) -> EmgCheck:
    angles, _ = solver.predict(emg)
    expected = (len(emg), N_JOINTS, WINDOW_SAMPLES)
    if angles.shape != expected or angles.dtype != np.float32:
        raise DataError(f"{name}: predict returned {angles.dtype} {angles.shape}, expected float32 {expected}")
    if not np.isfinite(angles).all():
        raise DataError(f"{name}: predict returned NaN or infinite angles; look at the model's weights")
    asked: dict[str, Callable[[], NDArray[Any]]] = {
        "when asked again": lambda: solver.predict(emg)[0],
        "window by window": lambda: np.concatenate([solver.predict(window[None])[0] for window in emg]),
        "for a torch tensor": lambda: solver.predict(emg, as_tensor=True)[0],
    }
    apart = []
    for what, ask in asked.items():
        difference = float(np.abs(ask() - angles).max())
        apart.append(difference)
        if not difference <= _SAME_RAD:
            raise DataError(f"{name}: predict gives poses {difference:.2g} rad apart {what}; expected the same poses")
    low, high = JOINT_LIMITS_RAD.T[:, None, :, None]
    inside = float(((angles >= low) & (angles <= high)).mean())
    mae = None if truth is None else float(np.abs(angles - truth).mean())
    return EmgCheck(name, angles.shape, float(np.abs(angles).max()), inside, mae, *apart)


def _batch_s(solver: FreshSolver, emg: NDArray[np.float32]) -> float:
    """Time a batch; the median, because the first one of a size also gets its memory."""
    return statistics.median(solver.predict(emg)[1] for _ in range(_TIMED_TIMES))


def _repeated(emg: NDArray[np.float32], n_windows: int) -> NDArray[np.float32]:
    return np.resize(emg, (n_windows, *emg.shape[1:]))
