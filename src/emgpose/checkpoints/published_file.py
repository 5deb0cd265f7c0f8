"""Read a checkpoint as published with emg2pose.

It is a pickle. torch's restricted unpickler reads it with a short allow-list, so nothing in it can run.
"""

import pickle
import re
import threading
import warnings
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from emgpose.checkpoints.filling import filled_model
from emgpose.checkpoints.one_line import first_line, shown
from emgpose.errors import CheckpointError, ConfigError
from emgpose.models import EmgModel
from emgpose.models.published import HyperParameters, config_of, find_experiment, published_name, rename

# torch keeps one allow-list for the whole process.
_ALLOW_LIST_LOCK: Final = threading.Lock()
# Hyper-parameters of a published checkpoint are some hundred values, a few levels deep.
_MAX_HYPER_VALUES: Final = 10_000
_LICENCE: Final = "CC BY-NC-SA 4.0 / CC BY-NC 4.0 (published emg2pose weights)"


def load_published(path: Path, experiment: str | None) -> EmgModel:
    """Load a published checkpoint; `experiment` says which it is, where it does not say so itself."""
    content = _read_pickle(path)
    tensors = _tensors(content.get("state_dict"))
    hyper = HyperParameters.read(_plain(content.get("hyper_parameters")))
    name = find_experiment(tensors, hyper, experiment)
    try:
        config = config_of(name, tensors, hyper)
    except ConfigError as error:
        raise CheckpointError(f"its tensors or settings are impossible: {error}") from error
    model = filled_model(config, rename(tensors, config), lambda ours: published_name(ours, config))
    model.card = replace(model.card, trained_on="recorded", code_version="", licence=_LICENCE)
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
        raise CheckpointError(f"not a PyTorch checkpoint: {first_line(error)}; nothing in it was run") from None
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
        raise CheckpointError(f"not a readable PyTorch checkpoint: {first_line(error)}") from None
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
            raise CheckpointError(f"the tensor {shown(name)} is not a plain array of numbers")
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
        raise CheckpointError(f"its hyper_parameters cannot be read: {first_line(error)}") from error
    return values if isinstance(values, dict) else {}
