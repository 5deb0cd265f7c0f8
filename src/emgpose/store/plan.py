"""Which recordings go into which shard, and by what a change of an original is noticed."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from emgpose.recording.metadata import session_path
from emgpose.recording.store.layout import shard_name

if TYPE_CHECKING:
    import pandas as pd

# About 60 MB for recordings of a minute: what a kill costs each worker, and 3,157 files for the whole data set.
SESSIONS_PER_SHARD: Final = 8

# Size [bytes], time of change of the content [ns] and of anything about the file [ns], which nobody can set back; None
# where there is no file that may be read.
SourceVersion = list[int] | None


@dataclass(frozen=True)
class PlannedShard:
    """A shard to be written.

    Parameters
    ----------
    number : int
    filenames : tuple of str
        Its recordings, as in the metadata table.
    paths : tuple of Path
        Their originals.
    """

    number: int
    filenames: tuple[str, ...]
    paths: tuple[Path, ...]

    @property
    def name(self) -> str:
        """Path of its file below the store."""
        return shard_name(self.number)

    def sources(self) -> list[list[Any]]:
        """Name and version of each original, as they are now; plain values."""
        return [[name, source_version(path)] for name, path in zip(self.filenames, self.paths, strict=True)]


def source_version(path: Path) -> SourceVersion:
    """Size and times of change of an original; None where it cannot be read, so that it is tried again once it can."""
    try:
        status = path.stat()
    except OSError:
        return None
    if not os.access(path, os.R_OK):
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def plan_shards(root: Path, table: "pd.DataFrame") -> list[PlannedShard]:
    """Divide the recordings of a data set into shards, in the order of its table.

    Parameters
    ----------
    root : Path
    table : DataFrame
        From `read_metadata`.
    """
    rows = table.to_dict("records")
    return [
        _shard(number, root, rows[start : start + SESSIONS_PER_SHARD])
        for number, start in enumerate(range(0, len(rows), SESSIONS_PER_SHARD))
    ]


def _shard(number: int, root: Path, rows: Sequence[Mapping[Any, Any]]) -> PlannedShard:
    names = tuple(str(row["filename"]) for row in rows)
    # Absolute, for workers that stand in another folder.
    return PlannedShard(number, names, tuple(session_path(root, row).absolute() for row in rows))
