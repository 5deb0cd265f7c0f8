"""Made data sets in tar archives, small enough to serve thousands of times."""

import csv
import io
import random
import tarfile
from pathlib import Path

import h5py

STAGES = ("Fist", "Pinch", "Wave", "Point")
ARCHIVE = "emg2pose_dataset.tar"
TABLE = "emg2pose_metadata.csv"
COLUMNS = ("filename", "session", "user", "stage", "side", "moving_hand", "split", "generalization", "start", "end")


def made_hdf5(seed: int, n_bytes: int = 500) -> bytes:
    """A small HDF5 file with random bytes in it."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["emg2pose/made"] = list(random.Random(seed).randbytes(n_bytes))
    return content.getvalue()


def made_rows(n_users: int = 6) -> list[dict[str, str]]:
    """One recording a user, stage and side: users in threes of train, val and test; the last stage is held out."""
    rows = []
    for number in range(n_users):
        for stage in STAGES:
            for side in ("left", "right"):
                kind = ("train", "val", "test")[number % 3]
                is_held_out = stage == STAGES[-1]
                split = "test" if kind == "train" and is_held_out else kind
                condition = {"train": "", "val": "user", "test": "user"}[kind]
                condition = {"": "stage", "user": "user_stage"}[condition] if is_held_out else condition
                name = f"2022-12-06-u{number}-{stage}-recording-1_{side}"
                values = (name, name[:-6], f"u{number}", stage, side, "both", split, condition, "1.25", "2.5")
                rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def made_table(rows: list[dict[str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def made_tar(members: dict[str, bytes], mode: str = "w", tar_format: int = tarfile.GNU_FORMAT) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode, format=tar_format) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return content.getvalue()


def add_full(server, rows: list[dict[str, str]] | None = None, etag: str = '"one"') -> dict[str, bytes]:
    """Put a full archive and its table onto a server; gives its recordings by file name."""
    rows = made_rows() if rows is None else rows
    files = {f"{row['filename']}.hdf5": made_hdf5(number, 300 + 97 * number) for number, row in enumerate(rows)}
    server.add(TABLE, made_table(rows), etag)
    server.add(ARCHIVE, made_tar({f"emg2pose_dataset/{name}": data for name, data in files.items()}), etag)
    return files


def tree(folder: Path) -> dict[str, bytes]:
    """What a user finds in a folder: every file but emgpose's own notes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".emgpose-download" not in path.parts
    }
