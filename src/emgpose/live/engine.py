"""The engine: chunks of EMG in, poses out. Synchronous; no clock, no thread, no socket.

Pipeline: intake (order, gaps) -> channel map -> channel quality -> filters and scaling that the source has not had ->
gains and roll of the calibration -> model -> 1-Euro smoothing -> joint limits -> landmarks -> `PoseFrame`.
Timing: a frame at every step of the model (20 ms), on the fixed grid of the stream, from the past only; before the
context is full (0.7 to 0.9 s with the registered models) frames hold the initial pose and are stale.

What happens when something goes wrong; each is counted (`Engine.counts`) and logged once ("emgpose.live"):

| fault | what happens |
|---|---|
| samples lost, up to `max_fill_s` (50 ms) | filled with the last one; frames that end in the filled part stale, "gap" |
| more samples lost | filters and model begin again from the last pose; frames stale, "gap", until the context is full |
| source silent (`away`) | the last pose again, stale, with the caller's reason; when it is back, as for lost samples |
| duplicated or late samples | dropped; where chunks change places, the late one counts as lost |
| the source counts its samples anew | as when many samples are lost |
| NaN, infinity, or values beyond 1e9 | the channel's last value is held, its quality is 0; poses go on |
| dead channel (no change for 0.1 s) | quality 0; poses go on |
| clipped channel (at its extreme for 5 % of 0.25 s) | quality 0; poses go on |
| more than half of the channels of no use | poses go on, stale, "signal" |
| rate drifts by more than 0.5 % over 10 s | logged with the figure; poses go on |
| the model gives NaN or infinity | begins again from its last good pose; stale, "signal", until the context is full |
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from emgpose.errors import ConfigError, StreamError
from emgpose.kinematics import HandModel
from emgpose.live.channel_quality import ChannelQuality
from emgpose.live.chunk import EmgChunk, SourceFacts, parts_of
from emgpose.live.emg_path import EmgPath
from emgpose.live.engine_settings import CalibrationLike, EngineSettings
from emgpose.live.fault_log import FaultLog
from emgpose.live.frame_maker import WARMING_UP, FrameMaker
from emgpose.live.greeting import hello_of, warnings_of
from emgpose.live.intake import Intake, RateWatch, Taken
from emgpose.live.pose_frame import PoseFrame
from emgpose.live.smoothing import OneEuro
from emgpose.models import EmgModel
from emgpose.models.rollouts import batch_of_one
from emgpose.models.stream_state import StreamState

# A chunk that lies further back than this comes from a source that counts anew.
MAX_LATE_S: Final = 1.0
# Longer chunks, as from a recording read at once, are taken in parts: bounded memory.
BLOCK_SAMPLES: Final = 20_000


class Engine:
    """Chunks of EMG in, poses out; see the module for what it does about faults. Use it from one thread.

    In real time call `emgpose.live.one_thread.use_one_thread()` first, as `emgpose live` does.

    Parameters
    ----------
    model : EmgModel
        Causal; set to its task (`set_task`). The engine puts it into eval mode.
    source : SourceFacts
    settings : EngineSettings, optional
    initial_pose : array, shape (joint=20,) [rad], optional
        Where tracking starts, shown before the first pose; default: the calibration's, else the model's own.
    hand : HandModel, optional
        For landmarks and limits; default: the generic hand of the source's side (right where unknown).

    Attributes
    ----------
    hello : Hello
        What receivers are told once.
    warnings : list of str
        What a user must know before trusting the poses, one sentence each.
    hand : HandModel
    n_warm_up_frames : int
        Stale frames between the first sample and the first pose.

    Raises
    ------
    ConfigError : a model that cannot stream, another number of channels without a channel map, no noise floor for a
        source that has not been scaled, an initial pose in regression.
    RateMismatch : another rate without `resample`, or too low a rate.
    """

    def __init__(
        self,
        model: EmgModel,
        source: SourceFacts,
        *,
        settings: EngineSettings | None = None,
        initial_pose: ArrayLike | None = None,
        hand: HandModel | None = None,
    ) -> None:
        if "stream" not in model.modes:
            raise ConfigError(
                f"{model.name} cannot run live: {model.why_not_causal}; choose a causal model, such as emgpose50"
            )
        self._model, self._source = model.eval(), source
        model.prepare_for_hops()
        self._device = model.device
        self._settings = settings or EngineSettings()
        self.hand = hand or HandModel.generic(source.side or "right")
        self._given_pose = initial_pose
        self._path = EmgPath(model, source, self._settings)
        rate_hz = source.sample_rate_hz
        fill, late = round(self._settings.max_fill_s * rate_hz), round(MAX_LATE_S * rate_hz)
        self._intake = Intake(model.n_channels, fill, late)
        self._quality = ChannelQuality(model.n_channels, rate_hz)
        self._watch, self._log = RateWatch(rate_hz), FaultLog(source.name, rate_hz)
        self._n_samples = self._n_broken = 0
        self._frames = FrameMaker(
            model.frame_grid, model.sample_rate_hz, rate_hz, self.hand, self._settings, self._path
        )
        self.n_warm_up_frames = self._frames.n_warm_up
        self._start(self._initial_state(initial_pose, self._settings.calibration))
        self.warnings = warnings_of(model, source, self._path)
        self.hello = hello_of(model, source, self._path, self.hand.name)

    @property
    def settings(self) -> EngineSettings:
        """The choices as they are now; frozen."""
        return self._settings

    @property
    def counts(self) -> dict[str, int]:
        """How often each fault came so far.

        samples_late, samples_filled and samples_lost count samples; gaps, restarts and broken_poses occurrences;
        not_numbers values.
        """
        return {**self._intake.counts, "broken_poses": self._n_broken}

    def set_smoothing(self, smoothing: OneEuro | None) -> None:
        """Change or (None) switch off smoothing from the next frame on; nothing is reset."""
        self._settings = self._frames.settings = replace(self._settings, smoothing=smoothing)

    def set_joint_limits(self, joint_limits: bool) -> None:
        """Keep angles within the hand's limits, or not, from the next frame on."""
        self._settings = self._frames.settings = replace(self._settings, joint_limits=joint_limits)

    def set_calibration(self, calibration: CalibrationLike | None) -> None:
        """Use another calibration; the model begins again from its initial pose, so frames are stale for a while.

        That pose replaces the one that the engine was made with.

        Raises
        ------
        ConfigError : it does not fit the model, or it is None and nothing else tells the noise floor. Nothing changes.
        """
        settings = replace(self._settings, calibration=calibration)
        path = EmgPath(self._model, self._source, settings)
        # A pose measured now is worth more than the one that the engine was made with.
        has_pose = calibration is not None and calibration.initial_pose is not None
        given = None if has_pose else self._given_pose
        state = self._initial_state(given, calibration)
        self._given_pose = given
        self._settings = self._frames.settings = settings
        self._path = self._frames.path = path
        self.warnings = warnings_of(self._model, self._source, path)
        self._start(state)

    def reset(self, initial_pose: ArrayLike | None = None) -> None:
        """Begin again: model, filters and smoothing; counters of frames and faults go on.

        Parameters
        ----------
        initial_pose : array, shape (joint=20,) [rad], optional
            Default: as the engine was made, or the calibration's.

        Raises
        ------
        ConfigError : an initial pose in regression.
        """
        pose = self._given_pose if initial_pose is None else initial_pose
        self._start(self._initial_state(pose, self._settings.calibration))

    def push(self, chunk: EmgChunk) -> list[PoseFrame]:
        """Take samples as they came and give the poses that are complete now, 50 per second of EMG.

        Raises
        ------
        StreamError : the chunk's shape is not what the source's facts say.
        """
        frames: list[PoseFrame] = []
        self._check(chunk)
        for part in parts_of(chunk, BLOCK_SAMPLES, self._source.sample_rate_hz):
            n_late = self._intake.counts["samples_late"]
            taken = self._intake.take(part.first_sample, self._path.mapped(part.emg))
            if self._intake.counts["samples_late"] > n_late:
                self._log.note(
                    "late", self._n_samples, f"samples from {part.first_sample} on came twice or late; dropped"
                )
            if taken is not None:
                frames += self._take(taken, part)
        return frames

    def away(self, now_s: float, reason: str) -> PoseFrame:
        """Give the newest pose again, stale, while no EMG comes.

        Parameters
        ----------
        now_s : float
            On the source's clock [s].
        reason : str
            Such as "source lost".
        """
        self._log.note(f"away: {reason}", self._n_samples, f"{reason}; the last pose is held")
        self._watch.restart()
        return self._frames.again(now_s, reason)

    def state(self) -> dict[str, NDArray[Any]]:
        """Give everything it remembers as named arrays, for `numpy.savez` or another process.

        Settings are not among it; nor is what has been logged.
        """
        tensors = self._hops.state().to_tensors()
        model = {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}
        parts = {name: part.state() for name, part in self._stateful().items()} | {"model": model}
        arrays = {f"{part}.{name}": array for part, named in parts.items() for name, array in named.items()}
        return arrays | {"counters": np.array([self._n_samples, self._n_broken], dtype=np.int64)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up what `state` gave, in an engine made with the same model, source and settings.

        Raises
        ------
        StreamError, DataError : it is not the state of such an engine; make a new one before going on.
        """
        parts: dict[str, dict[str, NDArray[Any]]] = {}
        for name, array in state.items():
            part, _, key = name.partition(".")
            parts.setdefault(part, {})[key] = np.asarray(array)
        counters = parts.pop("counters", {}).get("", np.zeros(0))
        if counters.shape != (2,) or not set(parts) <= {*self._stateful(), "model"}:
            raise StreamError(f"this is not an engine's state: it holds {', '.join(state)}; give what state() gave")
        try:
            self._n_samples, self._n_broken = (int(count) for count in counters)
            for part, owner in self._stateful().items():
                owner.restore(parts.get(part, {}))
            self._go_on_from(self._model_state(parts.get("model", {})))
        except (TypeError, ValueError) as error:
            raise StreamError(f"this is not an engine's state: {error}; give what state() gave") from None
        self._watch.restart()

    # --- inside

    def _stateful(self) -> dict[str, Intake | ChannelQuality | EmgPath | FrameMaker]:
        return {"intake": self._intake, "quality": self._quality, "filters": self._path, "frames": self._frames}

    def _model_state(self, arrays: Mapping[str, NDArray[Any]]) -> StreamState:
        """Bring a saved state to the model, if it is one of this model's."""
        own, device = self._hops.state().to_tensors(), self._device
        state = StreamState.from_tensors({name: torch.tensor(array).to(device) for name, array in arrays.items()})
        given = state.to_tensors()
        # Feature frames that wait for their steps, and tails, differ in length from moment to moment.
        if list(given) != list(own) or any(given[name].shape[:2] != own[name].shape[:2] for name in own):
            raise StreamError(
                f"the state is not one of {self._model.name}; restore it into an engine with its own model"
            )
        return state

    def _initial_state(self, initial_pose: ArrayLike | None, calibration: CalibrationLike | None) -> StreamState:
        model = self._model
        if initial_pose is not None and model.task == "regression":
            raise ConfigError(
                f"in regression {model.name} is not told the pose and starts from its own; leave the initial pose out, "
                "or use tracking"
            )
        if initial_pose is None and calibration is not None:
            initial_pose = calibration.initial_pose
        with torch.inference_mode():
            return model.initial_state(batch_of_one(model, initial_pose))

    def _start(self, state: StreamState) -> None:
        """Begin with the initial pose."""
        self._begin_again(state, WARMING_UP)
        self._frames.hold(state.pose[0].detach().float().cpu().numpy().copy())

    def _begin_again(self, state: StreamState, reason: str) -> None:
        self._go_on_from(state)
        self._path.reset()
        self._watch.restart()
        self._frames.begin_again(reason)

    def _go_on_from(self, state: StreamState) -> None:
        self._hops = self._model.hops(state)
        # What the model begins again from when it breaks.
        self._last_good = state.pose[0].detach().float().cpu().numpy().copy()

    def _from_last_pose(self, reason: str, pose: Tensor | None = None) -> None:
        """Begin again after a fault, with the model's last pose, or a given one, as the initial one."""
        with torch.inference_mode():
            state = self._model.initial_state(self._hops.state().pose if pose is None else pose)
        self._begin_again(state, reason)

    def _check(self, chunk: EmgChunk) -> None:
        if chunk.emg.ndim != 2 or chunk.emg.shape[1] != self._source.n_channels:
            raise StreamError(
                f"source {self._source.name}: a chunk has shape {chunk.emg.shape}, expected (time, "
                f"channel={self._source.n_channels}) as its facts say; this is a fault of the source"
            )

    def _take(self, taken: Taken, chunk: EmgChunk) -> list[PoseFrame]:
        """Carry samples, in order and finite, through to frames."""
        if taken.begins_again:
            self._from_last_pose("gap")
        judged = self._quality.judge(taken.emg, taken.is_missing)
        self._n_samples += len(taken.emg)
        self._log.note_samples(taken, judged, self._n_samples, self._path.channel_names, self._path.is_used)
        self._note_drift(chunk)
        prepared = self._path.process(taken.emg)
        rows = self._hops.push(prepared)
        is_finite = np.isfinite(rows)
        frames = self._frames.make(taken, judged, chunk, len(prepared), rows)
        if is_finite.all():
            self._last_good = rows[-1] if len(rows) else self._last_good
        else:
            good = int(is_finite.all(axis=1).argmin())
            pose = self._last_good if good == 0 else rows[good - 1]
            self._n_broken += 1
            self._log.note(
                "broken", self._n_samples, f"{self._model.name} gave a pose that is no number; it begins again"
            )
            self._from_last_pose("signal", torch.from_numpy(pose[None].copy()).to(self._device))
        return frames

    def _note_drift(self, chunk: EmgChunk) -> None:
        newest = chunk.first_sample + len(chunk.emg) - 1
        drift = self._watch.drift(newest, chunk.time_s)
        if drift is not None and abs(drift) > RateWatch.LARGEST_DRIFT:
            nominal_hz = self._source.sample_rate_hz
            message = (
                f"the sample rate is {nominal_hz * (1 + drift):.1f} Hz by its own clock, {drift:+.2%} off the "
                f"{nominal_hz:g} Hz stated; movements seem faster or slower by as much"
            )
            self._log.note("drift", self._n_samples, message)
