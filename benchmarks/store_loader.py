"""Training from a prepared store against the published way: start-up, memory, handles and windows per second.

The published way opens every HDF5 file before the first batch, reads all their labels, keeps every handle, and reads
each window as one slice of the compound data set; it is written here as anyone would from the format's description,
with torch's own loader around it: float32 tensors (channel, time), and which samples have angles that are not all close
to zero. The lines "no mask" leave that last part out. Recordings of 60 s: EMG on a converter's steps, smooth float32
angles.

Start-up is timed in a fresh process, once torch and our modules are imported, from the data's root to the first batch
of 64 windows in hand, files in the page cache. Stores of all sizes have links to one shard of eight recordings; their
index is whole. Windows are read in this process, or by one worker, in a shuffled order with jitter. For a cold page
cache, every file is written out and dropped by `posix_fadvise(DONTNEED)` before each pass; how many bytes then came
from the disk is printed beside.

Parts can be run one at a time: `start`, `published`, `warm`, `cold`.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from emgpose.config import AugmentConfig, DataConfig
from emgpose.models import build_model
from emgpose.recording import read_metadata, session_path
from emgpose.store import prepare_store
from emgpose.training.data import PoseData
from emgpose.windows import window_blocks, window_starts
from made_store import make_folder, make_large_store
from paired import Figure, Ratio, exit_code, show

WANTED_START_S, WANTED_RSS_MIB, WANTED_RATIO = 5.0, 1024.0, 5.0
SIZES = (250, 2500, 25_253)
# Those that the published way is started with: it takes 25,253 times as long as one.
PUBLISHED_SIZES = (25, 100)
WINDOW, BATCH, SECONDS = 11_790, 64, 60.0
PARTS = ("start", "published", "warm", "cold")


class PublishedWindows(Dataset[dict[str, torch.Tensor]]):
    """Every file open, every label read at the start, one compound slice per window."""

    def __init__(self, root: Path, split: str = "train", *, mask_each: bool = True) -> None:
        table = read_metadata(root)
        rows = table[table["split"] == split].to_dict("records")
        self._mask_each = mask_each
        self._series, self._windows = [], []
        for number, row in enumerate(rows):
            series = h5py.File(session_path(root, row))["emg2pose/timeseries"]
            runs = _runs(~np.isclose(series["joint_angles"], 0).all(axis=1))
            starts = window_starts(len(series), WINDOW, None, runs)
            stops = np.concatenate([np.full(len(window_starts(b - a, WINDOW)), b) for a, b in
                                    window_blocks(len(series), WINDOW, runs)] or [np.empty(0)])  # fmt: skip
            self._series.append(series)
            self._windows += [(number, int(start), int(stop)) for start, stop in zip(starts, stops, strict=True)]

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, window: int) -> dict[str, torch.Tensor]:
        number, start, stop = self._windows[window]
        room = min(WINDOW, stop - (start + WINDOW))
        if room > 0:
            start += int(np.random.default_rng(window).integers(room))
        samples = self._series[number][start : start + WINDOW]
        angles = samples["joint_angles"]
        valid = ~np.isclose(angles, 0).all(axis=1) if self._mask_each else np.ones(WINDOW, dtype=np.bool_)
        return {
            "emg": torch.as_tensor(samples["emg"].T.astype(np.float32, order="C")),
            "joint_angles": torch.as_tensor(angles.T.astype(np.float32, order="C")),
            "valid": torch.as_tensor(valid),
        }


def _runs(valid: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(valid, prepend=False, append=False)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def pose_data(root: Path, workers: int = 0) -> PoseData:
    """Our loader; the model only says what windows it takes."""
    model = build_model("tracking_vemg2pose", channels=16, tds_channels=4, n_features=8, tds_pairs=1)
    config = DataConfig(root=str(root), window_samples=WINDOW, batch_size=BATCH, workers=workers)
    # No rotation: what is compared is reading.
    return PoseData(config, AugmentConfig(rotation=0), model, seed=1)


def first_batch(way: str, root: Path) -> dict[str, float]:
    """In a process of its own: seconds to the first batch, and what the process then holds."""
    torch.set_num_threads(1)
    handles = _n_handles()
    before_mib = _rss_mib()
    start = time.perf_counter()
    if way == "store":
        data = pose_data(root)
        next(iter(data.train_dataloader()))
        n_windows = data.n_train_windows
    else:
        windows = PublishedWindows(root)
        next(iter(DataLoader(windows, batch_size=BATCH, shuffle=True)))
        n_windows = len(windows)
    seconds = time.perf_counter() - start
    handles = _n_handles() - handles
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "s": seconds, "peak_mib": peak_mib, "before_mib": before_mib, "handles": handles, "n_windows": n_windows
    }  # fmt: skip


def _n_handles() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _rss_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def started(way: str, root: Path) -> dict[str, float]:
    """Start a process that gets its first batch; `process_s` is its whole life, Python and imports included."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, "--first-batch", way, str(root)], check=True, capture_output=True, text=True
    )
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured | {"process_s": time.perf_counter() - start}


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Growth of time with the number of sessions: the slope in double logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def show_start(work: Path, repeats: int) -> list[Figure]:
    """Start-up from stores of growing size."""
    figures, medians = [], []
    for n_sessions in SIZES:
        root = work / f"store{n_sessions}"
        make_large_store(root, n_sessions, work)
        runs = [started("store", root) for _ in range(repeats)]
        largest = n_sessions == SIZES[-1]
        what = f"store of {n_sessions} sessions"
        wanted_s, wanted_mib = (WANTED_START_S, WANTED_RSS_MIB) if largest else (None, None)
        figures += [
            show(Figure(f"{what}: first batch", "s", _of(runs, "s"), wanted_s, at_least=False)),
            show(Figure(f"{what}: peak memory", "MiB", _of(runs, "peak_mib"), wanted_mib, at_least=False)),
            show(Figure(f"{what}: of it before, after imports", "MiB", _of(runs, "before_mib"))),
            show(Figure(f"{what}: handles opened", "", _of(runs, "handles"))),
            show(Figure(f"{what}: whole process with imports", "s", _of(runs, "process_s"))),
        ]
        medians.append(statistics.median(_of(runs, "s")))
    print(f"first batch grows with sessions to the power {exponent(SIZES, medians):.2f} ({SIZES[0]} to {SIZES[-1]})")
    print(f"  and to the power {exponent(SIZES[1:], medians[1:]):.2f} ({SIZES[1]} to {SIZES[2]})", flush=True)
    return figures


def show_published(work: Path, repeats: int) -> list[Figure]:
    """Start-up of the published way, from files in the page cache."""
    medians = []
    for n_sessions in PUBLISHED_SIZES:
        root = work / f"folder{n_sessions}"
        make_folder(root, n_sessions, SECONDS, distinct=8)
        runs = [started("published", root) for _ in range(repeats)]
        show(Figure(f"published way, {n_sessions} files: first batch", "s", _of(runs, "s")))
        show(Figure(f"published way, {n_sessions} files: handles opened", "", _of(runs, "handles")))
        medians.append(statistics.median(_of(runs, "s")))
        shutil.rmtree(root)
    print(f"grows with sessions to the power {exponent(PUBLISHED_SIZES, medians):.2f}", flush=True)
    return []


def _of(runs: Sequence[dict[str, float]], key: str) -> list[float]:
    return [run[key] for run in runs]


def drop_caches(root: Path) -> None:
    """Put the files of a folder out of the page cache."""
    os.sync()
    for path in root.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def disk_bytes() -> int:
    """Bytes that this process, and those that it has waited for, read from the disk so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes"))


def take(batches: Iterator[Any], n_batches: int) -> None:
    """Read some batches to their last value."""
    for _ in range(n_batches):
        batch = next(batches)
        if len(batch["emg"]) != BATCH:
            raise SystemExit("the data set is too small for so many batches")


def show_reading(work: Path, repeats: int, cold: bool, n_recordings: int) -> list[Figure]:
    """Windows per second of both ways in turns, each pass over other windows."""
    torch.set_num_threads(1)
    folder, store = work / f"folder_of_{n_recordings}", work / f"store_of_{n_recordings}"
    if not store.exists():
        make_folder(folder, n_recordings, SECONDS)
        prepare_store(folder, store)
    figures = []
    for mask_each in (True, False):
        for workers in (0, 1):
            published = PublishedWindows(folder, mask_each=mask_each)
            data = pose_data(store, workers)
            ratio = _in_turns(published, data, folder, store, workers, repeats, cold)
            data.teardown()
            figures.append(ratio)
    return figures


def _in_turns(
    published: PublishedWindows, data: PoseData, folder: Path, store: Path, workers: int, repeats: int, cold: bool
) -> Figure:
    n_batches = len(published) // BATCH
    loader = DataLoader(
        published, BATCH, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=bool(workers)
    )
    from_disk: dict[str, list[int]] = {"plain": [], "ours": []}

    def plain() -> None:
        take(iter(loader), n_batches)

    def ours() -> None:
        take(iter(data.train_dataloader()), n_batches)

    def timed(run: Callable[[], None], name: str, root: Path) -> float:
        if cold:
            drop_caches(root)
        before = disk_bytes()
        start = time.perf_counter()
        run()
        seconds = time.perf_counter() - start
        from_disk[name].append(disk_bytes() - before)
        return seconds / (n_batches * BATCH)

    for run in (plain, ours):
        run()
    times: dict[str, list[float]] = {"plain": [], "ours": []}
    for repeat in range(repeats):
        turns = [(plain, "plain", folder), (ours, "ours", store)]
        for run, name, root in turns if repeat % 2 == 0 else turns[::-1]:
            times[name].append(timed(run, name, root))
            data.train_dataloader().start_at(repeat + 1)
    mask = "" if published._mask_each else ", no mask"
    label = f"{'cold' if cold else 'warm'}, {'in process' if not workers else '1 worker'}{mask}"
    show(Figure(f"{label}: published way", "windows/s", [1 / seconds for seconds in times["plain"]]))
    show(Figure(f"{label}: store", "windows/s", [1 / seconds for seconds in times["ours"]]))
    if cold and not workers:
        for name, numbers in from_disk.items():
            kb = statistics.median(numbers) / (n_batches * BATCH) / 1000
            print(f"{label}: {name} read {kb:.0f} kB a window from the disk")
    ratio = Ratio(label, times["plain"], times["ours"], WANTED_RATIO)
    return show(Figure(f"{label}: store over published way", "times", ratio.ratios, WANTED_RATIO))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--recordings", type=int, default=40, help="of 60 s, to read windows from")
    parser.add_argument("--work", type=Path, help="an empty folder for stores; a temporary one by default")
    parser.add_argument("--first-batch", nargs=2, metavar=("WAY", "ROOT"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.first_batch:
        way, root = options.first_batch
        print(json.dumps(first_batch(way, Path(root))))
        return 0
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        work, figures = Path(folder), []
        if "start" in options.parts:
            figures += show_start(work, options.repeats)
        if "published" in options.parts:
            figures += show_published(work, options.repeats)
        for part in ("warm", "cold"):
            if part in options.parts:
                figures += show_reading(work, options.repeats, part == "cold", options.recordings)
    return exit_code(figures)


if __name__ == "__main__":
    sys.exit(main())
