"""Hand pose from wrist surface EMG: models, evaluation and live streaming for the emg2pose benchmark."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from emgpose.version import __version__

if TYPE_CHECKING:
    from emgpose.checkpoints import load_model
    from emgpose.kinematics import HandModel, forward_kinematics
    from emgpose.recording import open_session

__all__ = ["HandModel", "__version__", "forward_kinematics", "load_model", "open_session"]

# Loaded at first use, so that `import emgpose` stays fast and does not import torch.
_HOME_OF = {
    "HandModel": "emgpose.kinematics",
    "forward_kinematics": "emgpose.kinematics",
    "load_model": "emgpose.checkpoints",
    "open_session": "emgpose.recording",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'emgpose' has no attribute '{name}'; it offers {', '.join(__all__)}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
