"""The card that a trained model is saved with."""

import dataclasses
from typing import Any

from emgpose.config import TrainConfig
from emgpose.models import EmgModel, ModelCard
from emgpose.models.card import TrainedOn
from emgpose.training.data import PoseData
from emgpose.version import __version__


class CardWriter:
    """Fills in a model's card before the model is saved.

    Parameters
    ----------
    config : TrainConfig
    start : ModelCard
        The card of the weights that training began with.
    data : PoseData
    """

    def __init__(self, config: TrainConfig, start: ModelCard, data: PoseData) -> None:
        self._config = config
        self._start = start
        self._data = data

    def __call__(self, model: EmgModel, notes: dict[str, Any]) -> None:
        """Give the model its card; `notes` hold epoch, step and perhaps val_loss."""
        text = ", ".join(f"{key} {value:.6g}" for key, value in notes.items())
        checkpoint = self._config.init.checkpoint
        model.card = dataclasses.replace(
            self._start,
            experiment=self._config.experiment,
            median_pose=self._data.median_pose,
            trained_on=self._trained_on(),
            data_fingerprint=self._data.fingerprint,
            code_version=__version__,
            # Weights that began as someone's carry that licence on.
            notes=f"Saved at {text}." + ("" if checkpoint is None else f" Fine-tuned from {checkpoint}."),
        )

    def _trained_on(self) -> TrainedOn:
        before = self._start.trained_on
        now: TrainedOn = "simulated" if self._data.trained_on == "simulated" else "recorded"
        if self._config.init.checkpoint is None or before == "none" or before == now:
            return now
        # Whatever has seen a recording once is no longer simulated only.
        return "recorded" if "recorded" in (before, now) else "unknown"
