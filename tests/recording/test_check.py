"""`check_session` and `check_dataset` name what is wrong, by code."""

import csv
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emgpose.recording.check import check_dataset, check_session
from emgpose.recording.emg2pose_writer import Emg2PoseWriter, write_emg2pose_hdf5
from emgpose.recording.findings import DatasetReport, SessionReport
from generated import (
    N_CHANNELS,
    break_dataset,
    generate_dataset,
    generate_session,
    generated_emg,
    generated_joint_angles,
)

RATE_HZ = 2000.0


def codes(report: SessionReport | DatasetReport) -> list[str]:
    return [finding.code for finding in report.findings]


def written(path: Path, n_samples: int = 14_000, rate_hz: float = RATE_HZ, **changes: Any) -> Path:
    """A clean recording of 7 s; `changes` replace arrays or go to the writer."""
    rng = np.random.default_rng(1)
    angles = changes.pop("joint_angles", generated_joint_angles(n_samples, rate_hz, rng))
    emg = changes.pop("emg", None)
    if emg is None:
        emg = generated_emg(angles, rate_hz, rng, 40.0)
    alter = changes.pop("alter", None)
    if alter is not None:
        emg = alter(emg.copy())
    write_emg2pose_hdf5(path, emg, angles, sample_rate_hz=rate_hz, user="u", stage="s", side="left", **changes)
    return path


# ---- one recording


def test_a_clean_recording_has_no_findings_and_all_figures(tmp_path: Path) -> None:
    generate_session(tmp_path / "a.hdf5")
    report = check_session(tmp_path / "a.hdf5")
    assert report.findings == ()
    assert report.is_usable
    assert report.figures["invalid_share"] == pytest.approx(0.12)
    assert report.figures["longest_valid_s"] > 7
    assert set(report.figures["channels"]) == {f"emg{channel}" for channel in range(N_CHANNELS)}
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["facts"]["sample_rate_hz"] == 2000


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    report = check_session(tmp_path / "nowhere.hdf5")
    assert codes(report) == ["missing_file"]
    assert not report.is_usable


@pytest.mark.parametrize("share", [0.2, 0.6, 0.999])
def test_a_truncated_file_is_named(tmp_path: Path, share: float) -> None:
    path = written(tmp_path / "a.hdf5")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert codes(check_session(path)) == ["truncated"]


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_what_is_no_recording_is_unreadable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.hdf5"
    path.write_bytes(content)
    (code,) = codes(check_session(path))
    assert code in ("unreadable", "truncated")


def test_a_fault_that_nobody_foresaw_is_a_finding_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: object, **__: object) -> None:
        raise ZeroDivisionError("deep inside")

    monkeypatch.setattr("emgpose.recording.check.open_session", explode)
    report = check_session(written(tmp_path / "a.hdf5"))
    assert codes(report) == ["unreadable"]
    assert "ZeroDivisionError: deep inside" in report.findings[0].message


@pytest.mark.parametrize(("rate_hz", "severity"), [(200.0, "error"), (1000.0, "warning")])
def test_a_wrong_rate_is_named(tmp_path: Path, rate_hz: float, severity: str) -> None:
    generate_session(tmp_path / "a.hdf5", rate_hz=rate_hz)
    (finding,) = check_session(tmp_path / "a.hdf5").findings
    assert (finding.code, finding.severity) == ("rate", severity)
    assert f"{rate_hz:g} Hz" in finding.message


def test_a_channel_that_falls_off_is_named_with_how_long(tmp_path: Path) -> None:
    def falls_off(emg: np.ndarray) -> np.ndarray:
        emg[9000:12_000, 4] = 0
        return emg

    (finding,) = check_session(written(tmp_path / "a.hdf5", alter=falls_off)).findings
    assert (finding.code, finding.severity) == ("dead_span", "warning")
    assert "channel emg4" in finding.where
    assert "1.5 s of the recording's 7 s" in finding.message


def test_the_steps_of_a_coarse_converter_are_not_taken_for_a_dead_channel(tmp_path: Path) -> None:
    # A quiet recording in steps of three standard deviations: most samples repeat the one before.
    emg = 3 * np.round(np.random.default_rng(0).standard_normal((14_000, N_CHANNELS)) / 3)
    report = check_session(written(tmp_path / "a.hdf5", emg=emg))
    assert min(figures["flat_share"] for figures in report.figures["channels"].values()) > 0.5
    assert "dead_channel" not in codes(report)


def test_a_wrong_number_of_channels_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "a.hdf5", alter=lambda emg: emg[:, :12])
    assert codes(check_session(path)) == ["channel_count"]


def test_a_recording_too_short_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "a.hdf5", n_samples=1500)
    assert codes(check_session(path)) == ["too_short", "no_test_window"]


def test_time_stamps_that_do_not_fit_the_rate_are_named(tmp_path: Path) -> None:
    path = written(tmp_path / "a.hdf5", time_s=np.arange(14_000) / 1900)
    assert codes(check_session(path)) == ["clock"]


def changed(channel: int, value: Any, rows: slice = slice(None)) -> Any:
    def alter(emg: np.ndarray) -> np.ndarray:
        emg[rows, channel] = value(emg) if callable(value) else value
        return emg

    return alter


@pytest.mark.parametrize(
    ("alter", "code", "severity"),
    [
        (changed(3, np.nan), "nan_channel", "error"),
        (changed(3, np.nan, slice(5000, 5001)), "nan_channel", "error"),
        (changed(3, -np.inf, slice(5000, 5001)), "inf_channel", "error"),
        (changed(3, 0.0), "dead_channel", "error"),
        (changed(3, 123.4), "dead_channel", "error"),
        (changed(3, lambda emg: 1e-4 * emg[:, 3]), "dead_channel", "error"),
        (changed(3, lambda emg: emg[3999, 3], slice(4000, 12_000)), "dead_channel", "error"),
        (changed(3, lambda emg: emg[:, 1]), "duplicate_channel", "warning"),
        (changed(3, lambda emg: -2 * emg[:, 1] + 5), "duplicate_channel", "warning"),
        (changed(3, lambda emg: np.clip(emg[:, 3], -20, 20)), "saturated_channel", "warning"),
        (
            changed(3, lambda emg: emg[:, 3] + 40 * np.sin(2 * np.pi * 50 * np.arange(len(emg)) / RATE_HZ)),
            "power_line",
            "warning",
        ),
    ],
)
def test_a_faulty_channel_is_named(tmp_path: Path, alter: Any, code: str, severity: str) -> None:
    report = check_session(written(tmp_path / "a.hdf5", alter=alter))
    (finding,) = report.findings
    assert (finding.code, finding.severity) == (code, severity)
    assert finding.where.endswith("channel emg3")
    assert report.is_usable is (severity == "warning")


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_emg_in_another_unit_is_named(tmp_path: Path, factor: float) -> None:
    path = written(tmp_path / "a.hdf5", alter=lambda emg: emg * np.float32(factor))
    assert codes(check_session(path)) == ["noise_floor"]


def test_many_invalid_labels_are_named(tmp_path: Path) -> None:
    path = written(tmp_path / "a.hdf5", valid=np.arange(14_000) < 3000)
    report = check_session(path)
    assert codes(report) == ["invalid_labels", "no_test_window"]
    assert report.figures["longest_valid_s"] == pytest.approx(1.5)


def test_no_valid_label_at_all_is_an_error(tmp_path: Path) -> None:
    (finding,) = check_session(written(tmp_path / "a.hdf5", joint_angles=np.zeros((14_000, 20)))).findings
    assert (finding.code, finding.severity) == ("invalid_labels", "error")


def test_labels_without_a_run_long_enough_are_named(tmp_path: Path) -> None:
    path = written(tmp_path / "a.hdf5", valid=np.arange(14_000) % 5000 != 0)
    assert codes(check_session(path)) == ["no_test_window"]


def test_angles_in_degrees_are_named(tmp_path: Path) -> None:
    angles = np.degrees(generated_joint_angles(14_000, RATE_HZ, np.random.default_rng(0)))
    path = written(tmp_path / "a.hdf5", joint_angles=angles, emg=np.random.default_rng(0).standard_normal((14_000, 16)))
    assert codes(check_session(path)) == ["angle_unit"]


def test_a_joint_beyond_what_hands_can_do_is_named(tmp_path: Path) -> None:
    angles = generated_joint_angles(14_000, RATE_HZ, np.random.default_rng(0))
    angles[:, 6] = -angles[:, 6] - 0.3  # a finger's middle joint bent backwards
    (finding,) = check_session(written(tmp_path / "a.hdf5", joint_angles=angles)).findings
    assert (finding.code, finding.severity) == ("angle_limits", "warning")
    assert "INDEX_PIP_FE" in finding.message


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    angles = generated_joint_angles(10_000, RATE_HZ, rng)
    emg = generated_emg(angles, RATE_HZ, rng, 40.0)

    def peak(n_blocks: int) -> int:
        path = tmp_path / f"{n_blocks}.hdf5"
        with Emg2PoseWriter(path, sample_rate_hz=RATE_HZ, user="u", stage="s", side="left") as writer:
            for _ in range(n_blocks):
                writer.append(emg, angles)
        tracemalloc.start()
        assert check_session(path).findings == ()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak(2)  # imports
    assert peak(16) < 1.1 * peak(4)


def test_real_wrist_emg_has_no_findings(shared: Path) -> None:
    pytest.importorskip("wfdb")
    report = check_dataset(shared / "real/grabmyo")
    assert report.findings == ()
    assert report.figures["n_usable"] == 11


def test_real_joint_angles_have_no_findings(shared: Path) -> None:
    report = check_session(shared / "real/emg2pose_angles/joint_angle_predictions.csv", rate_hz=29.968)
    assert report.findings == ()
    assert report.figures["n_samples"] - report.figures["n_valid"] == 63


# ---- data sets


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    generate_dataset(root, n_train_users=1, n_test_users=1, n_val_users=0, n_stages=2, seconds=7.5)
    return root


@pytest.fixture
def dataset(whole: Path, tmp_path: Path) -> Path:
    """A copy of the small data set, whose files may be changed."""
    for path in whole.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def edit(root: Path, row: int, **values: str) -> None:
    with (root / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[row].update(values)
    with (root / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_a_clean_data_set_has_no_findings(whole: Path) -> None:
    calls: list[tuple[int, int]] = []
    report = check_dataset(whole, on_progress=lambda done, total: calls.append((done, total)))
    assert report.findings == ()
    assert report.figures == {
        "n_sessions": 8,
        "n_usable": 8,
        "hours": pytest.approx(8 * 7.5 / 3600),
        "invalid_share": pytest.approx(0.12),
    }
    assert calls == [(done, 8) for done in range(1, 9)]
    json.dumps(report.to_dict(), allow_nan=False)


def test_of_30_recordings_the_four_broken_ones_are_named(tmp_path: Path) -> None:
    generate_dataset(tmp_path)
    broken = break_dataset(tmp_path)
    report = check_dataset(tmp_path)
    found = {(Path(finding.where.split(": ")[0]).stem, finding.code) for finding in report.findings}
    assert found == {
        (broken.truncated, "truncated"),
        (broken.nan_channel, "nan_channel"),
        (broken.rate_200_hz, "rate"),
        (broken.missing, "missing_file"),
    }
    assert (report.figures["n_sessions"], report.figures["n_usable"]) == (30, 26)


def test_a_file_that_the_table_does_not_know_is_named_and_judged(dataset: Path) -> None:
    generate_session(dataset / "stray.hdf5", rate_hz=200.0)
    report = check_dataset(dataset)
    assert sorted(codes(report)) == ["rate", "unknown_file"]
    assert all("stray.hdf5" in finding.where for finding in report.findings)


def test_a_table_that_contradicts_a_file_is_named(dataset: Path) -> None:
    values = {"user": "someone", "stage": "PlayBlocksChess", "side": "right", "session": "other"}
    for row, (column, value) in zip((0, 1, 2, 3), values.items(), strict=True):
        edit(dataset, 4 if column == "side" else row, **{column: value})
    findings = check_dataset(dataset).findings
    assert {finding.code for finding in findings} == {"metadata_mismatch"}
    for column, value in values.items():
        assert sum(f"{column} is " in finding.message and repr(value) in finding.message for finding in findings) == 1


def test_a_held_out_user_in_training_is_named(dataset: Path) -> None:
    edit(dataset, 4, split="train", generalization="")  # a test user's row
    assert "split_leak" in codes(check_dataset(dataset))


def test_a_table_that_cannot_be_read_does_not_keep_the_files_from_being_judged(dataset: Path) -> None:
    (dataset / "metadata.csv").write_text("nothing,useful\n1,2\n")
    report = check_dataset(dataset)
    assert codes(report) == ["metadata"]
    assert len(report.sessions) == 8


def test_a_data_set_without_a_table_is_named(dataset: Path) -> None:
    (dataset / "metadata.csv").unlink()
    report = check_dataset(dataset)
    assert codes(report) == ["no_metadata"]
    assert "fetch it" in report.findings[0].message


def test_of_a_data_set_one_folder_down_the_folder_is_named(dataset: Path) -> None:
    data = dataset / "parent" / "data"
    data.mkdir(parents=True)
    for path in [path for path in dataset.iterdir() if path.is_file()]:
        path.rename(data / path.name)
    report = check_dataset(data.parent)
    assert codes(report) == ["no_metadata"]
    assert report.findings[0].message.endswith(f"the table is one folder down: give {data}")
    assert len(report.sessions) == 8


def test_a_folder_without_recordings_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    assert codes(check_dataset(tmp_path)) == ["no_recordings"]
