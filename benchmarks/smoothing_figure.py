"""What 1-Euro smoothing costs and gives: smoothness of the live hand against error and lag, over its parameters.

    python benchmarks/smoothing_figure.py RECORDING... --checkpoint MODEL --out smoothing.png

Runs a trained model over recordings with known poses as the engine does (stream, 50 poses a second, limits off),
smooths its poses with every set of parameters and prints, pooled over recordings:
jerk, mean absolute third derivative of the angles; jitter, mean absolute speed while the true joint moves by less than
5 deg/s; error, mean absolute error against the truth; lag, the shift that brings the smoothed poses closest to the
model's own. Draws jerk against error and lag at the default speed cutoff, with the defaults marked.
"""

import argparse
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from emgpose.checkpoints import load_model
from emgpose.errors import EmgPoseError
from emgpose.live.smoothing import DEFAULT_SMOOTHING, OneEuro, OneEuroFilter
from emgpose.models import EmgModel
from emgpose.prediction import choose_initial_pose
from emgpose.recording import open_session, prepare_session

MIN_CUTOFFS_HZ = (0.5, 1.0, 1.5, 2.0, 3.0, 5.0)
BETAS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
SPEED_CUTOFFS_HZ = tuple(sorted({1.0, 3.0, 6.0, DEFAULT_SMOOTHING.speed_cutoff_hz}))
RATE_HZ = 50.0
STILL_DEG_S = 5.0
LARGEST_LAG_S = 0.4

Poses = NDArray[np.float64]


@dataclass(frozen=True)
class Track:
    """Poses of one recording, (frame, joint) [deg]: the model's, the recorded, and where these are valid (frame,)."""

    predicted: Poses
    truth: Poses
    valid: NDArray[np.bool_]


@dataclass(frozen=True)
class Figures:
    """What smoothing did; means over frames and joints of all recordings."""

    jerk_deg_s3: float
    jitter_deg_s: float
    error_deg: float
    lag_ms: float


def read_track(path: Path, model: EmgModel) -> Track:
    """Run the model over a recording."""
    with prepare_session(open_session(path), model.card.preprocessing) as session:
        start = choose_initial_pose(None, session, model).joint_angles
        angles = model.predict(session.emg(), start if model.task == "tracking" else None, mode="stream")
        rows = np.arange(0, len(angles), model.stride)
        samples = rows + model.left_context
        truth, valid = session.joint_angles()[samples], session.valid()[samples]
    return Track(np.degrees(angles[rows].astype(np.float64)), np.degrees(truth.astype(np.float64)), valid)


def smoothed(predicted: Poses, parameters: OneEuro | None) -> Poses:
    """Smooth poses [deg] as the engine does."""
    if parameters is None:
        return predicted
    one_euro = OneEuroFilter(parameters, RATE_HZ)
    return np.degrees([one_euro(pose) for pose in np.radians(predicted).astype(np.float32)]).astype(np.float64)


def figures(tracks: list[Track], parameters: OneEuro | None) -> Figures:
    """Measure smoothing over all recordings."""
    jerks, jitters, errors = [], [], []
    n = max(len(track.predicted) for track in tracks)
    spectrum = np.zeros(n + 1, dtype=np.complex128)
    for track in tracks:
        poses = smoothed(track.predicted, parameters)
        jerks.append(np.abs(np.diff(poses, 3, axis=0)).mean() * RATE_HZ**3)
        errors.append(np.abs(poses - track.truth)[track.valid].mean())
        is_still = np.abs(np.diff(track.truth, axis=0)) * RATE_HZ < STILL_DEG_S
        is_still &= (track.valid[1:] & track.valid[:-1])[:, None]
        jitters.append(np.abs(np.diff(poses, axis=0))[is_still] * RATE_HZ)
        spectrum += (_spectra(poses, n) * _spectra(track.predicted, n).conj()).sum(axis=1)
    return Figures(
        float(np.mean(jerks)), float(np.concatenate(jitters).mean()), float(np.mean(errors)), _lag_ms(spectrum)
    )


def _spectra(poses: Poses, n: int) -> NDArray[np.complex128]:
    """Give the spectrum of each joint over twice `n` frames, so that nothing comes round again."""
    window = np.hanning(len(poses))[:, None]
    return np.fft.rfft((poses - poses.mean(axis=0)) * window, 2 * n, axis=0)


def _lag_ms(spectrum: NDArray[np.complex128]) -> float:
    """Find the shift, in steps of 0.2 ms, that makes two signals with this cross spectrum most alike."""
    shifts_s = np.arange(0, LARGEST_LAG_S, 0.0002)
    turns = np.arange(len(spectrum)) / (2 * (len(spectrum) - 1)) * RATE_HZ
    alike = [(spectrum * np.exp(2j * np.pi * turns * shift_s)).real.sum() for shift_s in shifts_s]
    return float(1000 * shifts_s[int(np.argmax(alike))])


def report(tracks: list[Track]) -> dict[OneEuro | None, Figures]:
    """Print the table."""
    chosen: list[OneEuro | None] = [None]
    chosen += [OneEuro(*numbers) for numbers in itertools.product(MIN_CUTOFFS_HZ, BETAS, SPEED_CUTOFFS_HZ)]
    if DEFAULT_SMOOTHING not in chosen:
        chosen.append(DEFAULT_SMOOTHING)
    found: dict[OneEuro | None, Figures] = {}
    print("| min cutoff | beta | speed cutoff | jerk deg/s3 | jitter deg/s | error deg | lag ms |")
    print("|---|---|---|---|---|---|---|")
    for parameters in chosen:
        found[parameters] = result = figures(tracks, parameters)
        name = "off | | " if parameters is None else (
            f"{parameters.min_cutoff_hz:g} Hz | {parameters.beta:g} | {parameters.speed_cutoff_hz:g} Hz"
        )  # fmt: skip
        mark = " (default)" if parameters == DEFAULT_SMOOTHING else ""
        print(
            f"| {name}{mark} | {result.jerk_deg_s3:.0f} | {result.jitter_deg_s:.2f} | {result.error_deg:.3f} | "
            f"{result.lag_ms:.1f} |"
        )
    return found


def draw(found: dict[OneEuro | None, Figures], out: Path) -> None:
    """Draw smoothness against error and lag."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), sharey=True, layout="constrained")
    off, default, speed_hz = found[None], found[DEFAULT_SMOOTHING], DEFAULT_SMOOTHING.speed_cutoff_hz
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.92, len(BETAS)))
    for axis, (name, label) in zip(
        axes, (("error_deg", "mean absolute error [deg]"), ("lag_ms", "lag behind the model's own poses [ms]")),
        strict=True,
    ):  # fmt: skip
        for beta, colour in zip(BETAS, colours, strict=True):
            line = [found[OneEuro(cutoff, beta, speed_hz)] for cutoff in MIN_CUTOFFS_HZ]
            axis.plot(
                [getattr(point, name) for point in line], [point.jerk_deg_s3 for point in line],
                "o-", ms=3.5, lw=1, color=colour, label=f"beta {beta:g}",
            )  # fmt: skip
        axis.plot(getattr(off, name), off.jerk_deg_s3, "kx", ms=8, label="off")
        axis.plot(getattr(default, name), default.jerk_deg_s3, "s", ms=10, mfc="none", mec="crimson", label="default")
        axis.set(xlabel=label, yscale="log")
        axis.grid(alpha=0.3)
    axes[1].axvline(1000 / RATE_HZ, color="grey", ls=":", lw=1, label="one frame")
    axes[0].set_ylabel("mean absolute jerk [deg/s³]")
    axes[1].legend(fontsize=8)
    cutoffs = f"minimal cutoff {MIN_CUTOFFS_HZ[0]:g} to {MIN_CUTOFFS_HZ[-1]:g} Hz on each line"
    figure.suptitle(f"1-Euro smoothing; {cutoffs}, speed cutoff {speed_hz:g} Hz")
    figure.savefig(out, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", nargs="+", type=Path)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--task", choices=("tracking", "regression"))
    parser.add_argument("--out", type=Path, default=Path("smoothing.png"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    try:
        model = load_model(arguments.checkpoint)
        model.set_task(arguments.task or model.task)
        tracks = [read_track(path, model) for path in arguments.recordings]
    except EmgPoseError as error:
        raise SystemExit(f"error: {error}") from None
    print(f"{model.name} ({model.task}), {len(tracks)} recordings, {sum(len(t.truth) for t in tracks) / RATE_HZ:.0f} s")
    draw(report(tracks), arguments.out)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
