"""Write a step graph as an ONNX file, and make a copy of it whose matrix products are done in 8 bits."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch

from emgpose.errors import MissingExtraError
from emgpose.live.export.step_graph import StepGraph

EMG_INPUT: Final = "emg"
ANGLES_OUTPUT: Final = "joint_angles"
NUMBERS_OUTPUT: Final = "frame_numbers"
OPSET: Final = 20
_LIBRARIES: Final = ("onnx", "onnxruntime", "onnxscript")


def require_libraries() -> None:
    """Find out whether the libraries are there, before work goes into what needs them.

    Raises
    ------
    MissingExtraError
    """
    from importlib.util import find_spec

    for library in _LIBRARIES:
        if find_spec(library) is None:
            raise MissingExtraError(
                f"export to ONNX needs the library {library}, which is not installed; run: "
                'pip install "emgpose[export]"'
            )


def next_name(state: str) -> str:
    """Name the output that holds a state after the call."""
    return f"{state}.next"


def write_onnx(graph: StepGraph, path: Path) -> None:
    """Write the graph with its weights into one file; inputs and outputs are named as the states.

    Parameters
    ----------
    graph : StepGraph
    path : Path
    """
    emg = torch.zeros((1, graph.model.n_channels, graph.plan.chunk_samples))
    names = list(graph.initial)
    with _quiet():
        program = torch.onnx.export(
            graph.eval(),
            (emg, *graph.initial.values()),
            input_names=[EMG_INPUT, *names],
            output_names=[ANGLES_OUTPUT, NUMBERS_OUTPUT, *map(next_name, names)],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program, though no file was asked of it")
    model = program.model_proto
    _strip(model)
    path.write_bytes(model.SerializeToString())


def write_int8(source: Path, path: Path) -> None:
    """Write a copy whose matrix products take 8-bit activations (scaled call by call) and 7-bit weights, per column.

    Convolutions stay in float32. With 7 bits, sums of products fit 16 bits on processors that add them there, so the
    numbers are the same everywhere.

    Parameters
    ----------
    source, path : Path
    """
    with _quiet():
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic
        from onnxruntime.quantization.shape_inference import quant_pre_process

        folded = path.with_name(f"{path.stem}.folded.onnx")
        quant_pre_process(source, folded, skip_symbolic_shape=True)
        quantize_dynamic(folded, path, ["MatMul"], per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)
        folded.unlink()
        model = onnx.load(path)
        _strip(model)
        path.write_bytes(model.SerializeToString())


def _strip(model: Any) -> None:
    """Take out what exporters leave: stack traces with paths of the machine, and operator sets that nothing uses."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    used = {node.domain for node in graph.node} | {""}
    for index in reversed(range(len(model.opset_import))):
        if model.opset_import[index].domain not in used:
            del model.opset_import[index]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' notes and warnings, which are about themselves, off the screen."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
