"""Any nested value as what JSON knows."""

import math
from collections.abc import Mapping
from typing import Any


def json_values(value: Any) -> Any:
    """Turn arrays, tuples and sets into lists, paths and other objects into text, and NaN and Inf into null."""
    if isinstance(value, Mapping):
        return {str(key): json_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_values(item) for item in value]
    if hasattr(value, "tolist"):
        return json_values(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)
