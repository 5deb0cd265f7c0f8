"""The `_emg.json` beside a recording of the BIDS edition: what it is, and how many of its samples count."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from emgpose.errors import SessionFormatError
from emgpose.hand import SIDES
from emgpose.recording.annex import require_content, require_fetched

_MAX_BYTES: Final = 1 << 24
_MAX_TEXT: Final = 512


@dataclass(frozen=True)
class Sidecar:
    """What the sidecar of a recording says.

    Parameters
    ----------
    stage, side : str
    source_file : str
        Name of the file that the recording was made from; its stem stands in the metadata table.
    valid_samples : int
        Samples that were recorded; what follows in the BDF fills its last record.
    sample_rate_hz : float or None
        None where it is not said.
    start_s : float or None
        Unix time of the first sample [s]; ours.
    source_bytes : int or None
        Size of the file that it was made from; ours.
    attributes : mapping
        What the source file said about itself; ours.
    """

    stage: str
    side: str
    source_file: str
    valid_samples: int
    sample_rate_hz: float | None = None
    start_s: float | None = None
    source_bytes: int | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


def read_sidecar(path: Path) -> Sidecar:
    """Read and check an `_emg.json`.

    Raises
    ------
    SessionFormatError : it is missing, was not fetched, or lacks something.
    """
    values = _read_object(path)
    side = _text(path, values, "HandSide").lower()
    if side not in SIDES:
        raise SessionFormatError(f"{path}: HandSide: expected {' or '.join(SIDES)}, got {side[:40]!a}")
    n_samples = values.get("ValidSamples")
    # JSON written by other tools may say 120000.0.
    if isinstance(n_samples, float) and n_samples.is_integer():
        n_samples = int(n_samples)
    if isinstance(n_samples, bool) or not isinstance(n_samples, int) or n_samples < 1:
        raise SessionFormatError(
            f"{path}: ValidSamples: expected a whole number of samples from 1, got {ascii(n_samples)[:40]}; it says "
            "where the recording ends and the padding of the BDF begins"
        )
    attributes = values.get("SourceAttributes", {})
    if not isinstance(attributes, dict):
        raise SessionFormatError(f"{path}: SourceAttributes: expected names and values, got {ascii(attributes)[:40]}")
    return Sidecar(
        stage=_text(path, values, "Stage"),
        side=side,
        source_file=_text(path, values, "SourceFile"),
        valid_samples=n_samples,
        sample_rate_hz=_number(path, values, "SamplingFrequency"),
        start_s=_number(path, values, "StartTime"),
        source_bytes=values["SourceBytes"] if isinstance(values.get("SourceBytes"), int) else None,
        attributes={key: value for key, value in attributes.items() if isinstance(value, str | int | float | list)},
    )


def read_source_file(path: Path) -> str:
    """Read which file a recording was made from, whatever else its `_emg.json` lacks.

    Raises
    ------
    SessionFormatError : it is missing, was not fetched, or does not say it.
    """
    return _text(path, _read_object(path), "SourceFile")


def _read_object(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise SessionFormatError(f"{path}: expected a small JSON file, got more than {_MAX_BYTES} bytes")
        require_content(path, content)
        values = json.loads(content)
    except FileNotFoundError:
        require_fetched(path)
        raise SessionFormatError(
            f"{path}: no such file; expected it beside the recording, with Stage, HandSide, SourceFile and "
            "ValidSamples: fetch it"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200].encode("ascii", "replace").decode()
        raise SessionFormatError(f"{path}: cannot be read as JSON: {reason}; fetch it again") from None
    if not isinstance(values, dict):
        raise SessionFormatError(f"{path}: expected a JSON object, got {ascii(values)[:40]}; fetch it again")
    return values


def _text(path: Path, values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > _MAX_TEXT:
        raise SessionFormatError(f"{path}: {key}: expected a short text, got {ascii(value)[:40]}")
    return value


def _number(path: Path, values: Mapping[str, Any], key: str) -> float | None:
    value = values.get(key)
    if value is None:
        return None
    # Not further than a float counts microseconds.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e10:
        raise SessionFormatError(f"{path}: {key}: expected a number, got {ascii(value)[:40]}")
    return float(value)
