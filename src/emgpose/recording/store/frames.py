"""One chunk of samples as a Blosc frame: byte-shuffled and packed without loss.

The frames are what the registered HDF5 filter 32001 holds, so any HDF5 program with that filter reads a shard.
"""

from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import MissingExtraError

# By measurement, see docs/decisions/010-store-format.md.
CHUNK_SAMPLES: Final = 4096
HDF5_FILTER: Final = 32001
_COMPRESSOR: Final = b"lz4hc"
_COMPRESSOR_CODE: Final = 2
_LEVEL: Final = 5
_BYTE_SHUFFLE: Final = 1


@cache
def _blosc() -> Any:
    try:
        from numcodecs import blosc
    except ImportError:
        raise MissingExtraError(
            'prepared stores need the library numcodecs, which is not installed; run: pip install "emgpose[store]"'
        ) from None
    # Chunks are small, workers many, and a thread pool would not survive a fork.
    blosc.use_threads = False
    return blosc


def filter_options(chunk_bytes: int, item_bytes: int) -> tuple[int, ...]:
    """Parameters of the HDF5 filter for chunks of this size."""
    return (2, 2, item_bytes, chunk_bytes, _LEVEL, _BYTE_SHUFFLE, _COMPRESSOR_CODE)


def pack(chunk: NDArray[Any]) -> bytes:
    """Pack a contiguous array.

    Raises
    ------
    MissingExtraError : numcodecs is not installed.
    """
    return bytes(_blosc().compress(chunk, _COMPRESSOR, _LEVEL, _BYTE_SHUFFLE, 0, chunk.dtype.itemsize))


def unpack(frame: bytes | NDArray[np.uint8], target: NDArray[Any]) -> None:
    """Unpack a frame, whose checksum was right, into a contiguous array of the shape and type that was packed."""
    _blosc().decompress(frame, target)
