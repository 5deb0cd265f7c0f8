"""What a calibration found out about one person and one way of wearing the band; kept in a small JSON file.

`emgpose.live.calibrating` measures it, the engine applies it. Channels are the model's, after the channel map and
before the roll.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from emgpose.atomic import write_text_atomically
from emgpose.errors import ConfigError, DataError
from emgpose.hand import N_JOINTS

FORMAT: Final = "emgpose calibration"
FORMAT_VERSION: Final = 1
# What still counts as good; see `Calibration.warnings`. Our own choice, far from what simulated users gave: margins
# from 0.5 on, likeness from 0.8 on.
LARGEST_RESTLESSNESS: Final = 2.0
LEAST_MARGIN: Final = 0.15
LEAST_LIKENESS: Final = 0.5
# Beyond this, a joint angle is no angle of a hand but a mix-up of degrees and radians [rad].
_LARGEST_ANGLE_RAD: Final = 2 * math.pi


@dataclass(frozen=True)
class GesturePattern:
    """How strongly each channel speaks in a gesture; from it a later calibration finds how the band has turned.

    Parameters
    ----------
    name : str
    levels : tuple of float
        RMS of each scaled channel while the gesture is held, before the roll.
    """

    name: str
    levels: tuple[float, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise ConfigError(f"calibration: a gesture's name must be text, got {self.name!r}")
        _check(f"levels of gesture {self.name!a}", self.levels, lowest=0.0)


@dataclass(frozen=True)
class CalibrationQuality:
    """How far each part of a calibration can be trusted; None where that part was not measured.

    Parameters
    ----------
    bad_channels : tuple of int
        Channels that gave nothing at rest, or far more noise than the others.
    restlessness : float or None
        How much louder the loudest quarter second of the rest was than the middle one; 1 is perfectly still. Median
        over the channels.
    roll_errors_rad : tuple of float or None
        For a roll of 0, 1, 2, ... electrodes: mean absolute error between the poses that the model gave and those that
        were asked for.
    roll_margin : float or None
        By what share the error is higher on the far side of the arm than at the roll found; near 0 the gestures do not
        tell the rolls apart.
    likeness : float or None
        Correlation of the gestures with those of the earlier calibration that the roll was found by; at most 1.
    """

    bad_channels: tuple[int, ...] = ()
    restlessness: float | None = None
    roll_errors_rad: tuple[float, ...] | None = None
    roll_margin: float | None = None
    likeness: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.bad_channels, tuple) or not all(isinstance(c, int) for c in self.bad_channels):
            raise ConfigError(f"calibration: bad_channels must be channel numbers, got {self.bad_channels!r}")
        for name in ("restlessness", "roll_margin", "likeness"):
            value = getattr(self, name)
            _check(name, None if value is None else (value,), lowest=-math.inf)
        _check("roll_errors_rad", self.roll_errors_rad, lowest=0.0)


@dataclass(frozen=True)
class Calibration:
    """Scaling, place of the electrodes and first pose of one person; see `CalibrationQuality` for how sure each is.

    Parameters
    ----------
    noise_floor : tuple of float, or None
        Standard deviation of each channel at rest, after the filters, in the source's unit.
    roll : int
        Electrodes to turn the band by: the model's channel c gets channel c - roll (`numpy.roll` by +roll). A band
        that sits one electrode too far, so that channel k lies where channel k + 1 belongs, needs a roll of 1.
    gains : tuple of float, or None
        What each scaled channel is multiplied by, before the roll.
    initial_pose : tuple of 20 float, or None
        Joint angles from which tracking starts [rad].
    gestures : tuple of GesturePattern
        For a later calibration of the same person.
    quality : CalibrationQuality

    Raises
    ------
    ConfigError : numbers that no calibration can have given.
    """

    noise_floor: tuple[float, ...] | None = None
    roll: int = 0
    gains: tuple[float, ...] | None = None
    initial_pose: tuple[float, ...] | None = None
    gestures: tuple[GesturePattern, ...] = ()
    quality: CalibrationQuality = field(default_factory=CalibrationQuality)

    def __post_init__(self) -> None:
        if isinstance(self.roll, bool) or not isinstance(self.roll, int):
            raise ConfigError(f"calibration: roll must be a whole number of electrodes, got {self.roll!r}")
        _check("noise_floor", self.noise_floor, lowest=0.0, lowest_allowed=False)
        _check("gains", self.gains, lowest=0.0)
        _check("initial_pose", self.initial_pose, lowest=-_LARGEST_ANGLE_RAD, highest=_LARGEST_ANGLE_RAD, n=N_JOINTS)
        per_channel = [self.noise_floor, self.gains, self.quality.roll_errors_rad, *(g.levels for g in self.gestures)]
        numbers = sorted({len(values) for values in per_channel if values is not None})
        if len(numbers) > 1:
            raise ConfigError(f"calibration: its values are for {' and '.join(map(str, numbers))} channels at once")

    @property
    def warnings(self) -> list[str]:
        """What a person should know before using it, one sentence each."""
        quality, found = self.quality, []
        if quality.bad_channels:
            channels = ", ".join(map(str, quality.bad_channels))
            found.append(
                f"channels {channels} gave nothing at rest, or far more noise than the others: check the contact"
            )
        if quality.restlessness is not None and quality.restlessness > LARGEST_RESTLESSNESS:
            found.append(f"the rest was not still (up to {quality.restlessness:.1f} times its usual level): rest again")
        if quality.roll_margin is not None and quality.roll_margin < LEAST_MARGIN:
            found.append("the gestures do not tell how the band is turned; it counts as worn in its usual place")
        if quality.likeness is not None and quality.likeness < LEAST_LIKENESS:
            found.append("the gestures are unlike those of the earlier calibration: do them as then, or calibrate anew")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values, for JSON."""
        return {"format": FORMAT, "format_version": FORMAT_VERSION, **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Calibration":
        """Take back what `to_dict` gave.

        Raises
        ------
        ConfigError : it is no calibration, of a newer version, or holds impossible values.
        """
        if not isinstance(values, Mapping) or values.get("format") != FORMAT:
            raise ConfigError(f'expected a calibration (a JSON object with "format": "{FORMAT}"); make one anew')
        if values.get("format_version") != FORMAT_VERSION:
            raise ConfigError(
                f"calibration: format_version is {values.get('format_version')!r}, expected {FORMAT_VERSION}; "
                "calibrate again, or use the emgpose that wrote it"
            )
        given = {name: value for name, value in values.items() if name not in ("format", "format_version")}
        quality = _taken(CalibrationQuality, given.pop("quality", {}), "calibration quality")
        patterns = given.pop("gestures", [])
        if not isinstance(patterns, list | tuple):
            raise ConfigError(f"calibration: gestures must be a list, got {type(patterns).__name__}")
        gestures = tuple(_taken(GesturePattern, pattern, "calibration gesture") for pattern in patterns)
        calibration: Calibration = _taken(cls, given, "calibration", quality=quality, gestures=gestures)
        return calibration

    def write(self, path: Path) -> None:
        """Write it as a JSON file, whole or not at all.

        Raises
        ------
        DataError : the file cannot be written.
        """
        write_text_atomically(path, json.dumps(self.to_dict(), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Calibration":
        """Read what `write` wrote.

        Raises
        ------
        DataError : no such file, or no JSON.
        ConfigError : it is no calibration.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise DataError(f"{path}: cannot read the calibration: {error.strerror or error}") from None
        except (ValueError, RecursionError):
            raise DataError(f"{path}: expected a calibration in JSON, but the file is no JSON; make one anew") from None
        try:
            return cls.from_dict(values)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None


def _taken(kind: type, values: object, where: str, **others: Any) -> Any:
    """Make a dataclass of JSON values, lists as tuples."""
    known = [entry.name for entry in dataclasses.fields(kind)]
    if not isinstance(values, Mapping) or not set(values) <= set(known):
        got = ", ".join(map(str, values)) if isinstance(values, Mapping) else type(values).__name__
        raise ConfigError(f"{where}: expected values for {', '.join(known)}, got {got}")
    taken = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    try:
        return kind(**taken, **others)
    except TypeError:
        raise ConfigError(f"{where}: expected values for {', '.join(known)}, got {', '.join(values)}") from None


def _check(
    name: str,
    values: tuple[float, ...] | None,
    *,
    lowest: float,
    highest: float = math.inf,
    lowest_allowed: bool = True,
    n: int | None = None,
) -> None:
    """Refuse values that are no finite numbers within bounds."""
    if values is None:
        return
    bounds = "" if math.isinf(lowest) else f" from {lowest:g}" + ("" if math.isinf(highest) else f" to {highest:g}")
    wanted = f"{n or 'finite'} numbers{bounds}"
    if not isinstance(values, tuple) or not values or (n is not None and len(values) != n):
        raise ConfigError(f"calibration: {name} must be {wanted}, got {values!r}")
    for index, value in enumerate(values):
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or not lowest <= value <= highest or (value == lowest and not lowest_allowed):
            above = "" if lowest_allowed else " (not included)"
            raise ConfigError(f"calibration: {name}[{index}] is {value!r}, expected {wanted}{above}")
