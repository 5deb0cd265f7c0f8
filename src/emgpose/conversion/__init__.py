"""Other people's recordings as data sets of the emg2pose format, and data sets from one layout to another."""

from emgpose.conversion.by_way import convert_by_way
from emgpose.conversion.convert import convert_to_hdf5, what_was_done
from emgpose.conversion.settings import ConversionSettings
from emgpose.conversion.sources import is_data_set

__all__ = ["ConversionSettings", "convert_by_way", "convert_to_hdf5", "is_data_set", "what_was_done"]
