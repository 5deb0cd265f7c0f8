"""XDF files made by rule."""

import struct
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np


def xdf_header(
    name: str = "Band",
    kind: str = "EMG",
    *,
    n_channels: int = 4,
    rate_hz: float = 2000.0,
    channels: list[dict[str, str]] | None = None,
    own: dict[str, str] | None = None,
) -> str:
    """The XML of one float32 stream."""
    listed = "".join(
        "<channel>" + "".join(f"<{key}>{escape(value)}</{key}>" for key, value in channel.items()) + "</channel>"
        for channel in channels or []
    )
    extra = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in (own or {}).items())
    desc = f"<desc><channels>{listed}</channels><emgpose>{extra}</emgpose></desc>" if listed or extra else "<desc/>"
    return (
        f"<?xml version='1.0'?><info><name>{escape(name)}</name><type>{kind}</type>"
        f"<channel_count>{n_channels}</channel_count><nominal_srate>{rate_hz}</nominal_srate>"
        f"<channel_format>float32</channel_format>{desc}</info>"
    )


def write_xdf(path: Path, *streams: tuple[str, np.ndarray, np.ndarray]) -> Path:
    """Write streams given as (header, samples (time, channel), stamps (time,)), each sample with its own stamp."""
    parts = [b"XDF:", _chunk(1, b"<?xml version='1.0'?><info><version>1.0</version></info>")]
    for number, (header, samples, stamps) in enumerate(streams, start=1):
        stream = struct.pack("<I", number)
        parts.append(_chunk(2, stream + header.encode()))
        rows = b"".join(
            b"\x08" + struct.pack("<d", stamp) + row.astype("<f4").tobytes()
            for stamp, row in zip(stamps, samples, strict=True)
        )
        parts.append(_chunk(3, stream + b"\x04" + struct.pack("<I", len(samples)) + rows))
    path.write_bytes(b"".join(parts))
    return path


def _chunk(tag: int, content: bytes) -> bytes:
    return b"\x04" + struct.pack("<I", len(content) + 2) + struct.pack("<H", tag) + content
