"""Causal filters with carried state and resampling: what turns raw EMG into what the models expect.

`Preprocessor` carries out a `Preprocessing` on chunks of any length; chunked and whole give the same samples.
Arrays are (time, channel).

Start of a recording: every filter starts at rest on the first sample's value, so a constant offset gives no transient.
The resampler holds the first and the last sample beyond the ends.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emgpose.errors import ConfigError, DataError, ShapeError
from emgpose.noise_floor import NoiseFloor, checked_signal, estimate_noise_floor, measure_noise_floor
from emgpose.preprocessing import (
    EMG2POSE_PREPROCESSING,
    STEPS,
    Bandpass,
    Highpass,
    Notch,
    Preprocessing,
    Resample,
    Scale,
    Step,
    missing_steps,
)
from emgpose.resampling import Resampler, ratio_of_rates, resampled_length

__all__ = [
    "EMG2POSE_PREPROCESSING",
    "STEPS",
    "Bandpass",
    "Highpass",
    "NoiseFloor",
    "Notch",
    "Preprocessing",
    "Preprocessor",
    "Resample",
    "Scale",
    "Step",
    "estimate_noise_floor",
    "filter_sections",
    "measure_noise_floor",
    "missing_steps",
    "resample",
    "resampled_length",
]

Signal = NDArray[np.float64]

# Below this share of the sample rate, order 16 in float64 loses more than seven digits.
_LOWEST_EDGE: Final = 1e-5


class _Stage(Protocol):
    """One step at work: carried state, samples in, samples out."""

    look_ahead_samples: int

    def process(self, chunk: Signal) -> Signal: ...

    def flush(self) -> Signal: ...

    def state(self) -> dict[str, NDArray[np.generic]]: ...

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None: ...


class _SosFilter:
    """Second-order sections with carried state."""

    look_ahead_samples = 0

    def __init__(self, sections: Signal, n_channels: int) -> None:
        self._sections = sections
        self._state: Signal | None = None
        self._nothing = np.empty((0, n_channels))

    def process(self, chunk: Signal) -> Signal:
        from scipy.signal import sosfilt, sosfilt_zi

        if not len(chunk):
            return chunk
        if self._state is None:
            self._state = sosfilt_zi(self._sections)[:, :, None] * chunk[0]
        filtered, self._state = sosfilt(self._sections, chunk, axis=0, zi=self._state)
        return filtered

    def flush(self) -> Signal:
        return self._nothing

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {} if self._state is None else {"sections": self._state.copy()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        sections = np.array(state["sections"], dtype=np.float64) if "sections" in state else None
        expected = (len(self._sections), 2, self._nothing.shape[1])
        if sections is not None and sections.shape != expected:
            raise ValueError(f"sections of shape {sections.shape}, expected {expected}")
        self._state = sections


class _Scaler:
    """Division by one number per channel."""

    look_ahead_samples = 0

    def __init__(self, noise_floor: Signal) -> None:
        self._noise_floor = noise_floor

    def process(self, chunk: Signal) -> Signal:
        return chunk / self._noise_floor

    def flush(self) -> Signal:
        return np.empty((0, len(self._noise_floor)))

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        del state  # it has none


def filter_sections(step: Bandpass | Highpass | Notch, rate_hz: float) -> NDArray[np.float64]:
    """Design the filter of a step as second-order sections, shape (section, 6), as `scipy.signal.sosfilt` takes them.

    Raises
    ------
    ConfigError : an edge that cannot be computed at this rate.
    """
    from scipy.signal import butter, iirnotch, tf2sos

    edges_hz = [getattr(step, key) for key in ("low_hz", "high_hz", "cutoff_hz", "frequency_hz") if hasattr(step, key)]
    lowest_hz, highest_hz = min(edges_hz), max(edges_hz)
    if lowest_hz < _LOWEST_EDGE * rate_hz:
        raise ConfigError(
            f"{step} needs an edge of at least {_LOWEST_EDGE * rate_hz:g} Hz to be computed well at {rate_hz:g} Hz"
        )
    if highest_hz >= rate_hz / 2:
        raise ConfigError(
            f"{step} needs a sample rate above {2 * highest_hz:g} Hz, the signal has {rate_hz:g} Hz; resample it first "
            "(a Resample step before this one) or lower the edge"
        )
    if isinstance(step, Notch):
        sections = tf2sos(*iirnotch(step.frequency_hz, step.q, fs=rate_hz))
    elif isinstance(step, Bandpass):
        sections = butter(step.order, (step.low_hz, step.high_hz), "bandpass", fs=rate_hz, output="sos")
    else:
        sections = butter(step.order, step.cutoff_hz, "highpass", fs=rate_hz, output="sos")
    # A pole this close to the circle rings for a billion samples.
    poles = np.abs(np.concatenate([np.roots(section[3:]) for section in sections]))
    if poles.max() >= 1 - 1e-9:
        raise ConfigError(f"{step} cannot be computed stably at {rate_hz:g} Hz; use a lower q or wider edges")
    return sections


def _checked_floor(noise_floor: ArrayLike | None, n_channels: int) -> Signal:
    if noise_floor is None:
        raise ConfigError(
            "scaling to the noise floor needs noise_floor, one number per channel; measure it with measure_noise_floor "
            "or estimate it with estimate_noise_floor"
        )
    try:
        floor = np.asarray(noise_floor, dtype=np.float64)
    except (TypeError, ValueError):
        raise ConfigError(f"noise_floor must hold {n_channels} numbers, got {noise_floor!r}") from None
    if floor.shape != (n_channels,):
        raise ShapeError(f"noise_floor must have shape (channel={n_channels},), got {floor.shape}")
    bad = np.flatnonzero(~(np.isfinite(floor) & (floor > 0)))
    if len(bad):
        raise DataError(
            f"the noise floor of channel(s) {', '.join(map(str, bad))} is {floor[bad[0]]:g}, it must be positive; the "
            "channel is dead there: leave it out, or give noise_floor"
        )
    return floor


class Preprocessor:
    """Carry out preprocessing steps on chunks of a signal, with the state carried between chunks.

    All filters are causal; only resampling looks ahead (`delay_samples`). Copy with `copy.deepcopy`, or pickle.

    Parameters
    ----------
    steps : Preprocessing, or a sequence of steps
    sample_rate_hz : float
        Rate of the chunks that come in.
    n_channels : int
    noise_floor : array, shape (channel,), optional
        Standard deviation of each channel at rest, in the unit that the signal has when the Scale step meets it.

    Attributes
    ----------
    output_rate_hz : float
    delay_samples : int
        Input samples that must have arrived after an output sample's own time; 0 without resampling.

    Raises
    ------
    ConfigError : an edge lies above half the sample rate, rates that cannot be matched, scaling without noise_floor.
    DataError : a noise floor that is not positive.
    """

    def __init__(
        self,
        steps: Preprocessing | Iterable[Step],
        sample_rate_hz: float,
        n_channels: int,
        noise_floor: ArrayLike | None = None,
    ) -> None:
        if n_channels < 1:
            raise ShapeError(f"a signal needs at least one channel, got {n_channels}")
        self.sample_rate_hz = self.output_rate_hz = float(sample_rate_hz)
        self.n_channels = n_channels
        self._n_in = 0
        self._flushed = False
        self._stages: list[_Stage] = []
        delay_s = 0.0
        for step in steps if isinstance(steps, Preprocessing) else Preprocessing(tuple(steps)):
            stage: _Stage
            if isinstance(step, Resample):
                if math.isclose(step.rate_hz, self.output_rate_hz, rel_tol=1e-9):
                    continue
                stage = Resampler(self.output_rate_hz, step.rate_hz, n_channels)
                delay_s += stage.look_ahead_samples / self.output_rate_hz
                self.output_rate_hz = float(step.rate_hz)
            elif isinstance(step, Scale):
                stage = _Scaler(_checked_floor(noise_floor, n_channels))
            else:
                stage = _SosFilter(filter_sections(step, self.output_rate_hz), n_channels)
            self._stages.append(stage)
        self.delay_samples = math.ceil(delay_s * self.sample_rate_hz - 1e-9)

    def process(self, chunk: ArrayLike) -> NDArray[np.float32]:
        """Take the next samples and give those that are complete.

        Parameters
        ----------
        chunk : array, shape (time, channel)
            Any number of samples, even zero.

        Returns
        -------
        ndarray of float32, shape (time', channel)

        Raises
        ------
        ShapeError : not (time, channel).
        DataError : a value is NaN or Inf (it would spoil every later sample) or becomes too large for float32, or the
            end was declared by `flush`.
        """
        if self._flushed:
            raise DataError("this Preprocessor was flushed, its signal has ended; start a new one for a new signal")
        samples = checked_signal(chunk, self.n_channels, first_sample=self._n_in)
        self._n_in += len(samples)
        for stage in self._stages:
            samples = stage.process(samples)
        return self._as_float32(samples)

    def flush(self) -> NDArray[np.float32]:
        """Declare the end and give the last samples, shape (time', channel): what resampling still held back."""
        samples = np.empty((0, self.n_channels))
        if not self._flushed:
            for stage in self._stages:
                samples = np.concatenate([stage.process(samples), stage.flush()])
        self._flushed = True
        return self._as_float32(samples)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Give what the filters remember as named arrays, for a file or another process."""
        arrays: dict[str, NDArray[np.generic]] = {"counters": np.array([self._n_in, self._flushed], dtype=np.int64)}
        for number, stage in enumerate(self._stages):
            arrays |= {f"{number}.{name}": array for name, array in stage.state().items()}
        return arrays

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `state` gave, in a Preprocessor made alike.

        Raises
        ------
        DataError : it is not the state of such a Preprocessor.
        """
        stages: list[dict[str, NDArray[np.generic]]] = [{} for _ in self._stages]
        try:
            n_in, flushed = (int(value) for value in np.asarray(state["counters"]))
            for name, array in state.items():
                if name != "counters":
                    number, _, key = name.partition(".")
                    stages[int(number)][key] = array
            for stage, arrays in zip(self._stages, stages, strict=True):
                stage.restore(arrays)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise DataError(
                f"this is not the state of a Preprocessor with these steps ({type(error).__name__}: {error}); "
                "restore what state() gave, into one made with the same arguments"
            ) from None
        self._n_in, self._flushed = n_in, bool(flushed)

    def _as_float32(self, samples: Signal) -> NDArray[np.float32]:
        with np.errstate(over="ignore"):
            result = samples.astype(np.float32)
        if not np.isfinite(result).all():
            raise DataError(
                f"the EMG before sample {self._n_in} is too large for float32 once filtered and scaled; look for a "
                "broken sample, or a noise floor in another unit"
            )
        return result


def resample(signal: ArrayLike, from_hz: float, to_hz: float) -> NDArray[np.float32]:
    """Resample a whole signal, as the Resample step does chunk by chunk.

    Parameters
    ----------
    signal : array, shape (time, channel) or (time,)
    from_hz, to_hz : float

    Returns
    -------
    ndarray of float32, shape (ceil(time * to_hz / from_hz), channel) or without the channel axis as given

    Raises
    ------
    ConfigError : a rate is not positive, or the rates have no usable ratio.
    ShapeError : another number of axes.
    DataError : a value is NaN or Inf.
    """
    samples = np.asarray(signal)
    columns = samples[:, None] if samples.ndim == 1 else samples
    if columns.ndim != 2:
        raise ShapeError(f"a signal must have shape (time, channel) or (time,), got {samples.shape}")
    ratio_of_rates(from_hz, to_hz)
    preprocessor = Preprocessor((Resample(float(to_hz)),), from_hz, columns.shape[1])
    resampled = np.concatenate([preprocessor.process(columns), preprocessor.flush()])
    return resampled[:, 0] if samples.ndim == 1 else resampled
