from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from emgpose.errors import ConfigError, DataError, SessionFormatError
from emgpose.hand import JOINT_INDEX, JOINTS
from emgpose.recording import NinaproReader, Session, open_session
from emgpose.recording.mat_file import mat_numbers
from emgpose.recording.ninapro_databases import db9_subject

N = 400
# As DB9 files list them.
ORDER = [
    *("CMC1_f", "CMC1_a", "MCP1", "IP1", "MCP2_f", "MCP2_a", "PIP2", "MCP3_f", "PIP3", "MCP4_f", "MCP4_a", "PIP4"),
    *("CMC5", "MCP5_f", "MCP5_a", "PIP5", "DIP2", "DIP3", "DIP4", "DIP5", "WRIST_F", "WRIST_A"),
]
UNMAPPED = tuple(joint for joint in JOINTS if "_AA" in joint or joint == "THUMB_CMC_FE")


def fields(n_emg: int = 12, n_glove: int = 22, **more: object) -> dict[str, object]:
    rng = np.random.default_rng(3)
    movement = np.repeat([0, 1, 2, 3], N // 4)[:, None].astype(np.int8)
    return {
        "subject": 1,
        "exercise": 1,
        "emg": (1e-5 * rng.standard_normal((N, n_emg))).astype(np.float32),
        "glove": rng.uniform(50, 200, (N, n_glove)),
        "restimulus": movement,
        "rerepetition": movement,
        **more,
    }


def angles() -> dict[str, object]:
    degrees = np.tile(np.arange(1.0, 23), (N, 1)) * np.linspace(0.5, 1, N)[:, None]
    degrees[:, 5] = np.nan  # sensor 11, left out by the authors
    return {"angles": degrees, "order_of_angles": np.array(ORDER, dtype=object)}


def save(path: Path, values: dict[str, object]) -> Path:
    savemat(path, values, do_compression=True)
    return path


@pytest.mark.parametrize(
    ("n_emg", "n_glove", "name", "rate_hz"), [(12, 22, "DB2", 2000), (16, 22, "DB5", 200), (16, 18, "DB8", 2000)]
)
def test_columns_tell_the_database_and_its_rate(tmp_path, n_emg, n_glove, name, rate_hz) -> None:
    values = fields(n_emg, n_glove)
    folder = tmp_path / "DB2_s7"
    folder.mkdir()
    with open_session(save(folder / "S7_E2_A1.mat", values)) as session:
        assert (session.facts.format, session.sample_rate_hz) == (f"Ninapro {name}", rate_hz)
        assert (session.user, session.stage, session.side) == (f"{name}-S7", f"{name}-E2", {"DB8": "right"}.get(name))
        np.testing.assert_array_equal(session.emg(), values["emg"])
        assert any("subject is 1, the file's name says 7" in note for note in session.facts.notes)


@pytest.mark.parametrize(("n_emg", "n_glove"), [(12, 22), (16, 22), (16, 18)])
def test_uncalibrated_glove_values_are_never_taken_for_angles(tmp_path, n_emg, n_glove) -> None:
    with open_session(save(tmp_path / "S1_E1_A1.mat", fields(n_emg, n_glove))) as session:
        assert not session.has_joint_angles
        assert any("glove" in note for note in session.facts.notes)
        assert not session.valid().any()


def test_movements_are_read_beside_the_emg(tmp_path) -> None:
    values = fields()
    labels = NinaproReader(save(tmp_path / "S1_E1_A1.mat", values)).movement_labels()
    assert sorted(labels) == ["rerepetition", "restimulus"]
    np.testing.assert_array_equal(labels["restimulus"], np.asarray(values["restimulus"])[:, 0])


def test_only_joints_with_a_published_mapping_get_calibrated_angles(tmp_path) -> None:
    with open_session(save(tmp_path / "S1_E1_A1.mat", {**fields(), **angles()})) as session:
        joint_angles = session.joint_angles()
        assert session.facts.missing_joints == UNMAPPED
        assert len(UNMAPPED) == 6
        expected = np.radians(np.asarray(angles()["angles"])[:, ORDER.index("PIP3")])
        np.testing.assert_allclose(joint_angles[:, JOINT_INDEX["MIDDLE_PIP_FE"]], expected, rtol=1e-6)
        for joint in UNMAPPED:
            assert np.isnan(joint_angles[:, JOINT_INDEX[joint]]).all()
        known = [number for number, joint in enumerate(JOINTS) if joint not in UNMAPPED]
        assert np.isfinite(joint_angles[:, known]).all()
        assert not session.valid().any()
        assert any("no sample counts as labelled" in note for note in session.facts.notes)


def test_a_file_of_db9_is_joined_where_its_glove_is_the_same(tmp_path) -> None:
    values = fields()
    emg_file = save(tmp_path / "S1_E1_A1.mat", values)
    calibrated = {**angles(), "glove": values["glove"], "subject": 1}
    angles_file = save(tmp_path / "S28_E1_A1.mat", calibrated)
    with Session(NinaproReader(emg_file, angles_path=angles_file), emg_file) as session:
        assert session.has_emg
        assert session.facts.missing_joints == UNMAPPED
        # DB9 has subjects of DB2 and none of DB3.
        assert session.user == "DB2-S1"
    other = save(tmp_path / "S29_E1_A1.mat", {**calibrated, "glove": np.asarray(values["glove"]) + 1})
    with pytest.raises(DataError, match="field glove differs"):
        NinaproReader(emg_file, angles_path=other)


def test_a_file_of_db9_alone_needs_a_rate_and_has_no_emg(tmp_path) -> None:
    path = save(tmp_path / "S28_E1_A1.mat", {**angles(), "glove": np.zeros((N, 22))})
    with pytest.raises(SessionFormatError, match="does not say its rate"):
        open_session(path)
    with open_session(path, rate_hz=2000) as session:
        assert not session.has_emg
        assert session.has_joint_angles


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("DB3_s1/S1_E1_A1.mat", "DB3"),
        ("ninapro_db3/s1/S1_E1_A1.mat", "DB3"),
        ("DB2/from DB3/S1_E1_A1.mat", "DB2"),
        ("DB2/DB3_S1_E1_A1.mat", "DB3"),
        ("S12_E1_A1.mat", "DB2"),
    ],
)
def test_db3_is_told_from_db2_by_the_nearest_name_or_a_subject_that_only_one_has(tmp_path, place, name) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = open_session(save(path, fields())).facts
    assert (facts.format, facts.stage) == (f"Ninapro {name}", f"{name}-E1")
    assert (facts.user or "").startswith(f"{name}-S")
    assert any("amputee" in note for note in facts.notes) == (name == "DB3")


def test_what_may_be_of_either_is_said_to_be_and_whoever_knows_may_say_it(tmp_path) -> None:
    path = save(tmp_path / "S1_E1_A1.mat", fields())
    facts = open_session(path).facts
    assert (facts.format, facts.user) == ("Ninapro DB2 or DB3", "ninapro-S1")
    assert any("DB2 (intact) and DB3 (amputees) are laid out alike" in note for note in facts.notes)
    assert NinaproReader(path, database="DB3").facts.user == "DB3-S1"
    with pytest.raises(ConfigError, match="is of DB2 by its name, folder, subject or angles, not of DB3"):
        NinaproReader(path.rename(tmp_path / "S40_E1_A1.mat"), database="DB3")
    with pytest.raises(ConfigError, match="its columns are those of DB8, not of DB3"):
        NinaproReader(save(tmp_path / "S1_E1_A1.mat", fields(16, 18)), database="DB3")


def test_subjects_of_db9_are_those_of_the_databases_before() -> None:
    assert [db9_subject("DB2", 1), db9_subject("DB2", 40), db9_subject("DB5", 10)] == [28, 67, 77]
    assert db9_subject("DB8", 1) is None
    assert db9_subject("DB5", 11) is None


def test_the_force_exercise_of_db2_needs_no_glove(tmp_path) -> None:
    values = fields(force=np.zeros((N, 6)))
    del values["glove"]
    assert open_session(save(tmp_path / "S12_E3_A1.mat", values)).facts.format == "Ninapro DB2"


def test_an_unknown_layout_needs_a_rate_and_a_wrong_rate_is_refused(tmp_path) -> None:
    path = save(tmp_path / "rec.mat", fields(10, 22))
    with pytest.raises(SessionFormatError, match=r"10 EMG columns and 22 of glove .* give it as rate_hz"):
        open_session(path)
    assert open_session(path, rate_hz=100).user == "ninapro-S1"
    with pytest.raises(DataError, match="files of DB2 or DB3 have 2000 Hz"):
        open_session(save(tmp_path / "S1_E1_A1.mat", fields()), rate_hz=1000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"emg": "text"}, "expected emg"),
        ({"emg": np.zeros((3, 12))}, "expected emg"),
        ({"emg": np.zeros((N, 12), dtype=complex)}, "expected a matrix of numbers"),
        ({**angles(), "angles": np.zeros((N - 1, 22))}, "angles: expected shape"),
        ({**angles(), "angles": np.full((N, 22), 4000.0)}, "expected radians"),
    ],
)
def test_fields_that_cannot_be_are_refused_by_name(tmp_path, change, message) -> None:
    path = save(tmp_path / "S1_E1_A1.mat", {**fields(), **change})
    with pytest.raises((SessionFormatError, DataError), match=message):
        open_session(path).read(0, 10)


def test_a_column_named_twice_is_no_joint(tmp_path) -> None:
    order = [*ORDER[:-1], "MCP2_f"]
    values = {**fields(), **angles(), "order_of_angles": np.array(order, dtype=object)}
    with open_session(save(tmp_path / "S1_E1_A1.mat", values)) as session:
        assert "INDEX_MCP_FE" in session.facts.missing_joints


def test_a_file_of_version_7_3_is_called_that(tmp_path) -> None:
    path = tmp_path / "S1_E1_A1.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(SessionFormatError, match=r"version 7\.3, which is HDF5"):
        open_session(path)


def test_a_cut_or_flipped_file_is_one_clear_error_or_read(tmp_path) -> None:
    whole = save(tmp_path / "S1_E1_A1.mat", {**fields(), **angles()}).read_bytes()
    rng = np.random.default_rng(0)
    damaged = [whole[:length] for length in range(0, len(whole), len(whole) // 12)]
    places = rng.integers(0, len(whole), 12).tolist()
    damaged += [whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :] for place in places]
    outcomes = set()
    for content in damaged:
        path = tmp_path / "S2_E1_A1.mat"
        path.write_bytes(content)
        try:
            open_session(path).read()
            outcomes.add("read")
        except DataError:
            outcomes.add("refused")
    assert "refused" in outcomes


def test_damaged_files_end_in_an_error_and_never_end_the_process(tmp_path) -> None:
    path, rng = tmp_path / "S1_E1_A1.mat", np.random.default_rng(0)
    for compressed in (False, True):
        content = {"emg": rng.standard_normal((300, 12)), "glove": np.zeros((300, 22)), "restimulus": np.ones((300, 1))}
        savemat(path, content, do_compression=compressed)
        whole = path.read_bytes()
        n_refused = 0
        for number in range(150):
            damaged = bytearray(whole if number % 2 else whole[: rng.integers(len(whole))])
            for _ in range(3 * (number % 2)):
                damaged[rng.integers(128, len(damaged))] = rng.integers(256)
            path.write_bytes(damaged)
            try:
                reader = NinaproReader(path)
                reader.read(0, reader.facts.n_samples, frozenset({"emg"}))
                reader.movement_labels()
            except DataError:
                n_refused += 1
        assert n_refused > 70


def test_a_data_type_that_does_not_exist_is_not_looked_up(tmp_path) -> None:
    savemat(tmp_path / "a.mat", {"emg": np.zeros((300, 12))})
    damaged = bytearray((tmp_path / "a.mat").read_bytes())
    # After the file's header: tag of the variable, flags, dimensions, name; then type and size of the numbers.
    at = 128 + 8 + 16 + 16 + 8
    assert damaged[at] == 9
    damaged[at] = 200
    (tmp_path / "a.mat").write_bytes(damaged)
    with pytest.raises(SessionFormatError, match="there is no data type 200"):
        mat_numbers(tmp_path / "a.mat", "emg")


@pytest.mark.parametrize("label", [np.nan, 1.5, 70_000])
def test_a_movement_that_is_no_small_whole_number_is_refused(tmp_path, label) -> None:
    content = {"emg": np.ones((300, 12)), "glove": np.zeros((300, 22)), "stimulus": np.full((300, 1), label)}
    savemat(tmp_path / "a.mat", content)
    with pytest.raises(SessionFormatError, match=r"stimulus is .* at sample 0, expected the number of a movement"):
        NinaproReader(tmp_path / "a.mat").movement_labels()
