"""Which EMG channels of a file become the columns of a session, and in which order."""

import re
from collections.abc import Sequence

from emgpose.errors import ConfigError


def select_channels(names: Sequence[str], channels: Sequence[str | int] | None, where: str) -> list[int]:
    """Turn a user's choice of channels into column numbers.

    Parameters
    ----------
    names : sequence of str
        The channels that the file has.
    channels : sequence of str or int, or None
        Names, or numbers counted from 0, in the order wanted. A string of digits that is no name counts as a number.
        None for all.
    where : str
        File, for the message.

    Returns
    -------
    list of int

    Raises
    ------
    ConfigError : a channel does not exist or is named twice, or none is.
    """
    if channels is None:
        return list(range(len(names)))
    columns = [_column(names, channel, where) for channel in channels]
    if not columns:
        raise ConfigError(f"{where}: expected at least one channel, got an empty choice")
    repeated = next((column for column in columns if columns.count(column) > 1), None)
    if repeated is not None:
        raise ConfigError(f"{where}: channel {names[repeated]} was chosen more than once; name each channel once")
    return columns


def _column(names: Sequence[str], channel: str | int, where: str) -> int:
    if isinstance(channel, str):
        if channel in names:
            return list(names).index(channel)
        number = int(channel) if re.fullmatch(r"[0-9]{1,6}", channel) else -1
    else:
        number = channel
    if not 0 <= number < len(names):
        raise ConfigError(
            f"{where}: there is no channel {channel!r}; it has {', '.join(names)}, "
            f"or give numbers from 0 to {len(names) - 1}"
        )
    return number


def distinct_names(names: Sequence[str | None]) -> tuple[str, ...]:
    """Give every channel a name of its own: `ch3` where it has none, `EMG#3` where two are called `EMG`."""
    named = [name or f"ch{number}" for number, name in enumerate(names)]
    return tuple(f"{name}#{number}" if named.count(name) > 1 else name for number, name in enumerate(named))
