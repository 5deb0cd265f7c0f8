"""Write whole simulated data sets: files of the emg2pose format with their truth, and the metadata table.

A data set is a function of its settings: every recording draws from random streams of its own, so neither the number of
workers nor kills and restarts in between change a byte of it.
"""

import contextlib
import csv
import io
import json
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Final

from emgpose.atomic import write_text_atomically
from emgpose.errors import ConfigError, DataError
from emgpose.recording.metadata import FILE_NAMES
from emgpose.simulation.activation import DEFAULT_SHARES
from emgpose.simulation.recorded_motion import recorded_motion
from emgpose.simulation.settings import DataSetSettings
from emgpose.simulation.simulated_session import is_complete, write_simulated_session
from emgpose.simulation.splits import METADATA_COLUMNS, PlannedRecording, metadata_rows

# Says what the folder holds before its first recording is complete, so that a restart cannot mix two data sets.
SETTINGS_FILE: Final = "simulation.json"
# Threads of the linear algebra libraries: their number may change the last bit of a sum, and workers share the cores.
_THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def simulate_data_set(
    root: Path | str,
    *,
    users: int,
    stages: int,
    minutes: float,
    placements: int = 2,
    repeats: int = 2,
    seed: int = 0,
    workers: int = 1,
    motion_file: Path | str | None = None,
    motion_rate_hz: float | None = None,
    aggressors: Mapping[str, float] | None = None,
    aggressor_share: float = 1.0,
    velocity_share: float = DEFAULT_SHARES.velocity,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Simulate a data set into a folder; if it was begun there before, only what is missing.

    The same arguments give the same bytes, whatever `workers` and however often the run was killed and started again.
    The work is done in processes of their own, even for one worker, so a script needs `if __name__ == "__main__":`.

    Parameters
    ----------
    root : Path or str
        Made if it does not exist; must be empty, or hold this data set, complete or not.
    users, stages : int
        At least 3 and 2, so that every condition has recordings; see `plan_recordings`.
    minutes : float
        Length of each recording; 0.134 (8 s) or more.
    placements, repeats : int
        Of the band per user and hand, and of each stage per placement; at least 1 and 2.
    seed : int
    workers : int
        Processes; each needs about 0.5 GB for recordings of one minute.
    motion_file : Path or str, optional
        Recorded joint angles (any format of `open_session`) in place of simulated movement.
    motion_rate_hz : float, optional
        For a motion file that does not state its rate.
    aggressors : mapping of name to severity, optional
        Spoil every recording; see `AGGRESSORS`.
    aggressor_share : float
        Length of the spoilt span as a share of the recording.
    velocity_share : float
        How much of the muscles' activation follows velocity; a knob, see `ActivationShares`.
    on_progress : callable, optional
        Called with (done, total), recordings found complete included.

    Returns
    -------
    list of Path
        The recordings written in this call.

    Raises
    ------
    ConfigError : a value is impossible, or too small for every condition to have a recording.
    DataError : the motion file cannot be used, the folder holds something else or cannot be written to, or a worker
        died.
    """
    settings = DataSetSettings(
        users=users,
        stages=stages,
        minutes=minutes,
        placements=placements,
        repeats=repeats,
        seed=seed,
        motion_file=Path(motion_file) if motion_file is not None else None,
        motion_rate_hz=motion_rate_hz,
        aggressors=dict(aggressors or {}),
        aggressor_share=aggressor_share,
        velocity_share=velocity_share,
    )
    if workers < 1:
        raise ConfigError(f"workers: expected at least 1, got {workers}")
    root, plan = Path(root), settings.plan()
    _require_motion(settings)
    _claim_folder(root, settings)
    _remove_unfinished(root, plan)
    missing = [recording for recording in plan if not is_complete(_path(root, recording), settings)]
    done = len(plan) - len(missing)
    if on_progress is not None:
        on_progress(done, len(plan))
    with contextlib.closing(_write_all(root, settings, missing, workers)) as written:
        for n_written, _ in enumerate(written, start=1):
            if on_progress is not None:
                on_progress(done + n_written, len(plan))
    _remove_unfinished(root, plan)
    write_text_atomically(root / FILE_NAMES[0], _metadata_text(plan, settings.seconds))
    return [_path(root, recording) for recording in missing]


def _path(root: Path, recording: PlannedRecording) -> Path:
    return root / f"{recording.filename}.hdf5"


def _require_motion(settings: DataSetSettings) -> None:
    """Read the recorded movement once, so that a file of no use is refused before the folder is claimed for it."""
    if settings.motion_file is None:
        return
    try:
        recorded_motion(settings.motion_file, settings.motion_rate_hz, seconds=1.0)
    except (ConfigError, DataError) as error:
        # Readers name the option that other commands have for the rate of their recording.
        raise type(error)(str(error).replace("--input-rate", "--motion-rate")) from None


def _claim_folder(root: Path, settings: DataSetSettings) -> None:
    """Write down what the folder will hold, or see that it is meant to hold the same."""
    text = json.dumps(settings.to_dict(), indent=2, sort_keys=True) + "\n"
    try:
        root.mkdir(parents=True, exist_ok=True)
        entries = {path.name for path in root.iterdir()}
    except OSError as error:
        raise DataError(f"{root}: cannot be used as a folder: {error.strerror}; choose another") from None
    if SETTINGS_FILE in entries:
        before = (root / SETTINGS_FILE).read_text(encoding="utf-8", errors="replace")
        if before != text:
            raise DataError(
                f"{root}: holds another simulated data set ({_differences(before, text)}); give the arguments that it "
                "was begun with, or another folder"
            )
        return
    # A kill while this very file was written leaves a hidden folder and nothing else.
    if any(not name.startswith(f".{SETTINGS_FILE}.") for name in entries):
        raise DataError(f"{root}: expected an empty folder or a data set begun by `simulate`; choose another folder")
    for name in entries:
        shutil.rmtree(root / name, ignore_errors=True)
    write_text_atomically(root / SETTINGS_FILE, text)


def _differences(before: str, now: str) -> str:
    try:
        old, new = json.loads(before), json.loads(now)
        keys = [key for key in new if old.get(key) != new[key]]
        return "; ".join(f"{key} there {json.dumps(old.get(key))}, now {json.dumps(new[key])}" for key in keys)
    except (ValueError, AttributeError):
        return f"its {SETTINGS_FILE} cannot be read"


def _remove_unfinished(root: Path, plan: Sequence[PlannedRecording]) -> None:
    """Remove the hidden folders in which a killed run left half-written files."""
    ours = {f".{_path(root, recording).name}" for recording in plan} | {f".{FILE_NAMES[0]}"}
    for path in root.iterdir():
        if path.name.rpartition(".")[0] in ours and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def _metadata_text(plan: Sequence[PlannedRecording], seconds: float) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=METADATA_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(metadata_rows(plan, seconds))
    return text.getvalue()


def _write_all(
    root: Path, settings: DataSetSettings, missing: Sequence[PlannedRecording], workers: int
) -> Generator[Path]:
    """Make the missing recordings in worker processes; yields each when it is complete."""
    if not missing:
        return
    with (
        _one_thread_each(),
        ProcessPoolExecutor(
            min(workers, len(missing)), mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker
        ) as pool,
    ):
        with _interrupts_held_back():
            futures = [
                pool.submit(write_simulated_session, _path(root, recording), settings, recording)
                for recording in missing
            ]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise DataError(
                f"{root}: a worker process ended unexpectedly, perhaps for lack of memory; start again with fewer "
                "workers: what is complete is kept"
            ) from None
        finally:
            # After an error or Ctrl-C: what runs is completed, what waits is dropped.
            pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let Ctrl-C wait while workers are started; they inherit that, so none ends in a traceback while it imports."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    """Prepare a worker: Ctrl-C is for the parent to handle, and a killed parent takes its workers with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: "multiprocessing.process.BaseProcess") -> None:
    parent.join()
    os._exit(1)
