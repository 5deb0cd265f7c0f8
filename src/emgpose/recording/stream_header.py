"""What a stream says about its EMG in its header, as LSL sends it and XDF files keep it.

Labels, types and units follow the XDF meta-data for EMG (`desc/channels/channel/{label,type,unit}`). Streams of emgpose
itself add `desc/emgpose` with what the EMG has had already, the side, and whether it is simulated.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import ConfigError, RateMismatch, SessionFormatError, StreamError
from emgpose.hand import SIDES
from emgpose.preprocessing import Preprocessing
from emgpose.recording.channels import distinct_names, select_channels
from emgpose.recording.facts import checked_rate_hz

EMG_TYPE: Final = "EMG"
# The element of `desc` that streams of emgpose add.
OWN_ELEMENT: Final = "emgpose"
_NOISE_FLOOR: Final = "noise_floor"
# Microvolts per unit; whole numbers are powers of ten of a volt, as MNE-LSL writes them.
_MICROVOLTS: Final = {
    **dict.fromkeys(("uv", "µv", "μv", "microvolt", "microvolts", "-6"), 1.0),
    **dict.fromkeys(("mv", "millivolt", "millivolts", "-3"), 1e3),
    **dict.fromkeys(("v", "volt", "volts"), 1e6),
    **dict.fromkeys(("nv", "nanovolt", "nanovolts", "-9"), 1e-3),
}


@dataclass(frozen=True)
class StreamDescription:
    """The header of a stream.

    Parameters
    ----------
    name, kind : str
        `kind` is what LSL calls type, such as "EMG".
    n_channels : int
    rate_hz : float
        0 where the stream has no fixed rate.
    channels : tuple of mapping
        Label, type and unit of each channel; empty, or of another length, where the stream does not say them.
    own : mapping
        What `desc/emgpose` holds.
    """

    name: str
    kind: str
    n_channels: int
    rate_hz: float
    channels: tuple[Mapping[str, str], ...] = ()
    own: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ChosenChannels:
    """Columns of a stream that are its EMG, and the factor that brings each to the unit of the facts."""

    columns: tuple[int, ...]
    factors: NDArray[np.float32]

    def take(self, samples: NDArray[np.generic]) -> NDArray[np.float32]:
        """Take the EMG out of samples, shape (time, channel)."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(samples[:, list(self.columns)].astype(np.float32) * self.factors)


@dataclass(frozen=True)
class StreamEmg:
    """The EMG of a stream.

    Parameters
    ----------
    channel_names : tuple of str
    channels : ChosenChannels
    rate_hz : float
        Nominal rate.
    unit : str
        Volts, millivolts and nanovolts become `uV`; `unknown` where a channel has another unit.
    preprocessing : Preprocessing
        What it has had already.
    side : str or None
    is_simulated : bool
    """

    channel_names: tuple[str, ...]
    channels: ChosenChannels
    rate_hz: float
    unit: str
    preprocessing: Preprocessing
    side: str | None
    is_simulated: bool


def find_emg(
    stream: StreamDescription,
    where: str,
    *,
    channels: Sequence[str | int] | None = None,
    input_rate_hz: float | None = None,
) -> StreamEmg:
    """Find the EMG of a stream by what its header says.

    Parameters
    ----------
    stream : StreamDescription
    where : str
        What to call it, such as `lsl:MyBand`.
    channels : sequence of str or int, optional
        By label, or by number from 0. By default those of type EMG where the stream gives types, else all.
    input_rate_hz : float, optional
        For a stream that states no rate.

    Raises
    ------
    RateMismatch : the stream states no rate and none is given.
    ConfigError : a channel does not exist, or a rate is given for a stream that states its own.
    StreamError : what the stream says about itself cannot be so.
    """
    listed = stream.channels if len(stream.channels) == stream.n_channels else ({},) * stream.n_channels
    names = distinct_names([channel.get("label") for channel in listed])
    types = [channel.get("type", "").upper() for channel in listed]
    columns = select_channels(names, channels, where)
    if channels is None and EMG_TYPE in types:
        columns = [column for column in columns if types[column] == EMG_TYPE]
    unit, factors = _unit([listed[column].get("unit", "") for column in columns])
    return StreamEmg(
        channel_names=tuple(names[column] for column in columns),
        channels=ChosenChannels(tuple(columns), factors),
        rate_hz=_rate_hz(stream, where, input_rate_hz),
        unit=unit,
        preprocessing=_preprocessing(stream, where),
        side=stream.own.get("side") if stream.own.get("side") in SIDES else None,
        is_simulated=stream.own.get("simulated") == "1",
    )


def _rate_hz(stream: StreamDescription, where: str, given_hz: float | None) -> float:
    if stream.rate_hz and given_hz is not None:
        raise ConfigError(f"{where}: the stream states its own rate, {stream.rate_hz:g} Hz; leave the input rate out")
    if not stream.rate_hz and given_hz is None:
        raise RateMismatch(
            f"{where}: stream {stream.name!a} has a nominal rate of 0 (irregular), expected a fixed rate; let the "
            "device's program state it, or give the true rate (--input-rate)"
        )
    try:
        return checked_rate_hz(stream.rate_hz or given_hz, f"{where}: nominal rate")
    except SessionFormatError as error:
        raise StreamError(str(error)) from None


def _unit(units: Sequence[str]) -> tuple[str, NDArray[np.float32]]:
    ones = np.ones(len(units), dtype=np.float32)
    lowered = [unit.strip().lower() for unit in units]
    if all(unit == _NOISE_FLOOR for unit in lowered):
        return _NOISE_FLOOR, ones
    if all(unit in _MICROVOLTS for unit in lowered):
        return "uV", np.array([_MICROVOLTS[unit] for unit in lowered], dtype=np.float32)
    return "unknown", ones


def _preprocessing(stream: StreamDescription, where: str) -> Preprocessing:
    text = stream.own.get("preprocessing")
    if not text:
        return Preprocessing()
    try:
        return Preprocessing.from_config(json.loads(text))
    except (ConfigError, ValueError, RecursionError) as error:
        raise StreamError(
            f"{where}: expected a list of preprocessing steps in desc/{OWN_ELEMENT}/preprocessing, got {text[:80]!a}: "
            f"{error}; the stream was written by another version of emgpose, or by another program"
        ) from None
