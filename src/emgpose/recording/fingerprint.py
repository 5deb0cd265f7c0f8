"""Fingerprints of recorded samples, so that two results can be known to stand on the same data."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from emgpose.recording.facts import SessionFacts
from emgpose.recording.session import SessionSlice

# What stands for the samples of a recording in the fingerprint of training data: one second, from its middle.
_MIDDLE_SAMPLES: Final = 2000


class SamplesDigest:
    """Fingerprint of the EMG, joint angles and validity of one recording, fed in order.

    The same for any division into chunks.
    """

    def __init__(self) -> None:
        self._parts = [hashlib.blake2b(digest_size=16) for _ in range(3)]
        self._n_samples = 0

    def update(self, samples: SessionSlice) -> None:
        """Take in the next samples."""
        # Labels that are not valid may hold anything, NaN included; they are part of the file all the same.
        arrays = (samples.emg, samples.joint_angles, samples.valid)
        for part, array in zip(self._parts, arrays, strict=True):
            part.update(np.ascontiguousarray(array).data)
        self._n_samples += len(samples.valid)

    def hexdigest(self) -> str:
        """Thirty-two hexadecimal digits."""
        whole = hashlib.blake2b(str(self._n_samples).encode(), digest_size=16)
        for part in self._parts:
            whole.update(part.digest())
        return whole.hexdigest()


def middle_of(n_samples: int) -> tuple[int, int]:
    """Samples [start, stop) in the middle of a recording: those that stand for all of them in `brief_digest`."""
    start = max(0, (n_samples - _MIDDLE_SAMPLES) // 2)
    return start, min(start + _MIDDLE_SAMPLES, n_samples)


def brief_digest(facts: SessionFacts, valid_runs: Sequence[tuple[int, int]], middle_digest: str) -> str:
    """Fingerprint of a recording that does not need all of its samples.

    Parameters
    ----------
    facts : SessionFacts
    valid_runs : sequence of (start, stop)
    middle_digest : str
        `SamplesDigest` of the samples of `middle_of`.

    Returns
    -------
    str
        Thirty-two hexadecimal digits.
    """
    parts = [facts.n_samples, facts.sample_rate_hz, facts.channel_names, valid_runs, middle_digest]
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def data_fingerprint(digests: Mapping[str, str]) -> str:
    """Fingerprint of a data set: that of its recordings with their names, in whatever order they were read.

    Parameters
    ----------
    digests : mapping of recording name -> digest

    Returns
    -------
    str
        Thirty-two hexadecimal digits.
    """
    whole = hashlib.blake2b(digest_size=16)
    for name, digest in sorted(digests.items()):
        whole.update(f"{name}\0{digest}\n".encode())
    return whole.hexdigest()
