"""What an LSL stream says about itself, live or in an XDF file, as a source.

What a header means is in `emgpose.recording.stream_header`.
"""

import json
from collections.abc import Sequence

from emgpose.live.chunk import SourceFacts
from emgpose.recording.stream_header import ChosenChannels, StreamDescription, find_emg


def describe_source(
    stream: StreamDescription,
    where: str,
    *,
    channels: Sequence[str | int] | None = None,
    input_rate_hz: float | None = None,
) -> tuple[SourceFacts, ChosenChannels]:
    """Work out what a stream is as a source.

    Parameters
    ----------
    stream : StreamDescription
    where : str
        What to call it, such as `lsl:MyBand`.
    channels : sequence of str or int, optional
        By label, or by number from 0. By default those of type EMG where the stream gives types, else all.
    input_rate_hz : float, optional
        For a stream that states no rate.

    Returns
    -------
    facts : SourceFacts
        Volts, millivolts and nanovolts become microvolts; `emg_unit` is "unknown" where a channel has another unit.
    channels : ChosenChannels

    Raises
    ------
    RateMismatch : the stream states no rate and none is given.
    ConfigError : a channel does not exist, or a rate is given for a stream that states its own.
    StreamError : what the stream says about itself cannot be so.
    """
    emg = find_emg(stream, where, channels=channels, input_rate_hz=input_rate_hz)
    facts = SourceFacts(
        name=where,
        sample_rate_hz=emg.rate_hz,
        channel_names=emg.channel_names,
        preprocessing=emg.preprocessing,
        emg_unit=emg.unit,
        side=emg.side,
        is_simulated=emg.is_simulated,
        is_causal=stream.own.get("causal", "1") == "1",
    )
    return facts, emg.channels


def own_description(facts: SourceFacts) -> dict[str, str]:
    """Give what `desc/emgpose` of a stream should hold so that `describe_source` finds these facts again."""
    own = {
        "preprocessing": json.dumps(facts.preprocessing.to_config()),
        "simulated": str(int(facts.is_simulated)),
        "causal": str(int(facts.is_causal)),
    }
    return own if facts.side is None else own | {"side": facts.side}
