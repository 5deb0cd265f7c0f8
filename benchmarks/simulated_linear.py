"""Is pose decodable from simulated EMG, and not trivially? Ridge regression on EMG envelopes, in a few minutes.

Prints, per seed and over the seeds, the mean absolute joint-angle error [deg] of

- ridge trained and tested on one user wearing the band in one way (other repeats), against that user's mean pose held;
- the same ridge with the band turned by two electrodes between training and test;
- ridge trained on one other user (as much data as one's own), and on all other users, against their mean pose held.

Figures are about the simulator and not about physiology: activation follows position, velocity and acceleration in
shares that are a knob (`ActivationShares`).
"""

import argparse
import statistics
import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emgpose.simulation.anatomy import ELECTRODE_STEP_RAD, Placement, UserAnatomy, draw_placement, draw_user
from emgpose.simulation.emg import simulate_emg
from emgpose.simulation.motion import draw_style, simulate_motion
from emgpose.simulation.splits import TRAIN_STAGES
from emgpose.simulation.streams import rng_for

RATE_HZ = 2000
SECONDS = 20.0
USERS = 6
STAGES = TRAIN_STAGES[:3]
REPEATS = 3  # the last one is for the test
# Envelope: RMS over 0.1 s every 0.05 s; each pose is told from the newest second.
WINDOW, HOP, LAGS = 200, 100, 20
PENALTY = 10.0
TURN_RAD = 2 * ELECTRODE_STEP_RAD
Examples = tuple[NDArray[np.float64], NDArray[np.float64]]


def examples(seed: int, user: int, stage: str, repeat: int, anatomy: UserAnatomy, placement: Placement) -> Examples:
    """Features, shape (pose, lag * channel + 1), and joint angles [deg], shape (pose, joint)."""
    style = draw_style(rng_for(seed, "user", user, "style"))
    motion = simulate_motion(stage, style, SECONDS, rng_for(seed, "motion", user, stage, repeat))
    emg = simulate_emg(
        motion,
        anatomy,
        placement,
        motor_units_rng=rng_for(seed, "motor_units", user, stage, repeat),
        noise_rng=rng_for(seed, "noise", user, stage, repeat),
    ).astype(np.float64)
    mean_square = np.cumsum(np.pad(emg**2, ((1, 0), (0, 0))), axis=0)
    ends = np.arange(WINDOW, len(emg) + 1, HOP)
    envelope = np.log(np.sqrt((mean_square[ends] - mean_square[ends - WINDOW]) / WINDOW) + 0.1)
    lagged = [envelope[lag : len(envelope) - LAGS + lag] for lag in range(1, LAGS + 1)]
    features = np.concatenate([*lagged, np.ones((len(lagged[0]), 1))], axis=1)
    angles = motion.at(RATE_HZ)[ends[LAGS:] - 1]
    return features, np.degrees(angles)


def gathered(seed: int, user: int, repeats: range, placement: Placement) -> Examples:
    """Join the examples of all stages and these repeats."""
    anatomy = draw_user(rng_for(seed, "user", user))
    parts = [examples(seed, user, stage, repeat, anatomy, placement) for stage in STAGES for repeat in repeats]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def ridge_error(train: Examples, test: Examples) -> float:
    """Fit ridge regression on standardised features and give its mean absolute error on the test examples."""
    mean, scale = train[0].mean(axis=0), np.maximum(train[0].std(axis=0), 1e-9)
    middle = train[1].mean(axis=0)
    x, x_test = (train[0] - mean) / scale, (test[0] - mean) / scale
    weights = np.linalg.solve(x.T @ x + PENALTY * len(x) / 100 * np.eye(x.shape[1]), x.T @ (train[1] - middle))
    return float(np.abs(x_test @ weights + middle - test[1]).mean())


def mean_pose_error(train: Examples, test: Examples) -> float:
    """Hold the mean pose of the training examples."""
    return float(np.abs(train[1].mean(axis=0) - test[1]).mean())


def scores(seed: int) -> dict[str, float]:
    """All errors of one seed, each the mean over users."""
    bands = [draw_placement(rng_for(seed, "placement", user)) for user in range(USERS)]
    turned_bands = [replace(band, rotation_rad=band.rotation_rad + TURN_RAD) for band in bands]
    train = [gathered(seed, user, range(REPEATS - 1), bands[user]) for user in range(USERS)]
    test = [gathered(seed, user, range(REPEATS - 1, REPEATS), bands[user]) for user in range(USERS)]
    turned = [gathered(seed, user, range(REPEATS - 1, REPEATS), turned_bands[user]) for user in range(USERS)]
    others = [
        tuple(np.concatenate([part[i] for other, part in enumerate(train) if other != user]) for i in (0, 1))
        for user in range(USERS)
    ]
    users = range(USERS)
    return {
        "within a user: mean pose": statistics.mean(mean_pose_error(train[u], test[u]) for u in users),
        "within a user: ridge": statistics.mean(ridge_error(train[u], test[u]) for u in users),
        "the same, band turned by 2 electrodes": statistics.mean(ridge_error(train[u], turned[u]) for u in users),
        "across users: mean pose": statistics.mean(mean_pose_error(others[u], test[u]) for u in users),
        "across users: ridge of one other user": statistics.mean(
            ridge_error(train[(u + 1) % USERS], test[u]) for u in users
        ),
        "across users: ridge of all other users": statistics.mean(ridge_error(others[u], test[u]) for u in users),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=6)
    n_seeds = parser.parse_args().seeds
    started = time.monotonic()
    rows = [scores(seed) for seed in range(n_seeds)]
    print(
        f"{USERS} users, {len(STAGES)} stages, {REPEATS - 1} repeats of {SECONDS:g} s to train on, 1 to test; simulated"
    )
    print(
        f"{'mean absolute joint-angle error [deg]':<42}"
        + "".join(f"seed {seed:<5}" for seed in range(n_seeds))
        + "mean"
    )
    for name in rows[0]:
        values = [row[name] for row in rows]
        print(f"{name:<42}" + "".join(f"{value:<10.2f}" for value in values) + f"{statistics.mean(values):.2f}")
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
