"""Scores of predicted joint angles against recorded ones.

Pure functions. Each takes windows (window, joint=20, time) and their valid mask (window, time), and returns per window
a sum (float64) and the number of entries summed. So users, conditions, batches and processes can be reduced exactly, in
any way, afterwards: `mean(total, count)` is the score. Those that take errors or landmarks in place of windows are for
callers that need several scores and compute what they share once.

Radians and millimetres. Rules as in benchmark.md section 3.
"""

from emgpose.metrics.derivatives import (
    DERIVATIVES,
    PUBLISHED_DERIVATIVE_FACTOR,
    PUBLISHED_DERIVATIVES,
    differences,
    smoothness,
)
from emgpose.metrics.histogram import HISTOGRAM_BINS, HISTOGRAM_WIDTH_RAD, error_histogram, histogram_percentile
from emgpose.metrics.joint_errors import absolute_error, angle_error, angle_sums, error_over_time, joint_means
from emgpose.metrics.landmarks import (
    LANDMARK_STRIDE,
    landmark_error,
    landmark_means,
    landmark_sums,
    scored_landmarks,
)
from emgpose.metrics.variance import r2, variance_sums
from emgpose.metrics.window_scores import METRIC_UNITS, score_windows
from emgpose.metrics.window_sums import Sums, all_finite, mean

__all__ = [
    "DERIVATIVES",
    "HISTOGRAM_BINS",
    "HISTOGRAM_WIDTH_RAD",
    "LANDMARK_STRIDE",
    "METRIC_UNITS",
    "PUBLISHED_DERIVATIVES",
    "PUBLISHED_DERIVATIVE_FACTOR",
    "Sums",
    "absolute_error",
    "all_finite",
    "angle_error",
    "angle_sums",
    "differences",
    "error_histogram",
    "error_over_time",
    "histogram_percentile",
    "joint_means",
    "landmark_error",
    "landmark_means",
    "landmark_sums",
    "mean",
    "r2",
    "score_windows",
    "scored_landmarks",
    "smoothness",
    "variance_sums",
]
