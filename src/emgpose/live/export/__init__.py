"""Models for other runtimes: one step of a stream as an ONNX graph, and the contract that says how to run it."""

from emgpose.live.export.checking import CheckSignal, Difference, recorded_signal, simulated_signal
from emgpose.live.export.folder import ExportReport, export_onnx
from emgpose.live.export.onnx_stream import OnnxStream

__all__ = [
    "CheckSignal",
    "Difference",
    "ExportReport",
    "OnnxStream",
    "export_onnx",
    "recorded_signal",
    "simulated_signal",
]
