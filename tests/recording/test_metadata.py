from pathlib import Path

import pytest

from emgpose.errors import DataError, SplitError
from emgpose.recording import read_metadata, select_sessions, session_path

HEADER = "filename,session,user,stage,side,moving_hand,held_out_user,held_out_stage,split,generalization,start,end"
ROWS = [
    "a,s1,u1,walk,left,both,False,False,train,,1.5,2.5",
    "b,s1,u1,walk,right,both,False,True,test,stage,1.5,2.5",
    "c,s2,u2,fist,left,left,True,False,test,user,,",
    "d,s2,u2,fist,right,right,True,True,val,user_stage,1,2",
]


def write(folder: Path, rows: list[str], header: str = HEADER, name: str = "metadata.csv") -> Path:
    (folder / name).write_text("\n".join([header, *rows]) + "\n")
    return folder


@pytest.mark.parametrize("name", ["metadata.csv", "emg2pose_metadata.csv"])
def test_the_table_is_found_in_its_folder_or_by_its_path(tmp_path: Path, name: str) -> None:
    write(tmp_path, ROWS, name=name)
    table = read_metadata(tmp_path)
    assert table["filename"].tolist() == ["a", "b", "c", "d"]
    assert read_metadata(tmp_path / name).equals(table)


def test_types_are_what_they_mean(tmp_path: Path) -> None:
    table = read_metadata(write(tmp_path, [f"{row},7" for row in ROWS], f"{HEADER},placement"))
    assert table["held_out_user"].tolist() == [False, False, True, True]
    assert table["start"].tolist()[:2] == [1.5, 1.5]
    assert table["start"].isna().tolist() == [False, False, True, False]
    assert table["placement"].tolist() == ["7"] * 4
    assert table["generalization"].tolist() == ["", "stage", "user", "user_stage"]


def test_a_data_set_may_have_conditions_of_its_own(tmp_path: Path) -> None:
    rows = [*ROWS, "e,s3,u1,walk,left,both,False,False,test,seen,1,2"]
    table = read_metadata(write(tmp_path, rows))
    assert select_sessions(table, generalization="seen")["filename"].tolist() == ["e"]
    with pytest.raises(SplitError, match="expected one of user, stage, user_stage, seen"):
        select_sessions(table, generalization="unseen")


def test_users_that_look_like_numbers_stay_text(tmp_path: Path) -> None:
    table = read_metadata(write(tmp_path, [ROWS[0].replace("u1", "007")]))
    assert table["user"].tolist() == ["007"]


def test_sessions_are_chosen_by_split_group_and_query(tmp_path: Path) -> None:
    table = read_metadata(write(tmp_path, ROWS))
    assert select_sessions(table, split="test")["filename"].tolist() == ["b", "c"]
    assert select_sessions(table, split="test", generalization="user")["filename"].tolist() == ["c"]
    chosen = select_sessions(table, where="side == 'left' and user in ['u1', 'u2']")
    assert chosen["filename"].tolist() == ["a", "c"]
    assert select_sessions(table, where="held_out_user")["filename"].tolist() == ["c", "d"]
    assert len(select_sessions(table)) == 4


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"split": "tets"}, "split 'tets': expected one of train, val, test"),
        ({"generalization": "users"}, "expected one of user, stage, user_stage"),
        ({"split": "val", "generalization": "user"}, "no recording has split val, generalization user"),
        ({"where": "side == 'up'"}, "no recording has where side == 'up'; the table has test 2"),
        ({"where": "hand == 'left'"}, "the columns are filename"),
        ({"where": "side =="}, "cannot be understood"),
        ({"where": "start + 1"}, "yes or no"),
        ({"where": ""}, "cannot be understood"),
        ({"where": "@__builtins__"}, "cannot be understood"),
        ({"where": "__import__('os').getpid() > 0"}, "cannot be understood"),
    ],
)
def test_a_query_that_finds_nothing_says_why(tmp_path: Path, choice: dict, says: str) -> None:
    table = read_metadata(write(tmp_path, ROWS))
    with pytest.raises(SplitError, match=says):
        select_sessions(table, **choice)


def test_a_query_compares_and_does_nothing_else(tmp_path: Path) -> None:
    table = read_metadata(write(tmp_path, ROWS)).assign(**{"extra column": "x"})
    for where in ("user.str.startswith('u') and `extra column` == 'x'", "user.isin(['u1'])", "start.between(0, 99)"):
        assert len(select_sessions(table, where=where))
    target = tmp_path / "written.csv"
    with pytest.raises(SplitError, match="'to_csv' is not a supported function"):
        select_sessions(table, where=f"session.to_csv('{target}') == 1")
    assert not target.exists()


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "one row per recording"),
        ([*ROWS, "e,s1"], "row 6: expected 12 cells as in the header, got 2"),
        ([ROWS[0], ROWS[0]], "row 3, column filename: expected a name that no other row has"),
        ([ROWS[0].replace("left", "up")], "row 2, column side: expected left or right, got 'up'"),
        ([ROWS[0].replace("train", "trian")], "row 2, column split"),
        ([ROWS[1].replace(",stage,1.5", ",,1.5")], "row 2, column generalization"),
        ([ROWS[1].replace(",stage,1.5", ",all,1.5")], "row 2, column generalization"),
        ([ROWS[1].replace(",stage,1.5", ",test,1.5")], "row 2, column generalization"),
        ([ROWS[0].replace("a,", "../a,", 1)], "row 2, column filename: expected a file name below"),
        ([ROWS[0].replace("a,", "/etc/a,", 1)], "row 2, column filename"),
        ([ROWS[0].replace("a,", ",", 1)], "row 2, column filename"),
        ([ROWS[0].replace("u1", "")], "row 2, column user"),
        ([ROWS[0].replace("u1", "u\x1b1")], "row 2, column user"),
        ([ROWS[0].replace("1.5", "early")], "row 2, column start: expected seconds"),
        ([ROWS[0].replace("1.5", "inf")], "row 2, column start: expected seconds"),
        ([ROWS[0].replace("False", "maybe")], "row 2, column held_out_user"),
        (['"a,s1'], "cannot be read as a CSV table"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, rows: list[str], says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        read_metadata(write(tmp_path, rows))
    assert "metadata.csv" in str(caught.value)


def test_wrong_headers_and_missing_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found neither"):
        read_metadata(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        read_metadata(tmp_path / "none")
    with pytest.raises(DataError, match="column stage is missing"):
        read_metadata(write(tmp_path, ROWS, HEADER.replace("stage,side", "task,side")))
    with pytest.raises(DataError, match="stands twice"):
        read_metadata(write(tmp_path, ROWS, HEADER.replace("session", "user")))
    (tmp_path / "metadata.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read"):
        read_metadata(tmp_path)
    (tmp_path / "metadata.csv").write_bytes(b"")
    with pytest.raises(DataError, match="column filename is missing"):
        read_metadata(tmp_path)


def test_files_lie_beside_the_table(tmp_path: Path) -> None:
    table = read_metadata(write(tmp_path, ROWS))
    expected = tmp_path / "a.hdf5"
    assert session_path(tmp_path, table.iloc[0]) == expected
    assert session_path(tmp_path / "metadata.csv", {"filename": "a"}) == expected
    assert session_path(tmp_path, next(table.itertuples())) == expected


def test_a_table_one_folder_down_is_named(tmp_path: Path) -> None:
    (tmp_path / "mini").mkdir()
    write(tmp_path / "mini", ROWS)
    with pytest.raises(DataError, match=r"found neither; the table is one folder down: give .*mini$"):
        read_metadata(tmp_path)
