"""Poses as a Lab Streaming Layer stream, for recording beside other devices.

Source: Lab Streaming Layer (Kothe et al. 2025); channel descriptions as in the XDF meta-data conventions.
"""

import socket
from typing import Any, Final

from emgpose.errors import ConfigError, StreamError
from emgpose.hand import JOINTS
from emgpose.live.lsl_library import import_pylsl
from emgpose.live.pose_frame import PROTOCOL_VERSION, Hello, PoseFrame
from emgpose.version import __version__

STREAM_TYPE: Final = "HandPose"
STALE_LABEL: Final = "STALE"
# What an outlet keeps for a receiver that reads slowly; a bound on memory.
_BUFFERED_S: Final = 10
_MAX_NAME: Final = 200


class LslSink:
    """An outlet with 21 channels: 20 joint angles [rad], then 1 where the pose is stale and 0 where it is not.

    Samples carry the LSL clock at which they were sent. The pose is that of the arm earlier by the delay stated in the
    description (`delay_s`) and by what came before the engine.

    Parameters
    ----------
    stream_name : str

    Raises
    ------
    ConfigError : a name that LSL cannot carry.
    MissingExtraError : the library pylsl is not installed.
    """

    def __init__(self, stream_name: str = "emgpose") -> None:
        if not stream_name.isprintable() or not 0 < len(stream_name) <= _MAX_NAME:
            raise ConfigError(
                f"--sink lsl: expected a printable stream name of 1 to {_MAX_NAME} characters, got {stream_name!a}"
            )
        self._stream_name = stream_name
        self.name = f"lsl:{stream_name}"
        self._outlet: Any = None
        import_pylsl()

    def open(self, hello: Hello) -> None:
        """Announce the stream.

        Raises
        ------
        StreamError : LSL refuses it.
        """
        pylsl = import_pylsl()
        try:
            info = pylsl.StreamInfo(
                self._stream_name,
                STREAM_TYPE,
                len(JOINTS) + 1,
                hello.rate_hz,
                "float32",
                # The same for every run, so that receivers find the stream again.
                f"emgpose:{self._stream_name}:{socket.gethostname()}",
            )
            _describe(info.desc(), hello)
            self._outlet = pylsl.StreamOutlet(info, max_buffered=_BUFFERED_S)
        except (RuntimeError, OSError) as error:
            raise StreamError(f"{self.name}: LSL gives no outlet: {error}; see its log above") from error

    def send(self, frame: PoseFrame) -> None:
        """Send a pose."""
        if self._outlet is not None:
            self._outlet.push_sample([*frame.joint_angles.tolist(), float(frame.stale)])

    def close(self) -> None:
        """Take the stream back."""
        self._outlet = None


def _describe(desc: Any, hello: Hello) -> None:
    desc.append_child_value("manufacturer", "emgpose")
    facts = desc.append_child("emgpose")
    for key, value in {
        "version": PROTOCOL_VERSION,
        "software": __version__,
        "model": hello.model,
        "task": hello.task,
        "trained_on": hello.trained_on,
        "source": hello.source,
        "is_simulated": str(hello.is_simulated).lower(),
        "hand": hello.hand,
        "side": hello.side,
        "sample_rate_hz": f"{hello.sample_rate_hz:g}",
        "delay_s": f"{hello.delay_s:g}",
    }.items():
        facts.append_child_value(key, str(value))
    channels = desc.append_child("channels")
    for label in (*JOINTS, STALE_LABEL):
        channel = channels.append_child("channel")
        channel.append_child_value("label", label)
        channel.append_child_value("unit", "boolean" if label == STALE_LABEL else "rad")
        channel.append_child_value("type", "flag" if label == STALE_LABEL else "joint_angle")
