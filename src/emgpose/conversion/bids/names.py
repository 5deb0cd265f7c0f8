"""What recordings are called in a BIDS data set; who is in it already keeps the name."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from emgpose.recording.bids import recordings_in
from emgpose.recording.bids.names import SIDECAR_SUFFIX, SUFFIX, TASK, stem_of
from emgpose.recording.bids.sidecar import read_sidecar

_LONGEST_LABEL = 48


def label_of(text: str) -> str:
    """Turn any text into a BIDS label, letters and digits only; another text gives another label.

    Where something had to be left out, six digits of a checksum tell it from others.
    """
    label = re.sub(r"[^0-9a-zA-Z]", "", text)
    if label == text and 0 < len(label) <= _LONGEST_LABEL:
        return label
    return f"{label[:_LONGEST_LABEL]}x{hashlib.blake2b(text.encode(), digest_size=3).hexdigest()}"


def existing_names(root: Path) -> dict[str, str]:
    """Names of the recordings in a data set by the stem of their source file.

    Raises
    ------
    SessionFormatError : a sidecar cannot be read.
    """
    sidecars = ((name, root / (name.removesuffix(SUFFIX) + SIDECAR_SUFFIX)) for name in recordings_in(root))
    return {stem_of(read_sidecar(sidecar).source_file): name for name, sidecar in sidecars}


def plan_names(rows: Iterable[Mapping[str, str]], existing: Mapping[str, str]) -> dict[str, str]:
    """Name the recordings of metadata rows: the path of the BDF below the data set's folder, by stem.

    Runs are numbered by user, session and side in the order of the rows, past the numbers that are taken.
    """
    taken = set(existing.values())
    names: dict[str, str] = {}
    runs: dict[tuple[str, str, str], int] = {}
    for row in rows:
        stem = stem_of(row["filename"])
        if stem in existing:
            names[stem] = existing[stem]
            continue
        place = label_of(row["user"]), label_of(row["session"]), row["side"]
        while True:
            runs[place] = runs.get(place, 0) + 1
            name = _name(*place, runs[place])
            if name not in taken:
                break
        taken.add(name)
        names[stem] = name
    return names


def _name(subject: str, session: str, side: str, run: int) -> str:
    entities = f"sub-{subject}_ses-{session}_task-{TASK}_run-{run:02d}_recording-{side}"
    return f"sub-{subject}/ses-{session}/emg/{entities}{SUFFIX}"
