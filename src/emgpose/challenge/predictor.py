"""What a submission runs: windows of EMG in, joint angles of every sample out. A submission carries this file."""

from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from emgpose.checkpoints import load_model
from emgpose.errors import ConfigError, DataError, ShapeError
from emgpose.models import EmgModel

# The challenge's windows: 5 s at 2 kHz, 16 electrodes.
WINDOW_SAMPLES: Final = 10_000
N_CHANNELS: Final = 16
Start = Literal["mirror", "zeros", "hold"]
"""Where the poses of a window's first samples come from; see `WindowPredictor`."""
STARTS: Final[tuple[Start, ...]] = get_args(Start)
# Bounds the memory of large batches.
_WINDOWS_AT_ONCE: Final = 32


class WindowPredictor:
    """Predicts every sample of windows of EMG, each window by itself.

    Parameters
    ----------
    model : EmgModel
        Set to regression and to evaluation mode.
    start : "mirror", "zeros" or "hold"
        A model consumes `left_context` samples before its first pose, and a window has nothing before it. "mirror" puts
        the window's own first samples before it, turned round; "zeros" puts silence there; "hold" adds no samples, and
        gives the model's first pose to all samples before it.

    Raises
    ------
    ConfigError : a model without regression, of another number of channels, or whose context fills a window; an unknown
        start.
    """

    def __init__(self, model: EmgModel, start: Start = "mirror") -> None:
        if start not in STARTS:
            raise ConfigError(f"start must be one of {', '.join(STARTS)}, got {start!r}")
        require_regression(model)
        model.set_task("regression")
        self.model = model.eval()
        self.start = start

    @torch.inference_mode()
    def predict(self, emg: Any) -> Any:
        """Predict the joint angles.

        Parameters
        ----------
        emg : array or Tensor, shape (window, channel=16, time)
            At 2 kHz, preprocessed like emg2pose. A tensor is worked on where it is.

        Returns
        -------
        array or Tensor, as what was given, float32, shape (window, joint=20, time) [rad]

        Raises
        ------
        ShapeError : other axes, or windows that are not longer than the model's context.
        DataError : NaN or infinite values.
        """
        tensor = torch.as_tensor(emg).to(torch.float32)
        self._check(tensor)
        self.model.to(tensor.device)
        parts = [self._predict(part) for part in tensor.split(_WINDOWS_AT_ONCE)]
        angles = torch.cat(parts).to(torch.float32)
        return angles if isinstance(emg, Tensor) else np.ascontiguousarray(angles.cpu().numpy())

    def _check(self, emg: Tensor) -> None:
        context = self.model.left_context
        if emg.ndim != 3 or emg.shape[1] != N_CHANNELS or len(emg) == 0 or emg.shape[2] <= context:
            raise ShapeError(
                f"the EMG has shape {tuple(emg.shape)}, expected (window, channel={N_CHANNELS}, time), with at least "
                f"one window and more than {context} samples"
            )
        finite = emg.isfinite().flatten(1).all(1)
        if not bool(finite.all()):
            raise DataError(f"the EMG of window {int((~finite).nonzero()[0])} holds NaN or infinite values")

    def _predict(self, emg: Tensor) -> Tensor:
        context = self.model.left_context
        if self.start == "mirror":
            # The first sample itself is not repeated.
            emg = torch.cat((emg[..., 1 : context + 1].flip(-1), emg), dim=-1)
        elif self.start == "zeros":
            emg = torch.nn.functional.pad(emg, (context, 0))
        angles = self.model.rollout(emg)
        if self.start == "hold":
            angles = torch.cat((angles[..., :1].expand(-1, -1, context), angles), dim=-1)
        return angles


def require_regression(model: EmgModel) -> None:
    """Refuse a model that cannot find poses in windows of the challenge.

    Raises
    ------
    ConfigError
    """
    if "regression" not in model.tasks:
        raise ConfigError(
            f"{model.name} runs tracking only: it needs the pose at the beginning of a window, which the challenge "
            "does not give; use a regression or multitask model"
        )
    if model.n_channels != N_CHANNELS:
        raise ConfigError(f"{model.name} takes {model.n_channels} EMG channels, the challenge gives {N_CHANNELS}")
    if model.left_context >= WINDOW_SAMPLES or model.min_samples > WINDOW_SAMPLES:
        raise ConfigError(
            f"{model.name} needs {max(model.left_context + 1, model.min_samples):,} samples for its first pose, the "
            f"challenge's windows have {WINDOW_SAMPLES:,}"
        )


def load_predictor(folder: str | Path, start: Start = "mirror") -> WindowPredictor:
    """Load a model folder as a predictor; what `Solver.load_model` of a submission returns.

    Raises
    ------
    CheckpointError, ConfigError : as `load_model` and `WindowPredictor`.
    """
    return WindowPredictor(load_model(folder), start)
