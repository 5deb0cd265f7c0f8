import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from emgpose.errors import DataError
from emgpose.recording import open_session, read_metadata, session_path
from emgpose.recording.bids import unjoined_recordings
from emgpose.recording.check import check_dataset
from emgpose.recording.opening import recording_exists

TABLE = "sourcedata/emg2pose_metadata.csv"


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made / "bids", tmp_path / "bids")


def sidecars(root: Path) -> list[Path]:
    return sorted(root.rglob("*_emg.json"))


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def change_table(root: Path, edit: Callable[[list[list[str]]], object]) -> None:
    with (root / TABLE).open(newline="") as file:
        rows = list(csv.reader(file))
    edit(rows)
    with (root / TABLE).open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def test_the_table_is_joined_on_the_stem_of_the_source_file(made: Path, root: Path) -> None:
    plain = read_metadata(made / "hdf5")
    for path in sidecars(root):
        change(path, SourceFile="some/where/" + json.loads(path.read_text())["SourceFile"])
    joined = read_metadata(root)
    assert joined.drop(columns="bids_file").equals(plain)
    for given in (root, root / TABLE):
        rows = read_metadata(given).to_dict("records")
        assert all(session_path(given, row).is_file() for row in rows)
        for row, named in zip(rows, read_metadata(given).itertuples(), strict=True):
            assert session_path(given, named) == session_path(given, row)
            stem = json.loads(Path(str(session_path(given, row)).replace("_emg.bdf", "_emg.json")).read_text())
            assert stem["SourceFile"] == f"some/where/{row['filename']}.hdf5"


def test_a_row_without_its_recording_misses_it_when_it_is_read(root: Path) -> None:
    for name in ("bdf", "json"):
        sorted(root.rglob(f"*_emg.{name}"))[0].unlink()
    rows = read_metadata(root).to_dict("records")
    missing = [session_path(root, row) for row in rows if not session_path(root, row).exists()]
    assert [path.name for path in missing] == ["2024-01-01-user00-CountingUpDownFaceSideAway-recording_left_emg.bdf"]
    assert [f.code for r in check_dataset(root).sessions for f in r.findings if f.code == "missing_file"]


def left_out_of(root: Path) -> dict[str, str]:
    """Recordings that no row is found for, by the name of their file."""
    names = [row["filename"] for row in read_metadata(root).to_dict("records")]
    return {name.rpartition("/")[2]: reason for name, reason in unjoined_recordings(root, names).items()}


def break_first(root: Path, how: str) -> Path:
    """Spoil the sidecar of one recording."""
    first, second = sidecars(root)[:2]
    if how == "other stem":
        change(first, SourceFile="other.hdf5")
    elif how == "same stem":
        change(first, SourceFile=json.loads(second.read_text())["SourceFile"])
    elif how == "missing":
        first.unlink()
    else:
        first.write_text('{"SourceFile": "cut o')
    return first


@pytest.mark.parametrize(
    ("how", "message", "n_out"),
    [
        ("other stem", "SourceFile has the stem 'other', which no row of", 1),
        ("same stem", "both have the SourceFile", 2),
        ("missing", "no such file; expected it beside the recording", 1),
        ("damaged", "cannot be read as JSON", 1),
    ],
)
def test_a_broken_sidecar_leaves_its_recording_out_and_is_named_everywhere(root: Path, how, message, n_out) -> None:
    broken = break_first(root, how)
    left_out = left_out_of(root)
    assert len(left_out) == n_out
    assert message in left_out[broken.name.replace(".json", ".bdf")]
    rows = read_metadata(root).to_dict("records")
    missed = [session_path(root, row) for row in rows if not session_path(root, row).exists()]
    assert len(missed) == n_out
    for path in missed:
        with pytest.raises(DataError, match=f"may be that which could not be joined: .*{message}"):
            open_session(path)
        with pytest.raises(DataError, match=message):
            recording_exists(path)
    findings = check_dataset(root).findings
    assert [f.code for f in findings if message in f.message].count("unknown_file") == n_out
    assert [f.code for f in findings if message in f.message].count("missing_file") == n_out


def test_a_sidecar_that_lacks_something_else_still_finds_its_row(root: Path) -> None:
    change(sidecars(root)[0], ValidSamples="many")
    assert left_out_of(root) == {}
    rows = read_metadata(root).to_dict("records")
    findings = [finding for report in check_dataset(root).sessions for finding in report.findings]
    assert all(session_path(root, row).exists() for row in rows)
    assert [f.code for f in findings if "ValidSamples: expected a whole number" in f.message] == ["unreadable"]


def test_a_data_set_with_nothing_but_broken_sidecars_is_an_error(root: Path) -> None:
    for path in sidecars(root):
        path.write_text("{")
    with pytest.raises(DataError, match=r"no recording has a row of the table: .*cannot be read as JSON.* 11 more"):
        read_metadata(root)


def test_two_rows_of_one_stem_are_named(root: Path) -> None:
    change_table(root, lambda rows: rows.append([f"folder/{rows[1][0]}", *rows[1][1:]]))
    with pytest.raises(DataError, match="have the same stem"):
        read_metadata(root)
    change_table(root, lambda rows: rows.__setitem__(-1, rows[1]))
    with pytest.raises(DataError, match="a name that no other row has"):
        read_metadata(root)


def test_a_missing_column_is_named(root: Path) -> None:
    change_table(root, lambda rows: rows.__setitem__(0, ["x" if name == "split" else name for name in rows[0]]))
    with pytest.raises(DataError, match=r"emg2pose_metadata\.csv: column split is missing"):
        read_metadata(root)


def test_a_data_set_without_table_or_recordings_says_so(root: Path, tmp_path: Path) -> None:
    (root / TABLE).rename(tmp_path / "table.csv")
    with pytest.raises(DataError, match=r"is a BIDS data set, expected its table sourcedata/emg2pose_metadata\.csv"):
        read_metadata(root)
    (root / TABLE).symlink_to("../.git/annex/objects/ab/cd/MD5E-s5.csv")
    with pytest.raises(DataError, match=r"emg2pose_metadata\.csv: is a git-annex pointer.*datalad get"):
        read_metadata(root)
    (root / TABLE).unlink()
    (tmp_path / "table.csv").rename(root / TABLE)
    for folder in root.glob("sub-*"):
        shutil.rmtree(folder)
    with pytest.raises(DataError, match="expected recordings sub-"):
        read_metadata(root)


def test_a_pointer_in_place_of_a_recording_is_named_by_check(root: Path) -> None:
    bdf = sorted(root.rglob("*_emg.bdf"))[0]
    bdf.unlink()
    bdf.symlink_to("../../../.git/annex/objects/MD5E-s1--0.bdf")
    report = check_dataset(root)
    findings = [finding for session in report.sessions for finding in session.findings]
    assert [f.code for f in findings if "git-annex pointer" in f.message] == ["unreadable"]
    assert not [f for f in findings if f.code == "metadata_mismatch"]


def test_a_column_of_that_name_in_a_folder_of_hdf5_files_leads_nowhere(made: Path, tmp_path: Path) -> None:
    text = (made / "hdf5" / "metadata.csv").read_text().splitlines()
    (tmp_path / "metadata.csv").write_text("\n".join([text[0] + ",bids_file", *(line + ",x" for line in text[1:])]))
    table = read_metadata(tmp_path)
    assert "bids_file" not in table
    assert session_path(tmp_path, table.iloc[0]).suffix == ".hdf5"
