"""Which format for a prepared store: bytes per sample, speed of random windows cold and warm, speed of writing.

Reads a data set of emg2pose HDF5 files (`emgpose simulate` makes one, its EMG in converter steps of 1/32) and writes it
in each format into a temporary folder:

- `as it is`: the files themselves, one compound slice per window, every file held open, as the published loader does
- `HDF5 deflate`: the same table repacked with shuffle, deflate and Fletcher32 in chunks of 4096 rows
- `HDF5 planar deflate`: EMG as int16 steps, angles float32, (channel, time) in chunks of 4096, shuffle and deflate
- `Parquet`: one column per channel and joint, row groups of 4096, byte stream split, zstd, page checksums
- `zarr v3`: the arrays of `planar`, a shard per recording, Blosc (lz4hc, byte shuffle), CRC32C, read by zarr itself
- `store`: what `emgpose prepare` writes, read by `StoreReader`

litdata is left out: it keeps opaque samples, here windows of one length, so jitter and other lengths would need further
copies.

With `--frames`: packers and chunk lengths of single frames. With `--float16 MODEL`: scores of a model folder on the
test split as recorded, and with EMG rounded to float16.
"""

import argparse
import contextlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from emgpose.recording import read_metadata, session_path
from emgpose.recording.store import open_store
from emgpose.recording.store.emg_steps import from_counts, smallest_magnitudes, to_counts
from emgpose.store import prepare_store

WINDOW = 11_790
CHUNK = 4096
Read = Callable[[int, int, int], tuple[np.ndarray, np.ndarray]]


class Source:
    """One recording in memory: EMG (channel, time) as steps and as float32, angles (joint, time), time stamps."""

    def __init__(self, path: Path) -> None:
        with h5py.File(path) as file:
            self.rows = file["emg2pose/timeseries"][:]
        self.emg = self.rows["emg"]
        self.angles = np.ascontiguousarray(self.rows["joint_angles"].T, dtype=np.float32)
        self.time_s = self.rows["time"]
        self.steps = smallest_magnitudes(self.emg, None)
        counts = to_counts(self.emg, self.steps)
        if counts is None:
            raise SystemExit(f"{path}: its EMG is not in whole steps")
        self.counts = np.ascontiguousarray(counts.T)

    def __len__(self) -> int:
        return len(self.rows)


def split(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.ascontiguousarray(rows["emg"].T), np.ascontiguousarray(rows["joint_angles"].T)


def opened_hdf5(path: Path) -> h5py.File:
    """Open with a chunk cache that does not hold the whole file: in thousands of files none holds the next window."""
    return h5py.File(path, rdcc_nbytes=1 << 20)


def as_it_is(paths: Sequence[Path], folder: Path) -> Read:
    for path in paths:
        shutil.copy(path, folder)
    tables = [opened_hdf5(folder / path.name)["emg2pose/timeseries"] for path in paths]
    return lambda number, start, stop: split(tables[number][start:stop])


def hdf5_deflate(paths: Sequence[Path], folder: Path) -> Read:
    for path in paths:
        with h5py.File(folder / path.name, "w") as file:
            options: dict[str, Any] = {"shuffle": True, "compression": "gzip", "fletcher32": True}
            file.create_dataset("t", data=Source(path).rows, chunks=(CHUNK,), **options)
    tables = [opened_hdf5(folder / path.name)["t"] for path in paths]
    return lambda number, start, stop: split(tables[number][start:stop])


def hdf5_planar(paths: Sequence[Path], folder: Path) -> Read:
    steps = []
    for path in paths:
        source = Source(path)
        steps.append(source.steps[:, None])
        with h5py.File(folder / path.name, "w") as file:
            options: dict[str, Any] = {"shuffle": True, "compression": "gzip", "fletcher32": True}
            file.create_dataset("emg", data=source.counts, chunks=(16, CHUNK), **options)
            file.create_dataset("angles", data=source.angles, chunks=(20, CHUNK), **options)
            file.create_dataset("time", data=source.time_s, chunks=(CHUNK,), **options)
    files = [opened_hdf5(folder / path.name) for path in paths]
    return lambda number, start, stop: (
        from_counts(files[number]["emg"][:, start:stop], steps[number]),
        files[number]["angles"][:, start:stop],
    )


def parquet(paths: Sequence[Path], folder: Path) -> Read:
    import pyarrow as pa
    import pyarrow.parquet as pq

    steps = []
    emg, angles = [f"e{i}" for i in range(16)], [f"j{i}" for i in range(20)]
    for path in paths:
        source = Source(path)
        steps.append(source.steps[:, None])
        columns = dict(zip(emg, source.counts, strict=True)) | dict(zip(angles, source.angles, strict=True))
        table = pa.table({**columns, "time": source.time_s})
        options: dict[str, Any] = {"use_byte_stream_split": [*angles, "time"], "write_page_checksum": True}
        pq.write_table(
            table, folder / path.name, row_group_size=CHUNK, compression="zstd", use_dictionary=False, **options
        )
    files = [pq.ParquetFile(folder / path.name, page_checksum_verification=True) for path in paths]

    def read(number: int, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        first, last = start // CHUNK, (stop - 1) // CHUNK
        table = files[number].read_row_groups(range(first, last + 1), columns=[*emg, *angles], use_threads=False)
        table = table.slice(start - first * CHUNK, stop - start)
        return (
            from_counts(np.stack([table.column(name).to_numpy() for name in emg]), steps[number]),
            np.stack([table.column(name).to_numpy() for name in angles]),
        )

    return read


def zarr_v3(paths: Sequence[Path], folder: Path) -> Read:
    import zarr
    from zarr.codecs import BloscCodec, BloscShuffle, Crc32cCodec

    steps, arrays = [], []
    for path in paths:
        source = Source(path)
        steps.append(source.steps[:, None])
        group = zarr.create_group(folder / path.name, zarr_format=3)
        n_shard = -(-len(source) // CHUNK) * CHUNK
        made = {}
        for name, values in (("emg", source.counts), ("angles", source.angles), ("time", source.time_s[None])):
            packing = BloscCodec(cname="lz4hc", clevel=5, shuffle=BloscShuffle.shuffle, typesize=values.itemsize)
            made[name] = group.create_array(
                name,
                shape=values.shape,
                dtype=values.dtype,
                chunks=(len(values), CHUNK),
                shards=(len(values), n_shard),
                compressors=[packing, Crc32cCodec()],
            )
            made[name][:] = values
        arrays.append(made)
    return lambda number, start, stop: (
        from_counts(arrays[number]["emg"][:, start:stop], steps[number]),
        arrays[number]["angles"][:, start:stop],
    )


def store(paths: Sequence[Path], folder: Path) -> Read:
    prepare_store(paths[0].parent, folder / "store")
    opened = open_store(folder / "store")
    readers = [opened.session(path.stem).reader for path in paths]
    return lambda number, start, stop: readers[number].read_planar(start, stop)


FORMATS: dict[str, Callable[[Sequence[Path], Path], Read]] = {
    "as it is": as_it_is,
    "HDF5 deflate": hdf5_deflate,
    "HDF5 planar deflate": hdf5_planar,
    "Parquet": parquet,
    "zarr v3": zarr_v3,
    "store": store,
}


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def forget(folder: Path) -> None:
    """Have the system forget what it holds of these files in memory."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def timed(read: Read, windows: Sequence[tuple[int, int]]) -> float:
    """Median time of a window [ms]."""
    times = []
    for number, start in windows:
        before = time.perf_counter()
        read(number, start, start + WINDOW)
        times.append(time.perf_counter() - before)
    return 1e3 * statistics.median(times)


def measure(name: str, paths: Sequence[Path], n_windows: int) -> None:
    lengths = [len(Source(path)) for path in paths]
    rng = np.random.default_rng(0)
    numbers = rng.integers(len(paths), size=n_windows)
    windows = [(int(number), int(rng.integers(lengths[number] - WINDOW))) for number in numbers]
    with temporary_folder() as folder:
        before = time.perf_counter()
        read = FORMATS[name](paths, folder)
        writing_s = time.perf_counter() - before
        size = folder_bytes(folder) / sum(lengths)
        check(read, paths, windows[0])
        forget(folder)
        cold_ms = timed(read, windows[: len(paths)])
        warm_ms = min(timed(read, windows) for _ in range(3))
    minutes = sum(lengths) / 2000 / 60
    print(f"{name:<22}{size:>12.1f}{cold_ms:>14.2f}{warm_ms:>14.2f}{writing_s / minutes:>18.2f}")


def check(read: Read, paths: Sequence[Path], window: tuple[int, int]) -> None:
    """The fastest reader of wrong samples is of no use."""
    number, start = window
    emg, angles = read(number, start, start + WINDOW)
    source = Source(paths[number])
    inside = slice(start, start + WINDOW)
    if not (np.array_equal(emg, source.emg[inside].T) and np.array_equal(angles, source.angles[:, inside])):
        raise SystemExit("the samples that were read are not those that were written")


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=os.environ.get("EMGPOSE_BENCHMARK_DISK")) as folder:
        yield Path(folder)


def measure_frames(paths: Sequence[Path]) -> None:
    """Packers and chunk lengths: bytes per sample, and time to unpack what a window touches."""
    from numcodecs import Blosc, blosc

    blosc.use_threads = False
    sources = [Source(path) for path in paths]
    print(f"{'packer':<28}{'chunk':>7}{'EMG i2':>9}{'angles':>9}{'delta':>9}{'time':>7}{'ms/window':>11}")
    for packer, level in (("lz4", 5), ("lz4hc", 5), ("zstd", 1), ("zstd", 5)):
        for shuffle, how in ((Blosc.BITSHUFFLE, "bit shuffle"), (Blosc.SHUFFLE, "byte shuffle")):
            for n in (2048, 4096, 8192):
                codec = Blosc(packer, level, shuffle)
                kinds = [[frames(codec, values, n) for values in planes(source)] for source in sources]
                n_samples = sum(len(source) for source in sources)
                sizes = [sum(len(frame) for kind in kinds for frame in kind[i]) / n_samples for i in range(4)]
                before = time.perf_counter()
                for kind in kinds:
                    for frame in (*kind[0], *kind[1]):
                        codec.decode(frame)
                per_sample_s = (time.perf_counter() - before) / n_samples
                # A window at a random place touches one chunk more than its length, on average.
                ms = 1e3 * per_sample_s * (WINDOW + n)
                text = "".join(f"{size:>9.1f}" for size in sizes[:3]) + f"{sizes[3]:>7.2f}{ms:>11.2f}"
                print(f"{f'{packer} {level}, {how}':<28}{n:>7}{text}")


def planes(source: Source) -> tuple[np.ndarray, ...]:
    bits = source.angles.view(np.int32)
    return source.counts, source.angles, np.diff(bits, axis=1, prepend=np.int32(0)), source.time_s[None]


def frames(codec: Any, values: np.ndarray, n: int) -> list[bytes]:
    return [codec.encode(np.ascontiguousarray(values[:, start : start + n])) for start in range(0, values.shape[1], n)]


def compare_float16(root: Path, name: str) -> None:
    """Print a model's test scores on the recordings, and on a store with EMG rounded to float16."""
    from emgpose.checkpoints import load_model
    from emgpose.evaluation import evaluate
    from emgpose.evaluation.summary import summarise

    model = load_model(Path(name))
    with temporary_folder() as folder:
        prepare_store(root, folder / "float16", float16=True)
        n_bytes = folder_bytes(folder / "float16")
        for label, data in (("as recorded", root), ("float16", folder / "float16")):
            summary = summarise(evaluate(model, data))
            shown = summary[summary["metric"].isin(["mae", "landmark_distance"])]
            print(f"\n{label}\n{shown.to_string(index=False, float_format='%.6f')}")
    print(f"\n{n_bytes / 1e6:.1f} MB with float16")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="data set of emg2pose HDF5 files")
    parser.add_argument("--recordings", type=int, default=32, help="how many of them")
    parser.add_argument("--windows", type=int, default=200)
    parser.add_argument("--formats", nargs="*", default=list(FORMATS), choices=list(FORMATS))
    parser.add_argument("--frames", action="store_true")
    parser.add_argument("--float16", metavar="MODEL")
    options = parser.parse_args(arguments)
    if options.float16:
        compare_float16(options.root, options.float16)
        return 0
    with temporary_folder() as folder:
        paths = few(options.root, options.recordings, folder)
        if options.frames:
            measure_frames(paths)
            return 0
        print(f"{len(paths)} recordings, {sum(len(Source(path)) for path in paths)} samples")
        print(f"{'':<22}{'bytes/sample':>12}{'cold [ms]':>14}{'warm [ms]':>14}{'write [s/min]':>18}")
        for name in options.formats:
            measure(name, paths, options.windows)
    return 0


def few(root: Path, n: int, folder: Path) -> list[Path]:
    """Link some recordings, evenly spread over the table, into a data set of their own."""
    table = read_metadata(root)
    chosen = table.iloc[np.unique(np.linspace(0, len(table) - 1, min(n, len(table))).astype(int))]
    chosen.to_csv(folder / "metadata.csv", index=False)
    paths = []
    for row in chosen.to_dict("records"):
        original = session_path(root, row)
        paths.append(folder / original.name)
        paths[-1].symlink_to(original.resolve())
    return paths


if __name__ == "__main__":
    sys.exit(main())
