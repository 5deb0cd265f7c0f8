"""Fill a network with the tensors of a file, all of them and no others."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from emgpose.checkpoints.one_line import first_line, shown
from emgpose.errors import CheckpointError
from emgpose.models import EmgModel, ModelConfig, build_model


def filled_model(
    config: ModelConfig, tensors: Mapping[str, Tensor], name_in_file: Callable[[str], str] = str
) -> EmgModel:
    """Build the model with these tensors, all of them and no others; names in messages are the file's own."""
    try:
        # Sizes first, without memory: a file may ask for more than it holds.
        with torch.device("meta"):
            expected = build_model(config).state_dict()
    except (RuntimeError, MemoryError, OverflowError, TypeError) as error:
        raise CheckpointError(f"a network of the sizes asked for cannot be built: {first_line(error)}") from error
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


def _some(names: list[str]) -> str:
    return ", ".join(map(shown, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
