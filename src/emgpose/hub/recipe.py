"""How a model was trained, as its run's run.json says; where its data lay is left out."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from emgpose.errors import DataError

_RECORD_FILE: Final = "run.json"
_MAX_BYTES: Final = 2**22
# Paths, what concerns the machine only, and a query that may name people.
_LEFT_OUT: Final = (
    *("out", "resume", "data.root", "data.workers", "data.in_memory_gib", "init.checkpoint", "loss.hand", "data.where"),
)
_LEFT_OUT_SECTION: Final = "loop."
_KEPT_OF_SECTION: Final = ("loop.max_epochs", "loop.max_steps", "loop.patience_epochs", "loop.precision")


def read_recipe(run: str | Path) -> dict[str, str]:
    """Read the settings of a training run, as `emgpose train` takes them, and how far it went.

    Parameters
    ----------
    run : path
        The folder of a training run.

    Returns
    -------
    dict
        Empty where the folder has no run.json.

    Raises
    ------
    DataError : the record cannot be read.
    """
    path = Path(run) / _RECORD_FILE
    if not path.is_file():
        return {}
    record = read_record(path)
    config = record.get("config")
    if not isinstance(config, dict):
        raise DataError(f"{path}: this is not the record of a training run: it has no section config")
    recipe = {key: _text(value) for key, value in _flat(config) if _is_told(key)}
    return recipe | {key: _text(record[key]) for key in ("epochs", "steps") if key in record}


def read_record(path: Path) -> dict[str, Any]:
    """Read a run.json.

    Raises
    ------
    DataError
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"{path}: refused: {path.stat().st_size:,} bytes are too many for the record of a run")
        record = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON: {str(error)[:200]}") from None
    if not isinstance(record, dict):
        raise DataError(f"{path}: expected the record of a run, got a {type(record).__name__}")
    return record


def _is_told(key: str) -> bool:
    return key not in _LEFT_OUT and (not key.startswith(_LEFT_OUT_SECTION) or key in _KEPT_OF_SECTION)


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        elif value is not None:
            yield f"{before}{key}", value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
