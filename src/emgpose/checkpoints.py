"""Model files: our folder (config.json, model.safetensors, README.md) and, one way, the published `.ckpt` files.

A published checkpoint is a pickle. It is read by torch's restricted unpickler with a short allow-list, so nothing in it
can run.
"""

import hashlib
import json
import pickle
import re
import threading
import warnings
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import safetensors.torch
import torch
from torch import Tensor

from emgpose.atomic import atomic_file, write_text_atomically
from emgpose.errors import CheckpointError, ConfigError, EmgPoseError
from emgpose.models import EmgModel, ModelCard, ModelConfig, build_model, read_model_config, write_model_config
from emgpose.models.config_json import nearest
from emgpose.models.published import HyperParameters, config_of, find_experiment, published_name, rename

CONFIG_FILE: Final = "config.json"
WEIGHTS_FILE: Final = "model.safetensors"
CARD_FILE: Final = "README.md"
_FORMAT: Final = "emgpose model"
_FORMAT_VERSION: Final = 1
_KEYS: Final = ("format", "format_version", "model", "card", "weights_sha256")
# torch keeps one allow-list for the whole process.
_ALLOW_LIST_LOCK: Final = threading.Lock()
# Hyper-parameters of a published checkpoint are some hundred values, a few levels deep.
_MAX_HYPER_VALUES: Final = 10_000
PUBLISHED_LICENCE: Final = "CC BY-NC-SA 4.0 / CC BY-NC 4.0 (published emg2pose weights)"


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


def shipped_model_path() -> Path:
    """Give the folder of the model that comes with emgpose: small, multitask, trained on simulated EMG only."""
    return Path(__file__).with_name("assets") / "emgpose50_simulated"


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
        return _load_folder(path, experiment)
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file or folder; give a model folder or a published .ckpt")
    if path.name in (CONFIG_FILE, WEIGHTS_FILE):
        raise CheckpointError(f"{path}: this is one file of a model folder; give the folder, {path.parent}")
    try:
        return _load_published(path, experiment)
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


def _load_folder(folder: Path, experiment: str | None) -> EmgModel:
    config = _read_config(folder / CONFIG_FILE)
    where = str(folder / CONFIG_FILE)
    model_config = read_model_config(config["model"], f"{where}: model")
    if experiment is not None and experiment != model_config.name:
        raise CheckpointError(f"{folder}: this model is {model_config.name}, not {experiment}")
    card = ModelCard.from_config(config["card"], f"{where}: card")
    try:
        weights = (folder / WEIGHTS_FILE).read_bytes()
    except OSError as error:
        raise CheckpointError(f"{folder / WEIGHTS_FILE}: cannot be read: {error.strerror}") from error
    if hashlib.sha256(weights).hexdigest() != config["weights_sha256"]:
        raise CheckpointError(
            f"{folder / WEIGHTS_FILE}: its SHA-256 is not the one in {CONFIG_FILE}: the file is damaged or from "
            "another save; copy or save the model again"
        )
    try:
        tensors = safetensors.torch.load(weights)
    except Exception as error:  # the library raises its own and others on bad bytes
        raise CheckpointError(f"{folder / WEIGHTS_FILE}: not a readable safetensors file: {_line(error)}") from error
    try:
        model = _filled(model_config, tensors)
    except CheckpointError as error:
        raise CheckpointError(f"{folder / WEIGHTS_FILE}: {error}") from None
    model.card = card
    return model


def _read_config(path: Path) -> Mapping[str, Any]:
    """Read config.json and check its outer keys."""
    try:
        config = json.loads(path.read_bytes())
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read: {error.strerror}; a model folder holds {CONFIG_FILE} and {WEIGHTS_FILE}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not valid JSON: {_line(error)}") from error
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


def _load_published(path: Path, experiment: str | None) -> EmgModel:
    content = _read_pickle(path)
    tensors = _tensors(content.get("state_dict"))
    hyper = HyperParameters.read(_plain(content.get("hyper_parameters")))
    name = find_experiment(tensors, hyper, experiment)
    try:
        config = config_of(name, tensors, hyper)
    except ConfigError as error:
        raise CheckpointError(f"its tensors or settings are impossible: {error}") from error
    model = _filled(config, rename(tensors, config), lambda ours: published_name(ours, config))
    model.card = replace(model.card, trained_on="recorded", code_version="", licence=PUBLISHED_LICENCE)
    return model


def _allowed() -> list[Any]:
    """List all that a published pickle may name; omegaconf comes late because little else needs it."""
    from typing import Any as TypingAny

    from omegaconf import DictConfig, ListConfig
    from omegaconf.base import ContainerMetadata, Metadata
    from omegaconf.nodes import AnyNode

    return [
        DictConfig,
        ListConfig,
        AnyNode,
        ContainerMetadata,
        Metadata,
        TypingAny,
        defaultdict,
        OrderedDict,
        dict,
        list,
        int,
    ]


@contextmanager
def _only_allowed() -> Iterator[None]:
    """Let torch's restricted unpickler know our allow-list alone, whatever other code has added to it."""
    with _ALLOW_LIST_LOCK:
        before = torch.serialization.get_safe_globals()
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(_allowed())
        try:
            yield
        finally:
            torch.serialization.clear_safe_globals()
            torch.serialization.add_safe_globals(before)


def _require_plain_archive(path: Path) -> None:
    """Refuse what torch never writes: a file that is no ZIP archive, or one that unpacks to more than it holds."""
    try:
        with zipfile.ZipFile(path) as archive:
            n_bytes = sum(entry.file_size for entry in archive.infolist())
    except Exception as error:  # a damaged or hostile archive can raise many types
        raise CheckpointError(f"not a PyTorch checkpoint: {_line(error)}; nothing in it was run") from None
    if n_bytes > path.stat().st_size:
        raise CheckpointError(
            f"refused: it would unpack to {n_bytes} bytes, more than the file has; torch.save does not compress"
        )


def _read_pickle(path: Path) -> dict[str, Any]:
    """Read the file without running anything in it."""
    _require_plain_archive(path)
    try:
        with warnings.catch_warnings(), _only_allowed():
            # torch warns of pickle protocols that its restricted reader may not know; then it fails, which is enough.
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile pickle can raise anything
        asked = re.search(r"GLOBAL (\S+)", str(error))
        if asked:
            raise CheckpointError(
                f"refused: its pickle asks for '{asked[1]}', which no published checkpoint needs; nothing in it was run"
            ) from None
        if isinstance(error, pickle.UnpicklingError):
            raise CheckpointError(
                "not a PyTorch checkpoint, or its pickle does what no published checkpoint needs; nothing in it was run"
            ) from None
        raise CheckpointError(f"not a readable PyTorch checkpoint: {_line(error)}") from None
    if not isinstance(content, dict) or "state_dict" not in content:
        raise CheckpointError("it holds no 'state_dict'; expected a checkpoint as published with emg2pose")
    return content


def _tensors(state: object) -> dict[str, Tensor]:
    """Check that a state dict holds plain tensors under names."""
    # No other mapping: an omegaconf one would run its own code when read.
    if not isinstance(state, dict) or not state:
        raise CheckpointError("its state_dict is not a mapping of names to tensors")
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise CheckpointError(f"its state_dict holds {type(tensor).__name__} under {name!r}, expected a tensor")
        is_plain = tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_meta
        # A view that repeats few numbers as many is small in the file and huge in use.
        if not is_plain or tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
            raise CheckpointError(f"the tensor {_shown(name)} is not a plain array of numbers")
    return dict(state)


def _plain(hyper: object) -> dict[str, Any]:
    """Turn hyper_parameters into plain values; interpolations are not resolved.

    Values are counted, because a small pickle can hold one list many times over, in itself too.
    """
    from omegaconf.base import Node

    n_values = 0

    def convert(value: object) -> Any:
        nonlocal n_values
        n_values += 1
        if n_values > _MAX_HYPER_VALUES:
            raise CheckpointError(f"its hyper_parameters hold more than {_MAX_HYPER_VALUES} values")
        if isinstance(value, Node):
            value = value._value()
        if isinstance(value, dict):
            return {key: convert(item) for key, item in value.items()}
        return [convert(item) for item in value] if isinstance(value, list) else value

    try:
        values = convert(hyper)
    except CheckpointError:
        raise
    except Exception as error:  # a hand-made pickle can give a DictConfig without insides
        raise CheckpointError(f"its hyper_parameters cannot be read: {_line(error)}") from error
    return values if isinstance(values, dict) else {}


def _filled(config: ModelConfig, tensors: Mapping[str, Tensor], name_in_file: Callable[[str], str] = str) -> EmgModel:
    """Build the model with these tensors, all of them and no others; names in messages are the file's own."""
    try:
        # Sizes first, without memory: a file may ask for more than it holds.
        with torch.device("meta"):
            expected = build_model(config).state_dict()
    except (RuntimeError, MemoryError, OverflowError, TypeError) as error:
        raise CheckpointError(f"a network of the sizes asked for cannot be built: {_line(error)}") from error
    _check_tensors(config.name, expected, tensors, name_in_file)
    model = build_model(config)
    model.load_state_dict(dict(tensors))
    return model.eval()


def _check_tensors(
    model: str, expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor], name_in_file: Callable[[str], str]
) -> None:
    missing = [name_in_file(name) for name in expected if name not in tensors]
    extra = [name_in_file(name) for name in tensors if name not in expected]
    if missing or extra:
        parts = [f"{what} {_some(names)}" for what, names in (("missing", missing), ("unknown", extra)) if names]
        raise CheckpointError(f"its tensors do not fit {model}: {'; '.join(parts)}")
    for name, tensor in tensors.items():
        wanted, known = expected[name], name_in_file(name)
        if tensor.shape != wanted.shape:
            raise CheckpointError(f"the tensor {known} has shape {tuple(tensor.shape)}, expected {tuple(wanted.shape)}")
        if tensor.is_floating_point() != wanted.is_floating_point() or tensor.is_complex():
            raise CheckpointError(f"the tensor {known} has type {tensor.dtype}, expected {wanted.dtype}")
        # Numbers of another precision must still be finite in the model's.
        if not torch.isfinite(tensor.to(wanted.dtype)).all():
            raise CheckpointError(f"the tensor {known} holds NaN or infinite weights; the model cannot be used")


def _shown(name: str) -> str:
    """Give a name from a file in one line, whatever is in it."""
    return name if name.isprintable() else ascii(name)


def _some(names: list[str]) -> str:
    return ", ".join(map(_shown, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _line(error: BaseException) -> str:
    """Give an error's first line, short."""
    # Without torch's advice after the first sentence, which is to load the file unsafely.
    text = str(error).strip().split("\n", 1)[0].split(". In PyTorch", 1)[0] or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."
