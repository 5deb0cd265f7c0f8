"""Fingerprints tell data apart, and nothing else."""

from itertools import pairwise

import numpy as np

from emgpose.recording.fingerprint import SamplesDigest, data_fingerprint
from emgpose.recording.session import SessionSlice


def _slice(start, stop, emg):
    angles = np.full((stop - start, 20), 0.5, dtype=np.float32)
    return SessionSlice(start, emg[start:stop], angles, np.ones(stop - start, dtype=bool))


def _digest(emg, *cuts):
    digest = SamplesDigest()
    edges = [0, *cuts, len(emg)]
    for start, stop in pairwise(edges):
        digest.update(_slice(start, stop, emg))
    return digest.hexdigest()


def test_chunks_do_not_change_the_fingerprint():
    emg = np.random.default_rng(0).standard_normal((100, 4)).astype(np.float32)
    assert _digest(emg) == _digest(emg, 1, 50) == _digest(np.asfortranarray(emg), 99)


def test_one_changed_number_changes_it():
    emg = np.zeros((100, 4), dtype=np.float32)
    other = emg.copy()
    other[73, 2] = 1e-6
    assert _digest(emg) != _digest(other)


def test_a_data_set_is_its_recordings_by_name_in_any_order():
    assert data_fingerprint({"a": "1", "b": "2"}) == data_fingerprint({"b": "2", "a": "1"})
    assert data_fingerprint({"a": "1", "b": "2"}) != data_fingerprint({"a": "2", "b": "1"})
