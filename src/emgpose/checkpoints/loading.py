"""Load a model from whatever file or folder holds it, and tell one from another."""

import hashlib
from pathlib import Path

from emgpose.checkpoints.model_folder import CONFIG_FILE, WEIGHTS_FILE, load_folder
from emgpose.checkpoints.published_file import load_published
from emgpose.errors import CheckpointError
from emgpose.models import EmgModel


def shipped_model_path() -> Path:
    """Give the folder of the model that comes with emgpose: small, multitask, trained on simulated EMG only."""
    return Path(__file__).parents[1] / "assets" / "emgpose50_simulated"


def load_model(path: str | Path | None = None, experiment: str | None = None) -> EmgModel:
    """Load a model from our folder or from a published `.ckpt`, in eval mode, on the CPU.

    Parameters
    ----------
    path : path or None
        None for the model that comes with emgpose, whose weights saw simulated EMG only.
    experiment : str or None
        Which published experiment a `.ckpt` is, where it does not say; else the name that the model must have.

    Raises
    ------
    CheckpointError : nothing usable there; tensors missing, too many, misshapen, NaN; a pickle that is not allowed;
        an experiment that is not clear.
    ConfigError : the folder's config.json holds an unknown key (the nearest known one is named) or an impossible value.
    """
    path = shipped_model_path() if path is None else Path(path)
    if path.is_dir():
        return load_folder(path, experiment)
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file or folder; give a model folder or a published .ckpt")
    if path.name in (CONFIG_FILE, WEIGHTS_FILE):
        raise CheckpointError(f"{path}: this is one file of a model folder; give the folder, {path.parent}")
    try:
        return load_published(path, experiment)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error.__cause__


def checkpoint_fingerprint(path: str | Path) -> str:
    """Give the SHA-256 of a checkpoint file, or of a model folder's configuration and weights.

    Raises
    ------
    CheckpointError : it cannot be read.
    """
    path = Path(path)
    files = [path / CONFIG_FILE, path / WEIGHTS_FILE] if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        try:
            with file.open("rb") as opened:
                while block := opened.read(2**20):
                    digest.update(block)
        except OSError as error:
            raise CheckpointError(f"{file}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()
