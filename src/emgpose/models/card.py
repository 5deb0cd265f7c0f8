"""The model card: what a model was trained on and what it expects, kept with its weights."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from emgpose.errors import ConfigError
from emgpose.hand import N_JOINTS
from emgpose.models.config_json import nearest, read_dataclass
from emgpose.preprocessing import EMG2POSE_PREPROCESSING, Preprocessing

Task = Literal["tracking", "regression"]
"""What a model runs: "tracking" starts from a known pose, "regression" does not know one."""
ModelTask = Literal["tracking", "regression", "multitask"]
"""What a model is made for; "multitask" is both, one at a time."""
TASKS: Final[tuple[Task, ...]] = get_args(Task)
TrainedOn = Literal["none", "simulated", "recorded", "unknown"]


@dataclass(frozen=True)
class ModelCard:
    """What stands beside a model's weights.

    Parameters
    ----------
    experiment : str
        The name of the recipe or published experiment.
    task : str
        "tracking" (starts from a known pose), "regression", or "multitask" for both.
    preprocessing : Preprocessing
        What the EMG must have had.
    median_pose : tuple of 20 floats or None
        Per-joint median over the valid training samples [rad]; the static hand of regression.
    trained_on : str
        "none" (random or made-up weights), "simulated", "recorded" or "unknown".
    data_fingerprint, code_version, licence, notes : str
        Free text; empty where unknown.
    """

    experiment: str
    task: ModelTask
    preprocessing: Preprocessing = EMG2POSE_PREPROCESSING
    median_pose: tuple[float, ...] | None = None
    trained_on: TrainedOn = "none"
    data_fingerprint: str = ""
    code_version: str = ""
    licence: str = ""
    notes: str = ""

    def __post_init__(self) -> None:
        check_task(self.task)
        pose = self.median_pose
        if pose is not None and (len(pose) != N_JOINTS or not all(math.isfinite(angle) for angle in pose)):
            raise ConfigError(f"card.median_pose: expected {N_JOINTS} finite angles [rad], got {len(pose)}")

    def doubt(self, is_simulated: bool) -> str | None:
        """Say why the weights are not to be trusted on this EMG; None where the card gives no reason.

        Parameters
        ----------
        is_simulated : bool
            Whether all of the EMG is.
        """
        if self.trained_on == "none":
            return "the weights are untrained: the hand moves, but its pose means nothing"
        if self.trained_on == "simulated" and not is_simulated:
            return "the weights saw simulated EMG only; on recorded EMG, as here, the pose is not to be trusted"
        if self.trained_on == "unknown":
            return "the checkpoint does not say what it was trained on"
        return None

    def to_config(self) -> dict[str, Any]:
        """Give plain JSON values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values["preprocessing"] = self.preprocessing.to_config()
        values["median_pose"] = None if self.median_pose is None else list(self.median_pose)
        return values

    @classmethod
    def from_config(cls, values: object, where: str = "card") -> "ModelCard":
        """Read what `to_config` gave.

        Raises
        ------
        ConfigError : an unknown key, a missing one, or a value of the wrong type.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(f"{where}: expected a mapping, got {type(values).__name__}")
        given = {}
        if "preprocessing" in values:
            given["preprocessing"] = Preprocessing.from_config(values["preprocessing"])
        card: ModelCard = read_dataclass(cls, values, where, given)
        return card

    def to_markdown(self, name: str, n_parameters: int) -> str:
        """Write the card for human readers."""
        seen = {
            "none": "Nothing: these weights are untrained.",
            "simulated": "Simulated EMG only.",
            "recorded": "Recorded EMG.",
            "unknown": "Unknown.",
        }[self.trained_on]
        rows = {
            "Experiment": self.experiment,
            "Task": " and ".join(tasks_of(self.task)) + (" (multitask)" if self.task == "multitask" else ""),
            "Parameters": f"{n_parameters:,}",
            "Trained on": seen,
            "Training data": self.data_fingerprint or "not recorded",
            "EMG preprocessing": self.preprocessing.describe(),
            "Code version": self.code_version or "not recorded",
            "Licence": self.licence or "not stated",
        }
        lines = [f"# {name}", "", "Hand pose from wrist EMG; load with `emgpose.load_model`.", "", "| | |", "|---|---|"]
        lines += [f"| {key} | {value} |" for key, value in rows.items()]
        if self.notes:
            lines += ["", self.notes]
        return "\n".join(lines) + "\n"


def check_task(task: str, known: tuple[str, ...] = get_args(ModelTask)) -> None:
    """Refuse a task that is not known.

    Raises
    ------
    ConfigError
    """
    if task not in known:
        raise ConfigError(f"unknown task {task!r}; {nearest(str(task), known)}")


def tasks_of(task: ModelTask) -> tuple[Task, ...]:
    """Give the tasks that a model made for `task` can run, the one that it starts with first."""
    return TASKS if task == "multitask" else (task,)


def check_n_channels(n_channels: int) -> None:
    """Refuse a model without electrodes."""
    if n_channels < 1:
        raise ConfigError(f"n_channels must be at least 1, got {n_channels}")
