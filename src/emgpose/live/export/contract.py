"""contract.json: all that a host must know to run the exported step, whatever it is written in. See docs/export.md."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from torch import Tensor

from emgpose.hand import JOINT_LIMITS_RAD, JOINTS
from emgpose.live.export.onnx_file import ANGLES_OUTPUT, EMG_INPUT, NUMBERS_OUTPUT, OPSET, next_name
from emgpose.live.export.step_graph import FRAME_STATE, POSE_STATE, StepGraph
from emgpose.live.export.step_plan import StepPlan
from emgpose.models import EmgModel
from emgpose.preprocessing import Preprocessing, Resample, Scale
from emgpose.signals import filter_sections
from emgpose.version import __version__

CONTRACT_FILE: Final = "contract.json"
FORMAT: Final = "emgpose onnx step"
FORMAT_VERSION: Final = 1

_HOW: Final = {
    "resample": "Bring the EMG to rate_hz; a device that has this rate already needs nothing.",
    "scale": "Divide each channel by its own standard deviation at rest, measured after the steps before this one.",
}
_HOW_FILTER: Final = (
    "Second-order sections, rows of b0 b1 b2 a0 a1 a2, one after the other, in transposed direct form II; the state "
    "goes on from chunk to chunk. Before the first sample, the state of each section is its row of initial_state times "
    "the first sample that comes to this step, channel by channel."
)
_START_RULE: Final = (
    "Each state holds its initial value (one number: everywhere). Put pad_samples samples of pad_value before the "
    "first preprocessed sample; then each call takes the next chunk_samples samples and the states that the last call "
    "gave. Frames with negative numbers, which the first warm_up_calls calls give and perhaps the one after them, "
    "hold the initial pose: show them as stale. After a gap in the EMG begin again, from the newest pose where "
    "initial_pose.given_by_host is true."
)


def make_contract(graph: StepGraph, checkpoint_sha256: str | None) -> dict[str, Any]:
    """Describe the exported step as JSON values; what is known only of the files is added by `export_onnx`.

    Parameters
    ----------
    graph : StepGraph
    checkpoint_sha256 : str or None
        Fingerprint of the checkpoint that the model came from.
    """
    model, plan = graph.model, graph.plan
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "emgpose_version": __version__,
        "onnx_opset": OPSET,
        "model": _model(model) | {"checkpoint_sha256": checkpoint_sha256},
        "emg": {
            "input": EMG_INPUT,
            "dtype": "float32",
            "shape": [1, model.n_channels, plan.chunk_samples],
            "axes": ["batch", "channel", "time"],
            "sample_rate_hz": model.sample_rate_hz,
            "chunk_samples": plan.chunk_samples,
            "preprocessing": list(_steps(model.card.preprocessing, float(model.sample_rate_hz))),
        },
        "joint_angles": {
            "output": ANGLES_OUTPUT,
            "dtype": "float32",
            "shape": [1, len(JOINTS), plan.frames_per_call],
            "axes": ["batch", "joint", "frame"],
            "unit": "rad",
            "joints": list(JOINTS),
            "limits_rad": JOINT_LIMITS_RAD.tolist(),
            "is_limited": False,
        },
        "frames": _frames(plan, model.sample_rate_hz),
        "start": {
            "pad_samples": plan.pad_samples,
            "pad_value": 0.0,
            "warm_up_calls": plan.warm_up_calls,
            "rule": _START_RULE,
        },
        "initial_pose": {"state": POSE_STATE, "given_by_host": model.task == "tracking", "unit": "rad"},
        "states": [_state(name, tensor) for name, tensor in graph.initial.items()],
    }


def _model(model: EmgModel) -> dict[str, Any]:
    card = model.card
    return {
        "name": model.name,
        "task": model.task,
        "n_parameters": model.n_parameters,
        "trained_on": card.trained_on,
        "licence": card.licence,
        "notes": card.notes,
    }


def _frames(plan: StepPlan, sample_rate_hz: int) -> dict[str, Any]:
    """Say which frames a call gives, and when."""
    return {
        "output": NUMBERS_OUTPUT,
        "dtype": "int64",
        "shape": [plan.frames_per_call],
        "per_call": plan.frames_per_call,
        "rate_hz": sample_rate_hz / plan.frame_stride,
        "stride_samples": plan.frame_stride,
        "first_frame_sample": plan.first_frame_sample,
        # Behind the last sample of the call that gives them.
        "delay_samples": [plan.frame_stride * late for late in reversed(range(plan.frames_per_call))],
        "rule": "Frame number n uses samples (0-based, padding not counted) up to first_frame_sample + n x "
        "stride_samples; negative numbers are no frames.",
    }


def _steps(preprocessing: Preprocessing, sample_rate_hz: float) -> Iterator[dict[str, Any]]:
    """Give the preprocessing steps with what is needed to carry them out."""
    from scipy.signal import sosfilt_zi

    n_resamples = sum(isinstance(step, Resample) for step in preprocessing)
    for step, values in zip(preprocessing, preprocessing.to_config(), strict=True):
        if isinstance(step, Resample):
            n_resamples -= 1
        if isinstance(step, Resample | Scale):
            yield values | {"how": _HOW[step.name]}
        elif n_resamples:
            yield values | {"how": "Design this filter for the device's own rate: it comes before a resampling."}
        else:
            sections = filter_sections(step, sample_rate_hz)
            coefficients = {"sos": sections.tolist(), "initial_state": sosfilt_zi(sections).tolist()}
            yield values | coefficients | {"how": _HOW_FILTER}


def _state(name: str, tensor: Tensor) -> dict[str, Any]:
    is_explicit = name in (POSE_STATE, FRAME_STATE)
    return {
        "input": name,
        "output": next_name(name),
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "shape": list(tensor.shape),
        "initial": tensor.tolist() if is_explicit else 0.0,
    }


def is_contract(values: object) -> bool:
    """Say whether these JSON values are a contract of a version that this emgpose reads."""
    return (
        isinstance(values, Mapping)
        and values.get("format") == FORMAT
        and values.get("format_version") == FORMAT_VERSION
    )
