"""Where a command's model comes from: a model folder, a `.ckpt`, the folder of a training run, or the Hub."""

from pathlib import Path
from typing import Final

from emgpose.errors import CheckpointError

_HUB: Final = "hf:"
_CONFIG_FILE: Final = "config.json"
# Of a training run: the lowest validation loss, else the newest.
_MODELS_OF_RUN: Final = ("best", "last")


def hub_or_path(given: Path | None) -> Path | None:
    """Fetch a model named `hf:USER/NAME` or `hf:USER/NAME@REVISION`, and give its folder; a path stays as it is.

    Raises
    ------
    ConfigError, CheckpointError, MissingExtraError : as `emgpose.hub.fetch_model`.
    """
    if given is None or not given.as_posix().startswith(_HUB):
        return given
    from emgpose.hub import fetch_model

    # A Path has made one slash of the two in hf://.
    name, _, revision = given.as_posix().removeprefix(_HUB).lstrip("/").partition("@")
    return fetch_model(name, revision=revision or None)


def model_of_run(run: Path) -> Path:
    """Find the model of a training run; a model folder, a `.ckpt` or a name on the Hub is taken as it is.

    Raises
    ------
    CheckpointError : a folder without a model.
    """
    path = hub_or_path(run) or run
    if not path.is_dir() or (path / _CONFIG_FILE).exists():
        return path
    for name in _MODELS_OF_RUN:
        if (path / name / _CONFIG_FILE).exists():
            return path / name
    raise CheckpointError(
        f"{path}: expected a model folder (with {_CONFIG_FILE}) or a training run "
        f"(with {' or '.join(_MODELS_OF_RUN)}), found neither"
    )
