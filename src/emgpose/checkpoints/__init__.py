"""Model files: our folder (config.json, model.safetensors, README.md) and, one way, the published `.ckpt` files."""

from emgpose.checkpoints.loading import checkpoint_fingerprint, load_model, shipped_model_path
from emgpose.checkpoints.model_folder import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE, save_model

__all__ = [
    "CARD_FILE",
    "CONFIG_FILE",
    "WEIGHTS_FILE",
    "checkpoint_fingerprint",
    "load_model",
    "save_model",
    "shipped_model_path",
]
