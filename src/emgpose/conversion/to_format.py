"""One recording as a file of the emg2pose format: 16 channels at 2 kHz, band-passed, noise floor of SD 1."""

import json
import math
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.conversion.settings import ConversionSettings
from emgpose.conversion.sources import Source, open_source
from emgpose.errors import ConfigError, DataError
from emgpose.preprocessing import EMG2POSE_PREPROCESSING, Preprocessing, Resample
from emgpose.recording.channel_map import ChannelMapReader
from emgpose.recording.emg2pose_layout import N_CHANNELS
from emgpose.recording.emg2pose_writer import Emg2PoseWriter
from emgpose.recording.facts import KNOWN_JOINTS, LOOK_AHEAD, SessionFacts
from emgpose.recording.ninapro import NinaproReader
from emgpose.recording.prepared import MIN_EMG_RATE_HZ, prepare_session
from emgpose.recording.prepared_reader import PreparedReader
from emgpose.recording.session import Session
from emgpose.timing import EMG_RATE_HZ
from emgpose.version import __version__

UNKNOWN: Final = "unknown"
# What tells a finished file from one made of other bytes.
SOURCE_BYTES, SOURCE_TIME = "source_bytes", "source_mtime_ns"
# Movements of Ninapro, one number per sample.
MOVEMENTS_GROUP: Final = "movements"
STORE_FILE: Final = "store.json"
NOTE_SEPARATOR: Final = " | "
_LONGEST_NOTE: Final = 2000
# HDF5 takes attributes of up to 64 KiB.
_LONGEST_OPTIONS: Final = 16_000
_KEPT_ATTRIBUTES: Final = (
    *("subject", "exercise", "acquisition", "lost_samples", "joint_angles_predicted_by"),
    KNOWN_JOINTS,
)


def source_version(path: Path) -> dict[str, int]:
    """Size and time of change of a file, as attributes.

    Raises
    ------
    DataError : it is gone.
    """
    # A recording of a store is no file of its own.
    stores = [folder / STORE_FILE for folder in path.parents if (folder / STORE_FILE).is_file()]
    try:
        status = (stores[0] if stores and not path.exists() else path).stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    return {SOURCE_BYTES: status.st_size, SOURCE_TIME: status.st_mtime_ns}


def write_in_format(source: Source, target: Path, settings: ConversionSettings) -> None:
    """Write a recording in the emg2pose format; the file appears whole or not at all.

    Joints without angles stay NaN and are named in the attribute `known_joints`; no sample of such a file is labelled.

    Parameters
    ----------
    source : Source
    target : Path
    settings : ConversionSettings

    Raises
    ------
    DataError : the recording cannot be read or is not what the format holds.
    ConfigError : an option does not suit it, or the side is not known.
    """
    version = source_version(source.path)
    with open_source(source, settings) as raw:
        side, user, stage = _who(raw, source, settings)
        session = _at_format_rate(_on_format_channels(raw, settings), settings)
        prepared = prepare_session(
            session, EMG2POSE_PREPROCESSING, noise_floor=settings.noise_floor, rest_span=settings.rest_span_s
        )
        with Emg2PoseWriter(
            target,
            sample_rate_hz=EMG_RATE_HZ,
            user=user,
            stage=stage,
            side=side,
            session=source.row.get("session") or raw.session,
            start_s=prepared.facts.start_s or 0.0,
            attributes={**_attributes(raw, prepared, settings), **version},
        ) as writer:
            for piece in prepared.chunks():
                if not raw.has_joint_angles:
                    writer.append(piece.emg)
                elif raw.facts.missing_joints:
                    writer.append(piece.emg, piece.joint_angles)
                else:
                    writer.append(piece.emg, piece.joint_angles, valid=piece.valid)
            movements = _movements(raw, prepared.n_samples)
            if movements:
                writer.add_group(MOVEMENTS_GROUP, movements)


def _on_format_channels(raw: Session, settings: ConversionSettings) -> Session:
    if not raw.has_emg:
        raise DataError(
            f"{raw.name}: expected EMG, the recording holds joint angles only; a file of Ninapro DB9 is joined to the "
            "EMG of DB2 or DB5 with --angles"
        )
    if settings.channel_map is not None:
        return Session(ChannelMapReader(raw.reader, settings.channel_map), raw.path)
    if raw.n_channels != N_CHANNELS:
        raise DataError(
            f"{raw.name}: has {raw.n_channels} EMG channels, the emg2pose format has {N_CHANNELS}; choose them "
            "(--channels), or say which one each of the 16 gets (--channel-map), such as 8to16"
        )
    return raw


def _at_format_rate(session: Session, settings: ConversionSettings) -> Session:
    rate_hz = session.sample_rate_hz
    if math.isclose(rate_hz, EMG_RATE_HZ, rel_tol=1e-9):
        return session
    where = f"{session.name}: sample rate {rate_hz:g} Hz, the emg2pose format has {EMG_RATE_HZ} Hz"
    if not settings.resample:
        raise DataError(f"{where}; allow resampling (--resample)")
    if rate_hz >= MIN_EMG_RATE_HZ:
        return session
    if not settings.low_rate:
        raise DataError(
            f"{where}; below {MIN_EMG_RATE_HZ:g} Hz the EMG has lost most of its band, and resampling does not bring "
            "it back: leave the recording out, or allow it all the same (--low-rate)"
        )
    return Session(PreparedReader(session, Preprocessing((Resample(float(EMG_RATE_HZ)),)), None), session.path)


def _who(raw: Session, source: Source, settings: ConversionSettings) -> tuple[str, str, str]:
    """Side, user and stage: what the recording says, else its metadata row, else what the user says."""
    found = {}
    for name in ("side", "user", "stage"):
        said, given = getattr(raw, name) or source.row.get(name), getattr(settings, name)
        if said and given and said != given:
            raise ConfigError(f"--{name} {given}: {raw.name} says {name} {said}; leave the option out")
        found[name] = said or given
    if found["side"] is None:
        raise ConfigError(f"{raw.name}: does not say which hand it is of, and the format must; give it (--side)")
    return str(found["side"]), str(found["user"] or UNKNOWN), str(found["stage"] or UNKNOWN)


def _attributes(raw: Session, prepared: Session, settings: ConversionSettings) -> dict[str, Any]:
    facts: SessionFacts = raw.facts
    options = json.dumps(settings.to_dict(), sort_keys=True)
    kept = {name: facts.attributes[name] for name in _KEPT_ATTRIBUTES if name in facts.attributes}
    return {
        **kept,
        **({"simulated": True} if facts.is_simulated else {}),
        "converted_from": raw.name,
        "converted_format": facts.format,
        "converted_by": f"emgpose {__version__}",
        "conversion": options if len(options) <= _LONGEST_OPTIONS else "see conversion.json",
        "preparation": prepared.preparation.describe() if prepared.preparation is not None else "",
        **_look_ahead(raw, prepared),
        "recorded_rate_hz": facts.sample_rate_hz,
        "recorded_channels": ",".join(facts.channel_names)[:_LONGEST_NOTE],
        "recorded_unit": facts.emg_unit,
        "notes": NOTE_SEPARATOR.join(facts.notes)[:_LONGEST_NOTE],
    }


def _look_ahead(raw: Session, prepared: Session) -> dict[str, str]:
    """State in what ways the file's EMG depends on recorded EMG after it, where it does."""
    before = raw.facts.attributes.get(LOOK_AHEAD)
    ways = [before] if isinstance(before, str) and before else []
    ways += prepared.preparation.look_ahead if prepared.preparation is not None else ()
    if prepared.preparation is not None and prepared.preparation.from_rate_hz != raw.sample_rate_hz:
        ways.append("resampling from a low rate looks ahead")
    return {LOOK_AHEAD: "; ".join(ways)} if ways else {}


def _movements(raw: Session, n_samples: int) -> dict[str, NDArray[np.int16]]:
    """Movement labels of Ninapro at the samples of the file: those of the nearest recorded sample."""
    if not isinstance(raw.reader, NinaproReader):
        return {}
    nearest = np.round(np.arange(n_samples) * (raw.sample_rate_hz / EMG_RATE_HZ)).astype(np.int64)
    nearest = np.minimum(nearest, raw.n_samples - 1)
    return {name: labels[nearest] for name, labels in raw.reader.movement_labels().items()}
