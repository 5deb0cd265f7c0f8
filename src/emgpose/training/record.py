"""What run.json says of a training run, and whether a run may be gone on with."""

import dataclasses
import sys
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

from emgpose.config import TrainConfig
from emgpose.errors import ConfigError
from emgpose.evaluation.provenance import git_state, versions
from emgpose.json_values import json_values

RUNNING: Final = "running"
FINISHED: Final = "finished"
STOPPED: Final = "interrupted"
FAILED: Final = "failed"
# Why a run ended, beside what `emgpose.training.stopping` knows.
MAX_EPOCHS: Final = "max_epochs"
MAX_STEPS: Final = "max_steps"
PATIENCE: Final = "patience"
# What may change when a run is gone on with: how long and where it runs, not what it learns.
_MAY_CHANGE: Final = {
    "resume",
    "out",
    "data.root",
    "data.workers",
    "data.in_memory_gib",
    "loop.max_epochs",
    "loop.max_steps",
    "loop.max_minutes",
    "loop.patience_epochs",
    "loop.checkpoint_every_steps",
    "loop.accelerator",
    "loop.devices",
    "loop.num_nodes",
    "loop.threads",
    "loop.logger",
}
# The cosine ends where the run does, so moving the end would bend the whole of it.
_ENDS: Final = {"loop.max_epochs", "loop.max_steps"}


def config_values(config: TrainConfig) -> dict[str, Any]:
    """Give a configuration as JSON values."""
    values: dict[str, Any] = json_values(dataclasses.asdict(config))
    return values


def new_record(config: TrainConfig, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Begin the record of a run.

    Parameters
    ----------
    config : TrainConfig
    facts : mapping
        What is known of the model, the data and the machine.
    """
    return {
        "id": uuid.uuid4().hex,
        "command": sys.argv,
        "config": config_values(config),
        "seed": config.seed,
        "versions": _versions(),
        "git": git_state(),
        **facts,
        "started": _now(),
        "resumed": [],
        "best": None,
        "epochs": 0,
        "steps": 0,
    }


def continued_record(record: Mapping[str, Any], config: TrainConfig, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Go on with a record; what has changed since is noted."""
    resumed = {"at": _now(), "step": record.get("steps"), "versions": _versions(), "git": git_state()}
    changed = {"command": sys.argv, "config": config_values(config), **facts}
    return {**record, **changed, "resumed": [*record.get("resumed", []), resumed]}


def set_status(record: dict[str, Any], status: str, stopped: str | None = None, message: str | None = None) -> None:
    """Note how a run stands.

    Parameters
    ----------
    record : dict
    status : "running", "finished", "interrupted" or "failed"
    stopped : str, optional
        Why it ended: max_epochs, max_steps, max_minutes, patience or interrupted.
    message : str, optional
        What went wrong.
    """
    record |= {"status": status, "stopped": stopped, "message": message, "updated": _now()}


def require_same_run(
    record: Mapping[str, Any], config: TrainConfig, fingerprints: Mapping[str, str], folder: str
) -> None:
    """Refuse to go on with a run under other settings or on other data.

    `fingerprints` are those of the recordings now, as the record's section `data` names them.

    Raises
    ------
    ConfigError : the settings or data that differ, all of them.
    """
    may_change = _MAY_CHANGE if config.optim.schedule == "constant" else _MAY_CHANGE - _ENDS
    before, now = _flat(record["config"]), _flat(config_values(config))
    changes = [
        f"{key} was {before[key]}, is {now[key]}"
        for key in now
        if key in before and key not in may_change and before[key] != now[key]
    ]
    for key, part in (("fingerprint", "training"), ("val_fingerprint", "validation")):
        if record.get("data", {}).get(key, fingerprints[key]) != fingerprints[key]:
            changes.append(f"the {part} recordings in {config.data.root} are not those it began with")
    if changes:
        ends = " (the learning rate's cosine ends with it)" if any(end in c for c in changes for end in _ENDS) else ""
        raise ConfigError(
            f"{folder}: a run goes on as it began; {'; '.join(changes)}{ends}; give the same settings, or begin a new "
            "run with another `out`, from this one's weights with init.checkpoint if you like"
        )


def why_over(record: Mapping[str, Any], config: TrainConfig) -> str | None:
    """Say which of the limits that a run has now it has reached already; None if there is something left to do."""
    loop = config.loop
    if record["epochs"] >= loop.max_epochs:
        return MAX_EPOCHS
    if loop.max_steps is not None and record["steps"] >= loop.max_steps:
        return MAX_STEPS
    if record.get("stopped") != PATIENCE:
        return None
    is_more_patient = loop.patience_epochs is None or loop.patience_epochs > record["config"]["loop"]["patience_epochs"]
    return None if is_more_patient else PATIENCE


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _versions() -> dict[str, str]:
    return versions() | {name: version(name) for name in ("lightning", "hydra-core")}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
