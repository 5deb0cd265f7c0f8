"""Checks of a section's values: numbers in their limits, choices that exist."""

import math
from collections.abc import Iterable
from typing import Any

from emgpose.errors import ConfigError
from emgpose.models.config_json import nearest


def at_least(part: Any, section: str, least: float, *names: str) -> None:
    """Refuse numbers below `least`; None is no number."""
    for name in names:
        value = getattr(part, name)
        if value is not None and not (value >= least and math.isfinite(value)):
            raise ConfigError(f"{section}.{name}: expected at least {least:g}, got {value}")


def at_most(part: Any, section: str, most: float, *names: str) -> None:
    """Refuse numbers above `most`; None is no number."""
    for name in names:
        value = getattr(part, name)
        if value is not None and not value <= most:
            raise ConfigError(f"{section}.{name}: expected at most {most:g}, got {value}")


def above_zero(part: Any, section: str, *names: str) -> None:
    """Refuse numbers that are 0 or less; None is no number."""
    for name in names:
        value = getattr(part, name)
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise ConfigError(f"{section}.{name}: expected a number above 0, got {value}")


def share(part: Any, section: str, *names: str) -> None:
    """Refuse what is no share, 0 to 1."""
    for name in names:
        value = getattr(part, name)
        if not 0 <= value <= 1:
            raise ConfigError(f"{section}.{name}: expected a number from 0 to 1, got {value}")


def not_empty(part: Any, section: str, *names: str) -> None:
    """Refuse the empty text that an unset variable of the shell leaves; as a path, it would be the current folder."""
    for name in names:
        if getattr(part, name) == "":
            raise ConfigError(f"{section}{name}: expected a path, got an empty text")


def one_of(key: str, value: str, known: Iterable[str]) -> None:
    """Refuse an unknown choice and name the nearest known one."""
    if value not in known:
        raise ConfigError(f"{key}: unknown choice '{value}'; {nearest(value, known)}")
