import os
from pathlib import Path

import numpy as np
import pytest

from emgpose.errors import DataError, EmgPoseError, SessionFormatError
from emgpose.hand import JOINTS
from emgpose.recording import open_session

EMG = [f"emg{channel}" for channel in range(3)]


def write(path: Path, header: list[str], rows: list[list[object]] | np.ndarray, delimiter: str = ",") -> Path:
    lines = [delimiter.join(header), *(delimiter.join(str(value) for value in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def numbers(n_rows: int, n_columns: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-99, 99, (n_rows, n_columns)) / 100


@pytest.mark.parametrize(
    "header",
    [
        ["emg0", "emg1", "emg2"],
        ["emg_0", "emg_1", "emg_2"],
        ["EMG1", "EMG2", "EMG3"],
        ["ch0", "ch1", "ch2"],
        ["Channel 1", "Channel 2", "Channel 3"],
        ['"emg0"', '"emg1"', '"emg2"'],
    ],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_usual_names_of_emg_columns_are_understood(tmp_path: Path, header: list[str], delimiter: str) -> None:
    rows = numbers(20, 3)
    with open_session(write(tmp_path / "f.csv", header, rows, delimiter), rate_hz=1000) as session:
        assert session.channel_names == tuple(name.strip('"') for name in header)
        np.testing.assert_array_equal(session.emg(), rows.astype(np.float32))
        assert (session.emg_unit, session.preprocessing.steps) == ("unknown", ())


@pytest.mark.parametrize(
    "header",
    [
        list(JOINTS),
        [f"joint_{n}" for n in range(20)],
        [f"gt_joint_{n}" for n in range(20)],
        [f"joint{n}" for n in range(20)],
    ],
)
def test_usual_names_of_joint_columns_are_understood(tmp_path: Path, header: list[str]) -> None:
    rows = numbers(20, 20)
    order = np.random.default_rng(1).permutation(20)
    path = write(tmp_path / "f.csv", [header[column] for column in order], rows[:, order])
    with open_session(path, rate_hz=50) as session:
        assert not session.has_emg
        np.testing.assert_array_equal(session.joint_angles(), rows.astype(np.float32))
        with pytest.raises(DataError, match="holds joint angles only"):
            session.emg()


def test_real_joint_angles_open_at_their_rate(shared: Path) -> None:
    path = shared / "real/emg2pose_angles/joint_angle_predictions.csv"
    with open_session(path, rate_hz=29.968) as session:
        assert (session.n_samples, session.sample_rate_hz) == (1759, 29.968)
        assert int((~session.valid()).sum()) == 63
        assert session.facts.notes[0].startswith("not read: pred_joint_0")
        assert session.joint_angles(0, 1)[0, 0] == np.float32(-0.16425752639770508)


def test_the_time_column_gives_the_rate_and_the_start(tmp_path: Path) -> None:
    rows = np.column_stack([np.round(12.5 + np.arange(500) / 2000, 6), numbers(500, 3)])
    with open_session(write(tmp_path / "f.csv", ["time_s", *EMG], rows)) as session:
        assert session.sample_rate_hz == 2000
        assert session.facts.start_s == 12.5
        assert session.time_s(2, 4).tolist() == [12.501, 12.5015]


def test_poses_that_predict_wrote_open_again(tmp_path: Path) -> None:
    samples = 1790 + 40 * np.arange(30)
    rows = [[sample, f"{sample / 2000:.6f}", *row] for sample, row in zip(samples, numbers(30, 20), strict=True)]
    with open_session(write(tmp_path / "f.csv", ["sample", "time_s", *JOINTS], rows)) as session:
        assert session.sample_rate_hz == 50
        assert session.facts.start_s == 0.895
        assert session.facts.notes == ("not read: sample",)


def test_an_empty_cell_is_no_label_and_a_valid_column_takes_labels_away(tmp_path: Path) -> None:
    rows: list[list[object]] = [[1, *row] for row in 1 + np.abs(numbers(5, 20))]
    rows[1][4] = ""
    rows[3][0] = 0
    with open_session(write(tmp_path / "f.csv", ["valid", *JOINTS], rows), rate_hz=50) as session:
        assert session.valid().tolist() == [True, False, True, False, True]


def test_windows_line_ends_and_a_byte_order_mark_are_understood(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_bytes(b"\xef\xbb\xbfemg0,emg1\r\n1,2\r\n3,4\r\n\r\n")
    with open_session(tmp_path / "f.csv", rate_hz=10) as session:
        assert session.emg().tolist() == [[1, 2], [3, 4]]
        assert session.facts.notes == ()


def test_a_last_row_without_a_line_end_is_noted(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("emg0,emg1\n1,2\n3,4")
    with open_session(tmp_path / "f.csv", rate_hz=10) as session:
        assert "may have been cut short" in session.facts.notes[-1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "expected columns of EMG"),
        ("emg0,emg1\n", "expected rows of numbers"),
        ("time,force\n1,2\n", "found time, force"),
        ("1.5,2.5\n1,2\n", "name the columns"),
        ("emg0,emg0\n1,2\n", "stands twice"),
        ("emg0,emg2\n1,2\n", "number 1 is missing"),
        ("emg1,EMG_1\n1,2\n", "each once"),
        ("emg0,ch0\n1,2\n", "found several"),
        ("joint_0,joint_1\n1,2\n", "joint angle columns 0 to 19"),
        ("emg0,emg1\n1,2\n3\n", "got 1 at sample 1"),
        ("emg0,emg1\n1,2\n3,4,5\n", "got 3 at sample 1"),
        ("emg0,emg1\n1,2\n\n3,4\n", "got 1 at sample 1"),
        ("emg0,emg1\n1,2\n3,four\n", "decimal point"),
        ("emg0;emg1\n1,5;2\n3;4\n", "decimal point"),
        ("emg0,emg1\n1,2\r3,4\n", "expected 2 cells"),
        ("emg0,emg1\n1,2\n3,4\r5\n", "stray control character"),
        ("emg0,emg1\n1,2\n\0,4\n", "stray control character"),
        ('emg0,emg1\n"1,2\n3,4\n', "decimal point"),
        ("em\x07g0,emg1\n1,2\n", "control characters"),
        ("emg0,valid\n1,2\n", "column valid is 2 at sample 0"),
        ("emg0,valid\n1,\n", "column valid is nan"),
    ],
)
def test_a_table_that_is_not_one_is_named(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "bad.csv").write_bytes(content.encode())
    with pytest.raises(SessionFormatError, match=says) as caught:
        open_session(tmp_path / "bad.csv", rate_hz=100)
    assert "bad.csv" in str(caught.value)


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "header.csv").write_bytes(b"\xff\xfe\x00emg0\n1\n")
    (tmp_path / "row.csv").write_bytes(b"emg0,emg1\n1,\xff\n")
    for name in ("header.csv", "row.csv"):
        with pytest.raises(SessionFormatError, match=name):
            open_session(tmp_path / name, rate_hz=100)


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    with (tmp_path / "long.csv").open("wb") as file:
        file.write(b"emg0,emg1\n")
        os.truncate(file.fileno(), 1 << 30)
    with pytest.raises(SessionFormatError, match="a line is longer"):
        open_session(tmp_path / "long.csv", rate_hz=100)


def test_degrees_are_not_taken_for_radians(tmp_path: Path) -> None:
    rows = numbers(5, 20)
    rows[3, 5] = 45.0
    with pytest.raises(DataError, match="INDEX_MCP_FE is 45 at sample 3, expected radians"):
        open_session(write(tmp_path / "f.csv", list(JOINTS), rows), rate_hz=50)


def test_a_missing_rate_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(SessionFormatError, match="--input-rate"):
        open_session(write(tmp_path / "f.csv", EMG, numbers(5, 3)))


@pytest.mark.parametrize("rate_hz", [0, -5, np.nan, np.inf, 1e12, "50"])
def test_an_impossible_rate_is_refused(tmp_path: Path, rate_hz: object) -> None:
    with pytest.raises(SessionFormatError, match="expected a sample rate between"):
        open_session(write(tmp_path / "f.csv", EMG, numbers(5, 3)), rate_hz=rate_hz)


def timed(tmp_path: Path, time_s: np.ndarray) -> Path:
    return write(tmp_path / "f.csv", ["time_s", *EMG], np.column_stack([time_s, numbers(len(time_s), 3)]))


def test_missing_samples_are_noticed_in_the_time_column(tmp_path: Path) -> None:
    time_s = np.arange(1000) / 1000
    time_s[600:] += 0.1
    path = timed(tmp_path, time_s)
    with pytest.raises(SessionFormatError, match="leaves its even spacing"):
        open_session(path)
    with open_session(path, rate_hz=999.0 * 1000 / 1099) as session:
        assert "the rate given is the clock" in session.facts.notes[0]


def test_a_rate_that_contradicts_the_time_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the rate given is 2000 Hz, column time_s says 1000 Hz"):
        open_session(timed(tmp_path, np.arange(100) / 1000), rate_hz=2000)


@pytest.mark.parametrize("last", [0.0, -1.0])
def test_a_clock_that_stands_still_is_refused(tmp_path: Path, last: float) -> None:
    with pytest.raises(SessionFormatError, match="does not run forward"):
        open_session(timed(tmp_path, np.linspace(0, last, 10)))


def test_a_time_stamp_that_is_no_number_is_named(tmp_path: Path) -> None:
    time_s = np.arange(100) / 1000
    time_s[7] = np.nan
    with pytest.raises(SessionFormatError, match="column time_s is nan at sample 7"):
        open_session(timed(tmp_path, time_s))


@pytest.mark.parametrize("n_rows", [5, 6])
def test_a_table_that_was_replaced_after_opening_is_not_mixed_up(tmp_path: Path, n_rows: int) -> None:
    path = write(tmp_path / "f.csv", EMG, numbers(5, 3))
    session = open_session(path, rate_hz=10)
    session.close()
    write(path, EMG, numbers(n_rows, 3) + 1)
    os.utime(path, ns=(1, 1))
    with pytest.raises(EmgPoseError, match="it was replaced since"):
        session.emg()


def test_long_tables_are_read_block_by_block(tmp_path: Path) -> None:
    rows = np.round(np.random.default_rng(0).standard_normal((60_000, 16)), 5)
    header = ",".join(f"emg{channel}" for channel in range(16))
    np.savetxt(tmp_path / "f.csv", rows, delimiter=",", header=header, comments="", fmt="%.5f")
    assert (tmp_path / "f.csv").stat().st_size > 1 << 22
    with open_session(tmp_path / "f.csv", rate_hz=2000) as session:
        np.testing.assert_array_equal(session.emg(), rows.astype(np.float32))
