"""Poses over OSC (Open Sound Control): one bundle each, for TouchDesigner, Max, Unity and the like.

Source: Open Sound Control 1.0 (Wright 2002).
"""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import MissingExtraError
from emgpose.live.pose_frame import Hello, PoseFrame
from emgpose.live.sinks.messages import hello_message
from emgpose.live.sinks.udp import DatagramSocket, HelloClock, address_text

_INT32: int = 2**31


class OscSink:
    """Sends a bundle per pose over UDP, and `/emgpose/hello` before the first and then once a second.

    Parameters
    ----------
    host : str
    port : int

    Raises
    ------
    MissingExtraError : the library python-osc is not installed.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self.name = f"osc:{address_text(host, port)}"
        self._socket: DatagramSocket | None = None
        _import_builders()

    def open(self, hello: Hello) -> None:
        """Look the host up; see `DatagramSocket` for what it raises."""
        self._socket = DatagramSocket(self.name, self._host, self._port)
        self._hello = _message("/emgpose/hello", "s", [json.dumps(hello_message(hello), separators=(",", ":"))])
        self._hello_clock = HelloClock(hello.rate_hz)

    def send(self, frame: PoseFrame) -> None:
        """Send a pose."""
        if self._socket is None:
            return
        if self._hello_clock.is_due():
            self._socket.send(self._hello.dgram)
        self._socket.send(pose_bundle(frame))

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None


def pose_bundle(frame: PoseFrame) -> bytes:
    """Encode a pose as an OSC bundle; see docs/live_protocol.md for its messages."""
    _, bundles = _import_builders()
    builder = bundles.OscBundleBuilder(bundles.IMMEDIATELY)
    # OSC's integer has 32 bits: the index starts again from 0 after 497 days of poses.
    builder.add_content(_message("/emgpose/frame", "ii", [frame.index % _INT32, int(frame.stale)]))
    builder.add_content(_message("/emgpose/joint_angles", "f", frame.joint_angles))
    builder.add_content(_message("/emgpose/landmarks", "f", frame.landmarks))
    builder.add_content(_message("/emgpose/quality", "f", frame.quality))
    builder.add_content(_message("/emgpose/reason", "s", [frame.reason]))
    if frame.truth is not None:
        builder.add_content(_message("/emgpose/truth", "f", frame.truth))
    # Last, since not every receiver knows 64-bit types.
    builder.add_content(_message("/emgpose/time", "hd", [frame.sample, frame.time_s]))
    return bytes(builder.build().dgram)


def _message(address: str, types: str, values: NDArray[np.float32] | list[Any]) -> Any:
    messages, _ = _import_builders()
    builder = messages.OscMessageBuilder(address)
    items = values.ravel().tolist() if isinstance(values, np.ndarray) else values
    for kind, value in zip(types * len(items) if len(types) == 1 else types, items, strict=True):
        builder.add_arg(value, kind)
    return builder.build()


def _import_builders() -> tuple[Any, Any]:
    try:
        from pythonosc import osc_bundle_builder, osc_message_builder
    except ImportError as error:
        raise MissingExtraError(
            'OSC needs the library python-osc, which is not installed; run: pip install "emgpose[live]"'
        ) from error
    return osc_message_builder, osc_bundle_builder
