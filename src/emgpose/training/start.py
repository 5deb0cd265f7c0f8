"""Where weights begin: drawn from the seed, or from a checkpoint; and which parts of them learn."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import torch
from torch import nn

from emgpose.checkpoints import checkpoint_fingerprint, load_model
from emgpose.config import TrainConfig
from emgpose.errors import ConfigError
from emgpose.models import EmgModel, ModelCard, build_model, read_model_config
from emgpose.models.config_json import nearest


def starting_model(config: TrainConfig, record: Mapping[str, Any] | None = None) -> EmgModel:
    """Build or load the model to train, with what must not learn frozen, in training mode.

    Parameters
    ----------
    config : TrainConfig
    record : mapping, optional
        That of a run that is gone on with. Its weights are in its own checkpoint, which is read later, so that what it
        began from is needed no more.

    Raises
    ------
    ConfigError : sizes that cannot be, or that are given beside a checkpoint; an unknown part.
    CheckpointError : the checkpoint cannot be loaded, or is another model.
    """
    if config.init.checkpoint is None:
        torch.manual_seed(config.seed)
        try:
            model = build_model(config.model.name, **config.model.sizes())
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise ConfigError(f"{config.model.name}: the weights do not fit into memory; give smaller sizes") from error
    else:
        sizes = config.model.sizes()
        if sizes:
            raise ConfigError(
                f"model.{next(iter(sizes))} is given beside init.checkpoint, which has its own sizes; leave one of "
                "them out"
            )
        model = _begun_model(record) or load_model(config.init.checkpoint, experiment=config.model.name)
    freeze(model, config.init.train_only)
    train_mode(model)
    return model


def start_facts(config: TrainConfig, model: EmgModel, record: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Give what a record keeps of the checkpoint that a run begins from; of a run that is gone on with, what it has.

    Raises
    ------
    CheckpointError : the checkpoint cannot be read.
    """
    if config.init.checkpoint is None:
        return {"init": None}
    if record is not None and record.get("init_card"):
        return {name: record[name] for name in ("init", "init_card")}
    return {"init": checkpoint_fingerprint(config.init.checkpoint), "init_card": model.card.to_config()}


def _begun_model(record: Mapping[str, Any] | None) -> EmgModel | None:
    """Build the model that a checkpoint gave sizes and card to; None where there is no record of that."""
    if record is None or not record.get("init_card"):
        return None
    model = build_model(read_model_config(record["model"]["config"], "run.json: model.config"))
    model.card = ModelCard.from_config(record["init_card"], "run.json: init_card")
    return model


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether torch found no memory on the CPU, for which it has no exception of its own."""
    return "DefaultCPUAllocator" in str(error)


def freeze(model: EmgModel, train_only: list[str]) -> None:
    """Let only the named parts learn; with no name, all of them.

    Parameters
    ----------
    model : pose model
    train_only : list of str
        Names as in the weights, or their beginnings up to a dot: "featurizer", "decoder.out".

    Raises
    ------
    ConfigError : no weight has such a name (the nearest is named), or nothing is left to learn.
    """
    names = [name for name, _ in model.named_parameters()]
    parts = {".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 2)}
    for part in train_only:
        if part not in parts:
            raise ConfigError(f"init.train_only: {model.name} has no part '{part}'; {_nearest_part(part, parts)}")
    for name, parameter in model.named_parameters():
        chosen = not train_only or any(name == part or name.startswith(f"{part}.") for part in train_only)
        # Tracking is always given its first pose, so a learned one would never see a gradient.
        reached = name != "initial_pose" or "regression" in model.tasks
        parameter.requires_grad_(chosen and reached)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError(f"init.train_only: {train_only} leaves nothing of {model.name} to learn; name another part")


def _nearest_part(part: str, parts: set[str]) -> str:
    """Name the nearest of all parts, or else list the largest: some models have hundreds."""
    largest = [name for name in parts if "." not in name]
    return nearest(part, parts if get_close_matches(part, parts, n=1, cutoff=0.5) else largest)


def train_mode(model: nn.Module) -> None:
    """Put a model in training mode, but for frozen parts: those keep their dropout off and their statistics."""
    model.train()
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()
