"""One simulated recording: person, band, movement and EMG, each from its own random stream, and the truth behind it."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from emgpose.errors import SessionFormatError
from emgpose.recording import Emg2PoseWriter
from emgpose.simulation.aggressors import apply_aggressor
from emgpose.simulation.anatomy import draw_placement, draw_user
from emgpose.simulation.emg import ADC_STEP, simulate_emg
from emgpose.simulation.labels import draw_valid, has_stretch
from emgpose.simulation.motion import Motion, draw_style, recorded_motion, simulate_motion
from emgpose.simulation.settings import SIMULATOR_VERSION, DataSetSettings
from emgpose.simulation.splits import PlannedRecording, start_time_s
from emgpose.simulation.streams import rng_for
from emgpose.timing import EMG_RATE_HZ

TRUTH_GROUP: Final = "simulation"
# Of what the truth holds, these are texts in JSON.
_JSON_ENTRIES: Final = ("anatomy", "shares", "style", "motion", "aggressors", "streams")
_CONVERTER_STEPS: Final = 2**15
# A recorded movement is played round and round; each recording is cut out somewhere in the first hour of that.
_LATEST_CUT_S: Final = 3600.0
# The first cut in which a test window of labels fits is taken; the last one if there is none.
_CUTS_TRIED: Final = 16


@dataclass(frozen=True)
class SimulatedSession:
    """Samples and truth of one recording.

    Parameters
    ----------
    emg : array, shape (time, channel=16), float32, noise floor SD 1
    joint_angles : array, shape (time, joint=20), float32 [rad]
        Also where the label counts as invalid.
    valid : array, shape (time,), bool
    truth : dict
        What the group `simulation` of the file holds; see docs/simulator.md.
    """

    emg: NDArray[np.float32]
    joint_angles: NDArray[np.float32]
    valid: NDArray[np.bool_]
    truth: dict[str, Any]


def simulate_session(settings: DataSetSettings, planned: PlannedRecording) -> SimulatedSession:
    """Simulate one recording of a data set.

    Parameters
    ----------
    settings : DataSetSettings
    planned : PlannedRecording
        One of `settings.plan()`.

    Returns
    -------
    SimulatedSession
        The same whenever and wherever it is made. The placements of one user, hand, stage and repeat share movement,
        motor-unit firings and missing labels, so they are pairs.
    """
    seed, streams = settings.seed, streams_of(planned)
    anatomy = draw_user(rng_for(seed, "user", *streams["user"]))
    placement = draw_placement(rng_for(seed, "placement", *streams["placement"]))
    motion, how = _motion(settings, planned, streams)
    n_samples = settings.n_samples
    joint_angles = motion.at(EMG_RATE_HZ)[:n_samples].astype(np.float32)
    emg = simulate_emg(
        motion,
        anatomy,
        placement,
        motor_units_rng=rng_for(seed, "motor_units", *streams["motor_units"]),
        noise_rng=rng_for(seed, "noise", *streams["noise"]),
        rate_hz=EMG_RATE_HZ,
        shares=settings.shares,
    )[:n_samples]
    emg, spans = _spoilt(emg, settings, streams)
    valid = draw_valid(n_samples, EMG_RATE_HZ, rng_for(seed, "labels", *streams["labels"]), _missing(motion, n_samples))
    truth = {
        "data_set": settings.digest(),
        "simulator_version": SIMULATOR_VERSION,
        "seed": seed,
        "placement": planned.placement,
        "repeat": planned.repeat,
        "rotation_rad": placement.rotation_rad,
        "shift_mm": placement.shift_mm,
        "gains": np.asarray(placement.gains, dtype=np.float64),
        "hand_length_mm": anatomy.hand_length_mm,
        "adc_step": ADC_STEP,
        "anatomy": anatomy.to_dict(),
        "shares": dataclasses.asdict(settings.shares),
        **how,
        "aggressors": spans,
        "streams": {name: list(keys) for name, keys in streams.items()},
    }
    return SimulatedSession(emg, joint_angles, valid, truth)


def streams_of(planned: PlannedRecording) -> dict[str, tuple[int | str, ...]]:
    """Give the keys of each random stream of a recording; what they leave out makes no difference to the stream."""
    user = planned.user_number
    performance = (user, planned.side, planned.stage, planned.repeat)
    return {
        "user": (user,),
        "motion": performance,
        "motor_units": performance,
        "labels": performance,
        "placement": (user, planned.side, planned.placement),
        "noise": (*performance, planned.placement),
        "aggressors": (*performance, planned.placement),
    }


def _motion(
    settings: DataSetSettings, planned: PlannedRecording, streams: dict[str, tuple[int | str, ...]]
) -> tuple[Motion, dict[str, Any]]:
    """Simulate the movement, or cut it out of the recorded one; and say which."""
    if settings.motion_file is not None:
        starts_s = rng_for(settings.seed, "motion", *streams["motion"]).uniform(0.0, _LATEST_CUT_S, _CUTS_TRIED)
        for start_s in starts_s.tolist():
            motion = recorded_motion(
                settings.motion_file, settings.motion_rate_hz, seconds=settings.seconds, start_s=start_s
            )
            if motion.valid is None or has_stretch(motion.valid, motion.rate_hz):
                break
        return motion, {"motion": {**settings.to_dict()["motion_file"], "start_s": start_s}, "style": {}}
    style = draw_style(rng_for(settings.seed, "user", *streams["user"], "style"))
    motion = simulate_motion(
        planned.stage, style, settings.seconds, rng_for(settings.seed, "motion", *streams["motion"])
    )
    return motion, {"motion": {"stage": planned.stage}, "style": dataclasses.asdict(style)}


def _missing(motion: Motion, n_samples: int) -> NDArray[np.bool_] | None:
    """Which samples of a recorded movement were bridged, at the rate of the EMG."""
    if motion.valid is None or motion.valid.all():
        return None
    at_s = np.arange(n_samples) / EMG_RATE_HZ * motion.rate_hz
    before, after = np.floor(at_s).astype(np.int64), np.ceil(at_s).astype(np.int64)
    last = len(motion.valid) - 1
    usable = motion.valid[np.minimum(before, last)] & motion.valid[np.minimum(after, last)]
    return np.asarray(~usable)


def _spoilt(
    emg: NDArray[np.float32], settings: DataSetSettings, streams: dict[str, tuple[int | str, ...]]
) -> tuple[NDArray[np.float32], list[dict[str, Any]]]:
    """Apply the data set's aggressors, each to one span, and say which samples they changed."""
    spans: list[dict[str, Any]] = []
    for name, severity in sorted(settings.aggressors.items()):
        rng = rng_for(settings.seed, "aggressors", name, *streams["aggressors"])
        n_spoilt = round(settings.aggressor_share * len(emg))
        start = int(rng.integers(len(emg) - n_spoilt + 1))
        stop = start + n_spoilt
        emg = emg.copy()
        emg[start:stop] = apply_aggressor(name, emg[start:stop], EMG_RATE_HZ, severity, rng)
        spans.append({"name": name, "severity": severity, "start": start, "stop": stop})
    steps = np.clip(np.rint(emg / ADC_STEP), -_CONVERTER_STEPS, _CONVERTER_STEPS - 1)
    return (steps * ADC_STEP).astype(np.float32), spans


def write_simulated_session(path: Path, settings: DataSetSettings, planned: PlannedRecording) -> Path:
    """Simulate one recording of a data set into its file, which appears whole or not at all.

    Raises
    ------
    DataError : the folder cannot be written to, or the disk is full.
    """
    simulated = simulate_session(settings, planned)
    with Emg2PoseWriter(
        path,
        sample_rate_hz=EMG_RATE_HZ,
        user=planned.user,
        stage=planned.stage,
        side=planned.side,
        session=planned.session,
        start_s=start_time_s(planned, settings.seconds),
        attributes={"simulated": True, "data_set": settings.digest()},
    ) as writer:
        writer.append(simulated.emg, simulated.joint_angles, valid=simulated.valid)
        values = {
            name: json.dumps(value, sort_keys=True, default=_plain) if name in _JSON_ENTRIES else value
            for name, value in simulated.truth.items()
        }
        writer.add_group(TRUTH_GROUP, values)
    return path


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be kept as JSON")


def read_truth(path: Path | str) -> dict[str, Any]:
    """Read what a simulated file says about its own making.

    Parameters
    ----------
    path : Path or str

    Returns
    -------
    dict
        `rotation_rad`, `shift_mm`, `gains`, `anatomy`, `aggressors`, ...; see docs/simulator.md.

    Raises
    ------
    SessionFormatError : the file cannot be read, or was not simulated.
    """
    try:
        with h5py.File(path, "r") as file:
            group = file[TRUTH_GROUP]
            truth: dict[str, Any] = {name: value.item() for name, value in group.attrs.items()}
            for name, dataset in group.items():
                value = dataset[()]
                text = value.decode("utf-8") if isinstance(value, bytes) else None
                truth[name] = value if text is None else json.loads(text) if name in _JSON_ENTRIES else text
            return truth
    except (OSError, KeyError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise SessionFormatError(
            f"{path}: expected a simulated recording with a group {TRUTH_GROUP}, got: {reason}; "
            "`emgpose simulate` writes such files"
        ) from None


def is_complete(path: Path, settings: DataSetSettings) -> bool:
    """Whether a file holds its recording of this data set; files take their names only when they are complete."""
    try:
        return bool(read_truth(path)["data_set"] == settings.digest())
    except (SessionFormatError, KeyError):
        return False
