from pathlib import Path

import numpy as np
import pytest

from emgpose.errors import DataError, SessionFormatError
from emgpose.recording import open_session
from emgpose.recording.mapping_file import TableMapping
from emgpose.recording.parquet import ParquetRows

pa = pytest.importorskip("pyarrow", reason="needs pyarrow (extra: store)")
pq = pytest.importorskip("pyarrow.parquet")


def save(path: Path, columns: dict[str, object], group: int = 100) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=group)
    return path


def emg_columns(n: int = 1000) -> dict[str, object]:
    return {f"emg{channel}": (np.arange(n) + 10_000 * channel).astype(np.float32) for channel in range(3)}


def test_ranges_across_row_groups_are_read_as_one(tmp_path) -> None:
    with open_session(save(tmp_path / "rec.parquet", emg_columns()), rate_hz=2000) as session:
        np.testing.assert_array_equal(session.emg(95, 305)[:, 1], 10_000 + np.arange(95, 305))
        assert session.facts.format == "Parquet"


def test_one_row_group_is_held_at_a_time(tmp_path) -> None:
    rows = ParquetRows(save(tmp_path / "rec.parquet", emg_columns()))
    rows.read(0, 1000, ["emg0", "emg2"])
    rows.read(900, 1000, ["emg1"])
    assert {columns: held.shape for columns, held in rows._held.items()} == {
        ("emg0", "emg2"): (100, 2),
        ("emg1",): (100, 1),
    }


def test_nulls_are_nan_and_integers_are_numbers(tmp_path) -> None:
    columns = {"emg0": pa.array([1, None, 3], pa.int16()), "emg1": pa.array([True, False, True])}
    with open_session(save(tmp_path / "rec.parquet", columns), rate_hz=10) as session:
        np.testing.assert_array_equal(session.emg(), [[1, 1], [np.nan, 0], [3, 1]])


def test_a_mapping_reads_columns_of_any_name(tmp_path) -> None:
    path = save(tmp_path / "rec.parquet", {"x": np.arange(5.0), "y": np.arange(5.0) * 2})
    mapping = TableMapping(emg=("y", "x"), rate_hz=1500.0, emg_unit="uV", emg_factor=1e6)
    with open_session(path, mapping=mapping) as session:
        np.testing.assert_array_equal(session.emg()[2], [4e6, 2e6])
        assert session.sample_rate_hz == 1500


def test_a_column_of_text_is_refused_by_name(tmp_path) -> None:
    path = save(tmp_path / "rec.parquet", {"emg0": ["a", "b"], "emg1": [1.0, 2.0]})
    with pytest.raises(SessionFormatError, match="column 'emg0': expected numbers"):
        open_session(path, rate_hz=2000).emg()


def test_degrees_under_our_own_names_are_refused(tmp_path) -> None:
    path = save(tmp_path / "rec.parquet", {f"joint_{joint}": np.full(9, 45.0) for joint in range(20)})
    with pytest.raises(DataError, match="expected radians"):
        open_session(path, rate_hz=60).joint_angles()


def test_an_empty_table_is_refused(tmp_path) -> None:
    with pytest.raises(SessionFormatError, match="the table is empty"):
        open_session(save(tmp_path / "rec.parquet", {"emg0": np.empty(0)}), rate_hz=2000)


def test_a_cut_or_flipped_file_is_one_clear_error_or_read(tmp_path) -> None:
    whole = save(tmp_path / "good.parquet", emg_columns()).read_bytes()
    rng = np.random.default_rng(0)
    damaged = [whole[:length] for length in range(1, len(whole), len(whole) // 15)]
    places = rng.integers(0, len(whole), 25).tolist()
    damaged += [whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :] for place in places]
    outcomes = []
    for number, content in enumerate(damaged):
        path = tmp_path / f"{number}.parquet"
        path.write_bytes(content)
        try:
            open_session(path, rate_hz=2000).emg()
            outcomes.append("read")
        except DataError:
            outcomes.append("refused")
    assert outcomes.count("refused") >= 15
