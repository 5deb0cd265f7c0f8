import json
from pathlib import Path

import numpy as np
import pytest

from emgpose.errors import ConfigError, SessionFormatError
from emgpose.hand import JOINT_INDEX, JOINTS
from emgpose.recording import load_mapping, open_session

GOOD = """
[emg]
columns = ["b", "a"]
unit = "mV"
[time]
column = "t"
unit = "ms"
[joints.INDEX_MCP_FE]
column = "idx"
unit = "deg"
sign = -1
[valid]
column = "good"
[constants]
side = "left"
user = "anna"
stage = "typing"
session = "first"
"""


def write(folder: Path, text: str = GOOD, name: str = "map.toml") -> Path:
    (folder / name).write_text(text)
    return folder / name


def table(folder: Path, n: int = 50) -> tuple[Path, dict[str, np.ndarray]]:
    rng = np.random.default_rng(1)
    columns = {
        "t": np.arange(n) * 0.5,
        "idx": rng.uniform(-90, 0, n).round(3),
        "a": rng.standard_normal(n).round(4),
        "good": (np.arange(n) > 3).astype(float),
        "b": rng.standard_normal(n).round(4),
        "other": np.ones(n),
    }
    path = folder / "rec.csv"
    np.savetxt(path, np.column_stack(list(columns.values())), "%.6g", ",", header=",".join(columns), comments="")
    return path, columns


def test_a_mapping_says_order_unit_sign_clock_and_who(tmp_path) -> None:
    path, columns = table(tmp_path)
    with open_session(path, mapping=load_mapping(write(tmp_path))) as session:
        assert (session.channel_names, session.emg_unit, session.sample_rate_hz) == (("b", "a"), "uV", 2000)
        assert (session.side, session.user, session.stage, session.session) == ("left", "anna", "typing", "first")
        np.testing.assert_allclose(session.emg(), 1000 * np.column_stack([columns["b"], columns["a"]]), rtol=1e-5)
        index = session.joint_angles()[:, JOINT_INDEX["INDEX_MCP_FE"]]
        np.testing.assert_allclose(index[4:], -np.radians(columns["idx"])[4:], rtol=1e-5)
        np.testing.assert_allclose(session.time_s(), np.arange(50) / 2000)
        assert session.facts.missing_joints == tuple(joint for joint in JOINTS if joint != "INDEX_MCP_FE")
        # One joint of 20 is no label, marked good or not.
        assert not session.valid().any()
        assert any("not read: other" in note for note in session.facts.notes)


def test_all_joints_mapped_make_labels_that_count(tmp_path) -> None:
    n = 30
    columns = {f"j{number}": np.full(n, 30.0) for number in range(20)} | {"ok": (np.arange(n) >= 10).astype(float)}
    path = tmp_path / "rec.csv"
    np.savetxt(path, np.column_stack(list(columns.values())), "%g", ";", header=";".join(columns), comments="")
    document = {
        "time": {"rate_hz": 60},
        "joints": {joint: {"column": f"j{number}", "unit": "deg"} for number, joint in enumerate(JOINTS)},
        "valid": {"column": "ok"},
    }
    with open_session(path, mapping=load_mapping(write(tmp_path, json.dumps(document), "map.json"))) as session:
        assert session.valid_runs() == [(10, 30)]
        assert not session.facts.missing_joints
        np.testing.assert_allclose(session.joint_angles(), np.pi / 6, rtol=1e-6)


def test_yaml_says_the_same_as_toml(tmp_path) -> None:
    yaml = "emg: {columns: [b, a], unit: mV}\ntime: {rate_hz: 2000}\n"
    mapping = load_mapping(write(tmp_path, yaml, "map.yaml"))
    assert (mapping.emg, mapping.emg_factor, mapping.rate_hz) == (("b", "a"), 1000.0, 2000.0)


def test_a_mapping_file_cannot_reach_the_environment(tmp_path) -> None:
    yaml = "emg: {columns: ['${oc.env:HOME}']}\ntime: {rate_hz: 2000}\n"
    assert load_mapping(write(tmp_path, yaml, "map.yaml")).emg == ("${oc.env:HOME}",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('unit = "mV"', 'unit = "mv"', r"map\.toml: emg\.unit: expected V or mV"),
        ('unit = "ms"', 'unit = "minutes"', r"time\.unit: expected s or ms or us"),
        ('column = "t"', 'column = "t"\nrate_hz = 5', r"time: expected rate_hz or column, one of the two"),
        ('column = "t"\nunit = "ms"', "rate_hz = -5", r"time\.rate_hz: expected a rate"),
        ("INDEX_MCP_FE", "INDEX_MPC_FE", r"joints: unknown key 'INDEX_MPC_FE'; did you mean INDEX_MCP_FE"),
        ('unit = "deg"', "", r"joints\.INDEX_MCP_FE: unit is missing"),
        ("sign = -1", "sign = 2", r"joints\.INDEX_MCP_FE\.sign: expected 1 or -1, got 2"),
        ('["b", "a"]', '["b", "b"]', r"emg\.columns: 'b' stands twice"),
        ('["b", "a"]', '"b"', r"emg\.columns: expected a list"),
        ('side = "left"', 'side = "both"', r"constants\.side: expected left or right"),
        ("[valid]", "[vaild]", r"unknown key 'vaild'; did you mean valid"),
        ("[emg]", "[emg", r"cannot be read as TOML"),
    ],
)
def test_a_wrong_mapping_is_refused_by_file_and_key(tmp_path, old, new, message) -> None:
    with pytest.raises(ConfigError, match=message):
        load_mapping(write(tmp_path, GOOD.replace(old, new, 1)))


@pytest.mark.parametrize("name", ["map.txt", "missing.toml"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, name) -> None:
    (tmp_path / "map.txt").write_text(GOOD)
    with pytest.raises(ConfigError, match=name):
        load_mapping(tmp_path / name)


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path) -> None:
    path, _ = table(tmp_path)
    mapping = load_mapping(write(tmp_path, GOOD.replace('"idx"', '"idx2"')))
    with pytest.raises(SessionFormatError, match=r"column 'idx2' of the mapping is missing; .* t, idx, a, good, b"):
        open_session(path, mapping=mapping)


def test_a_mapping_is_for_tables_only(tmp_path) -> None:
    np.savez(tmp_path / "rec.npz", emg=np.zeros((9, 2)), sample_rate_hz=2000.0)
    with pytest.raises(ConfigError, match="a mapping is for CSV and Parquet tables, this is a NPZ file"):
        open_session(tmp_path / "rec.npz", mapping=load_mapping(write(tmp_path)))


def test_a_mark_that_is_neither_one_nor_zero_is_refused(tmp_path) -> None:
    path, _ = table(tmp_path)
    mapping = load_mapping(write(tmp_path, GOOD.replace('"good"', '"a"').replace('["b", "a"]', '["b"]')))
    with pytest.raises(SessionFormatError, match=r"column a is .* at sample 0, expected 1 or 0"):
        open_session(path, mapping=mapping).valid()


def test_a_column_with_two_meanings_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="column 'good' has two meanings"):
        load_mapping(write(tmp_path, GOOD.replace('["b", "a"]', '["b", "good"]')))


def test_json_may_be_indented_with_tabs(tmp_path) -> None:
    (tmp_path / "map.json").write_text('{\n\t"emg": {"columns": ["a"]},\n\t"time": {"rate_hz": 2000}\n}')
    assert load_mapping(tmp_path / "map.json").emg == ("a",)


def test_a_rate_that_is_not_the_mappings_is_refused(tmp_path) -> None:
    path, _ = table(tmp_path)
    (tmp_path / "map.json").write_text('{"emg": {"columns": ["a"]}, "time": {"rate_hz": 2000}}')
    with pytest.raises(ConfigError, match="the rate given is 1000 Hz, its mapping says 2000 Hz"):
        open_session(path, mapping=load_mapping(tmp_path / "map.json"), rate_hz=1000)


def test_rows_marked_bad_are_no_angles_where_joints_are_missing(tmp_path) -> None:
    path, _ = table(tmp_path)
    with open_session(path, mapping=load_mapping(write(tmp_path))) as session:
        good = session.reader.read(0, session.n_samples, frozenset({"valid"}))["valid"]
        assert 0 < good.sum() < len(good)
        known = [joint not in session.facts.missing_joints for joint in JOINTS]
        np.testing.assert_array_equal(np.isnan(session.joint_angles()[:, known]).any(axis=1), ~good)
