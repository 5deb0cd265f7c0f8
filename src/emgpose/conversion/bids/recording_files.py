"""Write one recording of a BIDS data set: the BDF file, its sidecar, its channels and its events."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.atomic import atomic_file, write_text_atomically
from emgpose.conversion.bids.bdf_scale import BdfScale, scale_for
from emgpose.conversion.bids.bdf_writer import BdfPlan, Span, record_blocks, seconds_text
from emgpose.conversion.bids.names import label_of
from emgpose.errors import DataError
from emgpose.hand import JOINTS, N_JOINTS
from emgpose.json_values import json_values
from emgpose.preprocessing import Bandpass, Preprocessing, missing_steps
from emgpose.recording import Session, SessionSlice
from emgpose.recording.bids.bad_ik import BAD_IK
from emgpose.recording.bids.names import SIDECAR_SUFFIX, TASK, sibling, stem_of

MICRORADIANS_PER_RADIAN: Final = 1e6
_BAND: Final = Bandpass()
# What whoever reads the data set takes for granted.
_FILTERS: Final = Preprocessing((_BAND,))
CHANNELS_SUFFIX: Final = "_channels.tsv"
EVENTS_SUFFIX: Final = "_events.tsv"


@dataclass
class _Survey:
    """What must be known of a recording before its header can be written."""

    emg_peak: NDArray[np.float64]
    angle_peak_rad: NDArray[np.float64]
    invalid: list[Span] = field(default_factory=list)

    def update(self, session: Session, piece: SessionSlice) -> None:
        bad = np.argwhere(~np.isfinite(piece.emg))
        if len(bad):
            sample, channel = bad[0]
            raise DataError(
                f"{session.name}: EMG channel {session.channel_names[channel]} is {piece.emg[sample, channel]} at "
                f"sample {piece.start + sample}, which BDF cannot hold; repair the recording or leave it out"
            )
        self.emg_peak = np.maximum(self.emg_peak, np.abs(piece.emg).max(axis=0))
        if not session.has_joint_angles:
            return
        # Whatever stands where there is no label must not coarsen the steps of the others.
        kept = piece.joint_angles if session.facts.missing_joints else piece.joint_angles[piece.valid]
        angles = np.nan_to_num(kept, nan=0.0, posinf=0.0, neginf=0.0)
        self.angle_peak_rad = np.maximum(self.angle_peak_rad, np.abs(angles).max(axis=0, initial=0.0))
        changes = np.flatnonzero(np.diff(~piece.valid, prepend=False, append=False)) + piece.start
        for start, stop in zip(changes[::2].tolist(), changes[1::2].tolist(), strict=True):
            if self.invalid and self.invalid[-1][1] == start:
                self.invalid[-1] = (self.invalid[-1][0], stop)
            else:
                self.invalid.append((start, stop))


def write_recording(session: Session, row: Mapping[str, str], target: Path, source_bytes: int | None) -> None:
    """Write a recording; its BDF comes last, so that where that stands, all of it does.

    Parameters
    ----------
    session : Session
        With EMG in noise floors.
    row : mapping
        Its row of the metadata table.
    target : Path
        The `_emg.bdf`.
    source_bytes : int or None
        Size of the file that the session was read from, by which another file of the same name is noticed.

    Raises
    ------
    DataError : the recording cannot be read to its end or cannot be held by the format, or the disk is full.
    """
    if not session.has_emg or session.emg_unit != "noise_floor":
        has = f"EMG in {session.emg_unit}" if session.has_emg else "joint angles only"
        raise DataError(
            f"{session.name}: the BIDS edition needs EMG in units of its noise floor, the recording has {has}; "
            "bring it there with emgpose.recording.prepare_session"
        )
    missing, _ = missing_steps(_FILTERS, session.preprocessing, session.sample_rate_hz)
    if missing:
        raise DataError(
            f"{session.name}: the BIDS edition holds EMG after {_FILTERS.describe()}, the recording has had "
            f"{session.preprocessing.describe()}; prepare it with emgpose.preprocessing.EMG2POSE_PREPROCESSING"
        )
    n_joints = N_JOINTS if session.has_joint_angles else 0
    survey = _Survey(np.zeros(session.n_channels), np.zeros(n_joints))
    for piece in session.chunks():
        survey.update(session, piece)
    labels = [*(f"emg{n}" for n in range(session.n_channels)), *(f"joint{n}" for n in range(n_joints))]
    peaks = [*survey.emg_peak, *(survey.angle_peak_rad * MICRORADIANS_PER_RADIAN)]
    scales = [scale_for(peak, f"{session.name}: {label}") for label, peak in zip(labels, peaks, strict=True)]
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(sibling(target, CHANNELS_SUFFIX), _channels_text(session, labels))
    write_text_atomically(sibling(target, EVENTS_SUFFIX), _events_text(survey.invalid, session.sample_rate_hz))
    sidecar = _sidecar(session, row, source_bytes, scales)
    write_text_atomically(sibling(target, SIDECAR_SUFFIX), json.dumps(sidecar, indent=2) + "\n")
    _write_bdf(session, row, target, labels, scales, survey.invalid)


def _write_bdf(
    session: Session,
    row: Mapping[str, str],
    target: Path,
    labels: list[str],
    scales: list[BdfScale],
    invalid: list[Span],
) -> None:
    prefiltering = f"HP:{_BAND.low_hz:g}Hz LP:{_BAND.high_hz:g}Hz"
    plan = BdfPlan(
        labels,
        scales,
        session.sample_rate_hz,
        session.n_samples,
        invalid,
        mark_text=BAD_IK,
        subject=label_of(row["user"]),
        prefiltering=[prefiltering if label.startswith("emg") else "" for label in labels],
        start_s=session.facts.start_s,
    )
    with atomic_file(target) as unfinished, unfinished.open("wb") as file:
        plan.write_header(file)
        for start, stop in record_blocks(plan, session.n_samples):
            digital = _digital(session.read(start, stop), scales, session.n_channels)
            plan.write_records(file, start // plan.record_samples, digital)


def _digital(piece: SessionSlice, scales: list[BdfScale], n_channels: int) -> NDArray[np.int32]:
    digital = np.empty((len(piece.valid), len(scales)), dtype=np.int32)
    for column, scale in enumerate(scales):
        if column < n_channels:
            digital[:, column] = scale.digital(piece.emg[:, column].astype(np.float64))
        else:
            angles = piece.joint_angles[:, column - n_channels].astype(np.float64)
            digital[:, column] = scale.digital(angles * MICRORADIANS_PER_RADIAN)
    if len(scales) > n_channels:
        _keep_labels(piece, digital[:, n_channels:])
    return digital


def _keep_labels(piece: SessionSlice, digital: NDArray[np.int32]) -> None:
    """Take care that a valid pose of less than half a step everywhere does not become zero, which means no label."""
    for row in np.flatnonzero(piece.valid & ~digital.any(axis=1)):
        joint = int(np.argmax(np.abs(piece.joint_angles[row])))
        digital[row, joint] = 1 if piece.joint_angles[row, joint] > 0 else -1


def _events_text(invalid: list[Span], rate_hz: float) -> str:
    rows = [
        f"{seconds_text(start / rate_hz)}\t{seconds_text((stop - start) / rate_hz)}\t{BAD_IK}\n"
        for start, stop in invalid
    ]
    return "".join(["onset\tduration\ttrial_type\n", *rows])


def _channels_text(session: Session, labels: list[str]) -> str:
    return "".join(_channel_lines(session, labels))


def _channel_lines(session: Session, labels: list[str]) -> Iterator[str]:
    yield "name\ttype\tunits\tdescription\tsampling_frequency\tlow_cutoff\thigh_cutoff\n"
    for label in labels:
        if label.startswith("emg"):
            what = f"EMG\tuV\tband channel {label[3:]}, one uV stands for the noise floor (SD)"
            yield f"{label}\t{what}\t{session.sample_rate_hz:g}\t{_BAND.low_hz:g}\t{_BAND.high_hz:g}\n"
        else:
            what = f"MISC\turad\tjoint angle {JOINTS[int(label[5:])]}, as microvolts in the BDF"
            yield f"{label}\t{what}\t{session.sample_rate_hz:g}\tn/a\tn/a\n"


def _sidecar(
    session: Session, row: Mapping[str, str], source_bytes: int | None, scales: list[BdfScale]
) -> dict[str, Any]:
    steps = [scale.step for scale in scales]
    n = session.n_channels
    values: dict[str, Any] = {
        "TaskName": TASK,
        "TaskDescription": f"Stage {row['stage']}",
        "Stage": row["stage"],
        "HandSide": row["side"],
        "SourceFile": f"{stem_of(row['filename'])}.hdf5",
        "ValidSamples": session.n_samples,
        "SamplingFrequency": _number(session.sample_rate_hz),
        "RecordingDuration": round(session.duration_s, 6),
        "RecordingType": "continuous",
        "EMGChannelCount": n,
        "MiscChannelCount": len(scales) - n,
        "EMGPlacementScheme": "Other",
        "EMGPlacementSchemeDescription": f"Band of {n} channels around the wrist",
        "EMGReference": "n/a",
        "PowerLineFrequency": "n/a",
        "HardwareFilters": "n/a",
        "SoftwareFilters": {"emgpose": {"steps": session.preprocessing.describe()}},
        "LargestStep": {"emg_noise_floor": max(steps[:n])},
    }
    if steps[n:]:
        values["LargestStep"]["joint_angles_rad"] = max(steps[n:]) / MICRORADIANS_PER_RADIAN
    if session.facts.start_s is not None:
        values["StartTime"] = session.facts.start_s
    if source_bytes is not None:
        values["SourceBytes"] = source_bytes
    return {**values, "SourceAttributes": json_values(session.facts.attributes)}


def _number(value: float) -> float | int:
    return int(value) if value.is_integer() else value


def remove_incomplete(target: Path) -> None:
    """Remove what stands beside a BDF that was never written, since a sidecar stands for a recording."""
    if not os.path.lexists(target):
        for suffix in (SIDECAR_SUFFIX, EVENTS_SUFFIX, CHANNELS_SUFFIX):
            sibling(target, suffix).unlink(missing_ok=True)


def is_written(target: Path) -> bool:
    """Tell whether a recording stands there complete, fetched or not."""
    return os.path.lexists(target) and sibling(target, SIDECAR_SUFFIX).exists()
