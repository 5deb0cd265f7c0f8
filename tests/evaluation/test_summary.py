"""Window scores are reduced over users, and pooled as the published script does."""

import numpy as np
import pandas as pd
import pytest

from emgpose.evaluation import cdf_table, drift_table, evaluate, summarise
from emgpose.evaluation.summary import SUMMARY_COLUMNS, figure, pooled_means
from follower import Follower, predict_alone


@pytest.fixture(scope="module")
def scored(generated_root):
    return evaluate(Follower().eval(), generated_root)


def test_the_columns_and_conditions_are_as_promised(scored):
    summary = summarise(scored)
    assert tuple(summary.columns) == SUMMARY_COLUMNS
    assert summary["condition"].drop_duplicates().tolist() == ["user", "stage", "user_stage", "all"]
    assert set(summary["reduction"]) == {"per_user", "pooled"}
    some = {"mae", "mae_thumb", "mae_distal", "mae_PINKY_DIP_FE", "published_jerk", "static_mae", "r2", "error_p95"}
    assert some <= set(summary["metric"])
    assert not summary.duplicated(["condition", "metric", "reduction"]).any()


@pytest.mark.parametrize("mode", ["published", "stream"])
def test_per_user_is_the_mean_and_sd_over_user_means(scored, mode):
    summary = summarise(scored, mode)
    windows = scored.windows.query(f"mode == '{mode}' and condition == 'stage'")
    users = [windows.loc[windows["user"] == user, "landmark_distance"].mean() for user in windows["user"].unique()]
    mean, sd = figure(summary, "stage", "landmark_distance")
    assert mean == pytest.approx(np.mean(users))
    assert sd == pytest.approx(np.std(users, ddof=1))
    row = summary.query("condition == 'stage'").iloc[0]
    assert (row["n_users"], row["n_windows"]) == (len(users), len(windows))


def test_pooled_is_the_mean_of_batches_of_32_weighted_by_their_size():
    rng = np.random.default_rng(0)
    windows = pd.DataFrame({"mae": rng.random(70), "n_valid": rng.integers(1, 100, 70)})
    batches = [windows.iloc[start : start + 32] for start in (0, 32, 64)]
    means = [np.average(batch["mae"], weights=batch["n_valid"]) for batch in batches]
    expected = np.average(means, weights=[32, 32, 6])
    assert pooled_means(windows, ["mae"])["mae"] == pytest.approx(expected, rel=1e-12)


def test_pooled_of_whole_windows_is_their_plain_mean(scored):
    windows = scored.windows.query("mode == 'published'")
    mean, sd = figure(summarise(scored), "all", "mae", "pooled")
    assert mean == pytest.approx(windows["mae"].mean(), rel=1e-12)
    assert np.isnan(sd)


def test_percentiles_and_r2_are_over_all_samples_of_a_user(scored, generated_root):
    from emgpose import open_session

    errors, residual, targets = [], [], []
    windows = scored.windows.query("mode == 'published' and condition == 'user'")
    user = windows["user"].iloc[0]
    names = pd.read_csv(generated_root / "metadata.csv").set_index(["session", "side"])["filename"]
    for _, row in windows[windows["user"] == user].iterrows():
        with open_session(generated_root / f"{names[row['session'], row['side']]}.hdf5") as session:
            part = session.read(row["start_sample"], row["stop_sample"])
        target = part.joint_angles[500:].astype(float)
        prediction = predict_alone(scored.model, part.emg, part.joint_angles[500])
        errors.append(np.abs(prediction - target))
        residual.append(((prediction - target) ** 2).sum(0))
        targets.append(target)
    found = scored.totals["published", "user", user].group_metrics()
    assert found["error_p90"] == pytest.approx(np.percentile(np.concatenate(errors), 90), abs=np.radians(0.1))
    whole = np.concatenate(targets)
    expected = 1 - np.sum(residual, axis=0) / ((whole - whole.mean(0)) ** 2).sum(0)
    assert found["r2_INDEX_PIP_FE"] == pytest.approx(expected[6], rel=1e-5)
    assert found["r2"] == pytest.approx(expected.mean(), rel=1e-5)


def test_drift_averages_to_the_error_and_starts_where_the_initial_pose_is_given(scored):
    drift = drift_table(scored)
    part = drift.query("condition == 'all' and mode == 'published'")
    assert len(part) == 10
    assert part["stop_s"].iloc[-1] == 5.0
    summary = summarise(scored)
    assert part["mae"].mean() == pytest.approx(figure(summary, "all", "mae")[0], rel=0.05)
    assert part["static_mae"].iloc[0] < part["static_mae"].iloc[-1]


def test_the_cdf_is_the_share_of_errors_up_to_a_size(scored):
    table = cdf_table(scored).query("condition == 'user' and mode == 'published'")
    assert table["share"].is_monotonic_increasing
    assert (table["share"].iloc[0], table["share"].iloc[-1], table["static_share"].iloc[-1]) == (0, 1, 1)
    users = [
        totals.histogram
        for (mode, condition, _), totals in scored.totals.items()
        if (mode, condition) == ("published", "user")
    ]
    at_3_deg = table.loc[np.isclose(np.degrees(table["error_rad"]), 3), "share"].item()
    assert at_3_deg == pytest.approx(np.mean([user[:30].sum() / user.sum() for user in users]))
