"""Causal filters with carried state and resampling: what turns raw EMG into what the models expect.

`Preprocessor` carries out a `Preprocessing` on chunks of any length; chunked and whole give the same samples.
Arrays are (time, channel).

Start of a recording: every filter starts at rest on the first sample's value, so a constant offset gives no transient.
The resampler holds the first and the last sample beyond the ends.
"""

from emgpose.noise_floor import NoiseFloor, estimate_noise_floor, measure_noise_floor
from emgpose.preprocessing import (
    EMG2POSE_PREPROCESSING,
    STEPS,
    Bandpass,
    Highpass,
    Notch,
    Preprocessing,
    Resample,
    Scale,
    Step,
    missing_steps,
)
from emgpose.resampling import resampled_length
from emgpose.signals.filters import filter_sections
from emgpose.signals.preprocessor import Preprocessor, resample

__all__ = [
    "EMG2POSE_PREPROCESSING",
    "STEPS",
    "Bandpass",
    "Highpass",
    "NoiseFloor",
    "Notch",
    "Preprocessing",
    "Preprocessor",
    "Resample",
    "Scale",
    "Step",
    "estimate_noise_floor",
    "filter_sections",
    "measure_noise_floor",
    "missing_steps",
    "resample",
    "resampled_length",
]
