"""The command line: one file per command; the only folder that prints."""

import sys

import typer
from typer.core import TyperGroup

from emgpose.cli.challenge import challenge_pack
from emgpose.cli.check import check
from emgpose.cli.convert import convert
from emgpose.cli.download import download
from emgpose.cli.evaluate import evaluate
from emgpose.cli.export import export
from emgpose.cli.hub import hub
from emgpose.cli.info import info
from emgpose.cli.live import live
from emgpose.cli.models import models
from emgpose.cli.predict import predict
from emgpose.cli.prepare import prepare
from emgpose.cli.report import report
from emgpose.cli.simulate import simulate
from emgpose.cli.terminal import say_error, show_any_name
from emgpose.cli.train import TRAIN_SETTINGS, train

app = typer.Typer(
    name="emgpose",
    help="Hand pose from wrist surface EMG.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    cls=TyperGroup,
)
for command in (info, check, convert, predict, evaluate, report, models, simulate, export, live, download, prepare):
    app.command()(command)
app.add_typer(hub, name="hub")
app.command("challenge-pack")(challenge_pack)
app.command(context_settings=TRAIN_SETTINGS, add_help_option=False)(train)

EXIT_BAD_DATA = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def main() -> None:
    """Run the command line; every expected failure ends in one message and an exit code.

    0 ok, 1 findings or bad data, 2 wrong usage or configuration, 130 Ctrl-C. A traceback means a bug in emgpose.
    """
    from emgpose.errors import ConfigError, EmgPoseError

    show_any_name()
    try:
        app()
    except SystemExit as end:
        if end.code == EXIT_INTERRUPTED:
            say_error("interrupted; no file was left half-written under its own name")
        raise
    except ConfigError as error:
        say_error(error)
        sys.exit(EXIT_USAGE)
    except EmgPoseError as error:
        say_error(error)
        sys.exit(EXIT_BAD_DATA)
    except OSError as error:
        say_error(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or error)
        sys.exit(EXIT_BAD_DATA)
    except MemoryError:
        say_error("out of memory; a shorter recording, a smaller --batch-size or a machine with more memory is needed")
        sys.exit(EXIT_BAD_DATA)
