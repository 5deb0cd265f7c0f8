"""What a conversion did."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from emgpose.errors import EmgPoseError, SessionFormatError

Progress = Callable[[int, int], None]


@dataclass
class Converted:
    """What a conversion did.

    Parameters
    ----------
    written : list of Path
        Recordings made in this call.
    kept : list of Path
        Recordings found complete.
    left_out : list of (str, str)
        Recordings that could not be converted, and why; the rest was converted all the same.
    """

    written: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def leave_out(self, name: str, error: EmgPoseError | OSError) -> None:
        """Note a recording that could not be converted, and let the conversion go on.

        Raises
        ------
        DataError : the disk that is written to failed; the next recording would fail just so.
        """
        if isinstance(error.__cause__, OSError) and not isinstance(error, SessionFormatError):
            raise error
        self.left_out.append((name, " ".join(str(error).split())))

    @property
    def reasons(self) -> str:
        """The first few recordings that were left out, in one line."""
        return "; ".join(reason for _, reason in self.left_out[:3])
