"""The record of what was done to an EMG signal: ordered steps with their parameters.

A `Preprocessing` stands in every recording's facts (what it has had), in every config and in every checkpoint (what
the model expects). `emgpose.signals.Preprocessor` carries the steps out.
"""

import difflib
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Final

from emgpose.errors import ConfigError


def _require_positive(step: str, **values: float) -> None:
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
            raise ConfigError(f"preprocessing step {step}: {key} must be a positive number, got {value!r}")


def _require_order(step: str, order: int) -> None:
    if isinstance(order, bool) or not isinstance(order, int) or not 1 <= order <= 16:
        raise ConfigError(f"preprocessing step {step}: order must be a whole number from 1 to 16, got {order!r}")


@dataclass(frozen=True)
class Resample:
    """Change the sample rate with an anti-aliased polyphase filter whose delay is compensated.

    Parameters
    ----------
    rate_hz : float
        Sample rate afterwards.
    """

    name: ClassVar[str] = "resample"
    rate_hz: float

    def __post_init__(self) -> None:
        _require_positive(self.name, rate_hz=self.rate_hz)

    def __str__(self) -> str:
        return f"resample to {self.rate_hz:g} Hz"


@dataclass(frozen=True)
class Bandpass:
    """Causal Butterworth band-pass; `order` counts per edge, and both edges lie at -3 dB."""

    name: ClassVar[str] = "bandpass"
    low_hz: float = 20.0
    high_hz: float = 850.0
    order: int = 4

    def __post_init__(self) -> None:
        _require_positive(self.name, low_hz=self.low_hz, high_hz=self.high_hz)
        _require_order(self.name, self.order)
        if self.low_hz >= self.high_hz:
            raise ConfigError(
                f"preprocessing step bandpass: low_hz must lie below high_hz, got {self.low_hz:g} and {self.high_hz:g}"
            )

    def __str__(self) -> str:
        return f"band-pass {self.low_hz:g}-{self.high_hz:g} Hz (order {self.order})"


@dataclass(frozen=True)
class Highpass:
    """Causal Butterworth high-pass, -3 dB at `cutoff_hz`."""

    name: ClassVar[str] = "highpass"
    cutoff_hz: float
    order: int = 4

    def __post_init__(self) -> None:
        _require_positive(self.name, cutoff_hz=self.cutoff_hz)
        _require_order(self.name, self.order)

    def __str__(self) -> str:
        return f"high-pass {self.cutoff_hz:g} Hz (order {self.order})"


@dataclass(frozen=True)
class Notch:
    """Causal second-order notch; its -3 dB width is frequency_hz / q."""

    name: ClassVar[str] = "notch"
    frequency_hz: float
    q: float = 30.0

    def __post_init__(self) -> None:
        _require_positive(self.name, frequency_hz=self.frequency_hz, q=self.q)

    def __str__(self) -> str:
        return f"notch {self.frequency_hz:g} Hz (q {self.q:g})"


@dataclass(frozen=True)
class Scale:
    """Divide each channel so that its noise floor has a standard deviation of 1 (unitless afterwards)."""

    name: ClassVar[str] = "scale"
    to: str = "noise_floor"

    def __post_init__(self) -> None:
        if self.to != "noise_floor":
            raise ConfigError(f"preprocessing step scale: to must be 'noise_floor', got {self.to!r}")

    def __str__(self) -> str:
        return "scale to a noise floor of SD 1"


Step = Resample | Bandpass | Highpass | Notch | Scale
STEPS: Final[dict[str, type[Step]]] = {
    "resample": Resample,
    "bandpass": Bandpass,
    "highpass": Highpass,
    "notch": Notch,
    "scale": Scale,
}


def _nearest(word: object, known: list[str]) -> str:
    close = difflib.get_close_matches(str(word), known, n=1, cutoff=0.0)
    return f"did you mean {close[0]!r}? Known: {', '.join(known)}"


def _step_from_config(entry: object, position: int) -> Step:
    if not isinstance(entry, dict) or "step" not in entry:
        raise ConfigError(f"preprocessing[{position}] must be a mapping with the key 'step', got {entry!r}")
    name = entry["step"]
    if not isinstance(name, str) or name not in STEPS:
        raise ConfigError(f"preprocessing[{position}]: unknown step {name!r}; {_nearest(name, list(STEPS))}")
    parameters = {key: value for key, value in entry.items() if key != "step"}
    known = [field.name for field in fields(STEPS[name])]
    for key in parameters:
        if key not in known:
            raise ConfigError(f"preprocessing[{position}] {name}: unknown parameter {key!r}; {_nearest(key, known)}")
    try:
        return STEPS[name](**parameters)
    except TypeError:  # a parameter without a default is missing
        missing = ", ".join(key for key in known if key not in parameters)
        raise ConfigError(f"preprocessing[{position}] {name}: give {missing}") from None


@dataclass(frozen=True)
class Preprocessing:
    """Steps in the order in which they are, or were, applied; empty means nothing at all.

    Parameters
    ----------
    steps : tuple of Resample, Bandpass, Highpass, Notch or Scale

    Raises
    ------
    ConfigError : a step is none of these.
    """

    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        for step in self.steps:
            if not isinstance(step, Step):
                raise ConfigError(f"preprocessing: {step!r} is no step; use one of {', '.join(STEPS)}")

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def to_config(self) -> list[dict[str, Any]]:
        """Give the steps as plain data for JSON and YAML, e.g. ``[{"step": "notch", "frequency_hz": 50.0, ...}]``."""
        return [{"step": step.name, **asdict(step)} for step in self.steps]

    @classmethod
    def from_config(cls, config: object) -> "Preprocessing":
        """Read what `to_config` wrote.

        Raises
        ------
        ConfigError : an unknown step or parameter (the nearest known one is named), or an impossible value.
        """
        if not isinstance(config, list | tuple):
            raise ConfigError(f"preprocessing must be a list of steps, got {type(config).__name__}")
        return cls(tuple(_step_from_config(entry, position) for position, entry in enumerate(config)))

    def describe(self) -> str:
        """Say the steps in one line."""
        return ", ".join(str(step) for step in self.steps) or "none"


# What the models of the benchmark expect: the data set's own EMG at 2 kHz.
EMG2POSE_PREPROCESSING: Final = Preprocessing((Resample(2000.0), Bandpass(), Scale()))


def missing_steps(
    required: Preprocessing, had: Preprocessing, sample_rate_hz: float
) -> tuple[Preprocessing, Preprocessing]:
    """Divide the required steps into those to apply and those to skip, because the signal has had them.

    Parameters
    ----------
    required : Preprocessing
        What the model expects.
    had : Preprocessing
        What the recording has had.
    sample_rate_hz : float
        The recording's rate; resampling counts as had exactly when this is the rate wanted.

    Returns
    -------
    to_apply, skipped : Preprocessing
        Each in the required order. A filter counts as had only when its kind and all its parameters agree.
    """
    apply: list[Step] = []
    skipped: list[Step] = []
    for step in required:
        if isinstance(step, Resample):
            is_had = math.isclose(step.rate_hz, sample_rate_hz, rel_tol=1e-9)
        else:
            is_had = step in had.steps
        (skipped if is_had else apply).append(step)
    return Preprocessing(tuple(apply)), Preprocessing(tuple(skipped))
