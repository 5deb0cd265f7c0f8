"""A whole test set against the plain reference: ours and `plain_evaluation.py`, in turns in one process.

Full-size tracking_vemg2pose with the same random weights on both sides, 16 made recordings with 64 test windows, mode
published. Both read the files, predict, score every window by every figure, and reduce to means over users; before any
timing, all scores are compared. Exits with 1 where the figure is missed.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from emgpose.evaluation import Evaluation, evaluate, summarise
from emgpose.evaluation.scoring import WINDOW_METRIC_UNITS
from emgpose.metrics import r2
from emgpose.models import EmgModel
from made_recordings import make_recordings
from paired import print_heading, time_in_turns
from plain import Plain, copy_weights
from plain_evaluation import BATCH, evaluate_plainly
from training_step import Ours

WANTED = 2.5
TOLERANCE = 1e-5
# Poses are laid linearly on 40 samples: between the kinks, second and third differences are rounding, and each side
# rounds its predictions in its own way. Of equal predictions, tests/test_metrics.py compares them to 1e-5.
TOLERANCE_OF_DIFFERENCES = 5e-2
USERS, RECORDINGS_EACH, SECONDS = 8, 2, 24.0


def run_ours(model: EmgModel, root: Path) -> tuple[Evaluation, pd.DataFrame]:
    """Evaluate and reduce."""
    result = evaluate(model, root, modes=["published"], batch_size=BATCH)
    return result, summarise(result)


def run_plain(model: Plain, root: Path) -> tuple[pd.DataFrame, dict[str, np.ndarray], pd.DataFrame]:
    """Evaluate plainly and reduce: mean and SD over users, and over all windows."""
    windows, sums = evaluate_plainly(model, root)
    by_user = windows.groupby("user").mean()
    return (
        windows,
        sums,
        pd.DataFrame({"mean": by_user.mean(), "sd": by_user.std(), "pooled": windows[by_user.columns].mean()}),
    )


def make_equal_models() -> tuple[Plain, EmgModel]:
    """Give both the same random weights, those of the output so large that the hand moves as fast as a recorded one."""
    torch.manual_seed(0)
    plain, ours = Plain().eval(), Ours().eval()
    with torch.no_grad():
        plain.out.weight *= 50
    copy_weights(plain, ours)
    return plain, ours.model


def require_equal(model: EmgModel, plain: Plain, root: Path) -> int:
    """Compare every score of every window, and what is made of them; give the number of windows."""
    result, summary = run_ours(model, root)
    windows, sums, reduced = run_plain(plain, root)
    if result.left_out or len(windows) != len(result.windows):
        raise SystemExit(f"expected the same windows, ours left out {result.left_out}")
    worst = {name: _difference(windows[name], result.windows[name]) for name in WINDOW_METRIC_UNITS}
    of = {
        key: summary[summary["reduction"] == key].query("condition == 'all'").set_index("metric")
        for key in ("per_user", "pooled")
    }
    for column, ours in (
        ("mean", of["per_user"]["mean"]),
        ("sd", of["per_user"]["sd"]),
        ("pooled", of["pooled"]["mean"]),
    ):
        # The SD of what is mostly rounding says nothing.
        for name in (name for name in WINDOW_METRIC_UNITS if column != "sd" or not _is_rounding(name)):
            worst[f"{name} ({column})"] = _difference(reduced[column][name], ours[name])
    totals = list(result.totals.values())
    for name in ("histogram", "static_histogram"):
        counts = np.stack([getattr(total, name) for total in totals])
        # An error on an edge may fall to either side.
        worst[name] = np.abs(np.cumsum(counts, 1) - np.cumsum(sums[name], 1)).max() / counts.sum(1).max()
    n_windows = windows["user"].value_counts().sort_index().to_numpy()
    explained = r2(sums["variance"], n_windows * result.windows["n_valid"].iloc[0])
    worst["r2"] = _difference(explained, np.stack([r2(total.variance, total.n_valid) for total in totals]))
    for name in ("drift", "static_drift"):
        ours_by_time = np.stack([getattr(total, name) for total in totals]) / 1000
        worst[name] = _difference(sums[name], ours_by_time)
    for name, difference in worst.items():
        if difference > (TOLERANCE_OF_DIFFERENCES if _is_rounding(name) else TOLERANCE):
            raise SystemExit(f"{name} differs from the plain reference by {difference:.1e} of itself")
    exact = max(value for name, value in worst.items() if not _is_rounding(name))
    print(
        f"{len(worst)} scores equal to {exact:.1e} of themselves, 2nd and 3rd differences to {max(worst.values()):.1e}"
    )
    return len(windows)


def _is_rounding(name: str) -> bool:
    return "acc" in name or "jerk" in name


def _difference(plain: np.ndarray | pd.Series, ours: np.ndarray | pd.Series) -> float:
    plain, ours = np.asarray(plain, dtype=np.float64), np.asarray(ours, dtype=np.float64)
    return float(np.abs(ours - plain).max() / np.abs(plain).max())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="pairs timed")
    parser.add_argument("--threads", type=int, help="torch's threads (default: torch's own)")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    print_heading("evaluation of a test set, tracking_vemg2pose")
    plain, model = make_equal_models()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        make_recordings(root, users=USERS, recordings_each=RECORDINGS_EACH, seconds=SECONDS)
        n_windows = require_equal(model, plain, root)
        ratio = time_in_turns(
            f"evaluation, {n_windows} windows",
            lambda: run_plain(plain, root),
            lambda: run_ours(model, root),
            repeats=options.repeats,
            wanted=WANTED,
        )
    per_second = (
        (name, n_windows / np.median(times)) for name, times in (("plain", ratio.plain_s), ("ours", ratio.ours_s))
    )
    print("windows/s: " + ", ".join(f"{name} {value:.1f}" for name, value in per_second))
    return 0 if ratio.is_met else 1


if __name__ == "__main__":
    sys.exit(main())
