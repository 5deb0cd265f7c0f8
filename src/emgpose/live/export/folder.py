"""Export a model into a folder: model.onnx, perhaps model.int8.onnx, and contract.json, which comes last."""

import copy
import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from emgpose.atomic import atomic_file, ready_folder, write_text_atomically
from emgpose.errors import CheckpointError
from emgpose.live.export.checking import (
    CheckSignal,
    Difference,
    compare,
    described,
    exported_frames,
    model_frames,
    simulated_signal,
)
from emgpose.live.export.contract import CONTRACT_FILE, make_contract
from emgpose.live.export.onnx_file import require_libraries, write_int8, write_onnx
from emgpose.live.export.onnx_stream import OnnxStream
from emgpose.live.export.step_graph import StepGraph
from emgpose.live.export.step_plan import StepPlan
from emgpose.models import EmgModel

MODEL_FILES: Final = {"float32": "model.onnx", "int8": "model.int8.onnx"}
# Both round in float32, in another order; what they differ by grows through a rollout, but never to this.
LARGEST_DIFFERENCE_RAD: Final = 1e-4


@dataclass(frozen=True)
class ExportReport:
    """What was written, and how well it agrees with the model.

    Parameters
    ----------
    folder : Path
    plan : StepPlan
    signal : CheckSignal
    from_model : Difference
        Of model.onnx from the model.
    from_float32 : Difference or None
        Of model.int8.onnx from model.onnx, where it was asked for.
    files : mapping of precision ("float32", "int8") to Path
    """

    folder: Path
    plan: StepPlan
    signal: CheckSignal
    from_model: Difference
    from_float32: Difference | None
    files: Mapping[str, Path]


def export_onnx(
    model: EmgModel,
    folder: str | Path,
    *,
    int8: bool = False,
    signal: CheckSignal | None = None,
    checkpoint_sha256: str | None = None,
) -> ExportReport:
    """Export one step of a model's stream.

    Everything is made and compared with the model in a temporary folder first; then each file takes its place whole.

    Parameters
    ----------
    model : EmgModel
        Its task says from which pose streams start.
    folder : path
        Made if it does not exist; an earlier export in it is replaced.
    int8 : bool
        Also write a copy with 8-bit matrix products.
    signal : CheckSignal, optional
        What to compare on; by default 20 s of simulated EMG.
    checkpoint_sha256 : str, optional
        Fingerprint of the checkpoint, for contract.json.

    Raises
    ------
    ConfigError : the model is not causal.
    MissingExtraError : a library of the extra `export` is not installed.
    DataError : the folder cannot be written to, or the signal is too short.
    CheckpointError : the exported step does not give what the model gives.
    """
    require_libraries()
    plan = StepPlan.of(model)
    model = copy.deepcopy(model).float().cpu().eval()
    signal = signal or simulated_signal(model.n_channels)
    folder = ready_folder(folder)
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch)
        graph = StepGraph(model, plan)
        contract = make_contract(graph, checkpoint_sha256)
        write_onnx(graph, made / MODEL_FILES["float32"])
        if int8:
            write_int8(made / MODEL_FILES["float32"], made / MODEL_FILES["int8"])
        contract["files"] = {
            precision: {"file": name, "sha256": hashlib.sha256((made / name).read_bytes()).hexdigest()}
            for precision, name in MODEL_FILES.items()
            if (made / name).exists()
        }
        _write_contract(made, contract)
        from_model, from_float32 = _checked(made, model, signal, int8)
        contract["checked"] = described(signal) | {"float32_from_model": from_model.to_dict()}
        if from_float32 is not None:
            contract["checked"]["int8_from_float32"] = from_float32.to_dict()
        files = _publish(made, folder, contract)
    return ExportReport(folder, plan, signal, from_model, from_float32, files)


def _checked(made: Path, model: EmgModel, signal: CheckSignal, int8: bool) -> tuple[Difference, Difference | None]:
    """Compare model.onnx with the model, and model.int8.onnx with model.onnx."""
    frames = exported_frames(OnnxStream(made), model, signal)
    from_model = compare(frames, model_frames(model, signal), model, signal)
    # Written this way round, NaN is refused too.
    if not from_model.max_rad <= LARGEST_DIFFERENCE_RAD:
        raise CheckpointError(
            f"{model.name}: over {signal.seconds:g} s of {signal.name}, the exported step gives poses up to "
            f"{from_model.max_rad:.2g} rad from the model's, expected at most {LARGEST_DIFFERENCE_RAD:g}; nothing was "
            "written: report it with the versions of torch, onnxscript and onnxruntime"
        )
    if not int8:
        return from_model, None
    return from_model, compare(exported_frames(OnnxStream(made, "int8"), model, signal), frames, model, signal)


def _publish(made: Path, folder: Path, contract: dict[str, Any]) -> dict[str, Path]:
    """Put the files in place, the contract last, so that an export that was cut off is found by its hashes."""
    files = {precision: folder / entry["file"] for precision, entry in contract["files"].items()}
    for path in files.values():
        with atomic_file(path) as unfinished:
            shutil.copyfile(made / path.name, unfinished)
    _write_contract(folder, contract)
    if "int8" not in files:
        # Of an earlier export into this folder; the new contract does not know it.
        (folder / MODEL_FILES["int8"]).unlink(missing_ok=True)
    return files


def _write_contract(folder: Path, contract: dict[str, Any]) -> None:
    write_text_atomically(folder / CONTRACT_FILE, json.dumps(contract, indent=2, allow_nan=False) + "\n")
