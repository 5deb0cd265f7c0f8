"""Write BDF+ files record by record: memory does not grow with the length of a recording.

Source: EDF+ (Kemp and Olivan 2003) with the 24-bit samples of BioSemi's BDF.
"""

import datetime
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.conversion.bids.bdf_scale import BdfScale
from emgpose.recording.bids.bdf_file import ANNOTATIONS, SAMPLE_BYTES

Span = tuple[int, int]
_RECORDS_PER_BLOCK: Final = 10
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


def seconds_text(seconds: float) -> str:
    """Write seconds to the nanosecond, without the zeros behind."""
    return f"{seconds:.9f}".rstrip("0").rstrip(".")


class BdfPlan:
    """What the header of a BDF+ file says, and how its records are laid out.

    Parameters
    ----------
    labels : sequence of str
    scales : sequence of BdfScale
        One per label; everything is in uV.
    rate_hz : float
    n_samples : int
        Of the recording; the last record is filled with zeros.
    marks : sequence of (start, stop)
        Spans of samples to be annotated.
    mark_text : str
    subject : str
        Label of who was recorded.
    prefiltering : sequence of str
        One per label.
    start_s : float or None
        Unix time of the first sample [s]; whole seconds are kept.
    """

    def __init__(
        self,
        labels: Sequence[str],
        scales: Sequence[BdfScale],
        rate_hz: float,
        n_samples: int,
        marks: Sequence[Span],
        *,
        mark_text: str,
        subject: str,
        prefiltering: Sequence[str],
        start_s: float | None,
    ) -> None:
        self.labels, self.scales, self.prefiltering = tuple(labels), tuple(scales), tuple(prefiltering)
        # One second where the rate is whole; else the time that so many samples take, to the digits there are.
        self.record_samples = max(1, round(rate_hz))
        self._record_text = f"{self.record_samples / rate_hz:.6f}".rstrip("0").rstrip(".")
        self._rate_hz = rate_hz
        self.n_records = -(-n_samples // self.record_samples)
        self._annotations = self._annotation_records(marks, mark_text)
        self.record_bytes = len(labels) * self.record_samples * SAMPLE_BYTES + len(self._annotations[0])
        self._subject, self._start = subject, _start(start_s)

    @property
    def n_bytes(self) -> int:
        """Length of the whole file."""
        return 256 * (len(self.labels) + 2) + self.n_records * self.record_bytes

    def _annotation_records(self, marks: Sequence[Span], text: str) -> list[bytes]:
        entries = [
            f"+{seconds_text(record * self.record_samples / self._rate_hz)}\x14\x14\0"
            for record in range(self.n_records)
        ]
        for start, stop in marks:
            onset, duration = (seconds_text(samples / self._rate_hz) for samples in (start, stop - start))
            entries[start // self.record_samples] += f"+{onset}\x15{duration}\x14{text}\x14\0"
        longest = max(map(len, entries))
        width = -(-longest // SAMPLE_BYTES) * SAMPLE_BYTES
        return [entry.encode("ascii").ljust(width, b"\0") for entry in entries]

    def write_header(self, file: BinaryIO) -> None:
        """Write what stands before the records."""
        date, startdate = self._start
        n_signals = len(self.labels) + 1
        general = (
            ("", 0),
            (f"{self._subject} X X X", 80),
            (f"Startdate {startdate} X X X", 80),
            (f"{date:%d.%m.%y}", 8),
            (f"{date:%H.%M.%S}", 8),
            (str(256 * (n_signals + 1)), 8),
            ("BDF+C", 44),
            (str(self.n_records), 8),
            (self._record_text, 8),
            (str(n_signals), 4),
        )
        file.write(b"\xffBIOSEMI" + b"".join(_field(text, width) for text, width in general))
        whole = np.iinfo(np.int32).max >> 8
        columns: tuple[tuple[list[str], int], ...] = (
            ([*self.labels, ANNOTATIONS], 16),
            ([""] * n_signals, 80),
            (["uV"] * len(self.labels) + [""], 8),
            ([*(f"-{scale.physical_text}" for scale in self.scales), "-1"], 8),
            ([*(scale.physical_text for scale in self.scales), "1"], 8),
            ([*(str(-scale.digital_max) for scale in self.scales), str(-whole - 1)], 8),
            ([*(str(scale.digital_max) for scale in self.scales), str(whole)], 8),
            ([*self.prefiltering, ""], 80),
            ([str(self.record_samples)] * len(self.labels) + [str(len(self._annotations[0]) // SAMPLE_BYTES)], 8),
            ([""] * n_signals, 32),
        )
        for texts, width in columns:
            file.write(b"".join(_field(text, width) for text in texts))

    def write_records(self, file: BinaryIO, first: int, digital: NDArray[np.int32]) -> None:
        """Write records from number `first` on.

        Parameters
        ----------
        digital : array, shape (time, channel)
            Whole records, but the last of the file may be short.
        """
        n_records = -(-len(digital) // self.record_samples)
        filled = np.zeros((n_records * self.record_samples, len(self.labels)), dtype="<i4")
        filled[: len(digital)] = digital
        by_record = filled.reshape(n_records, self.record_samples, -1).transpose(0, 2, 1)
        content = np.ascontiguousarray(by_record).view(np.uint8).reshape(-1, 4)[:, :SAMPLE_BYTES].tobytes()
        size = len(content) // n_records
        for number in range(n_records):
            file.write(content[number * size : (number + 1) * size])
            file.write(self._annotations[first + number])


def _field(text: str, width: int) -> bytes:
    return text.encode("ascii", "replace")[:width].ljust(width)


def _start(start_s: float | None) -> tuple[datetime.datetime, str]:
    """Give date and time of a header, and the date of EDF+ (X where it is not known); years have two digits there."""
    try:
        date = datetime.datetime.fromtimestamp(start_s if start_s is not None else -1.0, datetime.UTC)
    except (OverflowError, OSError, ValueError):
        date = datetime.datetime.min
    if not 1985 <= date.year < 2085:
        return datetime.datetime(1985, 1, 1, tzinfo=datetime.UTC), "X"
    return date, f"{date.day:02d}-{_MONTHS[date.month - 1]}-{date.year}"


def record_blocks(plan: BdfPlan, n_samples: int) -> Iterator[Span]:
    """Divide a recording into samples [start, stop) of whole records."""
    length = _RECORDS_PER_BLOCK * plan.record_samples
    return ((start, min(start + length, n_samples)) for start in range(0, n_samples, length))
