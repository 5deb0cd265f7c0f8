"""How the band is turned on the arm, found from gestures whose poses were asked for; in one of two ways.

- For a person seen for the first time, the model runs over them once for every roll of the electrodes, and the poses
  are compared with those asked for. Models take a turn by an electrode or two nearly as well as none, so the smallest
  error says little; the middle of the low errors does (`centre_of_errors`).
- With an earlier calibration of the same person, the pattern of levels over gestures and channels is turned until it
  agrees with the earlier one (`turn_between`). That is much sharper, as how this arm differs from others drops out.

Neither tells whether the band is worn the other way round, so that its electrodes count backwards: models do nearly as
well with that, too.

Chosen by measurement: benchmarks/live_calibration.py. A roll says where the band sits for the model, not for anatomy.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from emgpose.errors import ConfigError, DataError
from emgpose.live.calibration import GesturePattern
from emgpose.models import EmgModel
from emgpose.models.rollouts import check_samples

Signal = NDArray[np.float64]

# Errors within about this of the smallest one count for the centre [rad].
_ERROR_SCALE_RAD: Final = np.radians(5.0)
# Keeps silent channels from deciding: levels are compared as logarithms, and noise has a level of 1.
_LEVEL_OFFSET: Final = 0.3
_CHUNK_SAMPLES: Final = 4000


@torch.inference_mode()
def roll_errors(model: EmgModel, emg: ArrayLike, wanted: ArrayLike, initial_pose: ArrayLike | None = None) -> Signal:
    """Run the model with every roll of the electrodes, and compare its poses with those that were asked for.

    Parameters
    ----------
    model : EmgModel
        Causal, set to its task.
    emg : array, shape (time, channel)
        As the model has it.
    wanted : array, shape (time, joint=20) [rad]
        The pose asked for at each sample; NaN where none is to be compared.
    initial_pose : array, shape (joint=20,) [rad], optional
        For tracking.

    Returns
    -------
    array, shape (channel,) [rad]
        Mean absolute error for a roll of 0, 1, 2, ...

    Raises
    ------
    DataError : no pose of the model falls on a sample with a wanted one.
    ConfigError : the model cannot stream.
    """
    model.check_mode("stream")
    samples = check_samples(emg, model.n_channels)
    poses = np.asarray(wanted, dtype=np.float32)
    n_rolls = model.n_channels
    start = None
    if initial_pose is not None and model.task == "tracking":
        start = torch.as_tensor(np.asarray(initial_pose, dtype=np.float32), device=model.device).expand(n_rolls, -1)
    state = model.eval().initial_state(start, batch_size=n_rolls)
    total, n_compared, n_frames = np.zeros(n_rolls), 0, 0
    for first in range(0, len(samples), _CHUNK_SAMPLES):
        part = samples[first : first + _CHUNK_SAMPLES]
        rolled = np.stack([np.roll(part, roll, axis=1).T for roll in range(n_rolls)])
        angles, state = model(torch.from_numpy(rolled).to(model.device, model.dtype), state)
        rows = model.frame_grid.sample_of(n_frames) + np.arange(angles.shape[-1]) * model.frame_grid.stride
        n_frames += len(rows)
        compared = np.isfinite(poses[rows]).all(axis=1)
        given = angles.float().cpu().numpy().transpose(0, 2, 1)[:, compared]
        total += np.abs(given - poses[rows][compared]).mean(axis=2).sum(axis=1)
        n_compared += int(compared.sum())
    if not n_compared:
        raise DataError(
            f"the gestures are too short: {model.name} gave no pose while one was held; hold each for 2 s or more"
        )
    return total / n_compared


def centre_of_errors(errors_rad: ArrayLike) -> tuple[int, float]:
    """Find the roll in the middle of those with low errors.

    Parameters
    ----------
    errors_rad : array, shape (roll,)
        As from `roll_errors`.

    Returns
    -------
    (roll, margin) : the roll from -n/2 to n/2, and by what share the far side of the arm is worse than it.
    """
    errors = np.asarray(errors_rad, dtype=np.float64)
    n_rolls = len(errors)
    around = np.exp(2j * np.pi * np.arange(n_rolls) / n_rolls)
    weights = np.exp(-(errors - errors.min()) / _ERROR_SCALE_RAD)
    roll = round(float(np.angle(weights @ around)) * n_rolls / (2 * np.pi))
    apart = np.abs((np.arange(n_rolls) - roll + n_rolls // 2) % n_rolls - n_rolls // 2)
    # What is better than the roll found must not make the margin look large.
    margin = float(np.median(errors[apart > n_rolls // 4]) / errors[roll % n_rolls] - 1) if n_rolls > 1 else 0.0
    return roll, margin


def turn_between(patterns: Sequence[GesturePattern], earlier: Sequence[GesturePattern]) -> tuple[int, float]:
    """Find by how many electrodes the band must be turned for gestures to look as they did earlier.

    Compared is how each channel changes from gesture to gesture: how loud it is in all of them depends on its contact
    with the skin, which does not turn with the band.

    Parameters
    ----------
    patterns, earlier : sequence of GesturePattern
        Those of the same name are compared.

    Returns
    -------
    (roll, likeness) : the roll from -n/2 to n/2, and the correlation of the levels there.

    Raises
    ------
    ConfigError : fewer than two gestures are in both, or the numbers of channels differ.
    """
    then = {pattern.name: pattern.levels for pattern in earlier}
    both = [(pattern.levels, then[pattern.name]) for pattern in patterns if pattern.name in then]
    if len(both) < 2 or any(len(a) != len(b) for a, b in both):
        raise ConfigError(
            "the earlier calibration has fewer than two of these gestures, or another number of channels; leave it "
            "out, or do the same gestures"
        )
    now, before = (_changes(np.array(levels)) for levels in zip(*both, strict=True))
    n_channels = now.shape[1]
    likeness = [_correlation(np.roll(now, roll, axis=1), before) for roll in range(n_channels)]
    best = int(np.argmax(likeness))
    return (best + n_channels // 2) % n_channels - n_channels // 2, likeness[best]


def _changes(levels: Signal) -> Signal:
    """How each channel's logarithmic level (gesture, channel) differs from its mean."""
    logarithms = np.log(levels + _LEVEL_OFFSET)
    return np.asarray(logarithms - logarithms.mean(axis=0))


def _correlation(a: Signal, b: Signal) -> float:
    size = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / size) if size > 0 else 0.0
