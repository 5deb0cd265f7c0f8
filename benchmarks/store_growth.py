"""How preparing, converting and reading a data set grow with its number of sessions.

    OMP_NUM_THREADS=1 python benchmarks/store_growth.py [--sessions 16 32 64 128] [--repeats 3]

Recordings of 6 s are made (noise without converter steps, smoothly moving joint angles) and brought by one process into
a prepared store and into the BIDS edition, each time into a new folder; then windows of one second are read from the
store at random, as many for each size. Files are in the page cache. Exits with 1 where something grows faster than its
work.
"""

import argparse
import itertools
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from emgpose.conversion.bids import convert_to_bids
from emgpose.recording import open_session, read_metadata, session_path
from emgpose.store import prepare_store
from growth import Run, exponent
from made_recordings import RATE_HZ, make_recordings
from paired import Figure, exit_code, show

SECONDS = 6.0
WINDOW_SAMPLES, N_READS = 2_000, 500


def reader_of(store: Path) -> Run:
    """Give what reads random windows of random sessions, each opened for its window as in training."""
    rows = read_metadata(store).to_dict("records")

    def read() -> None:
        rng = np.random.default_rng(0)
        for _ in range(N_READS):
            with open_session(session_path(store, rows[rng.integers(len(rows))])) as session:
                start = int(rng.integers(session.n_samples - WINDOW_SAMPLES))
                session.read(start, start + WINDOW_SAMPLES)

    return read


def measure(work: Path, sizes: Sequence[int], repeats: int) -> list[Figure]:
    """Make data sets of some sizes, and fit what is done with each."""
    roots = {size: work / f"data{size}" for size in sizes}
    for size, root in roots.items():
        make_recordings(root, users=size, recordings_each=1, seconds=SECONDS)
    number = itertools.count()

    def into_new(make: Callable[[Path, Path], object], root: Path) -> Run:
        return lambda: make(root, work / f"out{next(number)}")

    stores = {size: work / f"store{size}" for size in sizes}
    for size, store in stores.items():
        prepare_store(roots[size], store)
        n_bytes = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
        show(Figure(f"store of {size} sessions", "bytes a sample", [n_bytes / (size * SECONDS * RATE_HZ)]))
    return [
        exponent("prepare by sessions", {float(n): into_new(prepare_store, roots[n]) for n in sizes}, repeats),
        exponent("BIDS by sessions", {float(n): into_new(convert_to_bids, roots[n]) for n in sizes}, repeats),
        exponent(f"{N_READS} windows by sessions", {float(n): reader_of(stores[n]) for n in sizes}, repeats),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, nargs="+", default=[16, 32, 64, 128], help="sizes of the data set")
    parser.add_argument("--repeats", type=int, default=3, help="fits of each")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        return exit_code(measure(Path(folder), options.sessions, options.repeats))


if __name__ == "__main__":
    sys.exit(main())
