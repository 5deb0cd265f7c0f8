"""Where the time of a window from a prepared store goes: its bare steps in a loop, and what the loader adds to them.

The bare steps are reading packed bytes from the page cache into memory that was used before, checksums, Blosc, and
writing the window into a batch larger than the caches. They are the floor of one thread that reads this format.
Windows are those of `store_loader.py`; one thread, page cache warm, all ways in turns, median ms per window.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from emgpose.recording.store.frames import CHUNK_SAMPLES, unpack
from emgpose.recording.store.layout import crc32c
from emgpose.store import prepare_store
from made_store import STEP, make_folder
from store_loader import BATCH, SECONDS, WINDOW, pose_data, take


class Bare:
    """The steps of reading windows, without looking anything up."""

    def __init__(self, windows: Sequence[tuple[int, int, dict[str, list[np.ndarray]]]], n_channels: int) -> None:
        self._windows = windows
        self._raw = np.empty(1 << 22, dtype=np.uint8)
        self._chunks = {
            "emg": np.empty((n_channels, CHUNK_SAMPLES), dtype=np.int16),
            "joint_angles": np.empty((20, CHUNK_SAMPLES), dtype=np.float32),
        }
        self._batch = {
            name: np.zeros((BATCH, len(chunk), WINDOW), dtype=np.float32) for name, chunk in self._chunks.items()
        }

    def run(self, steps: Sequence[str]) -> None:
        """Read every window, with some of the steps only."""
        for number, (descriptor, start, places) in enumerate(self._windows):
            begin = int(places["emg"][0][0])
            end = int(places["joint_angles"][0][-1] + places["joint_angles"][1][-1])
            os.preadv(descriptor, [self._raw[: end - begin]], begin)
            for name, chunk in self._chunks.items():
                target = self._batch[name][number % BATCH]
                for place, (offset, size) in enumerate(zip(*places[name], strict=True)):
                    frame = self._raw[offset - begin : offset - begin + size]
                    if "checksum" in steps:
                        crc32c(frame)
                    if "unpack" in steps:
                        unpack(frame, chunk)
                    if "write" in steps:
                        first = (start // CHUNK_SAMPLES + place) * CHUNK_SAMPLES
                        inside = chunk[:, max(start - first, 0) : start + WINDOW - first]
                        at = max(first - start, 0)
                        room = target[:, at : at + inside.shape[1]]
                        np.multiply(inside, STEP, out=room, dtype=np.float32)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--recordings", type=int, default=40, help="of 60 s, to read windows from")
    parser.add_argument("--store", type=Path, help="what store_loader.py would have prepared; made by default")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        store = options.store or Path(folder) / "store"
        if options.store is None:
            make_folder(Path(folder) / "data", options.recordings, SECONDS)
            prepare_store(Path(folder) / "data", store)
        _show(store, options.repeats)
    return 0


def _show(store: Path, repeats: int) -> None:
    data = pose_data(store)
    batches = data.train_dataloader()
    windows = data._windows["train"]
    n_batches = len(windows) // BATCH
    chosen = []
    for number in range(n_batches * BATCH):
        reader = windows.session(int(windows.index.session[number])).reader
        start = windows.index.jittered_start(number, 1, 0)
        inside = slice(start // CHUNK_SAMPLES, (start + WINDOW - 1) // CHUNK_SAMPLES + 1)
        places = {
            name: [reader._places[name][key][inside] for key in ("offset", "bytes")] for name in ("emg", "joint_angles")
        }
        chosen.append((os.open(reader._shard, os.O_RDONLY), start, places))
    bare = Bare(chosen, 16)
    ways: dict[str, Callable[[], None]] = {
        "bytes from the page cache": lambda: bare.run(()),
        "and checksums": lambda: bare.run(("checksum",)),
        "and Blosc": lambda: bare.run(("checksum", "unpack")),
        "and the batch: the floor": lambda: bare.run(("checksum", "unpack", "write")),
        "the loader": lambda: take(iter(batches), n_batches),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, run in ways.items():
            batches.start_at(repeat)
            start_s = time.perf_counter()
            run()
            if repeat:
                times[name].append((time.perf_counter() - start_s) / (n_batches * BATCH) * 1000)
    for name, values in times.items():
        print(f"{name:30s} {statistics.median(values):.3f} ms a window ({min(values):.3f} to {max(values):.3f})")
    for descriptor, _, _ in chosen:
        os.close(descriptor)
    data.teardown()


if __name__ == "__main__":
    raise SystemExit(main())
