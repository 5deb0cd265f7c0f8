"""Every command end to end: what it prints, what it writes, and how it exits."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from rich.text import Text

from emgpose.checkpoints import save_model
from emgpose.cli import app
from generated import break_dataset, generate_dataset, generate_session
from small_models import small_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tracking"
    save_model(small_model(), folder)
    return folder


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("recordings") / "a.hdf5"
    generate_session(path, seconds=9.0, invalid_share=0.0)
    return path


@pytest.fixture(scope="module")
def broken_dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("dataset")
    rows = generate_dataset(root)
    assert len(rows) == 30
    return root, break_dataset(root)


def test_predict_writes_angles_and_a_page_and_says_what_it_did(run, model, recording, tmp_path):
    code, out, err = run(
        "predict", recording, "--checkpoint", model, "--out", tmp_path / "a.csv", "--html", tmp_path / "a.html"
    )
    assert code == 0
    assert "mode stream, causal" in out
    assert "recorded at sample" in out
    assert "untrained" in err
    assert (tmp_path / "a.csv").read_text().startswith("sample,time_s,THUMB_CMC_FE")
    assert "untrained" in (tmp_path / "a.html").read_text()


def test_predict_json_is_one_document_on_stdout(run, model, recording, tmp_path):
    code, out, _ = run("predict", recording, "--checkpoint", model, "--out", tmp_path / "a.npz", "--json")
    report = json.loads(out)
    assert code == 0
    assert report["rate_hz"] == 2000
    assert report["n_rows"] == 18000 - report["first_sample"]
    assert report["mae_rad"] > 0


def test_a_raw_recording_is_prepared_and_the_output_says_how(run, model, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "raw.npz", emg=rng.standard_normal((10_240, 16)).astype(np.float32) * 5, sample_rate_hz=2048.0)
    code, out, _ = run("predict", tmp_path / "raw.npz", "--checkpoint", model, "--out", tmp_path / "a.csv")
    assert code == 0
    assert "resample to 2000 Hz" in out
    assert "estimate" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--mode", "published", "--rate", "300"), 2, "divides 2000 Hz"),
        (("--initial-pose", "nowhere.json"), 1, "no such file"),
        (("--channels", "emg0,emg1"), 1, "16 EMG channels"),
        (("--channels", "emg0,,"), 2, "separated by commas"),
        (("--channels", "9" * 5000), 2, "channel"),
        (("--noise-floor", "quiet"), 2, "numbers separated by commas"),
        (("--html-span", "-1", "--html", "x.html"), 2, "positive number of seconds"),
        (("--html-span", "0.5", "--html", "x.html"), 2, "the first pose is at 0.575 s"),
        (("--hand", "nowhere.json"), 1, "nowhere.json"),
    ],
)
def test_a_wrong_option_ends_in_one_message_and_no_file(run, model, recording, tmp_path, arguments, code, message):
    ended, out, err = run("predict", recording, "--checkpoint", model, "--out", tmp_path / "a.csv", *arguments)
    assert ended == code
    assert message in " ".join(err.split())
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_no_input_is_ever_written_over(run, model, recording, tmp_path):
    own = tmp_path / "own.hdf5"
    shutil.copy(recording, own)
    (tmp_path / "link.hdf5").hardlink_to(own)
    before = own.read_bytes()
    for out, html in [("own.hdf5", "a.html"), ("link.hdf5", "a.html"), ("a.csv", "own.hdf5"), ("a.html", "a.html")]:
        code, _, err = run("predict", own, "--checkpoint", model, "--out", tmp_path / out, "--html", tmp_path / html)
        assert code == 2
        assert "choose another name" in err or "ending in .html" in err or "ending in .csv" in err
    assert own.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.hdf5", "own.hdf5"]


def test_a_page_that_cannot_be_written_is_refused_before_the_work(run, model, recording, tmp_path):
    (tmp_path / "folder.html").mkdir()
    for html in ("folder.html", "none/a.html"):
        out = tmp_path / "a.csv"
        code, _, err = run("predict", recording, "--checkpoint", model, "--out", out, "--html", tmp_path / html)
        assert code == 1
        assert html in err
        assert not out.exists()


def test_a_folder_in_the_place_of_the_pose_file_is_refused(run, model, recording, tmp_path):
    (tmp_path / "a.csv").mkdir()
    code, _, err = run("predict", recording, "--checkpoint", model, "--out", tmp_path / "a.csv")
    assert code == 1
    assert "it is a folder" in err


def test_names_are_shown_as_they_are(run, model, recording, tmp_path):
    path = tmp_path / "a [bold] :smile: ü.hdf5"
    shutil.copy(recording, path)
    assert path.name in run("check", path)[1]
    assert path.name in run("info", path)[1]
    assert path.name in run("info", tmp_path / "none" / path.name)[2]


def test_metadata_with_brackets_do_not_stop_evaluate(run, model, tmp_path):
    root = tmp_path / "data"
    generate_dataset(root, n_train_users=0, n_val_users=0, n_test_users=1, n_stages=1)
    table = root / "metadata.csv"
    table.write_text(table.read_text().replace(",both,", ",[/b] :smile:,"))
    options = ("--mode", "stream", "--by", "moving_hand")
    code, out, _ = run("evaluate", "--data", root, "--checkpoint", model, "--out", tmp_path / "scores", *options)
    assert code == 0
    assert "[/b] :smile:" in out


def test_a_terminal_without_unicode_gets_every_line(model, recording, tmp_path):
    path = tmp_path / "é.hdf5"
    shutil.copy(recording, path)
    done = subprocess.run(
        [sys.executable, "-c", "from emgpose.cli import main; main()", "check", str(path)],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert done.returncode == 0
    assert b"\\xe9.hdf5: ok (" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="other file systems take no such names")
def test_a_file_name_that_is_no_utf_8_is_spelled_out_on_the_page(run, model, recording, tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.hdf5"))
    shutil.copy(recording, path)
    out, html = tmp_path / "a.csv", tmp_path / "a.html"
    assert run("predict", path, "--checkpoint", model, "--out", out, "--html", html)[0] == 0
    assert "\\udcff" in html.read_text()


def test_usage_errors_exit_2(run, recording):
    assert run("predict", recording)[0] == 2
    assert run("predict", recording, "--nonsense")[0] == 2
    assert run("unknown")[0] == 2


def test_ctrl_c_exits_130_and_leaves_nothing(run, model, recording, tmp_path, monkeypatch):
    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("emgpose.prediction.run._require_finite", interrupt)
    code, _, err = run("predict", recording, "--checkpoint", model, "--out", tmp_path / "a.csv")
    assert code == 130
    assert "interrupted" in err
    assert list(tmp_path.iterdir()) == []


def test_check_names_all_four_faults_of_the_broken_data_set(run, broken_dataset):
    root, broken = broken_dataset
    code, out, _ = run("check", root)
    assert code == 1
    lines = [line for line in out.splitlines() if line.startswith("  error")]
    assert len(lines) == 4
    for fault, name in [
        ("truncated", broken.truncated),
        ("nan_channel", broken.nan_channel),
        ("rate", broken.rate_200_hz),
        ("missing_file", broken.missing),
    ]:
        assert any(line.startswith(f"  error {fault}: ") and name in line for line in lines)


def test_check_json_holds_every_session(run, broken_dataset):
    root, _ = broken_dataset
    code, out, _ = run("check", root, "--json")
    report = json.loads(out)["reports"][0]
    assert code == 1
    assert len(report["sessions"]) == 30
    assert sum(bool(session["findings"]) for session in report["sessions"]) == 4


def test_check_of_a_good_file_exits_0(run, recording):
    code, out, _ = run("check", recording)
    assert code == 0
    assert ": ok (" in out


def test_evaluate_scores_the_rest_and_says_what_it_left_out(run, model, broken_dataset, tmp_path):
    root, broken = broken_dataset
    code, out, err = run("evaluate", "--data", root, "--checkpoint", model, "--out", tmp_path)
    assert code == 1
    for name in (broken.truncated, broken.nan_channel, broken.rate_200_hz, broken.missing):
        assert name in err
    assert "12 of 16 recordings" in out
    with (tmp_path / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["condition", "metric", "reduction", "mean", "sd", "n_users", "n_windows"]
    assert {row["condition"] for row in rows} == {"user", "stage", "user_stage", "all"}
    document = json.loads((tmp_path / "run.json").read_text())
    assert len(document["left_out"]) == 4
    assert document["command"][1] == "evaluate"


def test_evaluate_by_columns_groups_by_them(run, model, broken_dataset, tmp_path):
    root, _ = broken_dataset
    run("evaluate", "--data", root, "--checkpoint", model, "--out", tmp_path, "--by", "side", "--mode", "stream")
    with (tmp_path / "summary.csv").open() as file:
        assert {row["condition"] for row in csv.DictReader(file)} >= {"left", "right"}
    with (tmp_path / "windows.csv").open() as file:
        assert {row["mode"] for row in csv.DictReader(file)} == {"stream"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--device", "cuda:7"), 2, "--device cuda:7"),
        (("--device", "meta"), 2, "--device meta"),
        (("--split", "tset"), 1, "tset"),
        (("--by", "sied"), 2, "sied"),
        (("--where", "__import__('os').system('true')"), 1, "not a supported function"),
    ],
)
def test_evaluate_refuses_a_wrong_option_in_one_message(run, model, broken_dataset, tmp_path, arguments, code, message):
    root, _ = broken_dataset
    ended, _, err = run("evaluate", "--data", root, "--checkpoint", model, "--out", tmp_path / "out", *arguments)
    assert ended == code
    assert message in err


def test_info_tells_recording_checkpoint_and_installation_apart(run, model, recording):
    assert json.loads(run("info", recording, "--json")[1])["samples"] == 18_000
    assert json.loads(run("info", model, "--json")[1])["experiment"] == "tracking_vemg2pose"
    assert "torch" in json.loads(run("info", "--json")[1])["libraries"]


def test_info_of_a_training_run_is_that_of_its_best_model(run, model, tmp_path):
    shutil.copytree(model, tmp_path / "run" / "best")
    assert json.loads(run("info", tmp_path / "run", "--json")[1])["checkpoint"] == str(tmp_path / "run" / "best")


def commands_below(group):
    for command in group.commands.values():
        yield from commands_below(command) if hasattr(command, "commands") else [command]


def test_no_help_text_loses_units_in_brackets_to_markup():
    commands = list(commands_below(typer.main.get_command(app)))
    assert len(commands) > 10
    for command in commands:
        texts = [command.help, *(getattr(parameter, "help", None) for parameter in command.params)]
        assert [text for text in texts if text and Text.from_markup(text).plain != text] == [], command.name


def test_info_of_nothing_is_one_error(run, tmp_path):
    code, _, err = run("info", tmp_path / "none.hdf5")
    assert code == 1
    assert "none.hdf5" in err


def test_models_lists_parameters_and_causality(run):
    listed = {row["name"]: row for row in json.loads(run("models", "--json")[1])}
    assert listed["tracking_vemg2pose"]["n_parameters"] == 5_970_068
    assert listed["tracking_vemg2pose"]["causal"] == {"published": False, "stream": True}
    assert listed["regression_neuropose"]["modes"] == ["published"]
