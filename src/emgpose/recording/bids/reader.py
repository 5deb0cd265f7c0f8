"""A recording of the BIDS edition of emg2pose: a BDF file with EMG and joint angles, and what stands beside it.

The BDF calls everything microvolts. EMG is in noise floors, one microvolt each; joint angles are in microradians, so
that a program which converts to volts shows radians.

Source: emg2pose data set (Salter et al. 2024), BIDS edition NEMAR nm000281; BIDS (Gorgolewski et al. 2016).
"""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import SessionFormatError
from emgpose.hand import JOINTS, N_JOINTS
from emgpose.preprocessing import EMG2POSE_PREPROCESSING
from emgpose.recording.bids.bad_ik import Spans, bad_spans, outside_spans
from emgpose.recording.bids.bdf_file import BdfFile
from emgpose.recording.bids.metadata_rows import metadata_row
from emgpose.recording.bids.names import SIDECAR_SUFFIX, bids_root_of, sibling, stem_of
from emgpose.recording.bids.sidecar import Sidecar, read_sidecar
from emgpose.recording.channels import select_channels
from emgpose.recording.facts import SessionFacts, checked_rate_hz, note_on_missing_joints

RADIANS_PER_MICRORADIAN: Final = 1e-6
_MICROVOLTS: Final = ("uV", "µV", "\N{GREEK SMALL LETTER MU}V")
_EMG_LABEL: Final = re.compile(r"emg(\d+)")
_JOINT_LABEL: Final = re.compile(r"joint(\d+)")
# A step of 24 bits is rounded to zero up to half of it; the rest is for the rounding of the gain.
_HALF_STEP: Final = 0.5 * (1 + 1e-6)


class BidsReader:
    """Reads one recording of the BIDS edition.

    EMG comes on the scale of the HDF5 edition (noise floor 1), angles in radians. A label is invalid where `BAD_IK`
    marks it, and where all angles are within half a step of zero. Nothing of the padding behind the last sample that
    the sidecar counts is read. User and session come from the metadata table of the data set, where it has the file.

    Parameters
    ----------
    path : Path
        The `_emg.bdf`; `_emg.json` must lie beside it.
    channels : sequence of str or int, optional
        EMG channels by name (`emg0` ...) or number; all by default.

    Raises
    ------
    SessionFormatError : a file is missing, was not fetched, is damaged, or contradicts another.
    ConfigError : a channel does not exist.
    """

    def __init__(self, path: Path, channels: Sequence[str | int] | None = None) -> None:
        self._path = Path(path)
        self._bdf = BdfFile(self._path)
        sidecar = read_sidecar(sibling(self._path, SIDECAR_SUFFIX))
        emg, self._joints = self._numbered(_EMG_LABEL), self._numbered(_JOINT_LABEL)
        if len(self._joints) not in (0, N_JOINTS):
            raise SessionFormatError(
                f"{self._path}: expected the channels joint0 to joint{N_JOINTS - 1}, or none of them, got "
                f"{len(self._joints)}"
            )
        rate_hz = self._rate_hz([*emg, *self._joints], sidecar)
        n_stored = self._require_length([*emg, *self._joints], sidecar)
        names = [f"emg{number}" for number in range(len(emg))]
        columns = select_channels(names, channels, str(self._path)) if emg else []
        self._emg = [emg[column] for column in columns]
        self._bad_spans: Spans | None = None
        self._half_step_rad = self._half_step()
        self._facts = self._read_facts(sidecar, rate_hz, tuple(names[column] for column in columns))
        self._missing = [JOINTS.index(joint) for joint in self._facts.missing_joints]
        notes = (
            *self._facts.notes,
            *note_on_missing_joints(self._facts.missing_joints),
            *self._notes_on_padding(sidecar.valid_samples, n_stored),
        )
        self._facts = dataclasses.replace(self._facts, notes=notes)
        self.close()

    @property
    def facts(self) -> SessionFacts:
        """What the recording is."""
        return self._facts

    def read(self, start: int, stop: int, fields: frozenset[str]) -> dict[str, NDArray[Any]]:
        """Read samples [start, stop) of `emg`, `joint_angles` or `valid`.

        Raises
        ------
        SessionFormatError : a file is damaged there, or was replaced since it was opened.
        """
        values: dict[str, NDArray[Any]] = {}
        if "emg" in fields and self._emg:
            values["emg"] = self._bdf.read(start, stop, self._emg)
        if self._joints and fields & {"joint_angles", "valid"}:
            angles = self._bdf.read(start, stop, self._joints, RADIANS_PER_MICRORADIAN)
            if "joint_angles" in fields:
                angles[:, self._missing] = np.nan
                values["joint_angles"] = angles
            if "valid" in fields:
                # Zero stands for no label, and may have been rounded to the nearest step.
                posed = (np.abs(angles) > self._half_step_rad).any(axis=1)
                values["valid"] = posed & outside_spans(self._spans(), start, stop)
        return values

    def close(self) -> None:
        """Close the file."""
        self._bdf.close()

    def _spans(self) -> Spans:
        if self._bad_spans is None:
            self._bad_spans = bad_spans(self._bdf, sibling(self._path, "_events.tsv"), self._facts.sample_rate_hz)
        return self._bad_spans

    def _numbered(self, label: re.Pattern[str]) -> list[int]:
        """Find the signals `emg0`, `emg1` ... wherever they stand; give their places in the order of their numbers."""
        places: dict[int, int] = {}
        for place, signal in enumerate(self._bdf.header.signals):
            match = label.fullmatch(signal.label)
            if match is None:
                continue
            if signal.unit not in _MICROVOLTS:
                raise SessionFormatError(
                    f"{self._path}: channel {signal.label}: expected the unit uV (joint angles too, as rad x 1e6), "
                    f"got {signal.unit!a}; correct the header, or write the file again"
                )
            if int(match[1]) in places:
                raise SessionFormatError(f"{self._path}: expected distinct channels, {signal.label} stands there twice")
            places[int(match[1])] = place
        missing = sorted(set(range(len(places))) - set(places))
        if missing:
            name = label.pattern.removesuffix(r"(\d+)")
            raise SessionFormatError(f"{self._path}: channel {name}{missing[0]} is missing; fetch the file again")
        return [places[number] for number in range(len(places))]

    def _rate_hz(self, places: Sequence[int], sidecar: Sidecar) -> float:
        header = self._bdf.header
        if not places:
            found = ", ".join(ascii(signal.label) for signal in header.signals[:8])
            raise SessionFormatError(f"{self._path}: expected channels emg0 ... and joint0 ..., found {found}")
        lengths = {header.signals[place].samples_per_record for place in places}
        if len(lengths) > 1:
            raise SessionFormatError(
                f"{self._path}: expected one rate for all channels, got {len(lengths)}: "
                f"{', '.join(map(str, sorted(lengths)))} samples per record"
            )
        rate_hz = checked_rate_hz(lengths.pop() / header.record_s, f"{self._path}: header: sample rate")
        stated_hz = sidecar.sample_rate_hz
        if stated_hz is not None and abs(stated_hz - rate_hz) > 1e-6 * rate_hz:
            raise SessionFormatError(
                f"{sibling(self._path, SIDECAR_SUFFIX)}: SamplingFrequency is {stated_hz:g} Hz, the BDF has "
                f"{rate_hz:g} Hz; correct whichever is wrong"
            )
        # A record's length has eight digits, so only the sidecar can say a rate that is no fraction of it.
        return rate_hz if stated_hz is None else checked_rate_hz(stated_hz, f"{self._path}: SamplingFrequency")

    def _require_length(self, places: Sequence[int], sidecar: Sidecar) -> int:
        header = self._bdf.header
        n_stored = header.n_records * header.signals[places[0]].samples_per_record
        if sidecar.valid_samples > n_stored:
            raise SessionFormatError(
                f"{sibling(self._path, SIDECAR_SUFFIX)}: ValidSamples: expected at most {n_stored}, as the BDF has, "
                f"got {sidecar.valid_samples}; one of the two files is of another recording: fetch both again"
            )
        return n_stored

    def _half_step(self) -> NDArray[np.float32]:
        gains = np.array([self._bdf.header.signals[place].gain for place in self._joints])
        return (np.abs(gains) * (_HALF_STEP * RADIANS_PER_MICRORADIAN)).astype(np.float32)

    def _read_facts(self, sidecar: Sidecar, rate_hz: float, channel_names: tuple[str, ...]) -> SessionFacts:
        stem = stem_of(sidecar.source_file)
        root = bids_root_of(self._path)
        row = metadata_row(root, stem) if root is not None else None
        subject = self._path.name.removeprefix("sub-").partition("_")[0]
        # Second to the table comes what the source file said, last the name of this one.
        user, session = (sidecar.attributes.get(key) for key in ("user", "session"))
        notes = []
        if row:
            user, session = row["user"], row["session"]
        elif not (isinstance(user, str) and isinstance(session, str)):
            user, session = subject, stem
            notes = [f"no row of a metadata table names {stem!a}: user and session are those of the file names"]
        return SessionFacts(
            format="emg2pose BIDS",
            sample_rate_hz=rate_hz,
            n_samples=sidecar.valid_samples,
            channel_names=channel_names,
            has_joint_angles=bool(self._joints),
            session=session,
            user=user,
            stage=sidecar.stage,
            side=sidecar.side,
            emg_unit="noise_floor",
            preprocessing=EMG2POSE_PREPROCESSING,
            start_s=sidecar.start_s if sidecar.start_s is not None else row["start_s"] if row else None,
            notes=tuple(notes),
            attributes=sidecar.attributes,
        )

    def _notes_on_padding(self, n_samples: int, n_stored: int) -> tuple[str, ...]:
        """Look at the first record that has padding: what is not zero there was recorded."""
        if n_samples == n_stored:
            return ()
        places = [*self._emg, *self._joints]
        length = self._bdf.header.signals[places[0]].samples_per_record
        padding = self._bdf.read(n_samples, min(n_stored, (n_samples // length + 1) * length), places)
        steps = np.array([abs(self._bdf.header.signals[place].gain) for place in places])
        if (np.abs(padding) <= steps * _HALF_STEP).all():
            return ()
        n_behind = n_stored - n_samples
        return (f"{n_behind} samples behind the {n_samples} that ValidSamples counts were left out; not all are zero",)
