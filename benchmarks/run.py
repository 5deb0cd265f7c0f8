"""`make bench`: how fast each full-size model runs here, in each of its modes.

Prints the real-time factor (seconds of computing per second of EMG; below 1 keeps up with a live band) as the median of
three passes over 60 s of noise with untrained weights, with the spread.
"""

import os
import platform
import statistics
import time

import numpy as np
import torch

from emgpose.models import MODELS, EmgModel, build_model

SECONDS = 60
REPEATS = 3
RATE_HZ = 2000


def real_time_factors(model: EmgModel, mode: str, emg: np.ndarray) -> list[float]:
    """Seconds of computing per second of EMG, one figure per repeat."""
    factors = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        model.predict(emg, mode=mode)
        factors.append((time.perf_counter() - start) / SECONDS)
    return factors


def main() -> None:
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads of {os.cpu_count()} cores, "
        f"{platform.machine()}; {SECONDS} s of noise, untrained weights, median of {REPEATS} (lowest to highest)"
    )
    print(f"{'model':<28}{'mode':<12}real-time factor")
    emg = np.random.default_rng(0).standard_normal((SECONDS * RATE_HZ, 16)).astype(np.float32)
    for name in MODELS:
        model = build_model(name).eval()
        for mode in model.modes:
            factors = real_time_factors(model, mode, emg)
            spread = f"({min(factors):.4f} to {max(factors):.4f})"
            print(f"{name:<28}{mode:<12}{statistics.median(factors):.4f} {spread}")


if __name__ == "__main__":
    main()
