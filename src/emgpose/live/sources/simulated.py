"""A simulated arm that goes on for as long as it is watched: movement and EMG made ahead in blocks that join smoothly.

Each block is a performance of its own. Movements cross over into each other within a second, so the pose never jumps;
the EMG of two blocks crosses over within 40 ms at equal power, so its amplitude does not either. Only the firing times
of the motor units begin anew there.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError
from emgpose.live.chunk import EmgChunk, SourceFacts
from emgpose.preprocessing import EMG2POSE_PREPROCESSING
from emgpose.simulation.anatomy import N_ELECTRODES, draw_placement, draw_user
from emgpose.simulation.emg import ADC_STEP, simulate_emg
from emgpose.simulation.motion import STAGE_FAMILIES, Motion, draw_style, simulate_motion
from emgpose.simulation.streams import rng_for
from emgpose.timing import EMG_RATE_HZ

CHANNEL_NAMES: Final = tuple(f"emg{number}" for number in range(N_ELECTRODES))
DEFAULT_STAGE: Final = "OneHandedFreeStyle"
BLOCK_S: Final = 10.0
# One movement crosses over into the next from this long before the border of two blocks until this long after it.
_CROSS_S: Final = 0.5
# Simulated beyond both ends of a block: filters settle before it, muscles know what follows after it.
_CONTEXT_S: Final = 1.0
_EMG_CROSS_SAMPLES: Final = round(0.04 * EMG_RATE_HZ)
_MOTION_RATE_HZ: Final = 200
# The key of the random streams: no user of a simulated data set has it, so this person is in no training data.
_KEY: Final = "live"

Block = tuple[NDArray[np.float32], NDArray[np.float32]]


class SimulatedTrack:
    """An endless simulation of one person in one stage; the same whenever seed and stage are the same.

    The next block is made in a thread while one is played; that takes about 2 % of one core.

    Parameters
    ----------
    stage : str
        One of the stages of emg2pose; see `STAGE_FAMILIES`.
    seed : int
        Another one gives another person, band and performance.
    channels : tuple of int, optional
        Columns to give, in order; by default all 16.
    block_s : float
        Length of a block.

    Raises
    ------
    ConfigError : an unknown stage, or an impossible seed or block length.
    """

    def __init__(
        self,
        stage: str = DEFAULT_STAGE,
        *,
        seed: int = 0,
        channels: tuple[int, ...] | None = None,
        block_s: float = BLOCK_S,
    ) -> None:
        if stage not in STAGE_FAMILIES:
            raise ConfigError(f"stage {stage!a}: expected one of {', '.join(STAGE_FAMILIES)}")
        if not block_s >= 2 * _CONTEXT_S:
            raise ConfigError(f"block_s: expected at least {2 * _CONTEXT_S:g} s, got {block_s:g}")
        self._stage, self._seed = stage, seed
        self._block_samples = round(block_s * _MOTION_RATE_HZ) * EMG_RATE_HZ // _MOTION_RATE_HZ
        self._anatomy = draw_user(rng_for(seed, "user", _KEY))
        self._style = draw_style(rng_for(seed, "user", _KEY, "style"))
        self._placement = draw_placement(rng_for(seed, "placement", _KEY))
        self._columns = list(range(len(CHANNEL_NAMES)) if channels is None else channels)
        self._performances: dict[int, Motion] = {}
        self._tail: NDArray[np.float32] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="emgpose-simulate")
        # The first block is waited for here, so that no read takes long.
        self._number, self._block = 0, self._make(0)
        self._coming: Future[Block] = self._thread.submit(self._make, 1)

    @property
    def facts(self) -> SourceFacts:
        """What it is."""
        return SourceFacts(
            name=f"simulate:{self._stage}",
            sample_rate_hz=float(EMG_RATE_HZ),
            channel_names=tuple(CHANNEL_NAMES[column] for column in self._columns),
            preprocessing=EMG2POSE_PREPROCESSING,
            emg_unit="noise_floor",
            side="right",
            is_simulated=True,
        )

    @property
    def n_samples(self) -> None:
        """There is no end."""
        return

    def read(self, start: int, stop: int) -> EmgChunk:
        """Give samples from `start` to `stop` or the end of the block; only forward, and not over a whole block."""
        number = start // self._block_samples
        if number > self._number:
            self._block, self._number = self._coming.result(), number
            self._coming = self._thread.submit(self._make, number + 1)
        first = number * self._block_samples
        stop = min(stop, first + self._block_samples)
        emg, joint_angles = (values[start - first : stop - first] for values in self._block)
        return EmgChunk(start, emg[:, self._columns], (stop - 1) / EMG_RATE_HZ, joint_angles)

    def close(self) -> None:
        """Stop making blocks."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _make(self, number: int) -> Block:
        """Simulate one block; blocks are made in order, since one begins with the tail of the last."""
        motion = self._joined(number)
        emg = simulate_emg(
            motion,
            self._anatomy,
            self._placement,
            motor_units_rng=rng_for(self._seed, "motor_units", _KEY, self._stage, number),
            noise_rng=rng_for(self._seed, "noise", _KEY, self._stage, number),
        )
        context = round(_CONTEXT_S * EMG_RATE_HZ)
        rows = slice(context, context + self._block_samples)
        block = emg[rows]
        if self._tail is not None:
            block[:_EMG_CROSS_SAMPLES] = _crossed(self._tail, block[:_EMG_CROSS_SAMPLES])
        self._tail = emg[rows.stop : rows.stop + _EMG_CROSS_SAMPLES].copy()
        self._performances.pop(number - 1, None)
        return block, motion.at(EMG_RATE_HZ)[rows].astype(np.float32)

    def _joined(self, number: int) -> Motion:
        """Give the movement of a block with its context, made of the performances that meet in it."""
        block_s = self._block_samples / EMG_RATE_HZ
        n_around = round((block_s + 2 * _CONTEXT_S) * _MOTION_RATE_HZ)
        at_s = number * block_s - _CONTEXT_S + np.arange(n_around) / _MOTION_RATE_HZ
        moved = self._performed(max(number - 1, 0), at_s, block_s)
        for following in (number, number + 1) if number else (1,):
            along = np.clip((at_s - (following * block_s - _CROSS_S)) / (2 * _CROSS_S), 0, 1)[:, None]
            share = along**3 * (10 - 15 * along + 6 * along**2)
            moved = (1 - share) * moved + share * self._performed(following, at_s, block_s)
        return Motion(moved[:, :20], moved[:, 20:22], moved[:, 22:], float(_MOTION_RATE_HZ))

    def _performed(self, number: int, at_s: NDArray[np.float64], block_s: float) -> NDArray[np.float64]:
        """Give a performance at times of the whole, shape (time, moved); its ends are held."""
        if number not in self._performances:
            rng = rng_for(self._seed, "motion", _KEY, self._stage, number)
            seconds = block_s + 2 * _CROSS_S
            self._performances[number] = simulate_motion(
                self._stage, self._style, seconds, rng, rate_hz=float(_MOTION_RATE_HZ)
            )
        motion = self._performances[number]
        places = np.rint((at_s - (number * block_s - _CROSS_S)) * _MOTION_RATE_HZ).astype(np.int64)
        rows = np.clip(places, 0, motion.n_samples - 1)
        return np.concatenate([motion.joint_angles, motion.wrist, motion.load], axis=1)[rows]


def _crossed(ending: NDArray[np.float32], beginning: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cross from one noise-like signal to another at equal power, in steps of the converter."""
    angle = np.linspace(0, np.pi / 2, len(ending))[:, None]
    crossed = np.cos(angle) * ending + np.sin(angle) * beginning
    return (np.rint(crossed / ADC_STEP) * ADC_STEP).astype(np.float32)
