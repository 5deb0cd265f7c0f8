"""Model configurations as JSON: frozen dataclasses of names and numbers, read back with every key checked."""

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from emgpose.errors import ConfigError

# More layers of a kind than anyone means; a file that asks for millions must not keep the loader busy.
_MAX_LAYERS: Final = 64


def check_layers(name: str, count: int, least: int = 1) -> None:
    """Refuse a number of layers that cannot be meant.

    Raises
    ------
    ConfigError
    """
    if not least <= count <= _MAX_LAYERS:
        raise ConfigError(f"{name} must be from {least} to {_MAX_LAYERS}, got {count}")


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name was probably meant, or list them all."""
    known = sorted(known)
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"


def write_dataclass(config: Any) -> dict[str, Any]:
    """Turn a configuration into plain JSON values; parts with a `kind` name it first."""
    values: dict[str, Any] = {"kind": config.kind} if hasattr(config, "kind") else {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        values[field.name] = write_dataclass(value) if dataclasses.is_dataclass(value) else _plain(value)
    return values


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def read_dataclass(kind: type, values: object, where: str, given: Mapping[str, Any] | None = None) -> Any:
    """Build the configuration `kind` from JSON values; what is absent keeps its default.

    Parameters
    ----------
    kind : the dataclass
    values : what JSON gave
    where : str, for messages: the file and key
    given : fields that the caller has read already

    Raises
    ------
    ConfigError : not a mapping, an unknown key (the nearest known one is named), a missing one, a value of the wrong
        type.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected a mapping of settings, got {type(values).__name__}")
    given = given or {}
    hints = typing.get_type_hints(kind)
    known = {field.name: field for field in dataclasses.fields(kind)}
    arguments = dict(given)
    for key, value in values.items():
        if key == "kind" or key in given:
            continue
        if key not in known:
            raise ConfigError(f"{where}: unknown setting '{key}'; {nearest(str(key), known)}")
        arguments[key] = _typed(hints[key], value, f"{where}.{key}")
    for key, field in known.items():
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if key not in arguments and not has_default:
            raise ConfigError(f"{where}: the setting '{key}' is missing")
    return kind(**arguments)


def read_kind(table: Mapping[str, type], values: object, where: str) -> type:
    """Look up which entry of a literal table a mapping's `kind` names."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected a mapping of settings, got {type(values).__name__}")
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in table:
        raise ConfigError(f"{where}: unknown kind {kind!r}; {nearest(str(kind), table)}")
    return table[kind]


def _finite(value: int | float, where: str) -> float:
    """Give a number as a float; JSON also knows NaN, and whole numbers beyond every float."""
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ConfigError(f"{where}: expected a finite number, got {number}")
    return number


def _typed(hint: Any, value: Any, where: str) -> Any:
    """Check one JSON value against its annotation; lists become tuples and whole numbers floats where wanted."""
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in options:
            return None
        return _typed(next(option for option in options if option is not type(None)), value, where)
    if origin is typing.Literal:
        if value in options:
            return value
        raise ConfigError(f"{where}: unknown choice {value!r}; {nearest(str(value), map(str, options))}")
    if origin is tuple and isinstance(value, (list, tuple)):
        if len(value) > _MAX_LAYERS:
            raise ConfigError(f"{where}: expected at most {_MAX_LAYERS} values, got {len(value)}")
        if options[-1] is Ellipsis:
            return tuple(_typed(options[0], item, f"{where}[{i}]") for i, item in enumerate(value))
        if len(value) == len(options):
            return tuple(_typed(options[i], item, f"{where}[{i}]") for i, item in enumerate(value))
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is float and is_number:
        return _finite(value, where)
    if (hint is int and is_number and isinstance(value, int)) or (hint in (str, bool) and isinstance(value, hint)):
        return value
    expected = hint.__name__ if isinstance(hint, type) and origin is None else str(hint)
    raise ConfigError(f"{where}: expected {expected}, got {value!r}")
