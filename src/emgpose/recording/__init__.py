"""Recordings of EMG and hand pose: `open_session` reads every format, `Session` is what it gives."""

from emgpose.recording.bids import BidsReader
from emgpose.recording.emg2pose_hdf5 import Emg2PoseReader
from emgpose.recording.emg2pose_writer import Emg2PoseWriter, write_emg2pose_hdf5
from emgpose.recording.facts import SessionFacts, SessionReader
from emgpose.recording.mapped_table import MappedTableReader
from emgpose.recording.mapping_file import TableMapping, load_mapping
from emgpose.recording.metadata import read_metadata, select_sessions, session_path
from emgpose.recording.mne_raw import MneReader
from emgpose.recording.ninapro import NinaproReader
from emgpose.recording.npz_arrays import NpzReader
from emgpose.recording.opening import FORMATS, FileFormat, open_session
from emgpose.recording.prepared import Preparation, prepare_session
from emgpose.recording.session import Session, SessionSlice, label_is_valid
from emgpose.recording.tables import CsvReader
from emgpose.recording.wfdb_record import WfdbReader
from emgpose.recording.xdf_file import XdfReader

__all__ = [
    "FORMATS",
    "BidsReader",
    "CsvReader",
    "Emg2PoseReader",
    "Emg2PoseWriter",
    "FileFormat",
    "MappedTableReader",
    "MneReader",
    "NinaproReader",
    "NpzReader",
    "Preparation",
    "Session",
    "SessionFacts",
    "SessionReader",
    "SessionSlice",
    "TableMapping",
    "WfdbReader",
    "XdfReader",
    "label_is_valid",
    "load_mapping",
    "open_session",
    "prepare_session",
    "read_metadata",
    "select_sessions",
    "session_path",
    "write_emg2pose_hdf5",
]
