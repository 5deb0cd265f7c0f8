"""What the columns of somebody else's table mean, as a mapping file (TOML, YAML or JSON) says it.

Sections: `emg` (columns in band order, unit), `time` (rate_hz, or column and unit), `joints.JOINT` (column, unit,
sign), `valid` (column) and `constants` (side, user, stage, session); docs/other_data.md has an example.
"""

import difflib
import json
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from emgpose.errors import ConfigError
from emgpose.hand import JOINTS, SIDES
from emgpose.recording.columns import Columns
from emgpose.recording.facts import MAX_RATE_HZ, MIN_RATE_HZ

SUFFIXES: Final = (".toml", ".yaml", ".yml", ".json")
# Unit of the facts, and the factor that leads to it.
_EMG_UNITS: Final = {
    "V": ("uV", 1e6),
    "mV": ("uV", 1e3),
    "uV": ("uV", 1.0),
    "nV": ("uV", 1e-3),
    "noise_floor": ("noise_floor", 1.0),
    "unknown": ("unknown", 1.0),
}
_SECONDS: Final = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_RADIANS: Final = {"rad": 1.0, "deg": math.pi / 180}
_SECTIONS: Final = ("emg", "time", "joints", "valid", "constants")
_CONSTANTS: Final = ("side", "user", "stage", "session")
_MAX_BYTES: Final = 1 << 20
_LONGEST_TEXT: Final = 512


@dataclass(frozen=True)
class TableMapping:
    """Columns of a table by meaning.

    Parameters
    ----------
    emg : tuple of str
        Columns in band order; empty where there is no EMG.
    emg_unit : str
        As in `SessionFacts`, after `emg_factor`.
    emg_factor : float
    rate_hz : float or None
    time_column : str or None
    time_factor : float
        From the column's unit to seconds.
    joints : mapping of joint -> (column, factor)
        The factor leads to radians and to our sign.
    valid_column : str or None
    side, user, stage, session : str or None
        The same for the whole file.
    """

    emg: tuple[str, ...] = ()
    emg_unit: str = "unknown"
    emg_factor: float = 1.0
    rate_hz: float | None = None
    time_column: str | None = None
    time_factor: float = 1.0
    joints: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    valid_column: str | None = None
    side: str | None = None
    user: str | None = None
    stage: str | None = None
    session: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are read, EMG first, each once."""
        others = [column for column in (self.time_column, self.valid_column) if column is not None]
        return tuple(dict.fromkeys((*self.emg, *(column for column, _ in self.joints.values()), *others)))

    @classmethod
    def of_named_columns(cls, columns: Columns, names: Iterable[str]) -> "TableMapping":
        """Give the mapping of a table whose columns have our own names."""
        header = tuple(names)
        return cls(
            emg=columns.emg_names,
            time_column=None if columns.time is None else header[columns.time],
            joints={joint: (header[column], 1.0) for joint, column in zip(JOINTS, columns.joints, strict=False)},
            valid_column=None if columns.valid is None else header[columns.valid],
        )


def load_mapping(path: Path) -> TableMapping:
    """Read a mapping file.

    Raises
    ------
    ConfigError : it cannot be read, or says something impossible; the message names file and key.
    """
    path = Path(path)
    return _mapping(_document(path), str(path))


def _document(path: Path) -> Any:
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path}: expected a mapping file ending in {', '.join(SUFFIXES)}")
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(f"{path}: expected a mapping file of a few lines, it has {path.stat().st_size} bytes")
        text = path.read_text(encoding="utf-8")
        if path.suffix.lower() == ".toml":
            return tomllib.loads(text)
        if path.suffix.lower() == ".json":
            return json.loads(text)
        from omegaconf import OmegaConf

        # Unresolved: a mapping file has no business with environment variables.
        return OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except ConfigError:
        raise
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except Exception as error:  # YAML's and OmegaConf's errors have no common class
        reason = " ".join(str(error).split())[:200].encode("ascii", "replace").decode()
        raise ConfigError(f"{path}: cannot be read as {path.suffix[1:].upper()}: {reason}") from None


def _mapping(document: Any, where: str) -> TableMapping:
    sections = _table(document, where, "the file", _SECTIONS)
    emg = _table(sections.get("emg", {}), where, "emg", ("columns", "unit"))
    time = _table(sections.get("time", {}), where, "time", ("rate_hz", "column", "unit"))
    valid = _table(sections.get("valid", {}), where, "valid", ("column",))
    constants = _table(sections.get("constants", {}), where, "constants", _CONSTANTS)
    unit, factor = _one_of(emg.get("unit", "unknown"), _EMG_UNITS, where, "emg.unit")
    if ("rate_hz" in time) == ("column" in time):
        raise ConfigError(f"{where}: time: expected rate_hz or column, one of the two, got {', '.join(time) or 'none'}")
    mapping = TableMapping(
        emg=_column_list(emg["columns"], where, "emg.columns") if "columns" in emg else (),
        emg_unit=unit,
        emg_factor=factor,
        rate_hz=_rate(time["rate_hz"], where) if "rate_hz" in time else None,
        time_column=_text(time["column"], where, "time.column") if "column" in time else None,
        time_factor=_one_of(time.get("unit", "s"), _SECONDS, where, "time.unit"),
        joints=_joints(sections.get("joints", {}), where),
        valid_column=_text(valid["column"], where, "valid.column") if "column" in valid else None,
        **{name: _text(constants[name], where, f"constants.{name}") for name in constants},
    )
    if not mapping.emg and not mapping.joints:
        raise ConfigError(f"{where}: expected emg.columns or joints, found neither")
    meanings = [*mapping.emg, *(column for column, _ in mapping.joints.values())]
    meanings += [column for column in (mapping.time_column, mapping.valid_column) if column is not None]
    repeated = next((column for column in meanings if meanings.count(column) > 1), None)
    if repeated is not None:
        raise ConfigError(f"{where}: column {repeated!a} has two meanings; expected each column once")
    if mapping.side not in (None, *SIDES):
        raise ConfigError(f"{where}: constants.side: expected {' or '.join(SIDES)}, got {mapping.side!a}")
    return mapping


def _joints(value: Any, where: str) -> dict[str, tuple[str, float]]:
    joints: dict[str, tuple[str, float]] = {}
    used: dict[str, str] = {}
    for joint, entry in _table(value, where, "joints", JOINTS).items():
        key = f"joints.{joint}"
        table = _table(entry, where, key, ("column", "unit", "sign"))
        for name in ("column", "unit"):
            if name not in table:
                raise ConfigError(f"{where}: {key}: {name} is missing; expected column, unit (deg or rad) and sign")
        column = _text(table["column"], where, f"{key}.column")
        if column in used:
            raise ConfigError(f"{where}: {key}.column: {column!a} is that of {used[column]} already")
        used[column] = joint
        sign = table.get("sign", 1)
        if sign not in (1, -1) or isinstance(sign, bool):
            raise ConfigError(f"{where}: {key}.sign: expected 1 or -1, got {sign!r}")
        joints[joint] = (column, sign * _one_of(table["unit"], _RADIANS, where, f"{key}.unit"))
    return joints


def _table(value: Any, where: str, key: str, known: Iterable[str]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: {key}: expected a table with keys among {', '.join(known)}, got {value!a}")
    names = list(known)
    for name in value:
        if name not in names:
            close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.0)[0]
            raise ConfigError(f"{where}: {key}: unknown key {str(name)[:80]!a}; did you mean {close}?")
    return dict(value)


def _column_list(value: Any, where: str, key: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ConfigError(f"{where}: {key}: expected a list of column names in band order, got {str(value)[:80]!a}")
    names = tuple(_text(name, where, f"{key}[{number}]") for number, name in enumerate(value))
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise ConfigError(f"{where}: {key}: {repeated!a} stands twice; expected each column once")
    return names


def _text(value: Any, where: str, key: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= _LONGEST_TEXT:
        raise ConfigError(f"{where}: {key}: expected a short text, got {str(value)[:80]!a}")
    return value


def _rate(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not MIN_RATE_HZ <= value <= MAX_RATE_HZ:
        raise ConfigError(
            f"{where}: time.rate_hz: expected a rate between {MIN_RATE_HZ:g} and {MAX_RATE_HZ:g} Hz, got {value!r}"
        )
    return float(value)


def _one_of(value: Any, known: Mapping[str, Any], where: str, key: str) -> Any:
    if not isinstance(value, str) or value not in known:
        raise ConfigError(f"{where}: {key}: expected {' or '.join(known)}, got {str(value)[:80]!a}")
    return known[value]
