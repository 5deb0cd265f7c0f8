"""Whole training steps of tracking_vemg2pose against the plain reference, in turns in one process.

A step is featurizer, rollout, loss with kinematics, backward pass, clipping and Adam, on windows of 11,790 samples of
noise. Both begin with the same weights; before any timing, their losses and gradients are compared.
Exits with 1 where a figure is missed.
"""

import argparse
import sys
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from emgpose.hand import N_JOINTS
from emgpose.kinematics import HandModel
from emgpose.models import PoseModel, build_model
from paired import Ratio, print_heading, time_in_turns
from plain import Plain, copy_weights, plain_training_step

WINDOW_SAMPLES = 11_790
WANTED = {1: 4.0, 8: 2.0, 64: 1.4}
TOLERANCE = 1e-5


class Ours(nn.Module):
    """Our model under the plain reference's way to call it."""

    def __init__(self) -> None:
        super().__init__()
        model = build_model("tracking_vemg2pose")
        if not isinstance(model, PoseModel):
            raise TypeError(f"expected a PoseModel, got {type(model).__name__}")
        self.model = model

    def forward(self, emg: Tensor, initial_pose: Tensor) -> Tensor:
        """Predict the samples after the context."""
        return self.model.rollout(emg, initial_pose)


def make_windows(batch_size: int) -> tuple[Tensor, Tensor]:
    """Make EMG of noise and joint angles that move smoothly, a fraction of a radian."""
    generator = torch.Generator().manual_seed(batch_size)
    emg = torch.randn((batch_size, 16, WINDOW_SAMPLES), generator=generator)
    phase = torch.rand((batch_size, N_JOINTS, 1), generator=generator) * 6
    return emg, 0.4 + 0.3 * torch.sin(phase + torch.arange(WINDOW_SAMPLES) * 0.002)


def compare(batch_size: int, repeats: int) -> Ratio:
    """Time both at one batch size, once their gradients are found equal."""
    torch.manual_seed(0)
    plain, ours = Plain(), Ours()
    copy_weights(plain, ours)
    hand = HandModel.generic()
    emg, joint_angles = make_windows(batch_size)
    optimizers = {model: torch.optim.Adam(model.parameters(), lr=1e-3) for model in (plain, ours)}

    def step(model: nn.Module) -> Tensor:
        return plain_training_step(model, optimizers[model], hand, emg, joint_angles)

    losses = [step(model).item() for model in (plain, ours)]
    pairs = zip(plain.parameters(), ours.parameters(), strict=True)
    difference = max(
        (a.grad - b.grad).abs().max().item() for a, b in pairs if a.grad is not None and b.grad is not None
    )
    print(
        f"batch {batch_size}: losses {losses[0]:.6f} and {losses[1]:.6f}, gradients differ by at most {difference:.1e}"
    )
    if max(difference, abs(losses[0] - losses[1])) > TOLERANCE:
        raise SystemExit("ours and the plain reference do not compute the same")
    label = f"training step, batch {batch_size}"
    return time_in_turns(
        label, lambda: step(plain), lambda: step(ours), repeats=repeats, wanted=WANTED.get(batch_size, 1.0)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8], help="batch sizes; 64 takes minutes and 6 GiB")
    parser.add_argument("--repeats", type=int, default=5, help="pairs timed for each")
    parser.add_argument("--threads", type=int, help="torch's threads (default: torch's own)")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    print_heading(f"training step, {WINDOW_SAMPLES} samples")
    ratios = [compare(batch_size, options.repeats) for batch_size in options.batch]
    return 0 if all(ratio.is_met for ratio in ratios) else 1


if __name__ == "__main__":
    sys.exit(main())
