"""Recordings of EMG and hand pose: `open_session` reads every format, `Session` is what it gives."""

from emgpose.recording.emg2pose_hdf5 import Emg2PoseReader
from emgpose.recording.emg2pose_writer import Emg2PoseWriter, write_emg2pose_hdf5
from emgpose.recording.facts import SessionFacts, SessionReader
from emgpose.recording.metadata import read_metadata, select_sessions, session_path
from emgpose.recording.mne_raw import MneReader
from emgpose.recording.npz_arrays import NpzReader
from emgpose.recording.opening import FORMATS, FileFormat, open_session
from emgpose.recording.prepared import Preparation, prepare_session
from emgpose.recording.session import Session, SessionSlice, label_is_valid
from emgpose.recording.tables import CsvReader
from emgpose.recording.wfdb_record import WfdbReader

__all__ = [
    "FORMATS",
    "CsvReader",
    "Emg2PoseReader",
    "Emg2PoseWriter",
    "FileFormat",
    "MneReader",
    "NpzReader",
    "Preparation",
    "Session",
    "SessionFacts",
    "SessionReader",
    "SessionSlice",
    "WfdbReader",
    "label_is_valid",
    "open_session",
    "prepare_session",
    "read_metadata",
    "select_sessions",
    "session_path",
    "write_emg2pose_hdf5",
]
