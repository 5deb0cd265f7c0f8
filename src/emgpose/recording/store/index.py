"""The index of a store: one row per recording, from which everything but samples is known without touching a shard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from emgpose.errors import DataError, MissingExtraError
from emgpose.recording.facts import SessionFacts
from emgpose.recording.store.facts_text import facts_from_text

if TYPE_CHECKING:
    import pyarrow as pa

FIELDS: Final = ("emg", "joint_angles", "time_s")
PLACES: Final = {"offset": np.int64, "bytes": np.int32, "crc32c": np.uint32}


@dataclass(frozen=True)
class Lists:
    """One list of numbers per recording, all in one array."""

    values: NDArray[Any]
    offsets: NDArray[np.int64]

    def __getitem__(self, number: int) -> NDArray[Any]:
        """Give the list of one recording, as a view."""
        return self.values[self.offsets[number] : self.offsets[number + 1]]


class StoreIndex:
    """The index table in memory: about 1.5 KB per recording of a minute.

    Parameters
    ----------
    table : pyarrow.Table
        As `index_table` makes it.

    Attributes
    ----------
    names : tuple of str
        Recordings in the order of the metadata table, as in its column `filename`.
    n_samples, n_channels, n_valid, shard : int64 arrays, shape (recording,)
    sample_rate_hz : float64 array, shape (recording,)
    """

    def __init__(self, table: "pa.Table") -> None:
        self.names: tuple[str, ...] = tuple(table.column("filename").to_pylist())
        self.n_samples: NDArray[np.int64] = table.column("n_samples").to_numpy()
        self.n_channels: NDArray[np.int64] = table.column("n_channels").to_numpy()
        self.n_valid: NDArray[np.int64] = table.column("n_valid").to_numpy()
        self.shard: NDArray[np.int64] = table.column("shard").to_numpy()
        self.sample_rate_hz: NDArray[np.float64] = table.column("sample_rate_hz").to_numpy()
        self._numbers = {name: number for number, name in enumerate(self.names)}
        self._facts = table.column("facts").combine_chunks()
        self._digests = table.column("samples_digest").combine_chunks()
        self._middle_digests = table.column("middle_digest").combine_chunks()
        # Asked whenever a recording is opened, for every window that is drawn: plain values are the fastest.
        self._emg_dtypes: list[str] = table.column("emg_dtype").to_pylist()
        self._negative_zeros: list[int | None] = table.column("emg_negative_zero").to_pylist()
        self._runs = _lists(table, "valid_runs")
        self._angle_sums = _lists(table, "angle_sum")
        self._emg_steps = _lists(table, "emg_steps")
        self._places = {name: {key: _lists(table, f"{name}_{key}") for key in PLACES} for name in FIELDS}

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._numbers

    def number(self, name: str) -> int:
        """Row of a recording.

        Raises
        ------
        KeyError : there is none of that name.
        """
        return self._numbers[name]

    def facts(self, number: int) -> SessionFacts:
        """What a recording is."""
        return facts_from_text(self._facts[number].as_py())

    def valid_run_array(self, number: int) -> NDArray[np.int64]:
        """Runs of samples with a usable label, shape (run, 2): start and stop."""
        return np.asarray(self._runs[number].reshape(-1, 2))

    def valid_runs(self, number: int) -> list[tuple[int, int]]:
        """Runs of samples with a usable label, as `Session.valid_runs` gives them."""
        return [(start, stop) for start, stop in self.valid_run_array(number).tolist()]

    def angle_sum(self, number: int) -> NDArray[np.float64]:
        """Sum of the joint angles over valid samples, shape (joint=20,) [rad]; with `n_valid`, their mean."""
        return self._angle_sums[number]

    def digest(self, number: int) -> str:
        """`SamplesDigest` of the recording's samples."""
        return str(self._digests[number].as_py())

    def middle_digest(self, number: int) -> str:
        """`SamplesDigest` of the samples of `emgpose.recording.fingerprint.middle_of`."""
        return str(self._middle_digests[number].as_py())

    def emg_dtype(self, number: int) -> str:
        """How EMG is stored: `int16`, `float32`, `float16`, or empty."""
        return self._emg_dtypes[number]

    def emg_steps(self, number: int) -> NDArray[np.float32]:
        """Step of each channel, where EMG is stored as int16."""
        return self._emg_steps[number]

    def emg_negative_zero(self, number: int) -> int | None:
        """Count that stands for -0.0, where EMG is stored as int16 and has any."""
        return self._negative_zeros[number]

    def places(self, number: int, field: str) -> dict[str, NDArray[Any]]:
        """Where the chunks of a field lie in the shard: `offset`, `bytes` and `crc32c`, one entry per chunk."""
        return {key: lists[number] for key, lists in self._places[field].items()}

    def row(self, number: int) -> dict[str, Any]:
        """Everything about a recording, as `ShardWriter.add` gave it."""
        places = {
            field: {key: values.tolist() for key, values in self.places(number, field).items()} for field in FIELDS
        }
        return {
            "filename": self.names[number],
            "facts": self._facts[number].as_py(),
            "n_samples": int(self.n_samples[number]),
            "emg_dtype": self.emg_dtype(number),
            "emg_steps": self.emg_steps(number).tolist(),
            "emg_negative_zero": self.emg_negative_zero(number),
            "valid_runs": self._runs[number].tolist(),
            "n_valid": int(self.n_valid[number]),
            "angle_sum": self.angle_sum(number).tolist(),
            "samples_digest": self.digest(number),
            "middle_digest": self.middle_digest(number),
            "shard": int(self.shard[number]),
            **places,
        }


def _lists(table: "pa.Table", column: str) -> Lists:
    array = table.column(column).combine_chunks()
    return Lists(array.values.to_numpy(), array.offsets.to_numpy().astype(np.int64))


@cache
def _schema() -> "pa.Schema":
    pa = _pyarrow()
    texts = ("filename", "session", "user", "stage", "side", "format", "emg_dtype", "facts")
    digests = ("samples_digest", "middle_digest")
    numbers = ("shard", "n_samples", "n_channels", "n_valid")
    columns = [
        *((name, pa.string()) for name in (*texts, *digests)),
        *((name, pa.int64()) for name in numbers),
        ("sample_rate_hz", pa.float64()),
        ("has_joint_angles", pa.bool_()),
        ("emg_steps", pa.list_(pa.float32())),
        ("emg_negative_zero", pa.int16()),
        ("valid_runs", pa.list_(pa.int64())),
        ("angle_sum", pa.list_(pa.float64())),
        *((f"{name}_{key}", pa.list_(pa.from_numpy_dtype(dtype))) for name in FIELDS for key, dtype in PLACES.items()),
    ]
    return pa.schema(columns)


def write_index(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the index.

    Parameters
    ----------
    path : Path
    rows : sequence of mapping
        What `ShardWriter.add` gave for each recording, with the number of its `shard`.

    Raises
    ------
    MissingExtraError : pyarrow is not installed.
    """
    pa = _pyarrow()
    import pyarrow.parquet as parquet

    table = pa.Table.from_pylist([_flat(row) for row in rows], schema=_schema())
    # Checksums and offsets hardly compress, and a dictionary would only add a detour.
    parquet.write_table(table, path, compression="zstd", use_dictionary=False, row_group_size=len(rows))


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    facts = facts_from_text(row["facts"])
    shown = {name: getattr(facts, name) for name in ("session", "user", "stage", "side", "format", "n_samples")}
    shown |= {"sample_rate_hz": facts.sample_rate_hz, "has_joint_angles": facts.has_joint_angles}
    places = {f"{name}_{key}": row[name][key] for name in FIELDS for key in PLACES}
    return {**row, **shown, "n_channels": len(facts.channel_names), **places}


def read_index(path: Path) -> StoreIndex:
    """Read the index, whose checksum has been seen to.

    Raises
    ------
    DataError : it cannot be read.
    MissingExtraError : pyarrow is not installed.
    """
    _pyarrow()
    import pyarrow.parquet as parquet

    try:
        return StoreIndex(parquet.read_table(path, use_threads=False, memory_map=False))
    except Exception as error:  # pyarrow raises almost any type on a file that is not what it should be
        raise DataError(f"{path}: cannot be read: {error}; prepare the store again") from None


@cache
def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError:
        raise MissingExtraError(
            'prepared stores need the library pyarrow, which is not installed; run: pip install "emgpose[store]"'
        ) from None
    return pyarrow
