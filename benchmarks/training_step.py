"""Whole training steps of tracking_vemg2pose against the plain reference, in turns in one process.

A step is featurizer, rollout, loss with kinematics, backward pass, clipping and Adam, on windows of 11,790 samples of
noise. Both begin with the same weights; before any timing, their losses and gradients are compared. Under each ratio
stands the floor: the arithmetic of a step at the rate of one large matrix product, measured in the same run.
`--bf16` adds steps under autocast; `--device cuda` needs a GPU. Exits with 1 where a figure is missed.
"""

import argparse
import sys
import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from emgpose.hand import N_JOINTS
from emgpose.kinematics import HandModel
from emgpose.models import PoseModel, build_model
from emgpose.models.products import Product, products_in_bfloat16
from paired import Ratio, print_heading, time_in_turns
from plain import Plain, copy_weights, plain_training_step

WINDOW_SAMPLES = 11_790
WANTED = {"cpu": {1: 4.0, 8: 2.0, 64: 1.4}, "cuda": {64: 4.0}}
# Largest difference of a loss and of any gradient, and by how much of the largest gradient under autocast.
TOLERANCE = 1e-5
BFLOAT16_TOLERANCE = 0.1
# Rows and columns of the product that says what the machine can do.
PEAK_SIZE = 2048


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


class Mixed(nn.Module):
    """A model under autocast in bfloat16, its poses in float32."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, emg: Tensor, initial_pose: Tensor) -> Tensor:
        """Predict the samples after the context."""
        with torch.autocast(emg.device.type, torch.bfloat16):
            poses: Tensor = self.model(emg, initial_pose)
        return poses.float()


class Trainee:
    """A model that learns, with what a step needs."""

    def __init__(self, model: nn.Module, batch_size: int, device: str) -> None:
        self.model = model.to(device)
        self._optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        self._hand = HandModel.generic().to(device)
        self._windows = [x.to(device) for x in make_windows(batch_size)]

    def step(self) -> float:
        """Learn once; the loss, for which a GPU is waited."""
        return plain_training_step(self.model, self._optimizer, self._hand, *self._windows).item()


def make_windows(batch_size: int) -> tuple[Tensor, Tensor]:
    """Make EMG of noise and joint angles that move smoothly, a fraction of a radian."""
    generator = torch.Generator().manual_seed(batch_size)
    emg = torch.randn((batch_size, 16, WINDOW_SAMPLES), generator=generator)
    phase = torch.rand((batch_size, N_JOINTS, 1), generator=generator) * 6
    return emg, 0.4 + 0.3 * torch.sin(phase + torch.arange(WINDOW_SAMPLES) * 0.002)


def check_equal(plain: Trainee, ours: Trainee, *, is_mixed: bool) -> None:
    """Compare losses and gradients of one step each; stop where they differ."""
    losses = [trainee.step() for trainee in (plain, ours)]
    pairs = zip(plain.model.parameters(), ours.model.parameters(), strict=True)
    gradients = [(a.grad, b.grad) for a, b in pairs if a.grad is not None and b.grad is not None]
    difference = max((a - b).abs().max().item() for a, b in gradients)
    largest = max(a.abs().max().item() for a, _ in gradients)
    print(f"losses {losses[0]:.6f} and {losses[1]:.6f}, gradients of up to {largest:.1e} differ by {difference:.1e}")
    tolerance = BFLOAT16_TOLERANCE * largest if is_mixed else TOLERANCE
    if difference > tolerance or abs(losses[0] - losses[1]) > max(tolerance, TOLERANCE):
        raise SystemExit("ours and the plain reference do not compute the same")


def compare(batch_size: int, repeats: int, device: str, *, is_mixed: bool) -> list[Ratio]:
    """Time both at one batch size, once their gradients are found equal; in bfloat16, also against our float32."""
    torch.manual_seed(0)
    models = Plain(), Ours(), Ours()
    for model in models[1:]:
        copy_weights(models[0], model)
    wrapped = [Mixed(model) for model in models[:2]] if is_mixed else models[:2]
    plain, ours, single = (Trainee(model, batch_size, device) for model in (*wrapped, models[2]))
    check_equal(plain, ours, is_mixed=is_mixed)
    label = f"training step, batch {batch_size}{', bfloat16' if is_mixed else ''}{', GPU' if device == 'cuda' else ''}"
    wanted = WANTED[device].get(batch_size) if device == "cuda" or not is_mixed else None
    ratios = [time_in_turns(label, plain.step, ours.step, repeats=repeats, wanted=wanted)]
    if is_mixed:
        ratios.append(time_in_turns("  against our float32", single.step, ours.step, repeats=repeats, wanted=None))
    flops, rate = step_flops(models[0], batch_size, device), peak_flops_per_s(device, is_mixed=is_mixed)
    print(f"  floor: {flops / 1e9:,.0f} GFLOP at {rate / 1e9:,.0f} GFLOP/s: {flops / rate * 1000:.1f} ms", flush=True)
    return ratios


def step_flops(plain: nn.Module, batch_size: int, device: str) -> float:
    """Count the arithmetic of a step's convolutions, linear layers and LSTM, forward and backward."""
    counted: list[int] = []

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        if isinstance(layer, nn.LSTM):
            counted.append(2 * batch_size * sum(w.numel() for w in layer.parameters() if w.ndim == 2))
        elif isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear):
            counted.append(2 * output.numel() * layer.weight[0].numel())

    hooks = [layer.register_forward_hook(count) for layer in plain.modules()]
    emg, joint_angles = (x.to(device) for x in make_windows(batch_size))
    with torch.no_grad():
        plain(emg, joint_angles[..., 0])
    for hook in hooks:
        hook.remove()
    # The EMG needs no gradient.
    return 3.0 * sum(counted) - counted[0]


def peak_flops_per_s(device: str, *, is_mixed: bool) -> float:
    """Measure the rate of a large matrix product, the best of several."""
    dtype = torch.bfloat16 if is_mixed and device == "cuda" else torch.float32
    x, weight = (torch.randn((PEAK_SIZE, PEAK_SIZE), device=device, dtype=dtype) for _ in range(2))
    with products_in_bfloat16(is_mixed):
        product = Product(weight, PEAK_SIZE)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        product(x)
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return 2.0 * PEAK_SIZE**3 / min(times)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8], help="batch sizes; 64 takes minutes and 6 GiB")
    parser.add_argument("--repeats", type=int, default=5, help="pairs timed for each")
    parser.add_argument("--threads", type=int, help="torch's threads (default: torch's own)")
    parser.add_argument("--bf16", action="store_true", help="also under autocast in bfloat16")
    parser.add_argument("--device", choices=list(WANTED), default="cpu", help="where to train")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda needs a GPU, and torch finds none here")
    name = f", {torch.cuda.get_device_name()}" if options.device == "cuda" else ""
    print_heading(f"training step, {WINDOW_SAMPLES} samples{name}")
    ratios = [
        ratio
        for batch_size in options.batch
        for is_mixed in ([False, True] if options.bf16 else [False])
        for ratio in compare(batch_size, options.repeats, options.device, is_mixed=is_mixed)
    ]
    return 0 if all(ratio.is_met for ratio in ratios) else 1


if __name__ == "__main__":
    sys.exit(main())
