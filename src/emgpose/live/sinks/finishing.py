"""From an unfinished recording to a file of the emg2pose format: at a recording's end, and after a kill."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError, DataError
from emgpose.hand import N_JOINTS
from emgpose.live.sinks.part_file import SUFFIX, Block, PartReader, locks, nothing_in
from emgpose.live.sinks.unfinished import UnfinishedFile, discard_leftovers
from emgpose.recording.emg2pose_layout import N_CHANNELS
from emgpose.recording.emg2pose_writer import Emg2PoseWriter
from emgpose.timing import EMG_RATE_HZ

SUFFIXES: Final = (".hdf5", ".h5")
KILLED: Final = "killed"
# Rows that go into the file together: a few of its own storage chunks.
_BLOCK_ROWS: Final = 16_384


@dataclass(frozen=True)
class Recovered:
    """What was made of an unfinished recording.

    Parameters
    ----------
    path : Path
        The finished file.
    n_samples : int
    n_bytes_left : int
        At the end of the unfinished file, of no use; above 0 the unfinished file is kept.
    """

    path: Path
    n_samples: int
    n_bytes_left: int

    @property
    def duration_s(self) -> float:
        """Length of the recording [s]."""
        return self.n_samples / EMG_RATE_HZ


def recover(part: Path) -> Recovered:
    """Finish a recording whose process was killed: `NAME.part` becomes `NAME`, or `NAME-2` where that is taken.

    Parameters
    ----------
    part : Path

    Raises
    ------
    ConfigError : the name does not end in .part.
    DataError : it is no unfinished recording, is being written, or holds no samples; the disk is full. It stays as
        it was.
    """
    if part.suffix != SUFFIX:
        raise ConfigError(f"{part}: expected an unfinished recording, whose name ends in {SUFFIX}")
    try:
        with part.open("rb") as file:
            if not locks(file):
                raise DataError(f"{part}: is being recorded now; it gets its name when that ends")
            reader = PartReader(part)
            if not any(len(emg) for _, emg, _ in reader.blocks()):
                raise nothing_in(part, reader.n_bytes_left)
            # Those of an earlier attempt that was killed too.
            discard_leftovers(_target_of(part))
            recovered = finish(part)
            if not recovered.n_bytes_left:
                part.unlink()
    except OSError as error:
        raise DataError(f"{part}: {error.strerror or error}") from None
    return recovered


def finish(part: Path) -> Recovered:
    """Make the file of a recording that has ended; the unfinished one stays.

    Raises
    ------
    DataError : it is no unfinished recording, or holds no samples; the disk is full, or the folder takes no more files.
    """
    reader = PartReader(part)
    unfinished = UnfinishedFile(_target_of(part))
    try:
        n_samples = _write(reader, unfinished.path)
    except BaseException as error:
        unfinished.discard()
        # A checksum does not tell who wrote it.
        if isinstance(error, KeyError | TypeError | ValueError | OverflowError):
            raise DataError(f"{part}: expected an unfinished recording, got {type(error).__name__}: {error}") from error
        raise
    return Recovered(unfinished.publish(), n_samples, reader.n_bytes_left)


def _target_of(part: Path) -> Path:
    target = part.with_suffix("")
    return target if target.suffix in SUFFIXES else target.with_name(f"{target.name}{SUFFIXES[0]}")


def _write(reader: PartReader, path: Path) -> int:
    """Write the whole file; gives the number of samples."""
    head = reader.head
    with Emg2PoseWriter(
        path,
        sample_rate_hz=float(EMG_RATE_HZ),
        user=head["user"],
        stage=head["stage"],
        side=head["side"],
        session=head["session"],
        n_channels=N_CHANNELS,
        attributes=head["attributes"],
    ) as writer:
        waiting: list[Block] = []
        n_waiting = 0
        for block in reader.blocks():
            waiting.append(block)
            n_waiting += len(block[1])
            if n_waiting >= _BLOCK_ROWS:
                _append(writer, waiting)
                waiting, n_waiting = [], 0
        _append(writer, waiting)
        if not writer.n_samples:
            raise DataError("nothing was recorded, so no file was made")
        writer.add_group("live", _live_facts(head, reader.notes))
    return writer.n_samples


def _append(writer: Emg2PoseWriter, blocks: list[Block]) -> None:
    if not blocks:
        return
    emg = np.concatenate([block for _, block, _ in blocks])
    # A recording in which no sample has a label says that it has none.
    labels = None
    if any(block is not None for _, _, block in blocks):
        labels = np.concatenate([_labels(block, len(rows)) for _, rows, block in blocks])
    first = writer.n_samples
    writer.append(emg, labels, time_s=blocks[0][0] + np.arange(first, first + len(emg)) / EMG_RATE_HZ)


def _labels(labels: NDArray[np.float32] | None, n_rows: int) -> NDArray[np.float32]:
    return np.zeros((n_rows, N_JOINTS), dtype=np.float32) if labels is None else labels


def _live_facts(head: dict[str, Any], notes: dict[str, Any]) -> dict[str, Any]:
    """What the group `live` says; counts and places are at the source's own rate."""
    gaps = np.array(notes["gaps"], dtype=np.int64).reshape(-1, 2)
    names = ("filled_samples", "late_samples", "held_values", "restarts")
    return {
        "source_rate_hz": head["source_rate_hz"],
        **{name: notes.get(name, 0) for name in names},
        "ended": notes.get("ended", KILLED),
        "gap_start": gaps[:, 0],
        "gap_length": gaps[:, 1],
    }
