"""A calibration on a live stream: what to do is asked for, step by step, and the EMG is collected.

Synchronous, as the engine is: time is counted in samples, and whoever shows the cues owns clock and screen.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emgpose.live.calibrating import HeldGesture, calibrate
from emgpose.live.calibration import Calibration
from emgpose.live.chunk import EmgChunk, SourceFacts
from emgpose.live.emg_path import EmgPath
from emgpose.live.engine_settings import EngineSettings
from emgpose.live.intake import Intake
from emgpose.models import EmgModel
from emgpose.preprocessing import Scale
from emgpose.simulation.hand_poses import POSES

# How far the last joint of a finger bends with the middle one, in most hands (`MotionStyle.dip_per_pip`).
_DIP_PER_PIP: Final = 0.66


@dataclass(frozen=True)
class Cue:
    """One thing that is asked for.

    Parameters
    ----------
    pose : str
        One of `emgpose.simulation.hand_poses.POSES`.
    text : str
        What to tell the person.
    hold_s : float
        From when it is asked for until the next cue [s].
    """

    pose: str
    text: str
    hold_s: float = 2.5

    @property
    def joint_angles(self) -> NDArray[np.float32]:
        """The pose asked for, to be shown and compared with, shape (joint=20,) [rad]."""
        return POSES[self.pose].joint_angles_rad(_DIP_PER_PIP).astype(np.float32)


REST: Final = Cue("resting", "Let the hand hang relaxed, without moving.", 4.0)
GESTURES: Final = (
    Cue("open", "Open the hand wide."),
    Cue("fist", "Make a fist."),
    Cue("count_1", "Point with the index finger, the other fingers folded."),
    Cue("pinch_index", "Touch the index fingertip with the thumb."),
    Cue("thumbs_up", "Thumb up, the fingers folded."),
    Cue("count_2", "Index and middle finger straight, the others folded."),
    Cue("pinch_pinky", "Touch the little fingertip with the thumb."),
    Cue("spread", "Spread the fingers."),
    Cue("point_pinky", "Point with the little finger, the other fingers folded."),
    Cue("flat", "Hold the fingers straight and together."),
)


class GuidedCalibration:
    """Collects the EMG of a rest and gestures that are asked for one after the other.

    Parameters
    ----------
    model : EmgModel
        Causal, set to its task.
    source : SourceFacts
    settings : EngineSettings, optional
        Those of the engine: channel map and resampling count. Their calibration does not.
    earlier : Calibration, optional
        Of the same person; see `calibrate`.
    cues : tuple of Cue
        The first one is the rest.

    Raises
    ------
    ConfigError, RateMismatch : the source does not suit the model, as in `Engine`.
    """

    def __init__(
        self,
        model: EmgModel,
        source: SourceFacts,
        settings: EngineSettings | None = None,
        *,
        earlier: Calibration | None = None,
        cues: tuple[Cue, ...] = (REST, *GESTURES),
    ) -> None:
        model.check_mode("stream")
        self._model, self._earlier, self._cues = model, earlier, cues
        # A noise floor of 1 leaves the unit as it is.
        settings = replace(settings or EngineSettings(), noise_floor=(1.0,), calibration=None)
        self._path = EmgPath(model, source, settings)
        self._is_scaled = not any(isinstance(step, Scale) for step in self._path.steps)
        # Whatever was lost is filled, a second at most, so that cues and samples stay together.
        self._intake = Intake(model.n_channels, round(source.sample_rate_hz), round(source.sample_rate_hz))
        self._restart()

    def _restart(self) -> None:
        self._parts: list[NDArray[np.float32]] = []
        self._n_samples = 0

    @property
    def elapsed_s(self) -> float:
        """Seconds of EMG collected."""
        return self._n_samples / self._model.sample_rate_hz

    @property
    def total_s(self) -> float:
        """Seconds that all cues take."""
        return sum(cue.hold_s for cue in self._cues)

    @property
    def cue(self) -> Cue | None:
        """What is asked for now; None when there is enough."""
        over_s = 0.0
        for cue in self._cues:
            over_s += cue.hold_s
            if self._n_samples < round(over_s * self._model.sample_rate_hz):
                return cue
        return None

    def push(self, chunk: EmgChunk) -> Cue | None:
        """Take EMG as it came, and give what is asked for now; after a long gap everything is asked for anew."""
        taken = self._intake.take(chunk.first_sample, self._path.mapped(chunk.emg))
        if taken is not None:
            if taken.begins_again:
                self._path.reset()
                self._restart()
            prepared = self._path.process(taken.emg)
            self._parts.append(prepared)
            self._n_samples += len(prepared)
        return self.cue

    def result(self) -> Calibration:
        """Measure the calibration from what was collected; takes a few seconds of computing.

        Raises
        ------
        DataError : too little was collected, or nothing but silence.
        """
        emg = np.concatenate([np.empty((0, self._model.n_channels), np.float32), *self._parts])
        held, first = [], 0
        for cue in self._cues:
            stop = first + round(cue.hold_s * self._model.sample_rate_hz)
            held.append(HeldGesture(cue.pose, emg[first:stop], cue.joint_angles))
            first = stop
        return calibrate(self._model, held[0], held[1:], is_scaled=self._is_scaled, earlier=self._earlier)
