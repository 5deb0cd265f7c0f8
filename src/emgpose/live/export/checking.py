"""Does the exported step give what the model gives? Measured on a stretch of EMG, before any file gets its name."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from emgpose.errors import DataError
from emgpose.live.export.onnx_stream import OnnxStream
from emgpose.models import EmgModel
from emgpose.recording import open_session, prepare_session
from emgpose.simulation.settings import DataSetSettings
from emgpose.simulation.simulated_session import simulate_session
from emgpose.timing import EMG_RATE_HZ

SIMULATED_S: Final = 20.0
LONGEST_S: Final = 60.0
_SEED: Final = 2_050
_TORCH_SAMPLES: Final = 10_000


@dataclass(frozen=True)
class CheckSignal:
    """EMG to compare on, prepared as the model expects it.

    Parameters
    ----------
    name : str
    emg : array, shape (time, channel)
    truth : array, shape (time, joint=20) [rad]
        The recorded or simulated pose; NaN where it is not known.
    """

    name: str
    emg: NDArray[np.float32]
    truth: NDArray[np.float32]

    @property
    def seconds(self) -> float:
        """Length [s]."""
        return len(self.emg) / EMG_RATE_HZ


@dataclass(frozen=True)
class Difference:
    """How far one run's poses are from another's over the same EMG.

    Parameters
    ----------
    mean_rad, max_rad : float
        Of the absolute differences over all frames and joints.
    mae_rad : float or None
        Mean absolute error against the truth; None where no frame has one.
    reference_mae_rad : float or None
        The same of the run compared with.
    """

    mean_rad: float
    max_rad: float
    mae_rad: float | None
    reference_mae_rad: float | None

    def to_dict(self) -> dict[str, float | None]:
        """Give it as plain data for JSON."""
        return asdict(self)


def simulated_signal(n_channels: int, seconds: float = SIMULATED_S) -> CheckSignal:
    """Simulate a person; a model of more than 16 channels gets some of them twice.

    Parameters
    ----------
    n_channels : int
    seconds : float
        At least 8.
    """
    settings = DataSetSettings(users=3, stages=2, minutes=seconds / 60, seed=_SEED)
    simulated = simulate_session(settings, settings.plan()[0])
    columns = np.arange(n_channels) % simulated.emg.shape[1]
    truth = np.where(simulated.valid[:, None], simulated.joint_angles, np.float32(np.nan))
    return CheckSignal("simulated EMG", simulated.emg[:, columns], truth)


def recorded_signal(path: Path, model: EmgModel, *, rate_hz: float | None = None) -> CheckSignal:
    """Read the beginning of a recording, at most 60 s, and bring it to what a model expects.

    Parameters
    ----------
    path : Path
    model : EmgModel
    rate_hz : float, optional
        Sample rate of a file that does not say it.

    Raises
    ------
    DataError : it cannot be used, has another number of channels, or is too short for a frame.
    """
    with open_session(path, rate_hz=rate_hz) as raw:
        session = prepare_session(raw, model.card.preprocessing)
        if session.n_channels != model.n_channels:
            raise DataError(f"{path}: it has {session.n_channels} channels, {model.name} needs {model.n_channels}")
        part = session.read(0, min(session.n_samples, round(LONGEST_S * EMG_RATE_HZ)))
    truth = np.where(part.valid[:, None], part.joint_angles, np.float32(np.nan))
    return CheckSignal(path.name, part.emg, truth)


def initial_pose(model: EmgModel, signal: CheckSignal) -> NDArray[np.float32] | None:
    """Give the pose that tracking starts from here: the true one at frame 0, where it is known."""
    sample = model.frame_grid.left_context
    if sample >= len(signal.emg):
        raise DataError(
            f"{signal.name}: {len(signal.emg)} samples are too few to check the export with, {model.name} gives its "
            f"first frame after {sample + 1}; choose a longer recording"
        )
    pose = signal.truth[sample]
    return pose if model.task == "tracking" and np.isfinite(pose).all() else None


@torch.inference_mode()
def model_frames(model: EmgModel, signal: CheckSignal) -> NDArray[np.float32]:
    """Run the model itself; frames (frame, joint=20) [rad]."""
    pose = initial_pose(model, signal)
    state = model.initial_state(None if pose is None else torch.from_numpy(pose[None]))
    frames = []
    for start in range(0, len(signal.emg), _TORCH_SAMPLES):
        samples = signal.emg[start : start + _TORCH_SAMPLES]
        new, state = model(torch.tensor(samples.T[None]), state)
        frames.append(new[0].T.numpy())
    return np.concatenate(frames)


def exported_frames(stream: OnnxStream, model: EmgModel, signal: CheckSignal) -> NDArray[np.float32]:
    """Run the exported step; frames (frame, joint=20) [rad], up to the last whole chunk."""
    stream.reset(initial_pose(model, signal))
    return stream.push(signal.emg)[1]


def compare(
    frames: NDArray[np.float32], reference: NDArray[np.float32], model: EmgModel, signal: CheckSignal
) -> Difference:
    """Compare two runs over the frames that both have, with each other and with the truth."""
    n_frames = min(len(frames), len(reference))
    frames, reference = frames[:n_frames], reference[:n_frames]
    grid = model.frame_grid
    truth = signal.truth[grid.left_context :: grid.stride][:n_frames]
    apart = np.abs(frames - reference)
    return Difference(float(apart.mean()), float(apart.max()), _mae(frames, truth), _mae(reference, truth))


def _mae(frames: NDArray[np.float32], truth: NDArray[np.float32]) -> float | None:
    known = np.isfinite(truth).all(axis=1)
    return float(np.abs(frames[known] - truth[known]).mean()) if known.any() else None


def described(signal: CheckSignal) -> dict[str, Any]:
    """Say for contract.json what was compared on."""
    return {"emg": signal.name, "seconds": signal.seconds}
