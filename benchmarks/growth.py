"""How cost grows: the exponent of time against the amount of work, fitted over four sizes or more, each doubled.

An exponent is the slope of the logarithms by least squares; one fit per repeat gives its spread. Work grows with the
seconds of EMG, the windows of a batch, the recordings, and the weights of a model: an exponent of 1 is in proportion
with it, one below says that something fixed is still seen. Random weights, made recordings, one thread unless told
otherwise. Exits with 1 where something grows faster than its work.
"""

import argparse
import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emgpose.evaluation import evaluate
from emgpose.kinematics import HandModel
from emgpose.models import PoseModel, build_model
from emgpose.recording import open_session, read_metadata, session_path
from emgpose.windows import WindowIndex
from made_recordings import INVALID_SHARE, RATE_HZ, make_recordings, noise_emg
from paired import Figure, exit_code, show
from plain import plain_training_step
from training_step import WINDOW_SAMPLES, Ours, make_windows

# What measuring on a shared machine adds to a slope of 1.
WANTED = 1.1
MODEL = "tracking_vemg2pose"

Run = Callable[[], Any]


def exponent(label: str, runs: dict[float, Run], repeats: int) -> Figure:
    """Fit the growth of the time of some runs, by their amount of work."""
    for run in runs.values():
        run()
    slopes, times = [], {work: [] for work in runs}
    for _ in range(repeats):
        for work, run in runs.items():
            start = time.perf_counter()
            run()
            times[work].append(time.perf_counter() - start)
        slopes.append(float(np.polyfit(np.log(list(runs)), np.log([times[work][-1] for work in runs]), 1)[0]))
    sizes = ", ".join(f"{work:g}: {np.median(times[work]):.3g} s" for work in runs)
    print(f"  {label}: {sizes}")
    return show(Figure(f"growth of {label}", "exponent", slopes, WANTED, at_least=False))


def seconds_of_windows(n_windows: int) -> float:
    """Length of a made recording that gives so many test windows and no more."""
    n_valid = WINDOW_SAMPLES + 10_000 * (n_windows - 1) + 100
    return np.ceil(n_valid / (1 - INVALID_SHARE)) / RATE_HZ


def model_of(hidden_size: int = 512, channels: int = 256) -> PoseModel:
    """Build a model of other sizes."""
    torch.manual_seed(0)
    config = build_model(MODEL).config
    decoder = dataclasses.replace(config.decoder, hidden_size=hidden_size)
    featurizer = dataclasses.replace(config.featurizer, channels=channels)
    model = build_model(dataclasses.replace(config, decoder=decoder, featurizer=featurizer))
    if not isinstance(model, PoseModel):
        raise TypeError(f"expected a PoseModel, got {type(model).__name__}")
    return model.eval()


def with_length(largest: int, repeats: int, root: Path) -> list[Figure]:
    model = model_of()
    emg = noise_emg(15 * largest * RATE_HZ)
    lengths = {15.0 * n: lambda n=n: model.predict(emg[: 15 * n * RATE_HZ]) for n in sizes(largest)}
    windows = {}
    for n in sizes(largest):
        make_recordings(root / f"length{n}", users=1, recordings_each=1, seconds=seconds_of_windows(2 * n))
        windows[float(2 * n)] = lambda n=n: evaluate(model, root / f"length{n}", modes=["published"])
    return [
        exponent("predict by seconds of EMG", lengths, repeats),
        exponent("evaluate by windows of one recording", windows, repeats),
    ]


def with_batch(largest: int, repeats: int) -> list[Figure]:
    model, trained = model_of(), Ours()
    optimizer, hand = torch.optim.Adam(trained.parameters(), lr=1e-3), HandModel.generic()

    @torch.inference_mode()
    def predict(n: int) -> None:
        emg, joint_angles = make_windows(n)
        model.rollout(emg, joint_angles[..., 0])

    def train(n: int) -> None:
        plain_training_step(trained, optimizer, hand, *make_windows(n))

    return [
        exponent("rollout by batch", {float(4 * n): lambda n=n: predict(4 * n) for n in sizes(largest)}, repeats),
        exponent("training step by batch", {float(n): lambda n=n: train(n) for n in sizes(largest)}, repeats),
    ]


def with_recordings(largest: int, repeats: int, root: Path) -> list[Figure]:
    model = model_of()
    roots = {float(4 * n): root / f"users{n}" for n in sizes(largest)}
    for users, folder in roots.items():
        make_recordings(folder, users=int(users), recordings_each=1, seconds=seconds_of_windows(1))

    def index(folder: Path) -> None:
        rows = read_metadata(folder).to_dict("records")
        sessions = [open_session(session_path(folder, row)) for row in rows]
        WindowIndex.of_sessions(sessions, WINDOW_SAMPLES)
        for session in sessions:
            session.close()

    return [
        exponent("evaluate by users", {n: lambda at=at: evaluate(model, at) for n, at in roots.items()}, repeats),
        exponent("window index by recordings", {n: lambda at=at: index(at) for n, at in roots.items()}, repeats),
    ]


def with_size(largest: int, repeats: int) -> list[Figure]:
    """Weights grow with the square of the hidden size and of the channels, and so does the work."""
    emg, joint_angles = make_windows(8)
    pose = joint_angles[..., 0]

    @torch.inference_mode()
    def roll_out(model: PoseModel, features: torch.Tensor) -> None:
        model.roll_out(features, WINDOW_SAMPLES, pose)

    @torch.inference_mode()
    def featurize(model: PoseModel) -> None:
        model.featurize(emg)

    by_hidden: dict[float, Run] = {}
    by_channels: dict[float, Run] = {}
    for n in sizes(largest):
        model = model_of(hidden_size=128 * n)
        features = torch.zeros(8, model.featurizer.n_features, model.feature_grid.n_frames(WINDOW_SAMPLES))
        by_hidden[n_weights(model.decoder)] = lambda model=model, features=features: roll_out(model, features)
        model = model_of(channels=64 * n)
        by_channels[n_weights(model.featurizer)] = lambda model=model: featurize(model)
    return [
        exponent("rollout by weights of the decoder", by_hidden, repeats),
        exponent("features by weights of the featurizer", by_channels, repeats),
    ]


def n_weights(module: torch.nn.Module) -> float:
    return float(sum(parameter.numel() for parameter in module.parameters()))


def sizes(largest: int) -> list[int]:
    """1, 2, 4, ... to the largest."""
    return [2**power for power in range(largest.bit_length())]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="fits of each")
    parser.add_argument("--largest", type=int, default=8, choices=[8, 16], help="times the smallest size")
    parser.add_argument("--threads", type=int, default=1, help="torch's threads")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    largest, repeats = options.largest, options.repeats
    with tempfile.TemporaryDirectory() as folder:
        figures = with_length(largest, repeats, Path(folder))
        figures += with_batch(largest, repeats)
        figures += with_recordings(largest, repeats, Path(folder))
        figures += with_size(largest, repeats)
    return exit_code(figures)


if __name__ == "__main__":
    sys.exit(main())
