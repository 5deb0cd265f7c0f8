"""WFDB records (PhysioNet): a .hea header beside .dat signals. GRABMyo is the wrist EMG data set in this format."""

import math
import os
import warnings
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import EmgPoseError, MissingExtraError, SessionFormatError
from emgpose.recording.channels import distinct_names, select_channels
from emgpose.recording.facts import SessionFacts, checked_rate_hz
from emgpose.recording.file_version import file_version, require_same_version

_MICROVOLTS: Final = {"nV": 1e-3, "uV": 1.0, "µV": 1.0, "μV": 1.0, "mV": 1e3, "V": 1e6}
# Bytes a sample takes in the storage formats that can be read from any sample on.
_SAMPLE_BYTES: Final = {"16": 2, "24": 3, "32": 4, "61": 2, "80": 1, "160": 2, "212": 1.5, "310": 4 / 3, "311": 4 / 3}
_MAX_HEADER_BYTES: Final = 1 << 20
_MAX_SIGNALS: Final = 1024
# What the library fills in where a header says nothing, or 0, of a gain.
_DEFAULT_GAIN: Final = (200.0, "mV")
_BAND: Final = 16
# GRABMyo's wrist ring has 12 electrodes; every fourth of the forearm ring (16) fills it up to a 16-channel band.
_GRABMYO: Final = (*(f"W{number}" for number in range(1, 13)), "F1", "F5", "F9", "F13")
_GRABMYO_NOTE: Final = "16 of its channels stand for a band: W1-W12 (wrist), then F1, F5, F9, F13 (forearm)"


class WfdbReader:
    """Reads the EMG of one WFDB record, in microvolts.

    Samples that the record marks as missing are NaN.

    Parameters
    ----------
    path : Path
        The .hea or .dat file, or the record's name without an ending.
    channels : sequence of str or int, optional
        Channels by name or number. By default all, except for GRABMyo records: W1-W12, F1, F5, F9, F13.

    Raises
    ------
    SessionFormatError : header and data are damaged, do not belong together, or are stored in a way not read here.
    ConfigError : a channel does not exist.
    MissingExtraError : the library wfdb is not installed.

    Source: GRABMyo (Pradhan, He, Jiang 2022), whose layout the default channels follow.
    """

    def __init__(self, path: Path, channels: Sequence[str | int] | None = None) -> None:
        self._header_path = Path(path).with_suffix(".hea") if Path(path).suffix else Path(f"{path}.hea")
        self._record = os.path.abspath(self._header_path.with_suffix(""))  # noqa: PTH100 - resolve() would follow links
        header = self._read_header()
        self._files = [self._header_path, *(self._header_path.with_name(name) for name in set(header.file_name))]
        self._version = file_version(self._files)
        names = distinct_names(header.sig_name)
        notes: list[str] = []
        if channels is None and len(names) != _BAND and set(_GRABMYO) <= set(names):
            channels, notes = _GRABMYO, [_GRABMYO_NOTE]
        self._columns = select_channels(names, channels, str(self._header_path))
        self._microvolts = self._scales(header, notes)
        self._facts = SessionFacts(
            format="WFDB",
            sample_rate_hz=checked_rate_hz(header.fs, f"{self._header_path}: sampling frequency"),
            n_samples=header.sig_len,
            channel_names=tuple(names[column] for column in self._columns),
            has_joint_angles=False,
            session=self._header_path.stem,
            emg_unit="unknown" if self._microvolts is None else "uV",
            notes=(*notes, *self._notes_on_checksums(header)),
            attributes={"comments": tuple(header.comments or ())},
        )

    @property
    def facts(self) -> SessionFacts:
        """What the recording is."""
        return self._facts

    def read(self, start: int, stop: int, fields: frozenset[str]) -> dict[str, NDArray[Any]]:
        """Read samples [start, stop) of `emg`.

        Raises
        ------
        SessionFormatError : the data file is damaged, or was replaced since it was opened.
        """
        if "emg" not in fields:
            return {}
        if start == stop:
            return {"emg": np.empty((0, len(self._columns)), dtype=np.float32)}
        require_same_version(self._header_path, self._version, file_version(self._files))
        wanted = sorted(self._columns)
        record = self._call("rdrecord", self._record, sampfrom=start, sampto=stop, channels=wanted)
        physical = record.p_signal
        if physical is None or physical.shape != (stop - start, len(wanted)):
            raise SessionFormatError(
                f"{self._header_path}: samples {start} to {stop} are not there; the record was replaced"
            )
        scale = 1.0 if self._microvolts is None else np.asarray(self._microvolts)
        emg = physical[:, [wanted.index(column) for column in self._columns]] * scale
        return {"emg": emg.astype(np.float32)}

    def close(self) -> None:
        """Nothing stays open between reads."""

    def _call(self, function: str, *arguments: Any, **options: Any) -> Any:
        wfdb = _import_wfdb()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return getattr(wfdb, function)(*arguments, **options)
        except EmgPoseError:
            raise
        except Exception as error:  # wfdb raises almost any type on a damaged header
            reason = " ".join(str(error).split())[:200].encode("ascii", "replace").decode() or type(error).__name__
            raise SessionFormatError(f"{self._header_path}: cannot be read as a WFDB record: {reason}") from None

    def _read_header(self) -> Any:
        path = self._header_path
        if not path.is_file():
            raise SessionFormatError(f"{path}: no such file; a WFDB record needs its .hea header beside the .dat file")
        if path.stat().st_size > _MAX_HEADER_BYTES:
            raise SessionFormatError(
                f"{path}: expected a WFDB header of a few kilobytes, got {path.stat().st_size} bytes"
            )
        header = self._call("rdheader", self._record)
        if not hasattr(header, "sig_len") or getattr(header, "n_seg", None):
            raise SessionFormatError(
                f"{path}: expected a record of one segment, got a multi-segment one; join its segments"
            )
        n_signals = header.n_sig or 0
        fields = (header.file_name, header.fmt, header.sig_name, header.units, header.adc_gain, header.baseline)
        if not 1 <= n_signals <= _MAX_SIGNALS or any(field is None or len(field) != n_signals for field in fields):
            raise SessionFormatError(f"{path}: expected one line for each of its {n_signals} signals")
        if not header.sig_len or header.sig_len < 1:
            raise SessionFormatError(f"{path}: expected the number of samples in the first line, got {header.sig_len}")
        self._check_data_files(header)
        return header

    def _check_data_files(self, header: Any) -> None:
        """Header and data must agree on the length: a cut file, or a wrong header, gives wrong numbers."""
        signals_of = defaultdict(list)
        for number, name in enumerate(header.file_name):
            signals_of[name].append(number)
        for name, signals in signals_of.items():
            where = f"{self._header_path}: data file {name!a}"
            if not name or Path(name).name != name or "\\" in name:
                raise SessionFormatError(f"{where}: expected a file beside the header")
            formats = {header.fmt[number] for number in signals}
            if len(formats) != 1 or not formats <= set(_SAMPLE_BYTES):
                raise SessionFormatError(
                    f"{where}: expected one storage format among {', '.join(_SAMPLE_BYTES)}, "
                    f"got {', '.join(sorted(map(str, formats)))}"
                )
            if any((header.samps_per_frame[n] or 1) != 1 or header.skew[n] for n in signals):
                raise SessionFormatError(
                    f"{where}: signals of several rates or with skew are not read; resample them first"
                )
            path = self._header_path.with_name(name)
            size = path.stat().st_size if path.is_file() else 0
            frame_bytes = _SAMPLE_BYTES[formats.pop()] * len(signals)
            expected = math.ceil(frame_bytes * header.sig_len) + (header.byte_offset[signals[0]] or 0)
            if not expected <= size < expected + max(frame_bytes, 4):
                raise SessionFormatError(
                    f"{where}: expected {expected} bytes for {header.sig_len} samples of {len(signals)} signals, "
                    f"got {size}; the file is cut off, or the header belongs to another"
                )

    def _scales(self, header: Any, notes: list[str]) -> tuple[float, ...] | None:
        """Factor to microvolts of each chosen channel; None where the record does not say its unit."""
        for column in self._columns:
            gain = header.adc_gain[column]
            if gain is None or not math.isfinite(gain) or gain == 0 or header.baseline[column] is None:
                raise SessionFormatError(
                    f"{self._header_path}: gain of signal {header.sig_name[column]!a}: expected a number other than 0, "
                    f"got {gain}"
                )
        defaults = [header.sig_name[n] for n in self._columns if (header.adc_gain[n], header.units[n]) == _DEFAULT_GAIN]
        if defaults:
            named = ", ".join(ascii(name) for name in defaults[:4])
            notes.append(f"the WFDB default of 200 per mV stands for the gain of {named}; it may not be calibrated")
        units = [header.units[column] for column in self._columns]
        unknown = sorted({str(unit) for unit in units if unit not in _MICROVOLTS})
        if not unknown:
            return tuple(_MICROVOLTS[unit] for unit in units)
        if len(set(units)) > 1:
            raise SessionFormatError(
                f"{self._header_path}: channels in several units, of which {unknown[0]!a} is no voltage; "
                "choose channels"
            )
        notes.append(f"the unit {unknown[0]!a} is no voltage, so the EMG is in an unknown unit")
        return None

    def _notes_on_checksums(self, header: Any) -> tuple[str, ...]:
        """Compare the data with the header's 16-bit checksums, for the storage format that nearly all records have."""
        if set(header.fmt) != {"16"} or len(set(header.file_name)) != 1 or None in header.checksum:
            return ()
        sums = np.zeros(header.n_sig, dtype=np.int64)
        with self._header_path.with_name(header.file_name[0]).open("rb") as file:
            file.seek(header.byte_offset[0] or 0)
            for start in range(0, header.sig_len, 65_536):
                n_frames = min(65_536, header.sig_len - start)
                frames = np.frombuffer(file.read(2 * n_frames * header.n_sig), dtype="<i2")
                sums += frames.reshape(-1, header.n_sig).sum(axis=0, dtype=np.int64)
        wrong = [number for number in self._columns if (int(sums[number]) - int(header.checksum[number])) % 65_536]
        if not wrong:
            return ()
        named = ", ".join(ascii(header.sig_name[number]) for number in wrong[:4])
        return (f"the checksum of {len(wrong)} channels ({named}) does not fit their samples; the data may be damaged",)


def _import_wfdb() -> Any:
    try:
        with warnings.catch_warnings():
            # wfdb uses pandas in a way that newer pandas versions warn about.
            warnings.simplefilter("ignore")
            import wfdb
    except ImportError as error:
        raise MissingExtraError(
            'WFDB records need the library wfdb, which is not installed; run: pip install "emgpose[bids]"'
        ) from error
    return wfdb
