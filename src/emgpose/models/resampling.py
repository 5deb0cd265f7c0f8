"""Linear interpolation between frames, by index arithmetic, so that any part can be had without the rest.

Follows torch's `interpolate(mode="linear")` for both of its alignments, float32 positions included: where neighbouring
frames differ much, their rounding shows in the fifth decimal of a published prediction.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Between:
    """For each output: the input frames on its two sides and the weight of the upper one."""

    lower: NDArray[np.int64]
    upper: NDArray[np.int64]
    weight: NDArray[np.float32]

    @classmethod
    def at(cls, positions: NDArray[np.floating[Any]], n_in: int) -> "Between":
        """Interpolate at fractional frame positions; outside, the end frames hold."""
        positions = np.maximum(positions, 0)
        lower = np.minimum(positions.astype(np.int64), n_in - 1)
        upper = np.minimum(lower + 1, n_in - 1)
        return cls(lower, upper, np.clip(positions - lower, 0, 1).astype(np.float32))

    @property
    def span(self) -> slice:
        """The input frames that are needed."""
        return slice(int(self.lower.min()), int(self.upper.max()) + 1) if self.lower.size else slice(0, 0)


def align_corners(outputs: NDArray[np.int64], n_in: int, n_out: int) -> Between:
    """Interpolate with the first and last frames of both sides on each other (`align_corners=True`)."""
    scale = np.float32((n_in - 1) / max(1, n_out - 1))
    return Between.at(outputs.astype(np.float32) * scale, n_in)


def align_centres(outputs: NDArray[np.int64], n_in: int, n_out: int) -> Between:
    """Interpolate with frames as equal parts of one span (`align_corners=False`)."""
    scale = np.float64(np.float32(n_in / n_out))
    # Rounded once, as a fused multiply-add does it.
    return Between.at(((outputs + 0.5) * scale - 0.5).astype(np.float32), n_in)


def blend(frames: Tensor, between: Between, first: int = 0) -> Tensor:
    """Interpolate the last axis of a tensor whose first frame has the number `first`."""
    lower = torch.from_numpy(between.lower - first).to(frames.device)
    upper = torch.from_numpy(between.upper - first).to(frames.device)
    weight = torch.from_numpy(between.weight).to(frames)
    return frames.index_select(-1, lower) * (1 - weight) + frames.index_select(-1, upper) * weight


def blend_rows(rows: NDArray[np.float32], between: Between, first: int = 0) -> NDArray[np.float32]:
    """Interpolate the first axis of an array whose first row has the number `first`."""
    if not between.weight.any():
        return rows[between.lower - first]
    weight = between.weight[:, None]
    return rows[between.lower - first] * (1 - weight) + rows[between.upper - first] * weight


@dataclass(frozen=True)
class StreamPlacing:
    """Where a stream's poses stand on the samples after the context.

    Numbers the initial pose 0 and the pose of step j as j + 1.

    Parameters
    ----------
    stride : int
        Samples between steps.
    delay : int
        Samples by which a step comes after its own.
    is_linear : bool
        False: each pose is held. True: linear interpolation from the pose before, so one step late.
    """

    stride: int
    delay: int = 0
    is_linear: bool = False

    def __call__(self, rows: NDArray[np.int64]) -> Between:
        """Give the poses between which each sample after the context lies."""
        newest, since = np.divmod(rows - self.delay, self.stride)
        upper = np.maximum(newest + 1, 0)
        if not self.is_linear:
            return Between(upper, upper, np.zeros(len(rows), dtype=np.float32))
        return Between(np.maximum(upper - 1, 0), upper, (since / self.stride).astype(np.float32))
