"""Data sets to and from the layout of the BIDS edition of emg2pose."""

from emgpose.conversion.bids.result import Converted
from emgpose.conversion.bids.to_bids import BidsRecording, convert_to_bids, write_bids
from emgpose.conversion.bids.to_hdf5 import convert_bids_to_hdf5

__all__ = ["BidsRecording", "Converted", "convert_bids_to_hdf5", "convert_to_bids", "write_bids"]
