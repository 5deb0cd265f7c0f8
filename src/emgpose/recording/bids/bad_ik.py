"""Where a recording of the BIDS edition has no usable label: `BAD_IK` in `_events.tsv` and in the BDF's annotations.

The inverse kinematics of the motion capture failed there.
"""

import csv
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import SessionFormatError
from emgpose.recording.annex import require_fetched
from emgpose.recording.bids.bdf_file import ANNOTATIONS, BdfFile

BAD_IK: Final = "BAD_IK"
_MAX_BYTES: Final = 1 << 28
# One entry of EDF+ annotations, which a zero ends: onset [s], duration [s], texts.
_ENTRY: Final = re.compile(rb"([+-]\d{1,9}(?:\.\d*)?)(?:\x15(\d{1,9}(?:\.\d*)?))?\x14(.*)\x14", re.DOTALL)

Spans = NDArray[np.int64]


def bad_spans(bdf: BdfFile, events: Path, rate_hz: float) -> Spans:
    """Find the spans of samples that are marked as having no usable label.

    Parameters
    ----------
    bdf : BdfFile
        Its annotations, where it has any.
    events : Path
        The `_events.tsv`; where there is none, the annotations decide.
    rate_hz : float

    Returns
    -------
    array, shape (span, 2), int64. Half-open, in order, apart from each other.

    Raises
    ------
    SessionFormatError : the table or the annotations cannot be read.
    """
    marks = [*_marks_in_annotations(bdf), *_marks_in_table(events)]
    spans = (
        (start, max(start + 1, round((onset_s + duration_s) * rate_hz)))
        for onset_s, duration_s in marks
        for start in [round(onset_s * rate_hz)]
    )
    merged: list[list[int]] = []
    # What ended before the recording began marks nothing of it.
    for start, stop in sorted((max(0, start), stop) for start, stop in spans if stop > 0):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], stop)
        else:
            merged.append([start, stop])
    return np.array(merged, dtype=np.int64).reshape(-1, 2)


def outside_spans(spans: Spans, start: int, stop: int) -> NDArray[np.bool_]:
    """Tell which of the samples [start, stop) lie in none of the spans; (time,)."""
    outside = np.ones(stop - start, dtype=np.bool_)
    first = int(np.searchsorted(spans[:, 1], start, side="right"))
    last = int(np.searchsorted(spans[:, 0], stop, side="left"))
    for begin, end in spans[first:last]:
        outside[max(0, begin - start) : end - start] = False
    return outside


def _marks_in_table(path: Path) -> Iterator[tuple[float, float]]:
    """Onset and duration [s] of every row that has BAD_IK in one of its cells."""
    require_fetched(path)
    if not path.exists():
        return
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise SessionFormatError(f"{path}: expected a table of events, got {path.stat().st_size} bytes")
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            # Some programs put every text in quotes.
            rows = [[cell.strip(' "') for cell in row] for row in lines]
    except (OSError, ValueError, csv.Error) as error:
        reason = " ".join(str(error).split())[:200].encode("ascii", "replace").decode()
        raise SessionFormatError(f"{path}: cannot be read as a table: {reason}; fetch it again") from None
    header = rows[0] if rows else []
    if "onset" not in header or "duration" not in header:
        raise SessionFormatError(
            f"{path}: expected the columns onset and duration, got {ascii(header)[:80]}; fetch it again"
        )
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        if len(row) != len(header):
            raise SessionFormatError(
                f"{path}: row {number}: expected {len(header)} cells, got {len(row)}; the file may be cut off there"
            )
        if any(cell.startswith(BAD_IK) for cell in row):
            named = dict(zip(header, row, strict=True))
            yield tuple(_seconds(path, number, key, named[key]) for key in ("onset", "duration"))  # type: ignore[misc]


def _seconds(path: Path, row: int, key: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    # Longer than a year is no onset; a negative duration would mark nothing, silently.
    if not (abs(seconds) < 3.2e7 and (key == "onset" or seconds >= 0)):
        raise SessionFormatError(f"{path}: row {row}, column {key}: expected seconds, got {text[:40]!a}")
    return seconds


def _marks_in_annotations(bdf: BdfFile) -> Iterator[tuple[float, float]]:
    """Onset and duration [s] of the BDF's own annotations BAD_IK."""
    signals = [signal for signal in bdf.header.signals if signal.label == ANNOTATIONS]
    first_s: float | None = None
    for signal in signals:
        for record in range(bdf.header.n_records):
            content = bdf.record_bytes(record, signal)
            entries = [_ENTRY.fullmatch(entry) for entry in content.split(b"\0") if entry]
            # The first signal of annotations says first in each record when that begins.
            if None in entries or (signal is signals[0] and (not entries or content.startswith(b"\0"))):
                raise SessionFormatError(
                    f"{bdf.path}: its annotations cannot be read in record {record}; the file is damaged: fetch it "
                    "again"
                )
            for entry in filter(None, entries):
                onset_s = float(entry[1])
                first_s = onset_s if first_s is None else first_s
                if any(text.startswith(BAD_IK.encode()) for text in entry[3].split(b"\x14")):
                    yield onset_s - first_s, float(entry[2] or 0)
