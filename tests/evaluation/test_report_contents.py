"""A report says the same in its tables, its Markdown and its page, and names what it could not show or pair."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from emgpose.errors import ConfigError, DataError
from emgpose.evaluation.report import read_runs, write_report
from emgpose.evaluation.report.pairing import compare
from made_runs import USERS, made_evaluation, made_training, made_windows


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    """The second is 2 degrees better, lacks two users, and has a condition and half a recording of its own."""
    root = tmp_path_factory.mktemp("runs")
    other = made_windows(USERS[2:], ("user", "user_stage", "seen"), error_deg=10.0)
    lacking = (other["user"] == "user05") & (other["condition"] == "user_stage")
    return made_evaluation(root / "first"), made_evaluation(root / "second", other[~lacking])


@pytest.fixture(scope="module")
def written(two_runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    training = made_training(out / "training")
    write_report(read_runs([*two_runs, training]), out / "report", title="A <title> & more")
    return out / "report"


def test_every_table_is_written_in_degrees(written):
    names = {path.name for path in written.iterdir()}
    assert {"report.html", "report.md", "scores.csv", "users.csv", "stages.csv", "joints.csv", "unpaired.csv"} <= names
    scores = pd.read_csv(written / "scores.csv").query("run == 'A' and kind == 'model' and reduction == 'per_user'")
    row = scores.query("condition == 'user' and mode == 'published'").iloc[0]
    per_user = 12 + 0.01 * np.arange(8)
    assert row["mae_deg"] == pytest.approx(per_user.mean())
    assert row["sd_deg"] == pytest.approx(per_user.std(ddof=1), rel=1e-4)
    assert (row["n_users"], row["n_windows"], row["landmark_distance_mm"]) == (8, 16, 20)


def test_static_hand_and_published_figures_stand_beside_and_are_labelled(written):
    scores = pd.read_csv(written / "scores.csv")
    static = scores.query("kind == 'static' and run == 'A' and condition == 'user' and reduction == 'per_user'").iloc[0]
    assert (static["mae_deg"], static["causality"], static["data"]) == (15, "does not move", "simulated")
    published = scores.query("kind == 'published' and name == 'vemg2pose' and condition == 'user_stage'").iloc[0]
    assert (published["mae_deg"], published["data"]) == (11.03, "recorded (emg2pose test split)")
    # Distances of the published hand do not compare with those of ours.
    assert np.isnan(published["landmark_distance_mm"])


def test_that_distances_do_not_compare_is_said_once_for_all_tasks(tmp_path):
    folders = [made_evaluation(tmp_path / task, task=task) for task in ("tracking", "regression")]
    write_report(read_runs(folders), tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text()
    assert text.count("not comparable") == 1
    assert "Published landmark distances (tracking, regression) use the UmeTrack hand" in text


def test_conditions_of_another_column_have_no_published_figures(tmp_path):
    folder = made_evaluation(tmp_path / "a")
    document = json.loads((folder / "run.json").read_text())
    document["data"]["by"] = ["held_out"]
    (folder / "run.json").write_text(json.dumps(document))
    write_report(read_runs([folder]), tmp_path / "out")
    assert "published" not in set(pd.read_csv(tmp_path / "out" / "scores.csv")["kind"])


def test_runs_are_paired_on_user_and_condition(written, two_runs):
    table = pd.read_csv(written / "differences.csv").query("comparison == 'B − A'").set_index("condition")
    assert table["n_users"].to_dict() == {"user": 6, "user_stage": 5, "all": 6}
    # Users keep their own offsets but for the two that the second run lacks: 0.02 degrees.
    assert table["difference_deg"].to_numpy() == pytest.approx([-2.02, -2.02, -2.02], abs=1e-3)
    first, second = (pd.read_csv(folder / "windows.csv") for folder in two_runs)
    users = [
        run.query("mode == 'published' and condition == 'user'").groupby("user")["mae"].mean()
        for run in (first, second)
    ]
    assert table.loc["user", "percent"] == pytest.approx(
        100 * (users[1].mean() / users[0].loc[users[1].index].mean() - 1), rel=1e-4
    )


def test_a_report_says_which_users_conditions_and_windows_it_could_not_pair(written):
    table = pd.read_csv(written / "unpaired.csv")
    found = {
        (row["run"], row["reason"], row["condition"], row["user"]): row["n_windows"] for _, row in table.iterrows()
    }
    assert found["A", "user", "user", "user00"] == 2
    assert found["A", "unit", "user_stage", "user05"] == 2
    assert found["B", "condition", "seen", "user03"] == 2
    assert len(found) == 4 + 1 + 6
    text = (written / "report.md").read_text()
    assert "only A has the users user00, user01; 8 windows not paired" in text
    assert "only A has the users in a condition user05 in US; 2 windows not paired" in text
    assert "only B has the conditions seen; 12 windows not paired" in text
    assert "22 windows paired with 22" in text


def test_a_recording_of_one_run_alone_does_not_move_the_difference(tmp_path):
    windows = made_windows(error_deg=10.0)
    extra = windows.iloc[:1].assign(session="another", filename="another_right", mae=np.radians(90))
    first = made_evaluation(tmp_path / "a")
    second = made_evaluation(tmp_path / "b", pd.concat([windows, extra], ignore_index=True))
    found = compare(*read_runs([first, second]).evaluations)
    assert np.degrees(found.differences["user"].mean) == pytest.approx(-2)
    assert found.unpaired[["run", "reason", "recording"]].to_numpy().tolist() == [["B", "recording", "another right"]]


def test_runs_with_nothing_in_common_are_shown_and_not_compared(tmp_path):
    first = made_evaluation(tmp_path / "a", made_windows(("u1", "u2"), ("user",)))
    second = made_evaluation(tmp_path / "b", made_windows(("u3", "u4"), ("user",)))
    write_report(read_runs([first, second]), tmp_path / "out")
    assert "no recording is in both; nothing can be paired" in (tmp_path / "out" / "report.md").read_text()


def test_what_makes_two_runs_unlike_is_said(tmp_path):
    first = made_evaluation(tmp_path / "a")
    second = made_evaluation(tmp_path / "b", task="regression", left_context=500)
    caveats = " ".join(compare(*read_runs([first, second]).evaluations).caveats)
    assert "differ in task (tracking against regression)" in caveats
    assert "differ in left context [samples] (1000 against 500)" in caveats


def test_the_three_questions_are_answered_with_intervals(written):
    text = (written / "report.md").read_text()
    assert "published: not causal: looks up to 30 ms ahead; stream: causal" in text
    assert re.search(r"U: yes, -2\.9\d deg \[-\d\.\d\d, -\d\.\d\d\], -19\.\d %", text)
    assert "yes, by the metadata" in text


def test_the_page_needs_nothing_else_and_escapes_names(written):
    text = (written / "report.html").read_text()
    assert "default-src 'none'" in text
    assert not re.search(r"(src|href)=[\"'](?!#)", text)
    assert "<title>A &lt;title&gt; &amp; more</title>" in text
    assert len(text) < 3_000_000
    for part in ("simulated data", "trained on simulated EMG only", "Learning curves", "x.hdf5: truncated", "user99"):
        assert part in text


def test_every_joint_stands_on_the_drawn_hand_with_its_number(written):
    text = (written / "report.html").read_text()
    hand = re.search(r'aria-label="Errors on the hand, run A, U".*?</svg>', text, re.DOTALL)[0]
    numbers = re.findall(r"<title>(\w+): ([\d.]+) deg</title>", hand)
    assert len(numbers) == 20
    assert dict(numbers)["THUMB_CMC_FE"] == "9.00"
    assert dict(numbers)["PINKY_DIP_FE"] == "28.00"


def test_size_and_computation_are_told(written):
    row = pd.read_csv(written / "costs.csv").iloc[0]
    assert (row["n_parameters"], row["left_context_ms"], row["gflops_per_window"]) == (1234, 500, 2)
    assert row["mflops_per_s"] == pytest.approx(2000 / 5.5, rel=1e-4)


def test_smoothness_is_told_beside_that_of_the_recorded_hand(written):
    row = pd.read_csv(written / "smoothness.csv").query("derivative == 'jerk'").iloc[0]
    assert (row["unit"], row["ratio"]) == ("deg/s^3", 0.5)


def test_placements_have_their_own_table(written):
    table = pd.read_csv(written / "placements.csv").query("run == 'A' and condition == 'user'")
    assert table["placement_split"].tolist() == ["train", "test"]
    assert table["mae_deg"].diff().iloc[1] == pytest.approx(1, rel=1e-4)


def test_the_first_run_alone_makes_a_report_without_differences(two_runs, tmp_path):
    write_report(read_runs(two_runs[:1]), tmp_path)
    assert "Paired differences" not in (tmp_path / "report.md").read_text()
    assert not (tmp_path / "unpaired.csv").exists()


def test_a_train_folder_brings_its_evaluations_and_a_folder_counts_once(tmp_path):
    training = made_training(tmp_path / "run1")
    inside = made_evaluation(training / "evaluate_us")
    runs = read_runs([training, inside])
    assert [run.title for run in runs.evaluations] == ["run1/evaluate_us"]
    assert [run.letter for run in (*runs.evaluations, *runs.trainings)] == ["A", "T1"]


def test_a_training_alone_is_reported_with_a_note(tmp_path):
    runs = read_runs([made_training(tmp_path / "run1")])
    write_report(runs, tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text()
    assert "holds no evaluation" in text
    assert "| T1 run1 | finished | 500 | 10 | 0.2 | tracking 2.00 |" in text
    assert "scores.csv" not in {path.name for path in (tmp_path / "out").iterdir()}


def test_what_an_older_emgpose_did_not_write_is_left_out_and_said(tmp_path):
    folder = made_evaluation(tmp_path / "old")
    new = ["filename", "placement_split", "recorded_jerk"]
    made_windows().drop(columns=new).to_csv(folder / "windows.csv", index=False)
    for name in ("cdf", "examples"):
        (folder / f"{name}.csv").unlink()
    write_report(read_runs([folder]), tmp_path / "out")
    assert "Run A has no examples.csv" in (tmp_path / "out" / "report.md").read_text()
    assert "Error distribution" not in (tmp_path / "out" / "report.html").read_text()


def test_users_called_na_or_007_stay_users(tmp_path):
    runs = read_runs([made_evaluation(tmp_path / "a", made_windows(("NA", "007", "nan")))])
    assert set(runs.evaluations[0].windows["user"]) == {"NA", "007", "nan"}


def spoil(folder, how):
    if how == "no folder":
        return folder / "nowhere"
    if how == "no run.json":
        (folder / "run.json").unlink()
    elif how == "broken run.json":
        (folder / "run.json").write_text("{")
    elif how == "run.json of another kind":
        (folder / "run.json").write_text(json.dumps({"model": {}}))
    elif how == "no windows":
        (folder / "windows.csv").write_text((folder / "windows.csv").read_text().splitlines()[0] + "\n")
    elif how == "no table":
        (folder / "windows.csv").unlink()
    elif how == "a column less":
        pd.read_csv(folder / "windows.csv").drop(columns="mae").to_csv(folder / "windows.csv", index=False)
    elif how == "words for numbers":
        pd.read_csv(folder / "windows.csv").assign(mae="much").to_csv(folder / "windows.csv", index=False)
    else:
        (folder / "summary.csv").write_bytes(b"\x80\x81\x00")
    return folder


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no folder", "no such folder"),
        ("no run.json", "expected run.json"),
        ("broken run.json", "cannot be read"),
        ("run.json of another kind", "expected the key model.name"),
        ("no windows", "at least one window"),
        ("no table", "expected windows.csv"),
        ("a column less", "expected the column mae"),
        ("words for numbers", "numbers in the column mae"),
        ("no text", "cannot be read as a CSV table"),
    ],
)
def test_a_damaged_folder_is_one_clear_error(tmp_path, how, message):
    folder = spoil(made_evaluation(tmp_path / "a"), how)
    with pytest.raises(DataError, match=message):
        read_runs([folder])


def test_no_run_and_too_many_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="at least one run"):
        read_runs([])
    folders = [made_evaluation(tmp_path / name, made_windows(("u",), ("user", "stage"))) for name in "abcdefg"]
    with pytest.raises(ConfigError, match="at most 6"):
        read_runs(folders)


def test_a_run_is_never_written_over(two_runs):
    with pytest.raises(DataError, match="folder of a run"):
        write_report(read_runs(two_runs), two_runs[0])
