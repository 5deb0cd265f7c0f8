"""Our folder of a model: its configuration and card, its weights, and a text for readers."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import safetensors.torch
from torch import Tensor

from emgpose.atomic import atomic_file, write_text_atomically
from emgpose.checkpoints.filling import filled_model
from emgpose.checkpoints.one_line import first_line
from emgpose.errors import CheckpointError, ConfigError, EmgPoseError
from emgpose.models import EmgModel, ModelCard, read_model_config, write_model_config
from emgpose.models.config_json import nearest

CONFIG_FILE: Final = "config.json"
WEIGHTS_FILE: Final = "model.safetensors"
CARD_FILE: Final = "README.md"
_FORMAT: Final = "emgpose model"
_FORMAT_VERSION: Final = 1
_KEYS: Final = ("format", "format_version", "model", "card", "weights_sha256")


def save_model(model: EmgModel, folder: str | Path) -> Path:
    """Write a model's configuration, weights and card into a folder, which is made if need be.

    Each file appears whole or not at all; the configuration comes last and carries the weights' hash, so that a save
    that was cut off between the files is found when loading.

    Returns
    -------
    Path : the folder.

    Raises
    ------
    CheckpointError : the path is a file, or cannot be written.
    """
    folder = Path(folder)
    weights = safetensors.torch.save({name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()})
    config = {
        "format": _FORMAT,
        "format_version": _FORMAT_VERSION,
        "model": write_model_config(model.config),
        "card": model.card.to_config(),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(folder / WEIGHTS_FILE) as unfinished:
            unfinished.write_bytes(weights)
        write_text_atomically(folder / CARD_FILE, model.card.to_markdown(model.name, model.n_parameters))
        write_text_atomically(folder / CONFIG_FILE, json.dumps(config, indent=2) + "\n")
    except (OSError, EmgPoseError) as error:
        raise CheckpointError(f"{folder}: cannot save the model there: {error}") from error
    return folder


def load_folder(folder: Path, experiment: str | None) -> EmgModel:
    """Load a model from our folder; its name must be `experiment` where that is given."""
    config = _read_config(folder / CONFIG_FILE)
    where = str(folder / CONFIG_FILE)
    model_config = read_model_config(config["model"], f"{where}: model")
    if experiment is not None and experiment != model_config.name:
        raise CheckpointError(f"{folder}: this model is {model_config.name}, not {experiment}")
    card = ModelCard.from_config(config["card"], f"{where}: card")
    tensors = _read_tensors(folder / WEIGHTS_FILE, config["weights_sha256"])
    try:
        model = filled_model(model_config, tensors)
    except CheckpointError as error:
        raise CheckpointError(f"{folder / WEIGHTS_FILE}: {error}") from None
    model.card = card
    return model


def _read_tensors(path: Path, sha256: str) -> dict[str, Tensor]:
    """Read the weights that the configuration speaks of."""
    try:
        weights = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    if hashlib.sha256(weights).hexdigest() != sha256:
        raise CheckpointError(
            f"{path}: its SHA-256 is not the one in {CONFIG_FILE}: the file is damaged or from another save; copy or "
            "save the model again"
        )
    try:
        return safetensors.torch.load(weights)
    except Exception as error:  # the library raises its own and others on bad bytes
        raise CheckpointError(f"{path}: not a readable safetensors file: {first_line(error)}") from error


def _read_config(path: Path) -> Mapping[str, Any]:
    """Read config.json and check its outer keys."""
    try:
        config = json.loads(path.read_bytes())
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read: {error.strerror}; a model folder holds {CONFIG_FILE} and {WEIGHTS_FILE}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not valid JSON: {first_line(error)}") from error
    if not isinstance(config, dict) or config.get("format") != _FORMAT:
        raise CheckpointError(f'{path}: expected "format": "{_FORMAT}"; this is not an emgpose model')
    if config.get("format_version") != _FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format_version is {config.get('format_version')!r}, this emgpose reads {_FORMAT_VERSION}; "
            "use the emgpose version that saved it"
        )
    for key in config:
        if key not in _KEYS:
            raise ConfigError(f"{path}: unknown key '{key}'; {nearest(key, _KEYS)}")
    for key in _KEYS:
        if key not in config:
            raise ConfigError(f"{path}: the key '{key}' is missing")
    return config
