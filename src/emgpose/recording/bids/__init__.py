"""The BIDS edition of emg2pose: one BDF file per recording, with sidecars, and a metadata table for the whole."""

from emgpose.recording.bids.metadata_rows import (
    FILE_COLUMN,
    join_recordings,
    recordings_in,
    refuse_unjoined,
    unjoined_recordings,
)
from emgpose.recording.bids.names import FETCHED_FILE, METADATA_FILE, bids_root, is_bids_recording
from emgpose.recording.bids.reader import BidsReader

__all__ = [
    "FETCHED_FILE",
    "FILE_COLUMN",
    "METADATA_FILE",
    "BidsReader",
    "bids_root",
    "is_bids_recording",
    "join_recordings",
    "recordings_in",
    "refuse_unjoined",
    "unjoined_recordings",
]
