"""The library of Lab Streaming Layer, loaded when a stream is first needed."""

import contextlib
import os
from pathlib import Path
from typing import Any, Final

from emgpose.errors import MissingExtraError

# Warnings and worse, in the library's own settings; by default it also prints two lines at every start.
_WARNINGS_ONLY: Final = "[log]\nlevel = -1\n"
# Where the library looks for a user's settings, which what we say would replace.
_SETTINGS_FILES: Final = ("lsl_api.cfg", "~/lsl_api/lsl_api.cfg", "/etc/lsl_api/lsl_api.cfg")


def import_pylsl() -> Any:
    """Import pylsl; where the user has no settings for LSL, it prints warnings and errors only.

    Raises
    ------
    MissingExtraError : it, or the library below it, is not installed.
    """
    try:
        import pylsl
    except (ImportError, OSError, RuntimeError) as error:
        raise MissingExtraError(
            f'LSL streams need the library pylsl, which cannot be loaded ({error}); run: pip install "emgpose[live]"'
        ) from error
    if not _is_configured():
        # Older libraries take settings from files only.
        with contextlib.suppress(AttributeError, NotImplementedError):
            pylsl.set_config_content(_WARNINGS_ONLY)
    return pylsl


def _is_configured() -> bool:
    return "LSLAPICFG" in os.environ or any(map(_exists, _SETTINGS_FILES))


def _exists(name: str) -> bool:
    try:
        return Path(name).expanduser().exists()
    except (OSError, RuntimeError):  # no home, or a folder that cannot be looked into
        return False
