"""A recording in an XDF file: its EMG stream, and beside it a stream of joint angles where there is one.

The rule that brings both to one clock: samples of EMG are numbered by their stamps, lost ones counted
(`emgpose.recording.stamps`); the straight line that fits stamps to numbers best is the clock, so that jitter of single
stamps moves nothing. A pose belongs to its own stamp, earlier by the delay that its stream states. At an EMG sample
between two poses no further apart than 0.1 s, both fresh, the angles are interpolated linearly; elsewhere they are not
valid.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import SessionFormatError
from emgpose.hand import JOINTS, N_JOINTS
from emgpose.recording.columns import require_radians
from emgpose.recording.facts import SessionFacts
from emgpose.recording.file_version import file_version, require_same_version
from emgpose.recording.stamps import StampCounter
from emgpose.recording.stream_header import StreamDescription, find_emg
from emgpose.recording.xdf_streams import Header, XdfStream, choose_emg, read_xdf

POSE_TYPE: Final = "HandPose"
STALE_LABEL: Final = "STALE"
_LONGEST_POSE_STEP_S: Final = 0.1
_LONGEST_GAP_S: Final = 60.0
# Stamps further from a straight line than this mean that a clock was set, and no alignment can be trusted.
_MOST_STAMP_ERROR_S: Final = 0.25
# Rates stated and true differ by a few percent at most.
_MOST_RATE_FACTOR: Final = 1.1
_LISTED_GAPS: Final = 8


class XdfReader:
    """Reads the EMG stream of an XDF file, and the stream of type `HandPose` beside it if there is one.

    The file is read whole. Samples that were lost hold the value before them, as a live recording does, and are never
    labelled; the facts name the gaps.

    Parameters
    ----------
    path : Path
    rate_hz : float, optional
        For an EMG stream that states no rate.
    channels : sequence of str or int, optional
        By label or number; by default those of type EMG where the stream gives types, else all.
    stream : str, optional
        Name of the EMG stream; by default the only one of type EMG.

    Raises
    ------
    SessionFormatError : no such file, a damaged one, one without samples, or with a gap of more than a minute.
    ConfigError : several streams fit, or a channel does not exist.
    RateMismatch : the EMG stream states no rate, and none is given.
    MissingExtraError : pyxdf is not installed.

    Source: XDF specification and meta-data conventions (Kothe et al. 2025).
    """

    def __init__(
        self,
        path: Path,
        rate_hz: float | None = None,
        channels: Sequence[str | int] | None = None,
        *,
        stream: str | None = None,
    ) -> None:
        self._path, self._rate_hz, self._channels, self._stream = Path(path), rate_hz, channels, stream
        if not self._path.is_file():
            raise SessionFormatError(f"{path}: {'is not a file' if self._path.exists() else 'no such file'}")
        self._version = file_version([self._path])
        self._emg: NDArray[np.float32] | None = None
        self._facts = self._load()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_emg": None, "_numbers": None, "_poses": None}

    @property
    def facts(self) -> SessionFacts:
        """What the recording is."""
        return self._facts

    def close(self) -> None:
        """Give back the memory."""
        self._emg = None

    def read(self, start: int, stop: int, fields: frozenset[str]) -> dict[str, NDArray[Any]]:
        """Read samples [start, stop) of `emg`, `joint_angles`, `valid` or `time_s`.

        Raises
        ------
        SessionFormatError : the file was replaced since it was opened.
        """
        emg = self._loaded()
        wanted = np.arange(start, stop)
        held = np.searchsorted(self._numbers, wanted, side="right") - 1
        values: dict[str, NDArray[Any]] = {}
        if "emg" in fields:
            values["emg"] = emg[held]
        time_s = np.asarray(self._first_s + wanted * self._period_s, dtype=np.float64)
        if "time_s" in fields:
            values["time_s"] = time_s
        if self._poses is not None and fields & {"joint_angles", "valid"}:
            angles, valid = _poses_at(time_s, *self._poses)
            # A lost sample has no EMG that its label could belong to.
            both = {"joint_angles": angles, "valid": valid & (self._numbers[held] == wanted)}
            values |= {name: both[name] for name in fields & both.keys()}
        return values

    def _loaded(self) -> NDArray[np.float32]:
        if self._emg is None:
            require_same_version(self._path, self._version, file_version([self._path]))
            self._load()
        if self._emg is None:
            raise SessionFormatError(f"{self._path}: expected samples of EMG, found none")
        return self._emg

    def _load(self) -> SessionFacts:
        where = str(self._path)
        streams, warnings = read_xdf(self._path, self._chosen, synchronise=True)
        emg = find_emg(streams[0].description, where, channels=self._channels, input_rate_hz=self._rate_hz)
        stamps_s = streams[0].stamps_s
        # A file says nothing about arrival; the stamps stand for it.
        numbers = StampCounter(emg.rate_hz).number(stamps_s, float(stamps_s[-1]))
        gaps = _gaps(numbers, emg.rate_hz, where)
        _require_rate(numbers, stamps_s, emg.rate_hz, where)
        self._first_s, self._period_s = _clock(numbers, stamps_s, emg.rate_hz, where, strict=len(streams) > 1)
        self._poses = _poses(streams[1], where) if len(streams) > 1 else None
        self._numbers, self._emg = numbers, emg.channels.take(streams[0].samples)
        labels = streams[1].description if len(streams) > 1 else None
        predicted_by = labels.own.get("model") if labels is not None else None
        return SessionFacts(
            format="XDF",
            sample_rate_hz=emg.rate_hz,
            n_samples=int(numbers[-1]) + 1,
            channel_names=emg.channel_names,
            has_joint_angles=labels is not None,
            session=self._path.name.partition(".")[0],
            side=emg.side,
            emg_unit=emg.unit,
            preprocessing=emg.preprocessing,
            start_s=self._first_s,
            notes=(
                *(f"the file may be damaged; its reader says: {text}" for text in warnings[:1]),
                *gaps,
                *self._notes_on_poses(labels),
            ),
            attributes={
                "simulated": emg.is_simulated,
                "lost_samples": int(numbers[-1]) + 1 - len(numbers),
                **({"joint_angles_predicted_by": predicted_by} if predicted_by else {}),
            },
        )

    def _notes_on_poses(self, labels: StreamDescription | None) -> Iterator[str]:
        if labels is None:
            if self._expects_poses:
                yield "the stream of joint angles holds no samples"
            return
        yield f"joint angles come from stream {labels.name!a}"
        if predicted_by := labels.own.get("model"):
            yield f"they are what model {predicted_by!a} predicted, not a measurement"

    def _chosen(self, headers: Sequence[Header]) -> list[Header]:
        poses = [header for header in headers if header["type"] == POSE_TYPE]
        if len(poses) > 1:
            names = ", ".join(f"{header['name']!a}" for header in poses)
            raise SessionFormatError(
                f"{self._path}: expected one stream of type {POSE_TYPE}, found {names}; leave one in the file"
            )
        self._expects_poses = bool(poses)
        return [choose_emg(headers, self._path, self._stream), *poses]


def _gaps(numbers: NDArray[np.int64], rate_hz: float, where: str) -> tuple[str, ...]:
    """Say where samples were lost.

    Raises
    ------
    SessionFormatError : so many at once that these are two recordings, or more than there are.
    """
    lost = np.diff(numbers) - 1
    places = np.flatnonzero(lost)
    if not len(places):
        return ()
    longest = int(lost.max())
    if longest > _LONGEST_GAP_S * rate_hz:
        raise SessionFormatError(
            f"{where}: {longest / rate_hz:.0f} s are missing after sample {numbers[int(lost.argmax())]}, expected gaps "
            f"of {_LONGEST_GAP_S:g} s at most; divide the file there into two recordings"
        )
    if int(lost.sum()) > len(numbers):
        raise SessionFormatError(
            f"{where}: the EMG stream states {rate_hz:g} Hz, by its stamps {int(lost.sum())} samples are missing "
            f"beside {len(numbers)} that are there; expected stamps in seconds and the true rate: correct the file"
        )
    listed = ", ".join(f"{lost[place]} after sample {numbers[place]}" for place in places[:_LISTED_GAPS])
    more = f" and {len(places) - _LISTED_GAPS} more gaps" if len(places) > _LISTED_GAPS else ""
    return (f"{int(lost.sum())} samples were lost and hold the value before them: {listed}{more}",)


def _require_rate(numbers: NDArray[np.int64], stamps_s: NDArray[np.float64], rate_hz: float, where: str) -> None:
    """Refuse a stream whose stamps are those of quite another rate than it states, or do not run forward."""
    if len(numbers) <= rate_hz:
        return
    # Of parts of a second each, so that a clock that was set changes one of many.
    step = max(1, round(rate_hz / 4))
    ratio = float(np.median(np.diff(stamps_s[::step]) / np.diff(numbers[::step]))) * rate_hz
    if not 1 / _MOST_RATE_FACTOR < ratio < _MOST_RATE_FACTOR:
        shown = f"{rate_hz / ratio:.4g} Hz" if ratio > 0 else "do not run forward"
        raise SessionFormatError(
            f"{where}: the EMG stream states {rate_hz:g} Hz, its stamps say otherwise ({shown}); correct the file"
        )


def _clock(
    numbers: NDArray[np.int64], stamps_s: NDArray[np.float64], rate_hz: float, where: str, *, strict: bool
) -> tuple[float, float]:
    """Fit stamps to sample numbers: time of sample 0 and the true period [s]."""
    if len(numbers) < 2:
        return float(stamps_s[0]), 1 / rate_hz
    middle, mean_s = float(numbers.mean()), float(stamps_s.mean())
    offset = numbers - middle
    period_s = float(offset @ (stamps_s - mean_s) / (offset @ offset))
    error_s = float(np.abs(stamps_s - mean_s - offset * period_s).max())
    if strict and error_s > _MOST_STAMP_ERROR_S:
        raise SessionFormatError(
            f"{where}: the stamps of the EMG stream leave an even clock by {error_s:.3g} s, expected "
            f"{_MOST_STAMP_ERROR_S:g} s at most; the clock was set, so the poses cannot be aligned: divide the file"
        )
    return mean_s - middle * period_s, period_s


def _poses(stream: XdfStream, where: str) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.bool_]]:
    """Times [s], angles (time, joint=20) [rad] and freshness of the poses of a stream."""
    labels = [channel.get("label", "") for channel in stream.description.channels]
    missing = [joint for joint in JOINTS if labels.count(joint) != 1]
    if missing or len(labels) != stream.description.n_channels:
        raise SessionFormatError(
            f"{where}: stream {stream.description.name!a} of type {POSE_TYPE}: expected channels labelled "
            f"{JOINTS[0]} to {JOINTS[-1]}, each once, but {missing[0] if missing else 'some'} is not there"
        )
    units = {stream.description.channels[labels.index(joint)].get("unit", "") for joint in JOINTS}
    if units - {"rad", ""}:
        raise SessionFormatError(
            f"{where}: stream {stream.description.name!a}: expected joint angles in rad, got {sorted(units)}"
        )
    angles = np.asarray(stream.samples)[:, [labels.index(joint) for joint in JOINTS]].astype(np.float32)
    require_radians(angles, 0, f"{where}: stream {stream.description.name!a}")
    fresh = np.asarray(np.isfinite(angles).all(axis=1))
    if STALE_LABEL in labels:
        fresh &= np.asarray(stream.samples)[:, labels.index(STALE_LABEL)] == 0
    times_s = stream.stamps_s - _delay_s(stream, where)
    # Poses that were sent together may carry one stamp; the first of them counts.
    rising = np.concatenate([[True], np.diff(np.maximum.accumulate(times_s)) > 0])
    return times_s[rising], angles[rising], fresh[rising]


def _delay_s(stream: XdfStream, where: str) -> float:
    text = stream.description.own.get("delay_s", "0")
    try:
        delay_s = float(text)
    except ValueError:
        delay_s = np.nan
    if not 0 <= delay_s < _LONGEST_GAP_S:
        raise SessionFormatError(
            f"{where}: stream {stream.description.name!a}: delay_s: expected seconds, got {text!a}"
        )
    return delay_s


def _poses_at(
    time_s: NDArray[np.float64], pose_s: NDArray[np.float64], angles: NDArray[np.float32], fresh: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Interpolate poses; NaN and not valid where there is none on either side, or one of them is stale or far."""
    before = np.searchsorted(pose_s, time_s, side="right") - 1
    after = before + 1
    inside = (before >= 0) & (after < len(pose_s))
    left, right = np.where(inside, before, 0), np.where(inside, after, 0)
    step_s = np.where(inside, pose_s[right] - pose_s[left], 1.0)
    valid = inside & (step_s <= _LONGEST_POSE_STEP_S) & fresh[left] & fresh[right]
    share = ((time_s - pose_s[left]) / step_s)[:, None]
    blend = angles[left] + share * (angles[right] - angles[left]).astype(np.float64)
    result = np.full((len(time_s), N_JOINTS), np.nan, dtype=np.float32)
    result[valid] = blend[valid]
    return result, valid
