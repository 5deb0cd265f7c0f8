"""Arrays of a MATLAB file (version 5 to 7, not 7.3), by name and with clear errors."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import EmgPoseError, SessionFormatError
from emgpose.recording.mat_elements import require_sound

MAT_MAGIC: Final = b"MATLAB 5"
_HDF5_MAGIC: Final = b"MATLAB 7"
_NUMBERS: Final = (
    "double",
    "single",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "logical",
)


def mat_shapes(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """List the variables of a file: name -> (shape, MATLAB class).

    Raises
    ------
    SessionFormatError : no such file, a damaged one, or one of another version.
    """
    from scipy.io import whosmat

    with _clear_errors(path):
        with path.open("rb") as file:
            start = file.read(len(MAT_MAGIC))
        if start == _HDF5_MAGIC:
            raise SessionFormatError(
                f"{path}: a MATLAB file of version 7.3, which is HDF5, expected version 5 to 7 as Ninapro's are; save "
                "it again in MATLAB with save(..., '-v7')"
            )
        if start != MAT_MAGIC:
            raise SessionFormatError(f"{path}: expected a MATLAB file of version 5 to 7, its first bytes say otherwise")
        return {str(name): (tuple(shape), kind) for name, shape, kind in whosmat(str(path), appendmat=False)}


def mat_variable(path: Path, name: str) -> Any:
    """Read one variable as scipy gives it.

    Raises
    ------
    SessionFormatError : it is not there, or the file is damaged.
    """
    from scipy.io import loadmat

    with _clear_errors(path):
        require_sound(path, name)
        found = loadmat(str(path), variable_names=[name], appendmat=False)
        if name not in found:
            raise SessionFormatError(f"{path}: {name}: expected an array, the file has none of that name")
        return found[name]


def mat_numbers(path: Path, name: str) -> NDArray[Any]:
    """Read a matrix of real numbers.

    Raises
    ------
    SessionFormatError : it is something else.
    """
    array = np.asarray(mat_variable(path, name))
    if array.ndim != 2 or array.dtype.kind not in "fiub":
        raise SessionFormatError(f"{path}: {name}: expected a matrix of numbers, got {array.dtype} of {array.shape}")
    return array


def mat_scalar(path: Path, name: str, shapes: Mapping[str, tuple[tuple[int, ...], str]]) -> float | None:
    """Read a number; None where the file does not have it, or it is no single finite number."""
    shape, kind = shapes.get(name, ((), ""))
    if kind not in _NUMBERS or int(np.prod(shape)) != 1:
        return None
    value = float(mat_numbers(path, name).reshape(-1)[0])
    return value if np.isfinite(value) else None


def mat_texts(path: Path, name: str) -> list[str]:
    """Read a list of texts: a cell array, a char matrix, or one text."""
    texts: list[str] = []
    for cell in np.asarray(mat_variable(path, name)).ravel():
        inner = np.asarray(cell).ravel()
        texts.append(str(inner[0]) if inner.size else "")
    return texts


@contextlib.contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    """Turn whatever scipy raises on a damaged file (almost any type) into one clear error."""
    try:
        yield
    except EmgPoseError:
        raise
    except OSError as error:
        raise SessionFormatError(f"{path}: cannot be read: {error.strerror or error}") from None
    except Exception as error:
        reason = " ".join(str(error).split())[:200].encode("ascii", "replace").decode() or type(error).__name__
        raise SessionFormatError(
            f"{path}: cannot be read as a MATLAB file: {reason}; the file is damaged or incomplete: fetch it again"
        ) from None
