"""One log line per fault, not one per sample."""

import logging
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emgpose.live.channel_quality import CLIPPED_SHARE, DEAD_S, WINDOW_S, Judged
from emgpose.live.intake import LARGEST_VALUE, Taken

LOGGER: Final = logging.getLogger("emgpose.live")
# A fault that has not been seen for so long is a new one.
QUIET_S: Final = 15.0


class FaultLog:
    """Logs a kind of fault when it begins, and again only after it has been away for 15 s of EMG.

    Parameters
    ----------
    source : str
        Whose faults they are.
    sample_rate_hz : float
    """

    def __init__(self, source: str, sample_rate_hz: float) -> None:
        self._source = source
        self._quiet_samples = QUIET_S * sample_rate_hz
        self._newest: dict[str, int] = {}

    def note(self, kind: str, n_samples: int, message: str) -> None:
        """Say that a fault is there.

        Parameters
        ----------
        kind : str
            What makes two faults the same.
        n_samples : int
            Samples that have come since the engine was made; never goes back.
        message : str
            For the log, as a warning.
        """
        if self._begins(kind, n_samples):
            LOGGER.warning("%s: %s", self._source, message)

    def _begins(self, kind: str, n_samples: int) -> bool:
        newest = self._newest.get(kind)
        self._newest[kind] = n_samples
        return newest is None or n_samples - newest > self._quiet_samples

    def note_samples(
        self, taken: Taken, judged: Judged, n_samples: int, names: tuple[str, ...], is_used: NDArray[np.bool_]
    ) -> None:
        """Say what is wrong with samples that came.

        Parameters
        ----------
        taken, judged : Taken, Judged
        n_samples : int
        names : tuple of str
            Of the channels.
        is_used : array of bool, shape (channel,)
            Channels that get EMG at all.
        """
        if taken.begins_again:
            self.note("gap", n_samples, f"EMG is missing before sample {taken.first_sample}; the model begins again")
        if taken.is_filled.any():
            self.note("filled", n_samples, f"EMG is missing from sample {taken.first_sample} on; the gap is filled")
        if not judged.is_bad.any():
            return
        not_numbers = (taken.is_missing & ~taken.is_filled[:, None]).any(axis=0)
        kinds = {
            f"values that are no numbers, or beyond {LARGEST_VALUE:g}": not_numbers,
            f"no change for {DEAD_S:g} s, so it seems dead": judged.is_dead.any(axis=0) & is_used,
            f"at its extreme for {CLIPPED_SHARE:.0%} of {WINDOW_S:g} s, so it seems clipped": judged.is_clipped.any(
                axis=0
            ),
        }
        for kind, channels in kinds.items():
            begun = [names[c] for c in np.flatnonzero(channels) if self._begins(f"{kind} {c}", n_samples)]
            # A fault of the whole band is one line, not one per channel.
            if begun:
                plural = "s" if len(begun) > 1 else ""
                LOGGER.warning("%s: channel%s %s: %s", self._source, plural, ", ".join(begun), kind)
        too_many = (judged.is_bad & is_used).sum(axis=1) * 2 > is_used.sum()
        if (too_many & ~taken.is_filled).any():
            self.note("signal", n_samples, "more than half of the channels are of no use; poses are stale")
