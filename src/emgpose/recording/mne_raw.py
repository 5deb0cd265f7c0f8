"""EMG from MNE: a `Raw` object, or a file in a format that MNE reads (FIF, EDF, BDF, BrainVision, EEGLAB)."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError, EmgPoseError, MissingExtraError, SessionFormatError
from emgpose.recording.channels import distinct_names, select_channels
from emgpose.recording.facts import SessionFacts, checked_rate_hz

_EMG_NAME: Final = re.compile(r"(emg|ch)[ _-]?\d*", re.IGNORECASE)
_MICROVOLTS_PER_VOLT: Final = 1e6
_SCALARS: Final = ("highpass", "lowpass", "line_freq", "description", "experimenter")


class MneReader:
    """Reads the EMG channels of an MNE Raw, in microvolts.

    Parameters
    ----------
    raw : mne.io.BaseRaw
    channels : sequence of str or int, optional
        Channels by name or number among all channels of the Raw. By default those of type `emg`; where there are none,
        those called `emg...` or `ch...`.
    path : Path, optional
        Where the Raw was read from, for messages.

    Raises
    ------
    SessionFormatError : there are no EMG channels, or they are not in volts.
    ConfigError : a channel does not exist.
    """

    def __init__(self, raw: Any, channels: Sequence[str | int] | None = None, path: Path | None = None) -> None:
        self._raw = raw
        self._where = str(path) if path is not None else "MNE Raw"
        names = distinct_names(raw.ch_names)
        self._columns = select_channels(names, channels, self._where) if channels is not None else _emg_columns(raw)
        if not self._columns:
            raise SessionFormatError(
                f"{self._where}: expected channels of type emg, found none among {', '.join(names[:8])}...; "
                "choose channels by name, or set their type with raw.set_channel_types"
            )
        self._require_volts(names)
        name = path.stem if path is not None else "raw"
        start = raw.info.get("meas_date")
        self._facts = SessionFacts(
            format="MNE Raw",
            sample_rate_hz=checked_rate_hz(float(raw.info["sfreq"]), f"{self._where}: sampling frequency"),
            n_samples=int(raw.n_times),
            channel_names=tuple(names[column] for column in self._columns),
            has_joint_angles=False,
            session=name,
            emg_unit="uV",
            start_s=start.timestamp() + raw.first_time if start is not None else None,
            notes=(f"recorded between {raw.info['highpass']:g} and {raw.info['lowpass']:g} Hz, as its header says",),
            attributes={key: raw.info.get(key) for key in _SCALARS if raw.info.get(key) is not None},
        )

    @property
    def facts(self) -> SessionFacts:
        """What the recording is."""
        return self._facts

    def read(self, start: int, stop: int, fields: frozenset[str]) -> dict[str, NDArray[Any]]:
        """Read samples [start, stop) of `emg`.

        Raises
        ------
        SessionFormatError : the file behind the Raw is damaged or gone.
        """
        if "emg" not in fields:
            return {}
        if start == stop:
            return {"emg": np.empty((0, len(self._columns)), dtype=np.float32)}
        volts = call_mne(self._where, self._raw.get_data, picks=self._columns, start=start, stop=stop)
        if volts.shape != (len(self._columns), stop - start):
            raise SessionFormatError(
                f"{self._where}: samples {start} to {stop} are not there; the file was cut or replaced"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            return {"emg": np.ascontiguousarray((volts * _MICROVOLTS_PER_VOLT).T, dtype=np.float32)}

    def close(self) -> None:
        """Nothing to give back: the Raw belongs to the caller, and opens its file for each read."""

    def _require_volts(self, names: Sequence[str]) -> None:
        from mne._fiff.constants import FIFF

        for column in self._columns:
            unit = int(self._raw.info["chs"][column]["unit"])
            if unit != int(FIFF.FIFF_UNIT_V):
                raise SessionFormatError(f"{self._where}: channel {names[column]} is not in volts (FIFF unit {unit})")


def _emg_columns(raw: Any) -> list[int]:
    kinds = raw.get_channel_types()
    typed = [column for column, kind in enumerate(kinds) if kind == "emg"]
    return typed or [column for column, name in enumerate(raw.ch_names) if _EMG_NAME.match(name)]


def read_mne_file(path: Path, channels: Sequence[str | int] | None = None) -> MneReader:
    """Open a file with MNE, without loading its samples.

    Raises
    ------
    SessionFormatError : MNE cannot read it, or finds no EMG in it.
    MissingExtraError : the library mne is not installed.
    """
    try:
        import mne
    except ImportError as error:
        raise MissingExtraError(
            f'{path}: this format needs the library mne, which is not installed; run: pip install "emgpose[bids]"'
        ) from error
    raw = call_mne(str(path), mne.io.read_raw, path, preload=False, verbose="ERROR")
    return MneReader(raw, channels, path)


def call_mne(where: str, function: Any, *arguments: Any, **options: Any) -> Any:
    """Call MNE and turn whatever it raises on a damaged file into one clear error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*arguments, **options)
    except EmgPoseError:
        raise
    except Exception as error:  # MNE raises almost any type on a damaged file
        reason = " ".join(str(error).split())[:200].encode("ascii", "replace").decode() or type(error).__name__
        raise SessionFormatError(f"{where}: cannot be read by MNE: {reason}") from None


def is_mne_raw(source: object) -> bool:
    """Tell whether an object is an MNE Raw, without importing MNE for those that are not."""
    if not any(kind.__module__.startswith("mne.") for kind in type(source).__mro__):
        return False
    import mne

    if not isinstance(source, mne.io.BaseRaw):
        raise ConfigError(f"expected an MNE Raw, got {type(source).__name__}; take its raw recording")
    return True
