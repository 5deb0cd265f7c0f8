"""Carry out a `Preprocessing`: its steps one after the other, on chunks or on a whole signal."""

import math
from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emgpose.errors import DataError, ShapeError
from emgpose.noise_floor import checked_signal
from emgpose.preprocessing import Preprocessing, Resample, Scale, Step
from emgpose.resampling import Resampler, ratio_of_rates
from emgpose.signals.filters import SosFilter, filter_sections
from emgpose.signals.scaling import Scaler

Signal = NDArray[np.float64]


class _Stage(Protocol):
    """One step at work: carried state, samples in, samples out."""

    def process(self, chunk: Signal) -> Signal: ...

    def flush(self) -> Signal: ...

    def state(self) -> dict[str, NDArray[np.generic]]: ...

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None: ...


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
                stage = Scaler(noise_floor, n_channels)
            else:
                stage = SosFilter(filter_sections(step, self.output_rate_hz), n_channels)
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
