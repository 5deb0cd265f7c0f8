"""Scores for a model's card, read from what `emgpose evaluate --out` wrote."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from emgpose.errors import ConfigError, DataError
from emgpose.hub.recipe import read_record

_COLUMNS: Final = {"condition", "metric", "reduction", "mean", "sd", "n_users", "n_windows"}
# Per user, because people are what a new person is compared with.
_REDUCTION: Final = "per_user"
_WORDS: Final = {True: "simulated", False: "recorded", None: "partly simulated"}


@dataclass(frozen=True)
class ConditionScore:
    """One condition of an evaluation; mean and SD over users.

    Parameters
    ----------
    condition : str
    mae_deg, sd_deg : float
        Of the joint-angle error; the SD is NaN for one user.
    static_mae_deg : float
        Of the hand that does not move.
    landmark_mm : float
    n_users, n_windows : int
    """

    condition: str
    mae_deg: float
    sd_deg: float
    static_mae_deg: float
    landmark_mm: float
    n_users: int
    n_windows: int


@dataclass(frozen=True)
class HubScores:
    """Scores of one evaluation, in its primary mode.

    Parameters
    ----------
    data, split : str
        Name of the data set's folder, and of its split.
    kind : str
        "simulated", "recorded" or "partly simulated" EMG.
    data_fingerprint : str
    task, mode, causality : str
    hand : str
        The hand model of the landmark distance.
    static_hand : str
        What the hand that does not move is.
    is_part : bool
        Whether a query chose the recordings.
    n_left_out : int
        Recordings that could not be scored.
    conditions : tuple of ConditionScore
    """

    data: str
    split: str
    kind: str
    data_fingerprint: str
    task: str
    mode: str
    causality: str
    hand: str
    static_hand: str
    is_part: bool
    n_left_out: int
    conditions: tuple[ConditionScore, ...]


def read_scores(evaluation: str | Path, checkpoint_sha256: str | None = None) -> HubScores:
    """Read the scores of an evaluation.

    Parameters
    ----------
    evaluation : path
        A folder that `emgpose evaluate --out` wrote.
    checkpoint_sha256 : str, optional
        Fingerprint of the model that they must belong to (`emgpose.checkpoints.checkpoint_fingerprint`).

    Raises
    ------
    DataError : the folder holds no evaluation.
    ConfigError : it is the evaluation of another model.
    """
    folder = Path(evaluation)
    record = read_record(folder / "run.json")
    try:
        scores = _scores(record, folder)
        scored = record["checkpoint"].get("sha256")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(
            f"{folder}: expected what `emgpose evaluate --out` writes; {type(error).__name__}: {str(error)[:100]}"
        ) from None
    if checkpoint_sha256 is not None and scored != checkpoint_sha256:
        raise ConfigError(
            f"{folder}: these are scores of another model (SHA-256 {str(scored)[:12]}..., expected "
            f"{checkpoint_sha256[:12]}...); run emgpose evaluate on this one"
        )
    return scores


def _scores(record: dict[str, Any], folder: Path) -> HubScores:
    data, mode = record["data"], record["primary_mode"]
    return HubScores(
        data=Path(str(data["root"])).name,
        split=str(data["split"] or "all"),
        kind=_WORDS[data["simulated"]],
        data_fingerprint=str(data["fingerprint"]),
        task=str(record["model"]["task"]),
        mode=str(mode),
        causality=str(record["modes"][mode]),
        hand=str(record["hand"]["name"]),
        static_hand=str(record["static_hand"]["label"]),
        is_part=record["config"]["where"] is not None,
        n_left_out=len(record["left_out"]),
        conditions=_conditions(folder / "summary.csv"),
    )


def _conditions(path: Path) -> tuple[ConditionScore, ...]:
    try:
        table = pd.read_csv(path, dtype={"condition": str, "metric": str, "reduction": str}, keep_default_na=True)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {str(error)[:200]}") from None
    if missing := _COLUMNS - set(table.columns):
        raise DataError(f"{path}: expected columns {', '.join(sorted(_COLUMNS))}; {min(missing)} is missing")
    table = table[table["reduction"] == _REDUCTION]
    rows = table.set_index(["condition", "metric"])
    found = []
    for condition in dict.fromkeys(table["condition"]):
        mae, static, landmark = (rows.loc[(condition, metric)] for metric in ("mae", "static_mae", "landmark_distance"))
        found.append(
            ConditionScore(
                condition,
                math.degrees(mae["mean"]),
                math.degrees(mae["sd"]),
                math.degrees(static["mean"]),
                float(landmark["mean"]),
                int(mae["n_users"]),
                int(mae["n_windows"]),
            )
        )
    if not found:
        raise DataError(f"{path}: it holds no score with the reduction {_REDUCTION}")
    return tuple(found)
