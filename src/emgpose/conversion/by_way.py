"""Other formats into BIDS or a store, by way of a folder of HDF5 files beside it that is removed at the end."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from emgpose.conversion.bids.output_folder import claimed
from emgpose.conversion.bids.result import Converted
from emgpose.conversion.convert import SETTINGS_FILE, Progress, checked_sources, fill_folder, what_was_done
from emgpose.conversion.settings import ConversionSettings
from emgpose.conversion.to_format import STORE_FILE
from emgpose.errors import DataError
from emgpose.recording.bids.names import DESCRIPTION_FILE
from emgpose.recording.store.layout import is_store

Made = TypeVar("Made")


def convert_by_way(
    source: Path,
    out: Path,
    settings: ConversionSettings,
    onward: Callable[[Path], Made],
    *,
    on_progress: Progress | None = None,
) -> tuple[Converted, Made, dict[str, int]]:
    """Convert recordings to HDF5 files, and bring these onward.

    Parameters
    ----------
    source : Path
        As for `convert_to_hdf5`.
    out : Path
        Where `onward` writes to.
    settings : ConversionSettings
    onward : callable (folder of HDF5 files) -> anything
        Makes the BIDS data set or the store.
    on_progress : callable (done, in all), optional
        Of the first step.

    Returns
    -------
    first : Converted
        What the first step did.
    last
        What `onward` gave.
    done : dict of str to int
        As `what_was_done` says it.

    Raises
    ------
    ConfigError, DataError, MissingExtraError : as `convert_to_hdf5`; or the output holds something else.
    """
    place = Path(os.path.realpath(out))
    # Under a name that a second attempt finds again.
    between, finished = place.with_name(f".{place.name}.hdf5"), place.with_name(f".{place.name}.done")
    sources = checked_sources(source, out, settings)
    _require_free(out)
    with claimed(between):
        if not (between / SETTINGS_FILE).exists() and (place / STORE_FILE).exists():
            between.rmdir()
            raise DataError(f"{out}: is a finished store, nothing is written over; choose another folder")
        first = fill_folder(sources, source, between, settings, on_progress)
        last = onward(between)
        done = what_was_done([*first.written, *first.kept])
        # At once, since half a folder would stand in the way of the next attempt.
        shutil.rmtree(finished, ignore_errors=True)
        between.rename(finished)
        shutil.rmtree(finished, ignore_errors=True)
    return first, last, done


def _require_free(out: Path) -> None:
    """Refuse a folder of somebody else before hours of work go into what would go there."""
    try:
        names = [path.name for path in out.iterdir() if not path.name.startswith(".")]
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(f"{out}: cannot be used as a folder: {error.strerror}; choose another") from None
    if names and not (is_store(out) or (out / DESCRIPTION_FILE).is_file()):
        raise DataError(f"{out}: expected an empty folder, or what this command began; choose another folder")
