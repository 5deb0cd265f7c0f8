"""The filters of preprocessing: their design, and second-order sections at work."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError
from emgpose.preprocessing import Bandpass, Highpass, Notch

# Below this share of the sample rate, order 16 in float64 loses more than seven digits.
_LOWEST_EDGE: Final = 1e-5


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


class SosFilter:
    """Second-order sections with carried state."""

    def __init__(self, sections: NDArray[np.float64], n_channels: int) -> None:
        self._sections = sections
        self._state: NDArray[np.float64] | None = None
        self._nothing = np.empty((0, n_channels))

    def process(self, chunk: NDArray[np.float64]) -> NDArray[np.float64]:
        """Filter the next samples, shape (time, channel)."""
        from scipy.signal import sosfilt, sosfilt_zi

        if not len(chunk):
            return chunk
        if self._state is None:
            self._state = sosfilt_zi(self._sections)[:, :, None] * chunk[0]
        filtered, self._state = sosfilt(self._sections, chunk, axis=0, zi=self._state)
        return filtered

    def flush(self) -> NDArray[np.float64]:
        """Give what was held back: nothing."""
        return self._nothing

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Give what it remembers."""
        return {} if self._state is None else {"sections": self._state.copy()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Take up what `state` gave, in a filter made alike."""
        sections = np.array(state["sections"], dtype=np.float64) if "sections" in state else None
        expected = (len(self._sections), 2, self._nothing.shape[1])
        if sections is not None and sections.shape != expected:
            raise ValueError(f"sections of shape {sections.shape}, expected {expected}")
        self._state = sections
