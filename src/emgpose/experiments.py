"""Experiments: the YAML files in `configs/experiment/`, composed by Hydra into a `TrainConfig`.

An experiment names a model and a recipe (`configs/recipe/`) and holds names and numbers only. Whatever is wrong with a
key, a value or a name ends in one `ConfigError` that says what was probably meant.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Final

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from emgpose.config import TrainConfig
from emgpose.errors import ConfigError
from emgpose.models.config_json import nearest

CONFIG_FOLDER: Final = Path(str(files("emgpose"))) / "configs"
CONFIG_NAME: Final = "train"
_GROUPS: Final = ("experiment", "recipe")
# As `train.yaml` names it.
ConfigStore.instance().store(name="train_schema", node=TrainConfig, provider="emgpose")


def experiments(folder: Path | None = None) -> dict[str, str]:
    """Name the experiments, each with one sentence from the head of its file.

    Parameters
    ----------
    folder : Path, optional
        A folder of one's own (`--config-dir`) whose `experiment/` comes first.
    """
    found = {}
    for root in filter(None, (CONFIG_FOLDER, folder)):
        for path in sorted((root / "experiment").glob("*.yaml")):
            comments = [line[1:].strip() for line in path.read_text(encoding="utf-8").splitlines() if line[:1] == "#"]
            found[path.stem] = next((line for line in comments if not line.startswith("@")), "")
    return found


def config_keys() -> list[str]:
    """List every key that a training run knows, such as `data.batch_size`, and the sections, such as `data`."""
    keys = []
    for field in dataclasses.fields(TrainConfig):
        keys.append(field.name)
        if isinstance(field.type, type) and dataclasses.is_dataclass(field.type):
            keys += [f"{field.name}.{inner.name}" for inner in dataclasses.fields(field.type)]
    return keys


def compose_config(experiment: str, *overrides: str, folder: Path | None = None) -> TrainConfig:
    """Compose the configuration of one run.

    Parameters
    ----------
    experiment : str
        One of `experiments()`.
    *overrides : str
        `key=value`, as on the command line of `emgpose train`; `data.root=DIR` must be among them.
    folder : Path, optional
        A folder of one's own with further `experiment/*.yaml`.

    Returns
    -------
    TrainConfig

    Raises
    ------
    ConfigError : an unknown experiment or key (the nearest known one is named), a missing or impossible value.
    """
    parsed = parse_overrides([f"experiment={experiment}", *overrides])
    refuse_several_values(parsed)
    return compose_overrides([override.input_line or "" for override in parsed], folder)


def parse_overrides(arguments: Sequence[str]) -> list[Override]:
    """Read `key=value` arguments and refuse keys that nothing knows.

    Raises
    ------
    ConfigError
    """
    known = config_keys()
    parser = OverridesParser.create()
    parsed = [_parse(parser, argument) for argument in arguments]
    for override in parsed:
        key = override.key_or_group
        if key not in known and key not in _GROUPS and key.replace("/", ".").split(".")[0] != "hydra":
            raise ConfigError(f"{override.input_line}: unknown key '{key}'; {_nearest_key(key, known)}")
        if key in _GROUPS and not override.is_sweep_override() and isinstance(override.value(), list | dict):
            raise ConfigError(f"{override.input_line}: expected one name; for several, give {key}=A,B and --multirun")
    return parsed


def _parse(parser: OverridesParser, argument: str) -> Override:
    key, equals, value = argument.partition("=")
    if not equals and not argument.startswith("~"):
        raise ConfigError(f"{argument}: expected key=value")
    try:
        override: Override = parser.parse_override(argument)
    except HydraException as error:
        raise ConfigError(
            f"{argument}: the value cannot be read; put it in quotes that the shell leaves alone: "
            f'"{key}={_quoted(value)}"'
        ) from error
    return override


def _quoted(value: str) -> str:
    """Quote a text for Hydra."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def refuse_several_values(parsed: Sequence[Override]) -> None:
    """Refuse a sweep where one run was asked for.

    Raises
    ------
    ConfigError
    """
    for override in parsed:
        if override.is_sweep_override():
            raise ConfigError(
                f"{override.input_line}: several values; add --multirun for one run each, or write a list as "
                f"'{override.get_key_element()}=[a,b]' and a text with commas in quotes"
            )


def compose_overrides(overrides: Sequence[str], folder: Path | None = None) -> TrainConfig:
    """Compose the configuration of one run from overrides that `parse_overrides` has passed, `experiment=` included.

    Raises
    ------
    ConfigError
    """
    names = experiments(folder)
    if not any(override.lstrip("+").startswith("experiment=") for override in overrides):
        raise ConfigError(f"which experiment? give experiment=NAME, one of: {', '.join(names)}")
    if folder is not None:
        overrides = [*overrides, f"hydra.searchpath=[{_quoted(str(folder.absolute()))}]"]
    with as_config_errors(), initialize_config_dir(str(CONFIG_FOLDER), version_base="1.3"):
        composed = compose(CONFIG_NAME, list(overrides))
    return read_train_config(composed)


def read_train_config(composed: DictConfig) -> TrainConfig:
    """Turn what Hydra composed into a `TrainConfig`, every value checked.

    Raises
    ------
    ConfigError : a value is missing, of the wrong type or impossible.
    """
    with as_config_errors():
        merged = OmegaConf.merge(OmegaConf.structured(TrainConfig), composed)
        missing = sorted(OmegaConf.missing_keys(merged))
        if missing:
            raise ConfigError(f"{missing[0]} is missing; give {missing[0]}=VALUE{_hints.get(missing[0], '')}")
        config = OmegaConf.to_object(merged)
    if not isinstance(config, TrainConfig):
        raise TypeError(f"expected a TrainConfig, got {type(config).__name__}")
    return config


_hints: Final = {"data.root": ", the folder with metadata.csv and the recordings"}


@contextmanager
def as_config_errors() -> Iterator[None]:
    """Turn what Hydra and OmegaConf raise into `ConfigError`, in one line."""
    try:
        yield
    except MissingConfigException as error:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        raise ConfigError(f"unknown {group or 'config'} '{name}'; {nearest(name, error.options or ())}") from error
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_one_line(error)) from error


def _one_line(error: Exception) -> str:
    """Give the message without the tree of objects that OmegaConf adds, the key first."""
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    if isinstance(cause, OmegaConfBaseException):
        key = f"{cause.full_key}: " if cause.full_key else ""
        return f"{key}{str(cause).splitlines()[0]}"
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip() and "HYDRA_FULL" not in line)


def _nearest_key(key: str, known: Sequence[str]) -> str:
    """Say which key was meant: one with the same last word, or one spelt much like it."""
    word = key.rpartition(".")[2]
    same = [name for name in known if "." in name and name.rpartition(".")[2] == word]
    if same:
        return f"did you mean {' or '.join(repr(name) for name in same)}?"
    section = key.partition(".")[0]
    inside = [name for name in known if name.startswith(f"{section}.")]
    if "." in key and inside:
        return nearest(key, inside)
    close = nearest(key, known)
    return close if close.startswith("did") else f"known: {', '.join(name for name in known if '.' not in name)}"
