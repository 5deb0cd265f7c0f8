"""The five published experiments: which one a checkpoint holds, its sizes, and what its tensors are called here.

Works on plain names, numbers and tensors; reading the file is `emgpose.checkpoints`' part.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from torch import Tensor

from emgpose.errors import CheckpointError
from emgpose.models import MODELS, ModelConfig
from emgpose.models.config_json import nearest
from emgpose.models.decoders import LstmConfig, MlpConfig
from emgpose.models.neuropose import NeuroPoseConfig
from emgpose.models.pose_model import PoseModelConfig
from emgpose.models.tds import TdsConfig
from emgpose.models.update_rules import HybridUpdate

PUBLISHED_EXPERIMENTS: Final = (
    "tracking_vemg2pose",
    "regression_vemg2pose",
    "tracking_emg2pose",
    "regression_emg2pose",
    "regression_neuropose",
)


@dataclass(frozen=True)
class Traits:
    """What tells the experiments apart; None where a checkpoint does not say."""

    task: str | None = None
    kind: str | None = None
    decoder: str | None = None
    update: str | None = None

    def agrees_with(self, other: "Traits") -> bool:
        """Say whether nothing that both say differs."""
        pairs = zip(self._values, other._values, strict=True)
        return all(a is None or b is None or a == b for a, b in pairs)

    @property
    def _values(self) -> tuple[str | None, ...]:
        return self.task, self.kind, self.decoder, self.update

    def __str__(self) -> str:
        return ", ".join(value for value in self._values if value) or "nothing known"


@dataclass(frozen=True)
class HyperParameters:
    """The names and numbers that are read from a checkpoint's `hyper_parameters`; everything else there is ignored."""

    traits: Traits = Traits()
    scale: float | None = None
    position_samples: int | None = None

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "HyperParameters":
        """Read plain values; what is absent or of another type is not known."""
        network = _mapping(values.get("network_conf"))
        decoder = _mapping(network.get("decoder"))
        initial = values.get("provide_initial_pos", network.get("provide_initial_pos"))
        target = _class_name(network)
        velocity = network.get("predict_vel")
        kind, update = None, None
        if target == "StatePoseModule":
            kind = "pose"
            update = {True: "velocity", False: "position"}.get(velocity) if isinstance(velocity, bool) else None
        elif target == "VEMG2PoseWithInitialState":
            kind, update = "pose", "hybrid"
        elif target == "PoseModule":
            kind = "neuropose"
        steps = network.get("num_position_steps")
        return cls(
            Traits(
                task={True: "tracking", False: "regression"}[initial] if isinstance(initial, bool) else None,
                kind=kind,
                decoder={"SequentialLSTM": "lstm", "MLP": "mlp"}.get(_class_name(decoder)),
                update=update,
            ),
            scale=_number(decoder.get("scale")),
            position_samples=steps if isinstance(steps, int) and not isinstance(steps, bool) else None,
        )


def find_experiment(tensors: Mapping[str, Tensor], hyper: HyperParameters, wanted: str | None) -> str:
    """Find which published experiment a checkpoint holds.

    Parameters
    ----------
    tensors : mapping of published names to tensors
    hyper : HyperParameters
    wanted : str or None
        The caller's choice; it must not contradict the checkpoint.

    Raises
    ------
    CheckpointError : none fits, or several do (the message names them and `--experiment`).
    """
    held = _traits_of_tensors(tensors)
    fitting = [name for name in PUBLISHED_EXPERIMENTS if _traits_of(name).agrees_with(held)]
    fitting = [name for name in fitting if _traits_of(name).agrees_with(hyper.traits)]
    if wanted is not None:
        if wanted not in PUBLISHED_EXPERIMENTS:
            raise CheckpointError(f"unknown experiment '{wanted}'; {nearest(wanted, PUBLISHED_EXPERIMENTS)}")
        if wanted not in fitting:
            raise CheckpointError(
                f"it is not {wanted}: its hyper_parameters say {hyper.traits}, its tensors {held}"
                + (f"; it fits {' or '.join(fitting)}" if fitting else "")
            )
        return wanted
    if not fitting:
        raise CheckpointError(
            f"it fits none of the published experiments: its hyper_parameters say {hyper.traits}, its tensors {held}"
        )
    if len(fitting) > 1:
        raise CheckpointError(
            f"its tensors fit {' and '.join(fitting)}, and its hyper_parameters do not tell them apart; "
            f"choose with --experiment (experiment=... in Python)"
        )
    return fitting[0]


def config_of(experiment: str, tensors: Mapping[str, Tensor], hyper: HyperParameters) -> ModelConfig:
    """Give the experiment's configuration with the sizes that the tensors have."""
    config = MODELS[experiment]
    if not isinstance(config, PoseModelConfig):
        return config
    featurizer, decoder, update = config.featurizer, config.decoder, config.update
    first = tensors.get("model.network.layers.0.conv.0.weight")
    last = tensors.get("model.network.layers.3.linear_layer.weight")
    tds = tensors.get("model.network.layers.2.layers.tds_block.tds_conv_blocks.0.conv2d.weight")
    if first is None or last is None or tds is None or (first.ndim, last.ndim, tds.ndim) != (3, 2, 4):
        raise CheckpointError("its featurizer tensors (model.network.layers...) are missing or misshapen")
    n_channels = first.shape[1]
    featurizer = replace(TdsConfig(), n_features=last.shape[0], channels=first.shape[0], tds_channels=tds.shape[0])
    scale = decoder.scale if hyper.scale is None else hyper.scale
    if isinstance(decoder, LstmConfig):
        n_layers = sum(name.startswith("model.decoder.lstm.weight_ih_l") for name in tensors)
        gates = tensors["model.decoder.lstm.weight_ih_l0"]
        decoder = LstmConfig(gates.shape[0] // 4 if gates.ndim == 2 else 0, n_layers, scale)
    else:
        matrices = [
            tensor for name, tensor in tensors.items() if name.startswith("model.decoder.mlp.") and tensor.ndim == 2
        ]
        decoder = MlpConfig(tuple(matrix.shape[0] for matrix in matrices[:-1]), scale)
    if isinstance(update, HybridUpdate) and hyper.position_samples is not None:
        update = HybridUpdate(hyper.position_samples)
    return replace(config, featurizer=featurizer, decoder=decoder, update=update, n_channels=n_channels)


def rename(tensors: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Give published tensors our names; names that are not known stay, so that they are found to be too many."""
    modules = {published: ours for ours, published in _modules(config)}
    renamed = {}
    for name, tensor in tensors.items():
        module, _, parameter = name.rpartition(".")
        renamed[f"{modules[module]}.{parameter}" if module in modules else name] = tensor
    return renamed


def published_name(name: str, config: ModelConfig) -> str:
    """Give the published name of one of our tensors."""
    module, _, parameter = name.rpartition(".")
    published = dict(_modules(config)).get(module)
    return name if published is None else f"{published}.{parameter}"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> float | None:
    """Give a number as a float; one beyond every float is infinite."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if isinstance(value, float) or abs(value) < 2**1000 else math.inf


def _class_name(values: Mapping[str, Any]) -> str:
    """Give the last part of a `_target_`, which is only compared, never imported."""
    target = values.get("_target_")
    return target.rpartition(".")[2] if isinstance(target, str) else ""


def _traits_of(experiment: str) -> Traits:
    config = MODELS[experiment]
    if isinstance(config, PoseModelConfig):
        return Traits(config.task, "pose", config.decoder.kind, config.update.kind)
    return Traits(config.task, config.kind)


def _traits_of_tensors(tensors: Mapping[str, Tensor]) -> Traits:
    if "model.decoder.lstm.weight_ih_l0" in tensors:
        out = tensors.get("model.decoder.mlp_out.1.bias")
        is_hybrid = out is not None and out.shape == (40,)
        return Traits(kind="pose", decoder="lstm", update="hybrid" if is_hybrid else "velocity")
    if any(name.startswith("model.decoder.mlp.") for name in tensors):
        return Traits(kind="pose", decoder="mlp", update="position")
    if any(name.startswith("model.network.network.") for name in tensors):
        return Traits(kind="neuropose")
    raise CheckpointError("its state_dict does not hold a published emg2pose, vemg2pose or NeuroPose model")


def _modules(config: ModelConfig) -> Iterator[tuple[str, str]]:
    """Give our module names and the published ones."""
    if isinstance(config, NeuroPoseConfig):
        yield from _neuropose_modules(config)
    elif isinstance(config, PoseModelConfig):
        yield from _tds_modules()
        yield from _decoder_modules(config)


def _tds_modules() -> Iterator[tuple[str, str]]:
    network, config = "model.network.layers", TdsConfig()
    first_stage = len(config.kernels) - len(config.tds_kernels)
    index = 0
    for block in range(len(config.kernels)):
        prefix = f"{network}.{block}" if block < first_stage else f"{network}.{block}.layers.conv1dblock"
        yield f"featurizer.layers.{index}.conv", f"{prefix}.conv.0"
        yield f"featurizer.layers.{index}.norm", f"{prefix}.norm"
        index += 1
        for pair in range(config.tds_pairs if block >= first_stage else 0):
            prefix = f"{network}.{block}.layers.tds_block.tds_conv_blocks"
            yield f"featurizer.layers.{index}.conv", f"{prefix}.{2 * pair}.conv2d"
            yield f"featurizer.layers.{index}.norm", f"{prefix}.{2 * pair}.layer_norm"
            yield f"featurizer.layers.{index + 1}.inner", f"{prefix}.{2 * pair + 1}.fc_block.0"
            yield f"featurizer.layers.{index + 1}.outer", f"{prefix}.{2 * pair + 1}.fc_block.2"
            yield f"featurizer.layers.{index + 1}.norm", f"{prefix}.{2 * pair + 1}.layer_norm"
            index += 2
    yield "featurizer.project", f"{network}.{len(config.kernels) - 1}.linear_layer"


def _decoder_modules(config: PoseModelConfig) -> Iterator[tuple[str, str]]:
    if isinstance(config.decoder, LstmConfig):
        yield "decoder.lstm", "model.decoder.lstm"
        yield "decoder.out", "model.decoder.mlp_out.1"
        return
    n_hidden = len(config.decoder.layer_sizes)
    for layer in range(n_hidden):
        # Linear, layer norm and leaky ReLU count as three.
        yield f"decoder.hidden.{layer}", f"model.decoder.mlp.{3 * layer}"
        yield f"decoder.norms.{layer}", f"model.decoder.mlp.{3 * layer + 1}"
    yield "decoder.out", f"model.decoder.mlp.{3 * n_hidden}"


def _neuropose_modules(config: NeuroPoseConfig) -> Iterator[tuple[str, str]]:
    network, block = "model.network.network", 0
    for ours, count, convs in (
        ("encoder", len(config.channels), 1),
        ("residual", config.residual_blocks, 3),
        ("decoder", len(config.channels), 1),
    ):
        for index in range(count):
            for conv in range(convs):
                group = f"{ours}.{index}.{conv}" if convs > 1 else f"{ours}.{index}"
                # Convolution, batch norm, ReLU and dropout count as four.
                yield f"{group}.conv", f"{network}.{block}.network.{4 * conv}"
                yield f"{group}.norm", f"{network}.{block}.network.{4 * conv + 1}"
            block += 1
    yield "out", "model.network.linear"
