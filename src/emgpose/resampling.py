"""Polyphase resampling with carried state: chunked equals whole, delay compensated, no aliases."""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError

Signal = NDArray[np.float64]

# Anti-aliasing filter: flat to within 4e-4 up to 85 % of the lower Nyquist rate (the 850 Hz edge of the data set at
# 2 kHz), at least 70 dB down from the Nyquist rate on.
_PASS_EDGE: Final = 0.85
_STOP_DB: Final = 70.0
# A ratio of rates is taken as a fraction of whole numbers up to this, to within 1e-6: at most 3.6 ms per hour, less
# than recorders drift against each other.
_MAX_RATIO: Final = 4096


def ratio_of_rates(from_hz: float, to_hz: float) -> Fraction:
    """Express to / from as a fraction of whole numbers.

    Raises
    ------
    ConfigError : a rate is not positive, or the rates have no usable ratio.
    """
    for rate_hz in (from_hz, to_hz):
        if not (isinstance(rate_hz, int | float | np.number) and math.isfinite(rate_hz) and rate_hz > 0):
            raise ConfigError(f"a sample rate must be a positive number of Hz, got {rate_hz!r}")
    exact = float(to_hz) / float(from_hz)
    ratio = Fraction(exact).limit_denominator(_MAX_RATIO) if 1 / _MAX_RATIO <= exact <= _MAX_RATIO else Fraction(0)
    if not 0 < ratio.numerator <= _MAX_RATIO or abs(float(ratio) / exact - 1) > 1e-6:
        raise ConfigError(
            f"cannot resample {from_hz:g} Hz to {to_hz:g} Hz: the ratio of the rates must lie near a fraction of whole "
            f"numbers up to {_MAX_RATIO}; for a rate taken from time stamps give the nominal one (--input-rate)"
        )
    return ratio


def _n_resampled(n_samples: int, up: int, down: int) -> int:
    return max(0, -(-n_samples * up // down))


def resampled_length(n_samples: int, from_hz: float, to_hz: float) -> int:
    """Count the samples that resampling gives: those at times before the end, ceil(n * to / from)."""
    ratio = ratio_of_rates(from_hz, to_hz)
    return _n_resampled(n_samples, ratio.numerator, ratio.denominator)


class Resampler:
    """Resamples by up/down: output m lies at input time m * down / up.

    The first and the last sample are held beyond the ends.

    Parameters
    ----------
    from_hz, to_hz : float
    n_channels : int

    Attributes
    ----------
    look_ahead_samples : int
        Input samples that must have arrived after an output's own time.

    Raises
    ------
    ConfigError : a rate is not positive, or the rates have no usable ratio.
    """

    def __init__(self, from_hz: float, to_hz: float, n_channels: int) -> None:
        from scipy.signal import firwin, kaiserord

        ratio = ratio_of_rates(from_hz, to_hz)
        self._up, self._down = ratio.numerator, ratio.denominator
        nyquist_hz = min(from_hz, to_hz) / 2
        fine_hz = from_hz * self._up
        n_taps, beta = kaiserord(_STOP_DB, (1 - _PASS_EDGE) * nyquist_hz / (fine_hz / 2))
        # The filter reaches this many input samples to each side of the output's own time.
        self.look_ahead_samples = math.ceil(n_taps / 2 / self._up)
        half = self.look_ahead_samples * self._up
        taps = firwin(2 * half + 1, (1 + _PASS_EDGE) / 2 * nyquist_hz, window=("kaiser", beta), fs=fine_hz)
        # Each of the `up` phases sums to exactly 1, so a constant stays the same constant.
        phase_sums = np.bincount(np.arange(len(taps)) % self._up, weights=taps, minlength=self._up)
        taps = taps / phase_sums[np.arange(len(taps)) % self._up]
        # Leading zeros put the centre on a whole number of outputs, so that upfirdn's own phase fits.
        lead = -half % self._down
        self._taps = np.concatenate([np.zeros(lead), taps])
        self._centre = (lead + half) // self._down
        self._tail: Signal | None = None
        # The buffer starts at a multiple of `down` input samples, which is a whole number of outputs.
        self._tail_start = -self._down * math.ceil(self.look_ahead_samples / self._down)
        self._n_in = 0
        self._n_out = 0
        self._nothing = np.empty((0, n_channels))

    def process(self, chunk: Signal) -> Signal:
        """Take the next samples, shape (time, channel), and give the outputs that are complete."""
        if not len(chunk):
            return self._nothing
        if self._tail is None:
            self._tail = np.repeat(chunk[:1], -self._tail_start, axis=0)
        self._n_in += len(chunk)
        return self._outputs(np.concatenate([self._tail, chunk]), self._n_in - self.look_ahead_samples)

    def flush(self) -> Signal:
        """Give the outputs that waited for samples after the end."""
        if self._tail is None:
            return self._nothing
        held = np.repeat(self._tail[-1:], self.look_ahead_samples, axis=0)
        return self._outputs(np.concatenate([self._tail, held]), self._n_in)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Give what it remembers."""
        counters = np.array([self._tail_start, self._n_in, self._n_out], dtype=np.int64)
        return {"counters": counters} | ({} if self._tail is None else {"tail": self._tail.copy()})

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `state` gave, in a resampler made alike."""
        self._tail_start, self._n_in, self._n_out = (int(value) for value in np.asarray(state["counters"]))
        tail = np.array(state["tail"], dtype=np.float64) if "tail" in state else None
        if tail is not None and tail.shape[1:] != self._nothing.shape[1:]:
            raise ValueError(f"a tail of shape {tail.shape}, expected (time, channel={self._nothing.shape[1]})")
        self._tail = tail

    def _outputs(self, buffer: Signal, n_ready: int) -> Signal:
        """Compute the outputs at times before input sample `n_ready`, and keep what the next ones need."""
        from scipy.signal import upfirdn

        stop = max(self._n_out, _n_resampled(n_ready, self._up, self._down))
        offset = self._tail_start // self._down * self._up - self._centre
        if stop == self._n_out:  # nothing is complete; the buffer is still short
            self._tail = buffer
            return self._nothing
        outputs = upfirdn(self._taps, buffer, self._up, self._down, axis=0)[self._n_out - offset : stop - offset]
        self._n_out = stop
        oldest_needed = stop * self._down // self._up - self.look_ahead_samples
        start = oldest_needed // self._down * self._down
        self._tail = buffer[start - self._tail_start :].copy()
        self._tail_start = start
        return outputs
