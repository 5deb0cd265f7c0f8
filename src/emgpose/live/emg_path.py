"""From a source's samples to what the model expects: channel map, filters, scaling, electrodes in their places."""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError, RateMismatch
from emgpose.live.chunk import SourceFacts
from emgpose.live.engine_settings import CalibrationLike, EngineSettings
from emgpose.models import EmgModel
from emgpose.recording.channels import distinct_names
from emgpose.recording.prepared import MIN_EMG_RATE_HZ
from emgpose.resampling import ratio_of_rates
from emgpose.signals import Preprocessing, Preprocessor, Resample, Scale, missing_steps

UNUSED: Final = "unused"


def live_steps(model: EmgModel, source: SourceFacts, resample: bool) -> Preprocessing:
    """Say what a source's EMG still needs before the model can have it.

    Parameters
    ----------
    model : EmgModel
    source : SourceFacts
    resample : bool
        Whether another rate is allowed.

    Raises
    ------
    RateMismatch : another rate that must not or cannot be resampled.
    """
    to_apply, _ = missing_steps(model.card.preprocessing, source.preprocessing, source.sample_rate_hz)
    rate_hz = source.sample_rate_hz
    if math.isclose(rate_hz, model.sample_rate_hz, rel_tol=1e-9):
        return to_apply
    where = f"source {source.name}: its sample rate is {rate_hz:g} Hz, {model.name} needs {model.sample_rate_hz} Hz"
    if rate_hz < MIN_EMG_RATE_HZ:
        raise RateMismatch(
            f"{where}; below {MIN_EMG_RATE_HZ:g} Hz the EMG has lost the band that the model uses, and resampling does "
            f"not bring it back: set the device to {MIN_EMG_RATE_HZ:g} Hz or more"
        )
    if not resample:
        raise RateMismatch(
            f"{where}; set the device to that rate, or allow resampling (--resample), which delays poses a little"
        )
    if any(isinstance(step, Resample) for step in to_apply):
        return to_apply
    return Preprocessing((Resample(float(model.sample_rate_hz)), *to_apply.steps))


def channel_columns(model: EmgModel, source: SourceFacts, channel_map: tuple[int | None, ...] | None) -> list[int]:
    """Give the source's channel for each channel of the model; -1 where it gets none.

    Raises
    ------
    ConfigError : another number of channels without a map, or a map that does not fit.
    """
    where = f"source {source.name} has {source.n_channels} channels, {model.name} needs {model.n_channels}"
    if channel_map is None:
        if source.n_channels != model.n_channels:
            raise ConfigError(
                f"{where}; say which one each of the {model.n_channels} gets (--channel-map), such as "
                f"{_example_map(source.n_channels, model.n_channels)}"
            )
        return list(range(model.n_channels))
    if len(channel_map) != model.n_channels:
        raise ConfigError(f"{where}; the channel map must have {model.n_channels} entries, got {len(channel_map)}")
    for channel in channel_map:
        if channel is not None and not 0 <= channel < source.n_channels:
            raise ConfigError(
                f"{where}; the channel map names channel {channel}, use 0 to {source.n_channels - 1}, or none"
            )
    if all(channel is None for channel in channel_map):
        raise ConfigError(f"{where}; the channel map uses none of them, name at least one")
    return [-1 if channel is None else channel for channel in channel_map]


def _example_map(n_source: int, n_model: int) -> str:
    """Spread the source's channels over the model's, in order round the arm."""
    return ",".join(str(channel * n_source // n_model) for channel in range(n_model))


class EmgPath:
    """Carries out what a source's EMG needs, with the filters' state.

    Parameters
    ----------
    model : EmgModel
    source : SourceFacts
    settings : EngineSettings

    Attributes
    ----------
    channel_names : tuple of str
        The source's name for each channel of the model, before the roll; "unused" where it gets none.
    is_used : array of bool, shape (channel,)
    steps : Preprocessing
        What is applied.
    delay_samples : int
        Source samples that must have come after the one that a prepared sample stands for.
    warnings : list of str

    Raises
    ------
    ConfigError, RateMismatch : the source does not suit the model, as in `Engine`.
    """

    def __init__(self, model: EmgModel, source: SourceFacts, settings: EngineSettings) -> None:
        self._columns = np.array(channel_columns(model, source, settings.channel_map))
        self.is_used = self._columns >= 0
        self._keeps_order = self._columns.tolist() == list(range(source.n_channels))
        names = [source.channel_names[column] if column >= 0 else UNUSED for column in self._columns]
        self.channel_names = distinct_names(names)
        self.steps = live_steps(model, source, settings.resample)
        self._has_steps = len(self.steps.steps) > 0
        self._ratio = ratio_of_rates(source.sample_rate_hz, model.sample_rate_hz)
        self._rate_hz, self._n_channels = source.sample_rate_hz, model.n_channels
        calibration = settings.calibration
        self._floor = self._noise_floor(source, settings, calibration)
        self._order, self._gains = _places(calibration, self._n_channels)
        self.reset()
        self.warnings = self._warnings(model, source, settings)

    @property
    def delay_s(self) -> float:
        """The same in seconds."""
        return self.delay_samples / self._rate_hz

    @property
    def _scales(self) -> bool:
        return any(isinstance(step, Scale) for step in self.steps)

    def reset(self) -> None:
        """Begin anew, filters at rest."""
        self._preprocessor = Preprocessor(self.steps, self._rate_hz, self._n_channels, self._floor)
        self.delay_samples = self._preprocessor.delay_samples

    def mapped(self, emg: NDArray[np.float32]) -> NDArray[np.float32]:
        """Put a source's samples (time, source channel) on the model's channels; what gets none is zero."""
        if self._keeps_order and emg.dtype == np.float32:
            return emg.copy()
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is held
            chosen = emg[:, self._columns].astype(np.float32, copy=False)
        chosen[:, ~self.is_used] = 0
        return chosen

    def process(self, mapped: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next mapped samples, all finite, and give those that the model can have, (time', channel)."""
        prepared = self._preprocessor.process(mapped) if self._has_steps else mapped
        if self._gains is not None:
            prepared = prepared * self._gains
        return prepared if self._order is None else prepared[:, self._order]

    def source_sample(self, model_sample: int) -> int:
        """Give the last of the source's samples that a model's sample needs, both counted from the same start."""
        return model_sample * self._ratio.denominator // self._ratio.numerator + self.delay_samples

    def state(self) -> dict[str, NDArray[Any]]:
        """Give what the filters remember."""
        return self._preprocessor.state()

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up what `state` gave.

        Raises
        ------
        DataError : it is not the state of such filters.
        """
        self._preprocessor.restore(state)

    def _noise_floor(
        self, source: SourceFacts, settings: EngineSettings, calibration: CalibrationLike | None
    ) -> NDArray[np.float64] | None:
        if not self._scales:
            return None
        calibrated = None if calibration is None else calibration.noise_floor
        given = settings.noise_floor if calibrated is None else calibrated
        if given is None:
            raise ConfigError(
                f"source {source.name}: its EMG ({source.emg_unit}) has not been scaled to the noise floor, which the "
                "model needs; calibrate (--calibrate), or give the standard deviation at rest after the filters in the "
                "source's unit (--noise-floor)"
            )
        floor = np.array(given, dtype=np.float64)
        if floor.shape not in ((1,), (self._n_channels,)):
            raise ConfigError(
                f"the noise floor must be one number or one for each of {self._n_channels} channels, got {floor.size}"
            )
        # What gets no EMG stays zero, whatever it is divided by.
        floor = np.where(self.is_used, floor, 1.0)
        bad = np.flatnonzero(~(np.isfinite(floor) & (floor > 0)))
        if bad.size:
            raise ConfigError(
                f"the noise floor of channel {self.channel_names[bad[0]]} is {floor[bad[0]]:g}, expected a number "
                "above 0; where a channel is dead give it none (-) in the channel map"
            )
        return floor

    def _warnings(self, model: EmgModel, source: SourceFacts, settings: EngineSettings) -> list[str]:
        found = []
        if not self.is_used.all():
            found.append(f"{np.count_nonzero(~self.is_used)} of {self._n_channels} channels get no EMG and stay zero")
        if self.delay_samples:
            found.append(f"resampling {self._rate_hz:g} Hz delays poses by {1000 * self.delay_s:.1f} ms")
        highest_hz = max((getattr(step, "high_hz", 0.0) for step in self.steps), default=0.0)
        if highest_hz > self._rate_hz / 2:
            found.append(
                f"the source holds nothing above {self._rate_hz / 2:g} Hz, the model expects {highest_hz:g} Hz"
            )
        is_calibrated = settings.calibration is not None and settings.calibration.noise_floor is not None
        if settings.noise_floor is not None and (is_calibrated or not self._scales):
            why = "the calibration has one" if self._scales else "the source's EMG is scaled already"
            found.append(f"the noise floor given is not used: {why}")
        if is_calibrated and not self._scales:
            found.append("the calibration's noise floor is not used: the source's EMG is scaled already")
        wants_scale = any(isinstance(step, Scale) for step in model.card.preprocessing)
        if source.emg_unit == "unknown" and not wants_scale:
            found.append("the source does not say its unit, and the model scales nothing: check the amplitude")
        return found


def _places(
    calibration: CalibrationLike | None, n_channels: int
) -> tuple[NDArray[np.int64] | None, NDArray[np.float32] | None]:
    """Give the order of the electrodes and their gains; None for each that changes nothing."""
    if calibration is None:
        return None, None
    floor = calibration.noise_floor
    if floor is not None and len(floor) not in (1, n_channels):
        raise ConfigError(
            f"the calibration is for a band of {len(floor)} channels, the model has {n_channels}; calibrate again"
        )
    order = np.roll(np.arange(n_channels), calibration.roll) if calibration.roll % n_channels else None
    if calibration.gains is None or all(gain == 1 for gain in calibration.gains):
        return order, None
    gains = np.array(calibration.gains, dtype=np.float32)
    if gains.shape != (n_channels,) or not np.isfinite(gains).all():
        raise ConfigError(
            f"a calibration's gains must be {n_channels} finite numbers, got {gains.size}; calibrate again"
        )
    return order, gains
