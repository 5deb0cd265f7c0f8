"""How the files of the BIDS edition are called, and where they lie in the data set."""

import re
from pathlib import Path
from typing import Final

TASK: Final = "emg2pose"
SUFFIX: Final = "_emg.bdf"
SIDECAR_SUFFIX: Final = "_emg.json"
METADATA_FILE: Final = "sourcedata/emg2pose_metadata.csv"
# Its rows whose recordings are there, where a download left others out; `sourcedata` may hold files of any name.
FETCHED_FILE: Final = "sourcedata/metadata.csv"
DESCRIPTION_FILE: Final = "dataset_description.json"
_RECORDING: Final = re.compile(rf"sub-[0-9a-zA-Z+]+_(.+_)?task-{TASK}_(.+_)?emg\.bdf")


def is_bids_recording(path: Path) -> bool:
    """Tell by its name whether a file is a recording of the BIDS edition, there or not."""
    return _RECORDING.fullmatch(path.name) is not None


def sibling(recording: Path, suffix: str) -> Path:
    """Name a file that belongs to a recording, such as `_events.tsv`."""
    return recording.with_name(recording.name.removesuffix(SUFFIX) + suffix)


def bids_root_of(path: Path) -> Path | None:
    """Find the data set that a recording lies in: the nearest folder above that describes one; None without any."""
    for folder in list(path.absolute().parents)[:5]:
        if (folder / DESCRIPTION_FILE).exists() or (folder / METADATA_FILE).exists():
            return folder
    return None


def bids_root(root: Path) -> Path | None:
    """Give the folder of a BIDS data set from that folder or its metadata table; None where it is no such data set."""
    root = Path(root)
    if root.is_file():
        is_table = "/".join(root.absolute().parts[-2:]) in (METADATA_FILE, FETCHED_FILE)
        return root.absolute().parents[1] if is_table else None
    return root if (root / METADATA_FILE).exists() or (root / DESCRIPTION_FILE).exists() else None


def stem_of(source_file: str) -> str:
    """Give the name by which a recording is known in the metadata table: no folder and no ending."""
    name = source_file.replace("\\", "/").rpartition("/")[2]
    return name.removesuffix(".hdf5").removesuffix(".h5")
