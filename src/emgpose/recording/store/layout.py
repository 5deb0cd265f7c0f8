"""What a prepared store's folder holds, and its two ways of noticing change: sealed JSON and CRC32C sums.

    STORE/store.json         written last: what the store is, with size and CRC32C of every other file
    STORE/index.parquet      one row per recording: facts, runs of valid labels, statistics, where its chunks lie
    STORE/metadata.csv       the rows of the recordings that are in
    STORE/left_out.json      the recordings that are not, and why
    STORE/sources.json       size and time of change of every original, by which a second run knows that nothing changed
    STORE/shards/00000.h5    samples of some recordings

See docs/decisions/010-store-format.md.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import DataError, MissingExtraError

STORE_FORMAT: Final = "emgpose store"
STORE_VERSION: Final = 1
STORE_FILE: Final = "store.json"
INDEX_FILE: Final = "index.parquet"
METADATA_FILE: Final = "metadata.csv"
LEFT_OUT_FILE: Final = "left_out.json"
SOURCES_FILE: Final = "sources.json"
SHARDS_FOLDER: Final = "shards"
# Here while a store is being made: the settings, and what is known of each complete shard.
UNFINISHED_FOLDER: Final = ".unfinished"
LOCK_FILE: Final = ".lock"
# Sessions of a store are named like files of a folder.
SESSION_SUFFIX: Final = ".hdf5"
_SEAL: Final = "seal_crc32c"
_READ_BYTES: Final = 1 << 22


def shard_name(number: int) -> str:
    """Path of a shard below the store."""
    return f"{SHARDS_FOLDER}/{number:05d}.h5"


def is_store(root: Path) -> bool:
    """Whether a folder is a prepared store, complete or not."""
    root = Path(root)
    return (root / STORE_FILE).is_file() or (root / UNFINISHED_FOLDER).is_dir()


@cache
def _crc32c_library() -> Any:
    try:
        import google_crc32c
    except ImportError:
        raise MissingExtraError(
            'prepared stores need the library google-crc32c, which is not installed; run: pip install "emgpose[store]"'
        ) from None
    return google_crc32c


def crc32c(data: bytes | NDArray[np.uint8], before: int = 0) -> int:
    """CRC32C (Castagnoli) of bytes, going on from those before.

    Raises
    ------
    MissingExtraError : google-crc32c is not installed.
    """
    return int(_crc32c_library().extend(before, data))


def file_crc32c(path: Path) -> tuple[int, int]:
    """Size [bytes] and CRC32C of a file, in constant memory."""
    n_bytes = total = 0
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            total = crc32c(block, total)
            n_bytes += len(block)
    return n_bytes, total


def sealed_json(document: dict[str, Any]) -> str:
    """Write a document so that `read_sealed_json` notices any change of any character."""
    return _text(document | {_SEAL: crc32c(_text(document).encode())})


def read_sealed_json(path: Path) -> dict[str, Any]:
    """Read what `sealed_json` wrote.

    Raises
    ------
    DataError : the file is missing, damaged, or was changed by hand.
    """
    try:
        content = path.read_bytes()
        document = json.loads(content)
        seal = document.pop(_SEAL)
        is_whole = content == sealed_json(document).encode() and seal == crc32c(_text(document).encode())
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read: {error.strerror}; a part of the store is missing: prepare it again"
        ) from None
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        is_whole = False
    if not is_whole:
        raise DataError(
            f"{path}: does not have the checksum that it states; the store is damaged, or the file was changed: "
            "prepare it again"
        )
    return dict(document)


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, indent=1) + "\n"


def file_entry(path: Path) -> dict[str, int]:
    """What `store.json` says of another file."""
    n_bytes, total = file_crc32c(path)
    return {"bytes": n_bytes, "crc32c": total}


def require_intact(path: Path, entry: Any) -> None:
    """Compare a small file of a store with its entry in `store.json`.

    Raises
    ------
    DataError : it is missing, or not what it was.
    """
    try:
        found = file_entry(path)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read: {error.strerror}; a part of the store is missing: prepare it again"
        ) from None
    if found != entry:
        raise DataError(
            f"{path}: its checksum is not the one in {STORE_FILE}; the file is damaged, or was changed: prepare the "
            "store again"
        )


def read_store_file(root: Path) -> dict[str, Any]:
    """Read `store.json`.

    Raises
    ------
    DataError : there is none, the store was not finished, or it is damaged or of another version.
    """
    path = Path(root) / STORE_FILE
    if not path.is_file():
        if (Path(root) / UNFINISHED_FOLDER).is_dir():
            raise DataError(f"{root}: this store was not finished; run the same `emgpose prepare` again to finish it")
        raise DataError(f"{root}: expected a prepared store with {STORE_FILE}; make one with `emgpose prepare`")
    document = read_sealed_json(path)
    if document.get("format") != STORE_FORMAT or document.get("version") != STORE_VERSION:
        raise DataError(
            f"{path}: expected {STORE_FORMAT} version {STORE_VERSION}, got {document.get('format')!a} "
            f"{document.get('version')!a}; prepare it anew, in an empty folder, with this version of emgpose"
        )
    return document


def require_intact_metadata(path: Path) -> None:
    """Refuse the metadata table of a store if it is not what it was; any other table passes.

    Raises
    ------
    DataError : the store is unfinished or damaged.
    """
    root = path.parent
    if path.name == METADATA_FILE and is_store(root):
        require_intact(path, read_store_file(root)["files"].get(METADATA_FILE))
