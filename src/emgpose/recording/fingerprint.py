"""Fingerprints of recorded samples, so that two results can be known to stand on the same data."""

import hashlib
from collections.abc import Mapping

import numpy as np

from emgpose.recording.session import SessionSlice


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
