"""What is said to receivers of poses, and what they may say: see docs/live_protocol.md."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import MissingExtraError, StreamError
from emgpose.hand import JOINTS, LANDMARKS
from emgpose.json_values import json_values
from emgpose.live.pose_frame import PROTOCOL_VERSION, Hello, PoseFrame
from emgpose.version import __version__

SUBPROTOCOL_MSGPACK: Final = f"emgpose.v{PROTOCOL_VERSION}.msgpack"
SUBPROTOCOL_JSON: Final = f"emgpose.v{PROTOCOL_VERSION}.json"
UNITS: Final = {
    "joint_angles": "rad",
    "truth": "rad",
    "landmarks": "mm",
    "time_s": "s",
    "delay_s": "s",
    "quality": "0 (no use) to 1 (good)",
}
# Decimals in JSON: a thousandth of a degree, a hundredth of a millimetre. A whole pose then fits one Ethernet packet.
_DECIMALS: Final = {"joint_angles": 5, "truth": 5, "landmarks": 2, "quality": 3}
_MAX_RATE_HZ: Final = 10_000.0
_MAX_ID_TEXT: Final = 64


def hello_message(hello: Hello) -> dict[str, Any]:
    """Give the first message to every receiver: names, order, units and rates, so that a pose can be just numbers."""
    return {
        "type": "hello",
        "version": PROTOCOL_VERSION,
        "software": f"emgpose {__version__}",
        "model": hello.model,
        "task": hello.task,
        "trained_on": hello.trained_on,
        "source": hello.source,
        "is_simulated": hello.is_simulated,
        "hand": hello.hand,
        "side": hello.side,
        "rate_hz": hello.rate_hz,
        "sample_rate_hz": hello.sample_rate_hz,
        "delay_s": hello.delay_s,
        "joints": list(JOINTS),
        "landmarks": list(LANDMARKS),
        "channels": list(hello.channel_names),
        "units": dict(UNITS),
    }


def pose_message(frame: PoseFrame) -> dict[str, Any]:
    """Give a pose as a mapping whose arrays are NumPy's."""
    return {
        "type": "pose",
        "index": frame.index,
        "sample": frame.sample,
        "time_s": frame.time_s,
        "stale": frame.stale,
        "reason": frame.reason,
        "joint_angles": frame.joint_angles,
        "landmarks": frame.landmarks,
        "quality": frame.quality,
        "truth": frame.truth,
    }


def to_json(message: Mapping[str, Any]) -> str:
    """Encode a message as JSON without spaces; arrays are rounded (see docs/live_protocol.md), NaN becomes null."""
    plain = {key: _rounded(key, value) if isinstance(value, np.ndarray) else value for key, value in message.items()}
    if isinstance(plain.get("time_s"), float):
        plain["time_s"] = round(plain["time_s"], 6)
    try:
        return json.dumps(plain, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return json.dumps(json_values(plain), separators=(",", ":"))


def _rounded(key: str, values: NDArray[Any]) -> Any:
    # Adding 0 turns the -0.0 that rounding leaves into 0.0.
    return (np.round(values.astype(np.float64), _DECIMALS[key]) + 0.0).tolist()


def to_msgpack(message: Mapping[str, Any]) -> bytes:
    """Encode a message as msgpack: arrays as lists of float32, other numbers in full.

    Raises
    ------
    MissingExtraError : the library msgpack is not installed.
    """
    msgpack = require_msgpack()
    full, single = msgpack.Packer(), msgpack.Packer(use_single_float=True)
    parts = [full.pack_map_header(len(message))]
    for key, value in message.items():
        parts.append(full.pack(key))
        parts.append(single.pack(value.tolist()) if isinstance(value, np.ndarray) else full.pack(value))
    return b"".join(parts)


def require_msgpack() -> Any:
    """Import msgpack, or say how to install it."""
    try:
        import msgpack  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError(
            'WebSocket messages need the library msgpack, which is not installed; run: pip install "emgpose[live]"'
        ) from error
    return msgpack


class RequestError(StreamError):
    """A receiver sent something that is no request."""


@dataclass(frozen=True)
class Ping:
    """A receiver asks for a sign of life, which gives `id` back."""

    id: int | str | None


@dataclass(frozen=True)
class Subscribe:
    """A receiver wants at most so many poses per second; None: all of them."""

    rate_hz: float | None


def read_request(data: str | bytes) -> Ping | Subscribe:
    """Read what a receiver sent: text is JSON, bytes are msgpack.

    Raises
    ------
    RequestError : it is neither a ping nor a subscription.
    """
    try:
        value = json.loads(data) if isinstance(data, str) else require_msgpack().unpackb(data, raw=False)
    # Whatever a decoder does with rubbish (ValueError, TypeError, RecursionError, msgpack's own) must end here.
    except Exception as error:
        raise RequestError(f"not readable as {'JSON' if isinstance(data, str) else 'msgpack'}") from error
    if not isinstance(value, dict):
        raise RequestError("expected a map with the key type")
    kind, keys = value.get("type"), set(value) - {"type"}
    if kind == "ping" and keys <= {"id"}:
        return Ping(_checked_id(value.get("id")))
    if kind == "subscribe" and keys == {"rate_hz"}:
        return Subscribe(_checked_rate(value["rate_hz"]))
    raise RequestError("expected type ping (id) or subscribe (rate_hz)")


def _checked_id(value: object) -> int | str | None:
    # JSON can spell half of a character (a lone surrogate), which msgpack cannot carry back.
    if value is None or (isinstance(value, str) and len(value) <= _MAX_ID_TEXT and _is_unicode(value)):
        return value
    # What msgpack can carry back.
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return value
    raise RequestError(f"expected id to be a whole number or a text of at most {_MAX_ID_TEXT} characters")


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _checked_rate(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        rate_hz = float(value) if abs(value) < 1e9 else math.inf
        if 0 < rate_hz <= _MAX_RATE_HZ:
            return rate_hz
    raise RequestError(f"expected rate_hz above 0 and up to {_MAX_RATE_HZ:g}, or null for every pose")
