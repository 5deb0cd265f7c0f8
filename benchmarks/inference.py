"""Predictions of tracking_vemg2pose, 5 s of EMG, against the plain reference, in turns in one process.

The plain reference runs as torch comes and once more with oneDNN switched off: its step-by-step LSTM then goes without
the packing of its weights at every step. Both models have the same weights; before any timing, they are compared.
Exits with 1 where a figure is missed.
"""

import argparse
import sys
from collections.abc import Sequence

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from paired import Ratio, print_heading, time_in_turns
from plain import Plain, copy_weights
from training_step import TOLERANCE, WINDOW_SAMPLES, Ours, make_windows

# By batch size: against the plain reference as torch comes, and with oneDNN switched off.
WANTED = {1: (8.0, 2.5), 8: (1.5, 1.0), 32: (1.0, 1.0)}


@torch.inference_mode()
def compare(batch_size: int, repeats: int) -> list[Ratio]:
    """Time both at one batch size, once their predictions are found equal."""
    torch.manual_seed(0)
    plain, ours = Plain().eval(), Ours().eval()
    copy_weights(plain, ours)
    emg, joint_angles = make_windows(batch_size)
    pose = joint_angles[..., 0]

    def without_onednn() -> Tensor:
        torch.backends.mkldnn.set_flags(_enabled=False)
        try:
            return plain(emg, pose)
        finally:
            torch.backends.mkldnn.set_flags(_enabled=True)

    difference = (plain(emg, pose) - ours(emg, pose)).abs().max().item()
    print(f"batch {batch_size}: predictions differ by at most {difference:.1e} rad")
    if difference > TOLERANCE:
        raise SystemExit("ours and the plain reference do not compute the same")
    what = f"5 s, batch {batch_size}, {torch.get_num_threads()} threads"
    ways = (("", lambda: plain(emg, pose)), (", plain without oneDNN", without_onednn))
    return [
        time_in_turns(f"{what}{name}", way, lambda: ours(emg, pose), repeats=repeats, wanted=wanted)
        for (name, way), wanted in zip(ways, WANTED.get(batch_size, (1.0, 1.0)), strict=True)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 32], help="batch sizes")
    parser.add_argument("--repeats", type=int, default=5, help="pairs timed for each")
    parser.add_argument("--threads", type=int, help="threads of torch and numpy (default: their own)")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
        threadpool_limits(options.threads, user_api="blas")
    print_heading(f"prediction, {WINDOW_SAMPLES} samples")
    ratios = [ratio for batch_size in options.batch for ratio in compare(batch_size, options.repeats)]
    return 0 if all(ratio.is_met for ratio in ratios) else 1


if __name__ == "__main__":
    sys.exit(main())
