"""How much a prediction computes."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from emgpose.evaluation.scoring import predict_windows
from emgpose.hand import N_JOINTS
from emgpose.models import EmgModel, Mode


@torch.inference_mode()
def flops_per_window(model: EmgModel, mode: Mode) -> int:
    """Count the floating-point operations of one test window: those of matrix products and convolutions.

    A multiplication and an addition count as two. Element-wise operations (activations, norms, resampling) do not
    count; they are a few per cent of these networks.
    """
    emg = torch.zeros(1, model.n_channels, model.test_window, device=model.device, dtype=model.dtype)
    pose = torch.zeros(1, N_JOINTS, device=model.device, dtype=model.dtype)
    with FlopCounterMode(display=False, custom_mapping=_onednn_products()) as counter:
        predict_windows(model, emg, pose if model.task == "tracking" else None, mode)
    return int(counter.get_total_flops())


def _onednn_products() -> dict[Any, Any]:
    """Give the formula of oneDNN's product, which torch's counter does not know; nothing where torch lacks oneDNN."""
    product = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    return {} if product is None else {product: _product_flops}


def _product_flops(x_shape: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any) -> int:
    return 2 * math.prod(x_shape) * out_shape[-1]
