"""`emgpose train`: Hydra composes an experiment and the command line, and this runs it; sweeps and launchers included.

Everything after `train` goes to one `hydra.main`. Before that, the same arguments are composed once to refuse what is
wrong while nothing has been written yet, and what a run raises reaches the caller as it is, not as Hydra's traceback.
"""

import contextlib
import logging
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import typer

from emgpose.errors import ConfigError, EmgPoseError, MissingExtraError

if TYPE_CHECKING:
    import argparse

    from omegaconf import DictConfig

    from emgpose.config import TrainConfig
    from emgpose.training import TrainResult

# Typer leaves every argument alone, so that none of them is taken from Hydra.
TRAIN_SETTINGS: Final = {"allow_extra_args": True, "ignore_unknown_options": True}
_NOT_OURS: Final = ("config_name", "config_path", "experimental_rerun")
_ACTIONS: Final = ("run", "multirun", "cfg", "info", "shell_completion")
_USAGE: Final = """Usage: emgpose train experiment=NAME data.root=DIR [KEY=VALUE ...] [--multirun] [--cfg job]

Train a model; the run's folder (out=DIR, default runs/NAME/DATE_TIME) gets best/, last/, last.ckpt, metrics.csv and
run.json. Run again with resume=true out=DIR to go on after a kill.

  KEY=VALUE         any setting, such as data.batch_size=32, optim.lr=3e-4, loop.max_minutes=20
  --cfg job         print the whole configuration and end
  --multirun, -m    one run for each of several values: seed=1,2,3
  --config-dir DIR  also look for experiments in DIR/experiment/*.yaml
  --hydra-help      what else Hydra takes
"""


def train(context: typer.Context) -> None:
    """Train a model: experiment=NAME data.root=DIR key=value ...; --help lists the experiments."""
    if "-h" in context.args or "--help" in context.args:
        _print_usage()
        return
    _run_hydra(context.args)


def _print_usage() -> None:
    from emgpose.cli.terminal import out

    _require_extra()
    from emgpose.experiments import experiments

    names = experiments()
    width = max(map(len, names))
    out.print(_USAGE + "\nExperiments:\n" + "\n".join(f"  {name:{width}}  {what}" for name, what in names.items()))


def _require_extra() -> None:
    try:
        import hydra  # noqa: F401
        import lightning  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f'training needs the library {error.name}, which is not installed; run: pip install "emgpose[train]"'
        ) from error


def _run_hydra(arguments: list[str]) -> None:
    """Check the arguments, hand them to `hydra.main`, and let what a run raises through."""
    _require_extra()
    import hydra

    from emgpose.experiments import CONFIG_FOLDER, CONFIG_NAME, as_config_errors

    n_runs = _checked(arguments)
    failed: list[Exception] = []
    command_line = sys.argv

    def job(composed: "DictConfig") -> None:
        # Lightning starts the other processes of a machine by this command line.
        with _argv(command_line):
            _job(composed, n_runs, failed)

    decorated = hydra.main(config_path=str(CONFIG_FOLDER), config_name=CONFIG_NAME, version_base="1.3")(job)
    with _argv([command_line[0], *arguments]), _whole_errors(), as_config_errors():
        decorated()
    if failed:
        raise failed[0]


def _checked(arguments: list[str]) -> int:
    """Refuse arguments of which no run can be made, before anything is written; counts the runs.

    Raises
    ------
    ConfigError
    """
    from emgpose.experiments import compose_overrides, parse_overrides, refuse_several_values

    options = _options(arguments)
    parsed = parse_overrides(options.overrides)
    if any(getattr(options, name) for name in ("cfg", "info", "hydra_help", "shell_completion")):
        return 1
    given = {override.key_or_group for override in parsed}
    if "out" not in given:
        _require_no_out(given, options.overrides)
    if not options.multirun and "hydra.mode=MULTIRUN" not in options.overrides:
        refuse_several_values(parsed)
    sweeps = {
        override.input_line: [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
        for override in parsed
        if override.is_discrete_sweep()
    }
    # Every value once; Hydra composes all combinations itself before it starts the first.
    for number in range(max(map(len, sweeps.values()), default=1)):
        chosen = {line: values[number % len(values)] for line, values in sweeps.items()}
        lines = (override.input_line or "" for override in parsed)
        one_run = [chosen.get(line, line) for line in lines]
        compose_overrides(one_run, Path(options.config_dir) if options.config_dir else None)
    return math.prod(map(len, sweeps.values()))


def _options(arguments: list[str]) -> "argparse.Namespace":
    """Read the arguments as Hydra will."""
    from hydra._internal.utils import get_args_parser

    def refuse(message: str) -> NoReturn:
        order = "; options such as --multirun come before or after all KEY=VALUE" if "unrecognized" in message else ""
        raise ConfigError(f"emgpose train: {message}{order}")

    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    options = parser.parse_args(arguments)
    for name in _NOT_OURS:
        if getattr(options, name):
            raise ConfigError(f"emgpose train has no --{name.replace('_', '-')}; see emgpose train --help")
    actions = [name for name in _ACTIONS if getattr(options, name)]
    if len(actions) > 1:
        raise ConfigError(f"expected one of --{' and --'.join(actions).replace('_', '-')}, got both")
    if options.resolve and not options.cfg:
        raise ConfigError("--resolve goes with --cfg job only")
    if options.config_dir and not Path(options.config_dir).is_dir():
        raise ConfigError(f"--config-dir {options.config_dir}: no such folder")
    return options


def _require_no_out(given: set[str], overrides: list[str]) -> None:
    """Refuse runs that need a folder named by the user."""
    if any(override.lower() in ("resume=true", "resume=1", "resume=yes", "resume=on") for override in overrides):
        raise ConfigError("resume=true: which run? give its folder with out=DIR")
    n_processes = os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_NTASKS") or "1"
    # Lightning names the folder for the processes that it starts.
    if n_processes != "1" and "hydra.run.dir" not in given:
        raise ConfigError(f"{n_processes} processes train together and need one folder: give out=DIR")


@contextlib.contextmanager
def _argv(arguments: list[str]) -> Iterator[None]:
    before, sys.argv = sys.argv, arguments
    try:
        yield
    finally:
        sys.argv = before


@contextlib.contextmanager
def _whole_errors() -> Iterator[None]:
    """Have Hydra raise what goes wrong instead of printing it and leaving with code 1."""
    name = "HYDRA_FULL_ERROR"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


# --- one run


def _job(composed: "DictConfig", n_runs: int, failed: list[Exception]) -> None:
    """Train in the folder that Hydra made.

    A single run's error is put aside in `failed`, as Hydra would add a line of its own to it. A run of a sweep says at
    once what is wrong with it and raises it: Hydra goes on with the other runs, and raises the first error at the end.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from emgpose.cli.terminal import err, say_error
    from emgpose.experiments import read_train_config
    from emgpose.training import train as train_run
    from emgpose.training.machine import process_rank

    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    is_sweep = hydra_config.mode == RunMode.MULTIRUN
    try:
        config = read_train_config(composed)
        config.out = str(folder)
        if is_sweep:
            _share_machine(config, hydra_config, n_runs)
        with _epochs_told(f"run {hydra_config.job.num}: " if is_sweep else ""):
            result = train_run(config, folder)
        if process_rank() == 0:
            _report(config, result)
    except (EmgPoseError, OSError, MemoryError) as error:
        if is_sweep:
            say_error(f"run {hydra_config.job.num} ({hydra_config.job.override_dirname}): {error}")
            raise
        failed.append(error)
    except KeyboardInterrupt:
        if process_rank() == 0:
            err.print(f"{folder}: stopped; go on with the same command and resume=true out={folder}")
        raise
    finally:
        # Hydra makes the folder before anything is known to work.
        with contextlib.suppress(OSError):
            folder.rmdir()


def _share_machine(config: "TrainConfig", hydra_config: Any, n_runs: int) -> None:
    """Give a run of a sweep its share of this machine's cores, where joblib lets several go on at once.

    Raises
    ------
    ConfigError : the run wants several processes, which only a launcher or torchrun can start here.
    """
    n_processes = config.loop.devices * config.loop.num_nodes
    if n_processes > 1 and not any(os.environ.get(name) for name in ("WORLD_SIZE", "SLURM_NTASKS")):
        raise ConfigError(
            f"loop.devices x loop.num_nodes is {n_processes}: a run of a sweep can have several processes only where "
            "Slurm starts them (hydra/launcher=submitit_slurm); else give each run one device"
        )
    n_jobs = hydra_config.launcher.get("n_jobs")
    if n_jobs is None or config.loop.threads is not None:
        return
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # joblib: -1 is all cores, -2 all but one.
    at_once = n_jobs if n_jobs > 0 else n_cores + 1 + n_jobs
    config.loop.threads = max(1, n_cores // max(1, min(at_once, n_runs)))


@contextlib.contextmanager
def _epochs_told(prefix: str) -> Iterator[None]:
    """Write a line per epoch to stderr where no progress bar can be: in a file, a pipe or a cluster's log."""
    if sys.stderr.isatty():
        yield
        return
    logger = logging.getLogger("emgpose")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(f"{prefix}%(message)s"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _report(config: "TrainConfig", result: "TrainResult") -> None:
    from emgpose.cli.terminal import out

    out.print(f"{config.experiment}: {result.epochs} epochs, {result.steps} steps; ended by {result.stopped}")
    if result.best_val_loss is not None:
        out.print(f"best epoch {result.best_epoch}: validation loss {result.best_val_loss:.6g}")
    out.print(f"best: {result.best}")
    out.print(f"last: {result.last}")
