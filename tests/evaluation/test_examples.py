"""Best, median and worst windows are kept as poses, as the model gave them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from emgpose import open_session
from emgpose.evaluation import evaluate
from emgpose.evaluation.examples import EXAMPLE_COLUMNS, choose_examples, example_windows
from emgpose.hand import JOINTS
from follower import LEFT_CONTEXT, Follower, predict_alone


def test_best_median_and_worst_are_found_whatever_the_order():
    windows = pd.DataFrame({"mae": [5.0, 1.0, 4.0, 2.0, 3.0]}, index=[10, 11, 12, 13, 14])
    assert choose_examples(windows) == {"best": 11, "median": 14, "worst": 10}
    assert choose_examples(windows.iloc[:2]) == {"best": 11, "worst": 10}
    assert choose_examples(windows.iloc[:1]) == {"median": 10}


@pytest.fixture(scope="module")
def scored(generated_root):
    return evaluate(Follower().eval(), generated_root, modes=["published"])


def test_poses_are_every_fortieth_of_the_window_predicted_alone(scored, generated_root):
    table = example_windows(scored)
    assert tuple(table.columns) == EXAMPLE_COLUMNS
    assert table["example"].drop_duplicates().tolist() == ["best", "median", "worst"]
    worst = table[table["example"] == "worst"]
    assert worst["time_s"].tolist() == pytest.approx(np.arange(250) * 0.02)
    name, start = worst["filename"].iloc[0], int(worst["start_sample"].iloc[0])
    assert scored.windows.loc[scored.windows["mae"].idxmax(), "filename"] == name
    with open_session(generated_root / f"{name}.hdf5") as session:
        emg, angles = (read(start, start + 10_500) for read in (session.emg, session.joint_angles))
    predicted = predict_alone(Follower().eval(), emg, angles[LEFT_CONTEXT])[::40]
    for prefix, expected in (("predicted", predicted), ("recorded", angles[LEFT_CONTEXT::40])):
        found = worst[[f"{prefix}_{joint}" for joint in JOINTS]].to_numpy()
        assert np.abs(found - expected).max() < 1e-4


def test_a_recording_that_is_gone_leaves_its_example_out(scored, tmp_path):
    worst = scored.windows.loc[scored.windows["mae"].idxmax(), "filename"]
    gone = replace(scored.recordings[worst], path=tmp_path / "gone.hdf5")
    found = example_windows(replace(scored, recordings=scored.recordings | {worst: gone}))
    assert set(found["example"]) == {"best", "median"}
