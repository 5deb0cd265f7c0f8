"""How numbers become the 24-bit integers of a BDF file.

Each channel has a step of its own, a power of two, and the smallest with which its largest value fits. So what is read
back is a multiple of the step, exact in float32, at most half a step from what was recorded; to write it again changes
nothing. A header has eight characters for the ends of a range, which costs at most 4 % of it.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import DataError

DIGITAL_MAX: Final = (1 << 23) - 1
# Of the eight characters, one is for the minus sign.
_WIDTH: Final = 7
_FINEST: Final = -23
_COARSEST: Final = 1


@dataclass(frozen=True)
class BdfScale:
    """The range of one channel: from `-physical_max` to `physical_max`, in `2 * digital_max` steps."""

    physical_max: float
    digital_max: int
    step: float

    @property
    def physical_text(self) -> str:
        """The end of the range as it stands in the header."""
        return f"{self.physical_max:.6f}".rstrip("0").rstrip(".")

    def digital(self, values: NDArray[np.float64]) -> NDArray[np.int32]:
        """Give the nearest integers; a value that is not finite becomes 0."""
        steps = np.rint(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0) / self.step)
        return np.clip(steps, -self.digital_max, self.digital_max).astype(np.int32)


def _scale(exponent: int) -> BdfScale:
    step = 2.0**exponent
    highest = min(DIGITAL_MAX * step, 10.0**_WIDTH - 1)
    # As many binary places as there is room for decimal ones: with n of these, multiples of 2**-n can be written.
    n_places = max(0, min(_WIDTH - 1 - len(str(int(highest))), -exponent))
    unit = max(2.0**-n_places, step)
    physical_max = math.floor(highest / unit) * unit
    return BdfScale(physical_max, round(physical_max / step), step)


_SCALES: Final = tuple(_scale(exponent) for exponent in range(_FINEST, _COARSEST + 1))


def scale_for(peak: float, what: str) -> BdfScale:
    """Choose the finest scale of a channel.

    Parameters
    ----------
    peak : float
        The largest absolute value of the channel.
    what : str
        Recording and channel, for the message.

    Raises
    ------
    DataError : no scale reaches so far.
    """
    for scale in _SCALES:
        if np.rint(peak / scale.step) <= scale.digital_max:
            return scale
    raise DataError(
        f"{what}: expected values up to {_SCALES[-1].physical_max:.8g} (the header of a BDF file has room for no "
        f"more), got {peak:.8g}; look at the recording with emgpose check"
    )
