"""Judge joint angles and their validity, chunk by chunk in constant memory."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.hand import JOINT_LIMITS_RAD, JOINTS, N_JOINTS
from emgpose.recording.findings import Finding
from emgpose.recording.session import SessionSlice

# The benchmark's test window is 5.9 s of valid labels.
TEST_WINDOW_S: Final = 6.0
# The published data set has 12.7 % over all.
INVALID_SHARE: Final = 0.5
# Joint limits are of a typical hand; a person may exceed them by this, for this share of the time.
ANGLE_MARGIN_RAD: Final = math.radians(10)
ANGLE_SHARE: Final = 0.01


class LabelMeter:
    """Joint angles and their validity, gathered chunk by chunk."""

    def __init__(self) -> None:
        self.n_samples = self.n_valid = 0
        self._run = self._longest_run = 0
        self._n_outside = np.zeros(N_JOINTS, dtype=np.int64)
        self._lowest = np.full(N_JOINTS, np.inf)
        self._highest = np.full(N_JOINTS, -np.inf)

    def update(self, piece: SessionSlice) -> None:
        """Take the next samples."""
        self.n_samples += len(piece.valid)
        self.n_valid += int(piece.valid.sum())
        self._follow_runs(piece.valid)
        angles = piece.joint_angles[piece.valid]
        if len(angles):
            low, high = JOINT_LIMITS_RAD.T
            outside = (angles < low - ANGLE_MARGIN_RAD) | (angles > high + ANGLE_MARGIN_RAD)
            self._n_outside += outside.sum(axis=0)
            self._lowest = np.minimum(self._lowest, angles.min(axis=0))
            self._highest = np.maximum(self._highest, angles.max(axis=0))

    def _follow_runs(self, valid: NDArray[np.bool_]) -> None:
        ends = np.concatenate([[-1], np.flatnonzero(~valid), [len(valid)]])
        runs = np.diff(ends) - 1
        runs[0] += self._run
        self._longest_run = max(self._longest_run, int(runs.max()))
        self._run = int(runs[-1])

    @property
    def invalid_share(self) -> float:
        """Share of samples without a usable label."""
        return 1 - self.n_valid / self.n_samples

    def figures(self, rate_hz: float) -> dict[str, Any]:
        """Give the numbers for the report."""
        limits = {"lowest_rad": self._lowest, "highest_rad": self._highest}
        return {
            "n_samples": self.n_samples,
            "n_valid": self.n_valid,
            "invalid_share": self.invalid_share,
            "longest_valid_s": self._longest_run / rate_hz,
            "joint_angles": {
                name: {key: float(values[joint]) for key, values in limits.items()} for joint, name in enumerate(JOINTS)
            },
        }

    def findings(self, path: Path, rate_hz: float) -> Iterator[Finding]:
        """Judge the labels."""
        where = str(path)
        yield from validity_findings(where, self.n_samples, self.n_valid, self._longest_run, rate_hz)
        if not self.n_valid:
            return
        widest = float(max(self._highest.max(), -self._lowest.min()))
        if widest > 2 * math.pi:
            message = f"joint angles reach {widest:.4g} rad, more than a full turn; they seem to be in degrees"
            yield Finding("error", "angle_unit", f"{message}: convert them to radians", where)
            return
        yield from self._limit_findings(where)

    def _limit_findings(self, where: str) -> Iterator[Finding]:
        shares = self._n_outside / self.n_valid
        joints = [
            f"{JOINTS[joint]} {math.degrees(self._lowest[joint]):.0f} to {math.degrees(self._highest[joint]):.0f} deg, "
            f"{shares[joint]:.1%} outside"
            for joint in np.argsort(-shares, kind="stable")
            if shares[joint] > ANGLE_SHARE
        ]
        if joints:
            message = f"angles beyond what hands can do (10 deg allowed): {'; '.join(joints)}; check order and signs"
            yield Finding("warning", "angle_limits", message, where)


def validity_findings(where: str, n_samples: int, n_valid: int, longest_run: int, rate_hz: float) -> Iterator[Finding]:
    """Judge how many samples have a valid label, and how many of them in a row."""
    if not n_valid:
        yield Finding("error", "invalid_labels", "no sample has a valid label; nothing can be scored", where)
        return
    invalid_share = 1 - n_valid / n_samples
    if invalid_share > INVALID_SHARE:
        message = f"{invalid_share:.1%} of the labels are invalid, the data set as a whole has 12.7 %"
        yield Finding("warning", "invalid_labels", message, where)
    longest_s = longest_run / rate_hz
    if longest_s < TEST_WINDOW_S:
        message = f"the longest run of valid labels is {longest_s:.3g} s, a test window needs {TEST_WINDOW_S:g} s"
        yield Finding("warning", "no_test_window", f"{message}; the recording will not be scored", where)
