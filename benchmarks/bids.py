"""The BIDS edition against HDF5: opening, windows, bytes, conversion, and the join of a full-size table.

    python benchmarks/bids.py [--recordings 8] [--rows 25253]

Recordings of one minute are made (noise with smoothly moving joint angles) and converted there and back; windows are
read through `Session.read` (EMG, joint angles and validity) from random places, the best of three passes each, and
once with MNE, which gives volts only. Files are in the page cache.
"""

import argparse
import csv
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import mne
import numpy as np

from emgpose.conversion.bids import convert_bids_to_hdf5, convert_to_bids
from emgpose.recording import open_session, read_metadata
from made_recordings import RATE_HZ, make_recordings

SECONDS = 60.0
WINDOWS = {"test window (11790)": 11_790, "one second (2000)": 2_000}
N_READS = 160


def best_s(action: Callable[[], object], passes: int = 3) -> float:
    times = []
    for _ in range(passes):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def read_windows(read: Callable[[int, int, int], object], n_recordings: int, window: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(N_READS):
        start = int(rng.integers(0, round(SECONDS * RATE_HZ) - window))
        read(number % n_recordings, start, start + window)


def measure_sessions(kind: str, paths: list[Path]) -> None:
    n = len(paths)
    print(f"{kind}: {sum(path.stat().st_size for path in paths) / (n * SECONDS * RATE_HZ):.1f} bytes a sample")
    print(f"{kind}: open {1e3 * best_s(lambda: [open_session(path) for path in paths]) / n:.2f} ms a recording")
    sessions = [open_session(path) for path in paths]
    for name, window in WINDOWS.items():
        taken_s = best_s(lambda: read_windows(lambda i, a, b: sessions[i].read(a, b), n, window)) / N_READS  # noqa: B023
        print(f"{kind}: {name}: {1e3 * taken_s:.2f} ms, {1 / taken_s:.0f} windows/s")


def measure_errors(hdf5: list[Path], bids: list[Path]) -> None:
    worst = {"emg": 0.0, "joint_angles": 0.0}
    steps = {"emg_noise_floor": 0.0, "joint_angles_rad": 0.0}
    by_session = {open_session(path).session: path for path in bids}
    for path in hdf5:
        before = open_session(path)
        target = by_session[before.session]
        after = open_session(target)
        a, b = before.read(), after.read()
        worst["emg"] = max(worst["emg"], float(np.abs(a.emg.astype("f8") - b.emg).max()))
        angles = np.abs(a.joint_angles.astype("f8") - b.joint_angles)[a.valid]
        worst["joint_angles"] = max(worst["joint_angles"], float(angles.max()))
        stated = json.loads(target.with_name(target.name.replace(".bdf", ".json")).read_text())["LargestStep"]
        steps = {key: max(steps[key], stated[key]) for key in steps}
    print(f"EMG: largest step {steps['emg_noise_floor']:.3g}, largest error {worst['emg']:.3g} noise floors")
    print(f"angles: largest step {steps['joint_angles_rad']:.3g}, largest error {worst['joint_angles']:.3g} rad")


def measure_mne(paths: list[Path]) -> None:
    def opened() -> list[mne.io.BaseRaw]:
        return [mne.io.read_raw_bdf(path, preload=False, verbose="ERROR") for path in paths]

    print(f"MNE: open {1e3 * best_s(opened) / len(paths):.2f} ms a recording")
    raws = opened()
    for name, window in WINDOWS.items():
        taken_s = best_s(lambda: read_windows(lambda i, a, b: raws[i].get_data(start=a, stop=b), len(raws), window))  # noqa: B023
        print(f"MNE: {name}: {1e3 * taken_s / N_READS:.2f} ms")


def measure_join(root: Path, sidecar: Path, n_rows: int) -> None:
    """Join a table with as many sidecars as the published data set has."""
    values, rows = json.loads(sidecar.read_text()), []
    (root / "sourcedata").mkdir(parents=True)
    for number in range(n_rows):
        user, session = f"u{number // 130:03d}", f"{number // 10}"
        folder = root / f"sub-{user}" / f"ses-{session}" / "emg"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"sub-{user}_ses-{session}_task-emg2pose_run-{number % 10:02d}_recording-left_emg.json"
        (folder / name).write_text(json.dumps({**values, "SourceFile": f"r{number}.hdf5"}))
        rows.append((f"r{number}", session, user, "FingerFreeform", "left", "train", ""))
    with (root / "sourcedata" / "emg2pose_metadata.csv").open("w", newline="") as file:
        header = ("filename", "session", "user", "stage", "side", "split", "generalization")
        csv.writer(file).writerows([header, *rows])
    print(f"metadata joined with {n_rows} sidecars: {best_s(lambda: read_metadata(root)):.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=int, default=8)
    parser.add_argument("--rows", type=int, default=25_253)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_recordings(root / "hdf5", users=options.recordings, recordings_each=1, seconds=SECONDS)
        minutes = options.recordings * SECONDS / 60
        there_s = best_s(lambda: convert_to_bids(root / "hdf5", root / "bids"), passes=1)
        back_s = best_s(lambda: convert_bids_to_hdf5(root / "bids", root / "back"), passes=1)
        print(f"HDF5 to BIDS: {there_s / minutes:.3f} s a minute of recording; back: {back_s / minutes:.3f} s")
        measure_sessions("HDF5", sorted((root / "hdf5").glob("*.hdf5")))
        bdfs = sorted((root / "bids").rglob("*_emg.bdf"))
        measure_sessions("BIDS", bdfs)
        measure_errors(sorted((root / "hdf5").glob("*.hdf5")), bdfs)
        measure_mne(bdfs)
        measure_join(root / "many", next((root / "bids").rglob("*_emg.json")), options.rows)


if __name__ == "__main__":
    main()
