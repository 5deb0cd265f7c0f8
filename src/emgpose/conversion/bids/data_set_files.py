"""What a BIDS data set says about itself as a whole: description, participants, scans, and the words of its tables."""

import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from emgpose.conversion.bids.metadata_table import write_if_changed
from emgpose.conversion.bids.names import label_of
from emgpose.errors import DataError
from emgpose.recording.bids.bad_ik import BAD_IK
from emgpose.recording.bids.names import DESCRIPTION_FILE, SIDECAR_SUFFIX, TASK, sibling
from emgpose.recording.bids.sidecar import read_sidecar
from emgpose.version import __version__

BIDS_VERSION: Final = "1.11.1"
_EVENTS: Final = {
    "trial_type": {
        "Description": "What is marked.",
        "Levels": {BAD_IK: "Joint angles are not usable: the inverse kinematics of the motion capture failed."},
    }
}
_PARTICIPANTS: Final = {"user": {"Description": "The user as the metadata table in sourcedata calls them."}}
_README: Final = """# {name}

EMG of a wrist band and joint angles of the hand, in the layout of the BIDS edition of emg2pose.

- Channels emg0, emg1, ... are in units of their noise floor: one microvolt of the BDF stands for its SD.
- Channels joint0 to joint19 are joint angles: one microvolt of the BDF stands for a microradian.
- BAD_IK marks, in the events and in the BDF, samples whose joint angles are not usable.
- ValidSamples in _emg.json is the length of the recording; zeros fill the last record of the BDF.
- sourcedata/emg2pose_metadata.csv has user, stage, side and split of each recording, by the stem of its SourceFile.
"""


def describe_folder(root: Path, name: str, license_name: str | None) -> None:
    """Write down what the folder, which exists, will hold, or see that it holds the same.

    Raises
    ------
    DataError : it holds something else, or cannot be used.
    """
    description: dict[str, Any] = {
        "Name": name,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "raw",
        **({"License": license_name} if license_name is not None else {}),
        "GeneratedBy": [{"Name": "emgpose", "Version": __version__}],
    }
    path = root / DESCRIPTION_FILE
    try:
        entries = [entry.name for entry in root.iterdir() if not entry.name.startswith(".")]
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    except (OSError, ValueError) as error:
        raise DataError(f"{root}: cannot be used as a folder: {error}; choose another") from None
    if before is None and entries:
        raise DataError(f"{root}: expected an empty folder or a data set that emgpose wrote; choose another folder")
    if before is not None:
        _require_same(path, before, description)
        return
    write_if_changed(path, json.dumps(description, indent=2) + "\n")


def _require_same(path: Path, before: Any, wanted: Mapping[str, Any]) -> None:
    makers = before.get("GeneratedBy") if isinstance(before, dict) else None
    if not isinstance(makers, list) or not any(isinstance(m, dict) and m.get("Name") == "emgpose" for m in makers):
        raise DataError(f"{path}: expected a data set that emgpose wrote, to which to add; choose another folder")
    for key in ("Name", "License"):
        if before.get(key) != wanted.get(key):
            raise DataError(
                f"{path}: {key} is {before.get(key)!a} there, got {wanted.get(key)!a}; give the same, or another folder"
            )


def write_data_set_files(root: Path, name: str, rows: Sequence[Mapping[str, str]], recordings: Iterable[str]) -> None:
    """Write what follows from the rows of the metadata table and the recordings that are there."""
    users = {f"sub-{label_of(row['user'])}": row["user"] for row in rows}
    lines = "".join(f"{label}\t{user}\n" for label, user in sorted(users.items()))
    write_if_changed(root / "participants.tsv", f"participant_id\tuser\n{lines}")
    write_if_changed(root / "participants.json", _json(_PARTICIPANTS))
    write_if_changed(root / f"task-{TASK}_events.json", _json(_EVENTS))
    write_if_changed(root / "README.md", _README.format(name=name))
    _write_scans(root, recordings)


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=2) + "\n"


def _write_scans(root: Path, recordings: Iterable[str]) -> None:
    """Write the table of every session: its recordings and when they were made."""
    sessions: dict[Path, list[str]] = {}
    for name in sorted(recordings):
        recording = root / name
        start_s = read_sidecar(sibling(recording, SIDECAR_SUFFIX)).start_s
        sessions.setdefault(recording.parent.parent, []).append(f"emg/{recording.name}\t{_date(start_s)}\n")
    for folder, lines in sessions.items():
        path = folder / f"{folder.parent.name}_{folder.name}_scans.tsv"
        write_if_changed(path, "filename\tacq_time\n" + "".join(lines))


def _date(start_s: float | None) -> str:
    try:
        date = datetime.datetime.fromtimestamp(start_s if start_s is not None else float("nan"), datetime.UTC)
    except (OverflowError, OSError, ValueError):
        return "n/a"
    return f"{date:%Y-%m-%dT%H:%M:%S.%f}Z"
