"""Windows of recordings: where they start, and a torch data set over them.

Recordings lie at rest as (time, channel); models take (channel, time). `window_tensors` and, for windows of
a batch, `WindowDataset` turn them.

Window rules as in benchmark.md section 3, exact to the sample; docs/decisions/004-two-lost-samples.md says why a run of
valid samples gives up its last two.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from emgpose.errors import ConfigError, DataError
from emgpose.hand import N_JOINTS
from emgpose.recording import Session, open_session
from emgpose.recording.session import CHUNK_SAMPLES, SessionSlice
from emgpose.recording.store import StoreReader

# The published loader ends a block this many samples before the end of its run of valid samples.
LOST_SAMPLES: Final = 2

_MOST_EXPECTED: Final = 64

Range = tuple[int, int]
# Place for a window: emg, joint_angles, valid, window, start.
Room = dict[str, torch.Tensor]


def window_blocks(n_samples: int, window: int, valid_runs: Iterable[Range] | None = None) -> list[Range]:
    """Blocks of samples that windows may be cut from.

    Parameters
    ----------
    n_samples : int
        Length of the recording.
    window : int
        Samples of a window.
    valid_runs : iterable of (start, stop), optional
        Half-open runs of samples with a valid label. Without them the whole recording is one block.

    Returns
    -------
    list of (start, stop)
        Half-open. With `valid_runs`, each run that is at least one sample longer than the window gives a block that
        ends two samples before the run does.

    Source: benchmark.md section 3.
    """
    if valid_runs is None:
        return [(0, n_samples)]
    return [(start, stop - LOST_SAMPLES) for start, stop in valid_runs if stop - 1 - start >= window]


def window_starts(
    n_samples: int, window: int, stride: int | None = None, valid_runs: Iterable[Range] | None = None
) -> NDArray[np.int64]:
    """First sample of each window of a recording.

    Parameters
    ----------
    n_samples : int
        Length of the recording.
    window : int
        Samples of a window.
    stride : int, optional
        Samples between starts; the window's length by default.
    valid_runs : iterable of (start, stop), optional
        Runs of valid samples; windows with an invalid label are then skipped.

    Returns
    -------
    int64 array, shape (window,)
    """
    step = window if stride is None else stride
    _require_sizes(window, step)
    blocks = np.array(window_blocks(n_samples, window, valid_runs), dtype=np.int64).reshape(-1, 2)
    _, starts, _ = _windows_of_blocks(blocks[:, 0], blocks[:, 1], window, step)
    return starts


def _require_sizes(window: int, stride: int) -> None:
    if window < 1 or stride < 1:
        raise ConfigError(f"windows need a length and a stride of at least 1 sample, got {window} and {stride}")


def _windows_of_blocks(
    start: NDArray[np.int64], stop: NDArray[np.int64], window: int, stride: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Cut blocks into windows.

    Returns the block of each window, its start, and how far jitter may move it (exclusive; 0 and 1 mean not at all).
    """
    counts = np.maximum(stop - start - window, -stride) // stride + 1
    block = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(block)) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = start[block] + within * stride
    return block, starts, np.clip(stop[block] - (starts + window), 0, stride)


def read_windows(
    session: Session,
    window: int,
    stride: int | None = None,
    *,
    chunk_samples: int = CHUNK_SAMPLES,
    on_chunk: Callable[[SessionSlice], None] | None = None,
) -> Iterator[SessionSlice]:
    """Read the windows of a recording in one pass, those with an invalid label skipped.

    The windows are those of `window_starts` with the session's valid runs, but every sample is read once, in order, and
    memory does not grow with the recording.

    Parameters
    ----------
    session : Session
    window : int
        Samples of a window.
    stride : int, optional
        Samples between starts; the window's length by default.
    chunk_samples : int
        Samples read at a time.
    on_chunk : callable, optional
        Sees every chunk as it is read.

    Yields
    ------
    SessionSlice
        `window` samples long.

    Raises
    ------
    ConfigError : the window or the stride is shorter than a sample.
    DataError : the file cannot be read.
    """
    step = window if stride is None else stride
    _require_sizes(window, step)
    held: SessionSlice | None = None
    next_start, run_is_open = 0, False
    for chunk in session.chunks(chunk_samples):
        if on_chunk is not None:
            on_chunk(chunk)
        held = chunk if held is None else _joined(held, chunk)
        for run_start, run_stop in _runs(held):
            # A run that began in an earlier chunk goes on counting from its own beginning.
            if not (run_is_open and run_start == held.start):
                next_start = run_start
            while next_start + window <= run_stop - LOST_SAMPLES:
                yield held.part(next_start, next_start + window)
                next_start += step
        run_is_open = bool(held.valid[-1])
        held = held.part(next_start if run_is_open else held.stop, held.stop)


def _runs(samples: SessionSlice) -> list[Range]:
    """Runs of valid samples of a slice, in samples of the recording."""
    edges = samples.start + np.flatnonzero(np.diff(samples.valid, prepend=False, append=False))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _joined(first: SessionSlice, second: SessionSlice) -> SessionSlice:
    return SessionSlice(
        first.start,
        np.concatenate([first.emg, second.emg]),
        np.concatenate([first.joint_angles, second.joint_angles]),
        np.concatenate([first.valid, second.valid]),
    )


@dataclass(frozen=True)
class WindowIndex:
    """Every window of a list of recordings, as arrays with one entry per window.

    Parameters
    ----------
    paths : sequence of Path
        The recordings.
    window : int
        Samples of a window.
    session : int64 array, shape (window,)
        Which of `paths` a window lies in.
    start : int64 array, shape (window,)
        Its first sample, without jitter.
    room : int64 array, shape (window,)
        Jitter adds an integer in [0, room).
    """

    paths: Sequence[Path]
    window: int
    session: NDArray[np.int64]
    start: NDArray[np.int64]
    room: NDArray[np.int64]

    @classmethod
    def of_sessions(
        cls, sessions: Sequence[Session], window: int, *, stride: int | None = None, skip_invalid: bool = True
    ) -> "WindowIndex":
        """Index the windows of open sessions, in their order.

        Raises
        ------
        DataError : a session did not come from a file, so a data set could not open it again.
        """
        for session in sessions:
            if session.path is None:
                raise DataError(
                    f"session {session.name}: a window index needs sessions that come from files, this one has no "
                    "path; write it with emgpose.recording.write_emg2pose_hdf5 first"
                )
        paths = tuple(Path(session.path) for session in sessions if session.path is not None)
        n_samples = np.array([session.n_samples for session in sessions], dtype=np.int64)
        runs = [np.array(session.valid_runs(), dtype=np.int64) for session in sessions] if skip_invalid else None
        return cls.of_runs(paths, n_samples, runs, window, stride=stride)

    @classmethod
    def of_runs(
        cls,
        paths: Sequence[Path],
        n_samples: NDArray[np.int64],
        valid_runs: Sequence[NDArray[np.int64]] | None,
        window: int,
        *,
        stride: int | None = None,
    ) -> "WindowIndex":
        """Index the windows of recordings that need not be open, in their order.

        Parameters
        ----------
        paths : sequence of Path
        n_samples : int64 array, shape (recording,)
        valid_runs : sequence of int64 array, shape (run, 2), one per recording, or None
            Half-open runs of samples with a valid label; windows with an invalid one are skipped. None: they are not.
        window : int
            Samples of a window.
        stride : int, optional
            Samples between starts; the window's length by default.
        """
        step = window if stride is None else stride
        _require_sizes(window, step)
        owner = np.arange(len(n_samples))
        start, stop = np.zeros_like(n_samples), n_samples
        if valid_runs is not None:
            owner = np.repeat(owner, [len(runs) for runs in valid_runs])
            every = np.concatenate([np.empty((0, 2), dtype=np.int64), *(runs.reshape(-1, 2) for runs in valid_runs)])
            start, stop = every[:, 0], every[:, 1] - LOST_SAMPLES
        block, starts, rooms = _windows_of_blocks(start, stop, window, step)
        return cls(paths, window, owner[block], starts, rooms)

    def __len__(self) -> int:
        return len(self.start)

    def jittered_start(self, window: int, seed: int, epoch: int) -> int:
        """First sample of a window with the jitter that this seed and epoch give it."""
        room = int(self.room[window])
        if room <= 1:
            return int(self.start[window])
        return int(self.start[window] + np.random.default_rng([seed, epoch, window]).integers(room))


def window_tensors(samples: SessionSlice) -> dict[str, torch.Tensor]:
    """Turn a slice of a recording into what models take.

    Returns
    -------
    dict with emg (channel, time), joint_angles (joint=20, time) [rad] and valid (time,)
        Angles of invalid samples that are not finite become 0, so that masked sums stay finite.
    """
    angles = np.where(np.isfinite(samples.joint_angles), samples.joint_angles, np.float32(0))
    return {
        "emg": torch.from_numpy(np.ascontiguousarray(samples.emg.T, dtype=np.float32)),
        "joint_angles": torch.from_numpy(np.ascontiguousarray(angles.T, dtype=np.float32)),
        "valid": torch.from_numpy(np.ascontiguousarray(samples.valid, dtype=bool)),
    }


def _read_into(session: Session, start: int, stop: int, room: Room) -> None:
    """Read a window; from a prepared store, where samples lie as models take them, without turning them."""
    emg, angles, valid = (room[name].numpy() for name in ("emg", "joint_angles", "valid"))
    if isinstance(session.reader, StoreReader):
        session.reader.read_planar(start, stop, (emg, angles))
        session.reader.valid(start, stop, valid)
    else:
        samples = session.read(start, stop)
        emg[...], angles[...], valid[...] = samples.emg.T, samples.joint_angles.T, samples.valid
    if not valid.all():
        np.copyto(angles, np.float32(0), where=~np.isfinite(angles))


class WindowDataset(Dataset[dict[str, torch.Tensor]]):
    """Windows as tensors, read from their files when asked for.

    Files are opened at first use and the least recently used are closed, so a worker holds at most `max_open` handles.
    Pickling (to a worker) drops them. Jitter depends on (seed, epoch, window) alone, never on a worker's state.

    Parameters
    ----------
    index : WindowIndex
    open_path : callable, optional
        Opens one path; `emgpose.open_session` by default. Give one that also prepares the session for a model.
    jitter : bool
        Move each window by a random number of samples at every epoch.
    seed : int
    max_open : int
        Sessions held open at once.
    """

    def __init__(
        self,
        index: WindowIndex,
        *,
        open_path: Callable[[Path], Session] = open_session,
        jitter: bool = False,
        seed: int = 0,
        max_open: int = 8,
    ) -> None:
        if max_open < 1:
            raise ConfigError(f"a window data set needs max_open of at least 1, got {max_open}")
        self.index = index
        self.jitter = jitter
        self.seed = seed
        self._open_path = open_path
        self._max_open = max_open
        self._open: OrderedDict[int, Session] = OrderedDict()
        # First samples of windows that `expect` has announced.
        self._expected: dict[tuple[int, int], int] = {}
        # In shared memory, so that workers that outlive an epoch see the next one.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Draw the jitter of this epoch from now on, in worker processes too."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, window: int) -> dict[str, torch.Tensor]:
        """Read one window with the jitter of the epoch that was set; see `read`."""
        return self.read(window, int(self._epoch))

    def layout(self, n_channels: int) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """Shape and type of each tensor of a window, where all recordings have so many channels."""
        n = self.index.window
        return {
            "emg": ((n_channels, n), np.dtype(np.float32)),
            "joint_angles": ((N_JOINTS, n), np.dtype(np.float32)),
            "valid": ((n,), np.dtype(np.bool_)),
            "window": ((), np.dtype(np.int64)),
            "start": ((), np.dtype(np.int64)),
        }

    def expect(self, window: int, epoch: int) -> None:
        """Have the disk read a window meanwhile, where its recording is of a kind that can; `read` gives it."""
        session = self.session(int(self.index.session[window]))
        if isinstance(session.reader, StoreReader):
            start = self._start(window, epoch)
            if len(self._expected) >= _MOST_EXPECTED:
                # Left over from passes that were broken off.
                self._expected.clear()
            self._expected[window, epoch] = start
            session.reader.expect(start, start + self.index.window)

    def _start(self, window: int, epoch: int) -> int:
        return self.index.jittered_start(window, self.seed, epoch) if self.jitter else int(self.index.start[window])

    def read(self, window: int, epoch: int, room: Room | None = None) -> Room:
        """Read one window with the jitter of an epoch.

        Parameters
        ----------
        window, epoch : int
        room : dict of Tensor, optional
            Place for the window, for instance in a batch, of the names and shapes below.

        Returns
        -------
        dict with emg (channel, time), joint_angles (joint=20, time) [rad], valid (time,), window () and start ()
            The room, where there was one. Angles of invalid samples that are not finite are 0.
        """
        if not 0 <= window < len(self.index):
            raise IndexError(f"window {window} of {len(self.index)}")
        start = self._expected.pop((window, epoch), None)
        if start is None:
            start = self._start(window, epoch)
        session = self.session(int(self.index.session[window]))
        if room is None:
            shapes = self.layout(session.n_channels)
            room = {name: torch.from_numpy(np.empty(shape, dtype=dtype)) for name, (shape, dtype) in shapes.items()}
        _read_into(session, start, start + self.index.window, room)
        room["window"].fill_(window)
        room["start"].fill_(start)
        return room

    def close(self) -> None:
        """Close every session that is open."""
        while self._open:
            self._open.popitem()[1].close()

    def session(self, number: int) -> Session:
        """Give one of the recordings, opened if it is not."""
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        if len(self._open) >= self._max_open:
            self._open.popitem(last=False)[1].close()
        self._open[number] = self._open_path(self.index.paths[number])
        return self._open[number]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": OrderedDict(), "_expected": {}}
