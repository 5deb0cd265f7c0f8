"""An evaluation leaves tables for programs in radians, and a summary for people in degrees."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from emgpose import HandModel
from emgpose.errors import DataError
from emgpose.evaluation import (
    causality_label,
    evaluate,
    score_rows,
    summary_markdown,
    three_questions,
    write_evaluation,
)
from emgpose.evaluation.published import PUBLISHED_SCORES
from follower import Follower


@pytest.fixture(scope="module")
def scored(generated_root):
    return evaluate(Follower().eval(), generated_root)


@pytest.fixture(scope="module")
def folder(scored, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "scores"
    write_evaluation(
        scored, out, command=["emgpose", "evaluate"], config={"split": "test"}, checkpoint={"path": "m", "sha256": "0"}
    )
    return out


def test_all_files_are_written_and_nothing_else(folder):
    names = {path.name for path in folder.iterdir()}
    assert names == {f"{name}.csv" for name in ("summary", "windows", "drift", "cdf", "examples")} | {
        "summary.md",
        "run.json",
    }


def test_windows_csv_starts_with_the_promised_columns(folder):
    windows = pd.read_csv(folder / "windows.csv")
    ids = ["session", "user", "stage", "side", "split", "condition"]
    promised = [*ids, "start_sample", "stop_sample", "n_valid", "mode", "hand"]
    assert list(windows.columns[:11]) == promised
    assert windows["mae"].between(0, math.pi).all()
    assert not windows.isna().any().any()


def test_run_json_says_where_the_numbers_come_from(folder):
    run = json.loads((folder / "run.json").read_text())
    for key in ("command", "config", "seed", "versions", "git", "checkpoint", "data", "left_out", "modes"):
        assert key in run
    assert run["checkpoint"]["sha256"] == "0"
    assert run["modes"] == {"published": "not causal: looks up to 30 ms ahead", "stream": "causal"}
    assert len(run["data"]["fingerprint"]) == 32
    assert run["versions"]["torch"]


def test_the_summary_prints_degrees_and_a_causality_label_for_each_mode(folder, scored):
    text = (folder / "summary.md").read_text()
    mean = scored.windows.query("mode == 'published'")["mae"].mean()
    assert f"{math.degrees(mean):.4f}" in text
    for label in ("not causal: looks up to 30 ms ahead", "| causal |", "untrained weights", "static_initial_pose"):
        assert label in text
    assert "recordings left out: 0" in text


def test_published_landmarks_are_not_comparable_with_our_own_hand(scored):
    rows = {row.name: row for row in score_rows(scored)}
    assert rows["vemg2pose"].cells["user_stage"] == "11.03 ± 1.01 / not comparable"
    assert "not comparable" in summary_markdown(scored)


def test_published_landmarks_are_shown_with_the_published_hand(scored, shared):
    from dataclasses import replace

    hand = HandModel.load(shared / "golden" / "umetrack_generic_hand_model.json")
    rows = {row.name: row for row in score_rows(replace(scored, hand=hand))}
    assert rows["vemg2pose"].cells["user_stage"] == "11.03 ± 1.01 / 15.35"


def test_three_questions_are_answered(scored):
    causal, static, split = (answer for _, answer in three_questions(scored))
    assert "stream: causal" in causal
    assert "user: no" in static or "user: yes" in static
    assert split.startswith("yes, by the metadata")


def test_a_model_that_sees_the_whole_window_says_so(follower):
    follower.published_look_ahead = lambda n_samples: n_samples - 1
    assert causality_label(follower, "published") == "not causal: sees the whole window"


def test_an_impossible_output_folder_is_one_clear_error(scored, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="output folder"):
        write_evaluation(scored, tmp_path / "file" / "scores")


def test_an_interrupted_write_leaves_the_old_file_and_no_rest(scored, folder, monkeypatch):
    before = (folder / "windows.csv").read_bytes()

    def interrupted(self, path, **options):
        path.write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_csv", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_evaluation(scored, folder)
    assert (folder / "windows.csv").read_bytes() == before
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_published_tables_hold_the_figures_of_the_papers():
    assert np.isclose(PUBLISHED_SCORES["tracking"]["vemg2pose"]["user_stage"].mae_deg, 11.03)
    assert PUBLISHED_SCORES["regression"]["NeuroPose"]["stage"].landmark_distance_mm == 24.0
    assert [len(PUBLISHED_SCORES[task]) for task in ("regression", "tracking")] == [8, 5]
