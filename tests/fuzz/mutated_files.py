"""Mutate good files and read them back; run as a program, in a process that a bad file may crash or hang.

    python mutated_files.py KIND FOLDER FIRST STOP

For each number in [FIRST, STOP) one mutated file is made (the number is its seed), read with the public functions, and
judged. One line a file: `begin N`, then `end N refused|same|reported|changed` or `end N FAULT ...`.
"""

import contextlib
import csv
import io
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from emgpose.errors import EmgPoseError
from emgpose.recording import open_session
from emgpose.recording.check import check_session
from emgpose.recording.metadata import read_metadata

N_SAMPLES = 2600


class FaultError(Exception):
    """A mutated file gave something that it must not."""


PRINTABLE = b"0123456789.-+eE,;:\"'[]{}()_ abcxyzNanInf\n\r\t"


def mutated(good: bytes, rng: np.random.Generator, structure: np.ndarray) -> bytes:
    """One to a few faults: flipped bits, other bytes, a span of zeros, repeated, swapped or removed, or a cut end.

    Half of the faults fall on the bytes numbered in `structure`: what is not mere data.
    """
    data = bytearray(good)
    for _ in range(int(rng.integers(1, 4))):
        kind = int(rng.integers(8))
        at = int(rng.choice(structure)) if rng.integers(2) else int(rng.integers(len(good)))
        at = min(at, len(data) - 1)
        length = int(min(2 ** rng.integers(0, 9), len(data) - at))
        if kind == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[at : at + length] = rng.bytes(length)
        elif kind == 2:
            data[at : at + length] = bytes(length)
        elif kind == 3:
            data[at:at] = data[at : at + length]
        elif kind == 4:
            del data[at : at + length]
        elif kind == 5:
            other = int(rng.integers(len(data)))
            data[at], data[other] = data[other], data[at]
        elif kind == 6:
            data[at] = PRINTABLE[int(rng.integers(len(PRINTABLE)))]
        else:
            del data[at:]
        if not data:
            break
    return bytes(data)


def good_hdf5() -> bytes:
    """A file laid out like the published ones: one contiguous compound dataset, attributes on the group."""
    rng = np.random.default_rng(0)
    rows = np.zeros(N_SAMPLES, dtype=[("time", "f8"), ("joint_angles", "f4", 20), ("emg", "f4", 16)])
    rows["time"] = 1.7e9 + np.arange(N_SAMPLES) / 2000
    rows["joint_angles"] = 0.5 + 0.3 * np.sin(np.arange(N_SAMPLES)[:, None] / 300 + np.arange(20))
    rows["emg"] = 10 * rng.standard_normal((N_SAMPLES, 16))
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        group = file.create_group("emg2pose")
        group.create_dataset("timeseries", data=rows)
        facts = {"session": "s", "side": "left", "stage": "st", "user": "u", "sample_rate": 2000.0, "num_channels": 16}
        group.attrs.update(facts | {"start": 1.7e9, "end": 1.7e9 + N_SAMPLES / 2000, "filename": "f"})
    return buffer.getvalue()


def raw_rows(good: bytes) -> tuple[int, int, np.dtype]:
    """First and last+1 byte of the rows, and their type."""
    with h5py.File(io.BytesIO(good)) as file:
        dataset = file["emg2pose/timeseries"]
        offset, dtype = dataset.id.get_offset(), dataset.dtype
    return offset, offset + N_SAMPLES * dtype.itemsize, dtype


def read_hdf5(path: Path, data: bytes) -> str:
    good = good_hdf5()
    offset, stop, dtype = raw_rows(good)
    with open_session(path) as session:
        piece = session.read()
        facts = (session.sample_rate_hz, session.n_samples)
    # What lies in the raw rows is data like any other; nothing else may change a number unseen.
    expected = np.frombuffer(data[offset:stop].ljust(stop - offset, b"\0"), dtype=dtype)
    same = (
        facts == (2000, N_SAMPLES)
        and np.array_equal(piece.emg, expected["emg"], equal_nan=True)
        and np.array_equal(piece.joint_angles[piece.valid], expected["joint_angles"][piece.valid], equal_nan=True)
    )
    if same and np.isfinite(piece.emg).all():
        return "same" if data[offset:stop] == good[offset:stop] else "changed"
    if check_session(path).findings:
        return "reported"
    raise FaultError(f"silently other numbers: {facts}, {np.abs(piece.emg).max()}")


def good_csv() -> bytes:
    rng = np.random.default_rng(1)
    lines = ["time_s," + ",".join(f"emg{channel}" for channel in range(16))]
    lines += [
        f"{sample / 2000:.4f}," + ",".join(f"{value:.5f}" for value in 10 * rng.standard_normal(16))
        for sample in range(400)
    ]
    return ("\n".join(lines) + "\n").encode()


def read_csv(path: Path, data: bytes) -> str:
    with open_session(path) as session:
        piece, names = session.read(), session.channel_names
    rows = list(csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True))
    rows = [row for row in rows if row]
    header = [name.strip() for name in rows[0]]
    for channel, name in enumerate(names):
        column = header.index(name)
        expected = np.array(
            [float(row[column]) if row[column].strip() else math.nan for row in rows[1:]], dtype=np.float32
        )
        if not np.array_equal(piece.emg[:, channel], expected, equal_nan=True):
            raise FaultError(f"column {name} is read otherwise than it stands there")
    return "same" if data == good_csv() else "changed"


def good_metadata() -> bytes:
    lines = ["filename,session,user,stage,side,moving_hand,held_out_user,held_out_stage,split,generalization,start,end"]
    for row in range(12):
        split = ("train", "val", "test")[row % 3]
        general = "" if split == "train" else "user"
        held = split != "train"
        lines.append(f"f{row},s{row},u{row % 3},st,left,both,{held},False,{split},{general},{row}.0,{row + 1}.0")
    return ("\n".join(lines) + "\n").encode()


def read_table(path: Path, data: bytes) -> str:
    table = read_metadata(path)
    rows = [row for row in csv.DictReader(io.StringIO(data.decode("utf-8"), newline="")) if any(row.values())]
    if len(rows) != len(table):
        raise FaultError(f"{len(table)} rows read, {len(rows)} stand there")
    for read, stands in zip(table["split"], (row["split"] for row in rows), strict=True):
        if str(read).strip() != str(stands).strip():
            raise FaultError(f"split {stands!r} read as {read!r}")
    return "same" if data == good_metadata() else "changed"


def model_file(name: str) -> bytes:
    import tempfile

    from emgpose.checkpoints import save_model
    from small_models import small_model

    with tempfile.TemporaryDirectory() as folder:
        save_model(small_model(), Path(folder) / "m")
        return (Path(folder) / "m" / name).read_bytes()


def read_model(path: Path, data: bytes) -> str:
    from emgpose.checkpoints import load_model

    model = load_model(path.parent)
    angles = model.predict(np.zeros((model.min_samples, 16), dtype=np.float32), mode=model.modes[0])
    if not np.isfinite(angles).all():
        raise FaultError("the model predicts NaN")
    return "changed"


def good_pose() -> bytes:
    return json.dumps([round(0.05 * joint, 3) for joint in range(20)]).encode()


def read_pose(path: Path, data: bytes) -> str:
    from emgpose.prediction.initial_pose import _read_pose

    angles = _read_pose(path)
    if not np.array_equal(angles, np.asarray(json.loads(data), dtype=np.float32)):
        raise FaultError("other angles than stand there")
    return "changed"


Kind = tuple[str, Callable[[], bytes], Callable[[Path, bytes], str]]
KINDS: dict[str, Kind] = {
    "hdf5": ("a.hdf5", good_hdf5, read_hdf5),
    "csv": ("a.csv", good_csv, read_csv),
    "metadata": ("metadata.csv", good_metadata, read_table),
    "config": ("config.json", lambda: model_file("config.json"), read_model),
    "weights": ("model.safetensors", lambda: model_file("model.safetensors"), read_model),
    "pose": ("pose.json", good_pose, read_pose),
}


def main(kind: str, folder: Path, first: int, stop: int) -> None:
    name, make_good, read = KINDS[kind]
    good = make_good()
    structure = np.arange(len(good))
    if kind == "hdf5":
        first_byte, last_byte, _ = raw_rows(good)
        structure = np.concatenate([structure[:first_byte], structure[last_byte:]])
    for other in ("config.json", "model.safetensors"):
        if kind in ("config", "weights"):
            (folder / other).write_bytes(model_file(other))
    for number in range(first, stop):
        print("begin", number, flush=True)
        # File 0 is the good one: it must be read, or the rest would prove nothing.
        data = mutated(good, np.random.default_rng([number, len(kind)]), structure) if number else good
        (folder / name).write_bytes(data)
        try:
            outcome = read(folder / name, data)
        except EmgPoseError as error:
            outcome = "refused" if str(error).strip() and number else f"FAULT {error or 'empty message'}"
            outcome = outcome.replace("\n", " ")
        except Exception as error:
            outcome = f"FAULT {type(error).__name__}: {error}".replace("\n", " ")
        print("end", number, outcome, flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    with contextlib.suppress(BrokenPipeError):
        main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
