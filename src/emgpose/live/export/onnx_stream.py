"""Run an exported step over a stream: what a host does, in Python with onnxruntime and numpy."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emgpose.errors import CheckpointError, ConfigError, MissingExtraError, ShapeError
from emgpose.live.export.contract import CONTRACT_FILE, FORMAT, FORMAT_VERSION, is_contract


class OnnxStream:
    """One stream through an exported model.

    Parameters
    ----------
    folder : path
        As `emgpose export` wrote it.
    precision : "float32" or "int8"

    Attributes
    ----------
    contract : dict
        What contract.json holds.

    Raises
    ------
    CheckpointError : no such export, or a file that is not the contract's.
    ConfigError : a precision that was not exported.
    MissingExtraError : onnxruntime is not installed.
    """

    def __init__(self, folder: str | Path, precision: str = "float32") -> None:
        folder = Path(folder)
        self.contract = read_contract(folder)
        files = self.contract["files"]
        if precision not in files:
            raise ConfigError(f"{folder}: it holds {' and '.join(files)}, not {precision!r}; export again with --int8")
        self._session = _session(_model_bytes(folder, files[precision]))
        self._chunk_samples: int = self.contract["emg"]["chunk_samples"]
        self._n_channels: int = self.contract["emg"]["shape"][1]
        self.reset()

    def reset(self, initial_pose: ArrayLike | None = None) -> None:
        """Begin a stream.

        Parameters
        ----------
        initial_pose : array, shape (joint=20,) [rad], or None
            The pose to start from; the model's own where it is None or the model does not start from a known pose.
        """
        contract = self.contract
        self._states = {
            state["input"]: np.broadcast_to(np.array(state["initial"], dtype=state["dtype"]), state["shape"])
            for state in contract["states"]
        }
        start = contract["initial_pose"]
        if initial_pose is not None and start["given_by_host"]:
            pose = np.asarray(initial_pose, dtype=np.float32)[None]
            if pose.shape != self._states[start["state"]].shape:
                raise ShapeError(f"the initial pose has shape {pose.shape[1:]}, expected (joint=20,)")
            self._states[start["state"]] = pose
        padding = (contract["start"]["pad_samples"], self._n_channels)
        self._waiting = np.full(padding, contract["start"]["pad_value"], dtype=np.float32)

    def push(self, emg: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Take the next samples.

        Parameters
        ----------
        emg : array, shape (time, channel)
            Preprocessed as the contract says; any number of samples.

        Returns
        -------
        (numbers (frame,), joint_angles (frame, joint=20) [rad]) : the frames that are complete now, from frame 0 on.

        Raises
        ------
        ShapeError : another number of channels.
        """
        samples = np.asarray(emg, dtype=np.float32)
        if samples.ndim != 2 or samples.shape[1] != self._n_channels:
            raise ShapeError(f"the EMG has shape {samples.shape}, expected (time, channel={self._n_channels})")
        samples = np.concatenate((self._waiting, samples))
        n_calls = len(samples) // self._chunk_samples
        chunks = np.split(samples[: n_calls * self._chunk_samples], n_calls) if n_calls else []
        self._waiting = samples[n_calls * self._chunk_samples :].copy()
        done = [self._call(chunk) for chunk in chunks]
        numbers = np.concatenate([np.empty(0, np.int64), *(numbers for numbers, _ in done)])
        angles = np.concatenate([np.empty((0, 20), np.float32), *(angles for _, angles in done)])
        return numbers[numbers >= 0], angles[numbers >= 0]

    def _call(self, chunk: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        contract = self.contract
        names = [contract["joint_angles"]["output"], contract["frames"]["output"]]
        outputs = [state["output"] for state in contract["states"]]
        given = {contract["emg"]["input"]: chunk.T[None], **self._states}
        angles, numbers, *states = self._session.run(names + outputs, given)
        self._states = dict(zip(self._states, states, strict=True))
        return numbers, angles[0].T


def read_contract(folder: Path) -> dict[str, Any]:
    """Read the contract of an export.

    Raises
    ------
    CheckpointError : there is none that can be read.
    """
    path = folder / CONTRACT_FILE
    try:
        contract = json.loads(path.read_bytes())
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read: {error.strerror}; expected a folder that `emgpose export` wrote"
        ) from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not valid JSON: {error}; export the model again") from None
    if not is_contract(contract):
        raise CheckpointError(
            f'{path}: expected "format": "{FORMAT}" of version {FORMAT_VERSION}; export the model again'
        )
    return dict(contract)


def _model_bytes(folder: Path, entry: dict[str, str]) -> bytes:
    """Read a model file and compare it with the contract."""
    path = folder / entry["file"]
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}; export the model again") from None
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise CheckpointError(
            f"{path}: its SHA-256 is not the one in {CONTRACT_FILE}: the file is damaged or from another export; "
            "export the model again"
        )
    return content


def _session(content: bytes) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError(
            'running an exported model needs onnxruntime, which is not installed; run: pip install "emgpose[export]"'
        ) from None
    options = onnxruntime.SessionOptions()
    # A step is small; more threads make it slower and less even.
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
