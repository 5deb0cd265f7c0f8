"""What all scores share: windows that fit together, masks, and sums that are right to float64 where it counts."""

from typing import Final

import torch
from torch import Tensor

from emgpose.errors import ShapeError
from emgpose.hand import N_JOINTS

Sums = tuple[Tensor, Tensor]

# Float32 values are added in runs of this many before float64 takes over: a sum is right to about 1e-7 of itself, and
# takes a quarter of the time of a sum in float64 (benchmarks/NOTES.md).
_RUN: Final = 1000


def mean(total: Tensor, count: Tensor) -> Tensor:
    """Sums over counts; NaN where nothing was counted."""
    count = count.reshape(count.shape + (1,) * (total.ndim - count.ndim))
    return torch.where(count > 0, total / count.clamp(min=1), torch.nan)


def check_windows(prediction: Tensor, valid: Tensor, target: Tensor | None = None) -> None:
    """Raise ShapeError unless the arrays are windows that fit together."""
    shape = tuple(prediction.shape)
    fits = prediction.ndim == 3 and shape[1] == N_JOINTS and tuple(valid.shape) == (shape[0], shape[2])
    if not fits or (target is not None and tuple(target.shape) != shape):
        raise ShapeError(
            f"metrics need prediction and target of shape (window, joint={N_JOINTS}, time) and valid of shape (window, "
            f"time), got prediction {shape}, target {'none' if target is None else tuple(target.shape)} and valid "
            f"{tuple(valid.shape)}"
        )
    if valid.dtype != torch.bool:
        raise ShapeError(f"valid must be a bool tensor (True = usable), got {valid.dtype}")


def all_finite(values: Tensor) -> bool:
    """Tell whether no value is NaN or infinite."""
    # One NaN or Inf shows in the sum of all; a sum beyond the largest float may do so without.
    return bool(values.sum().isfinite()) or bool(values.isfinite().all())


def working(angles: Tensor) -> Tensor:
    """Angles in the type that scores are computed in: float32, or float64 where they came in that."""
    # One layout, since the order of a float32 sum depends on it.
    return (angles if angles.dtype == torch.float64 else angles.float()).contiguous()


def sum_last_axis(values: Tensor) -> Tensor:
    """Sum over the last axis, in float64."""
    whole = values.shape[-1] // _RUN * _RUN
    runs = values[..., :whole].unflatten(-1, (-1, _RUN)).sum(-1)
    return runs.sum(-1, dtype=torch.float64) + values[..., whole:].sum(-1).double()


def masked(values: Tensor, valid: Tensor) -> Tensor:
    """Values (window, row, time) with 0 where a sample is not valid, whatever stood there, NaN included."""
    # Windows of the protocol are wholly valid: a check of the mask is cheaper than a copy of the values.
    return values if bool(valid.all()) else torch.where(valid.unsqueeze(1), values, 0.0)
