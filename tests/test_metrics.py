"""Scores equal the published implementation's, and independent NumPy versions of themselves."""

import json

import numpy as np
import pytest
import torch

from emgpose import metrics
from emgpose.errors import DataError, ShapeError
from emgpose.hand import FINGERS, JOINT_INDEX, JOINTS, JOINTS_OF_GROUP, SCORED_LANDMARKS
from emgpose.kinematics import HandModel, forward_kinematics
from emgpose.recording import open_session

GOLDEN_ANGLES = ["mae", *(f"mae_{part}" for part in (*FINGERS, *JOINTS_OF_GROUP))]


@pytest.fixture(scope="module")
def golden_windows(golden):
    with np.load(golden / "metrics.npz") as arrays:
        windows = tuple(torch.from_numpy(arrays[name]) for name in ("prediction", "target", "valid"))
    return *windows, json.loads((golden / "metrics.json").read_text())


def _pooled(total: torch.Tensor, count: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return total.sum(0, keepdim=True), count.sum(0, keepdim=True)


@pytest.mark.parametrize("name", GOLDEN_ANGLES)
def test_angle_errors_are_the_published_ones(golden_windows, name):
    prediction, target, valid, expected = golden_windows
    means = metrics.joint_means(*_pooled(*metrics.angle_error(prediction, target, valid)))
    assert means[name].item() == pytest.approx(expected[f"test_{name}"], rel=1e-5)


@pytest.mark.parametrize(("order", "name"), [(1, "vel"), (2, "acc"), (3, "jerk")])
def test_derivatives_are_the_published_ones(golden_windows, order, name):
    prediction, _, valid, expected = golden_windows
    size = metrics.mean(*_pooled(*metrics.differences(prediction, valid, order))).mean().item()
    assert size * metrics.PUBLISHED_DERIVATIVE_FACTOR == pytest.approx(expected[f"test_{name}"], rel=1e-5)


@pytest.mark.parametrize("name", ["landmark_distance", "fingertip_distance"])
def test_distances_are_the_published_ones_with_the_published_hand(golden_windows, shared, name):
    from emgpose import HandModel

    prediction, target, valid, expected = golden_windows
    hand = HandModel.load(shared / "golden" / "umetrack_generic_hand_model.json")
    means = metrics.landmark_means(*_pooled(*metrics.landmark_error(prediction, target, valid, hand)))
    assert means[name].item() == pytest.approx(expected[f"test_{name}"], rel=1e-5)


def _sine(frequency_hz: float, amplitude_rad: float) -> tuple[torch.Tensor, torch.Tensor]:
    time_s = torch.arange(10_000, dtype=torch.float64) / 2000
    prediction = amplitude_rad * torch.sin(2 * torch.pi * frequency_hz * time_s)
    return prediction.expand(1, 20, -1), torch.ones(1, 10_000, dtype=torch.bool)


@pytest.mark.parametrize(("order", "name"), [(1, "velocity"), (2, "acceleration"), (3, "jerk")])
def test_derivatives_of_a_sine_are_in_true_units(order, name):
    size = metrics.smoothness(*_sine(2.0, 0.3))[name].item()
    # The mean of |cos| is 2 / pi.
    assert size == pytest.approx(0.3 * (2 * np.pi * 2) ** order * 2 / np.pi, rel=1e-3)


def test_derivatives_know_the_sample_rate():
    prediction, valid = _sine(2.0, 0.3)
    fast, slow = (metrics.smoothness(prediction, valid, rate) for rate in (2000.0, 1000.0))
    assert fast["jerk"].item() == pytest.approx(8 * slow["jerk"].item())
    assert fast["published_jerk"].item() == slow["published_jerk"].item()


@pytest.fixture(scope="module")
def random_windows():
    rng = np.random.default_rng(0)
    prediction, target = (rng.uniform(-0.5, 1.5, (3, 20, 200)).astype(np.float32) for _ in range(2))
    valid = rng.random((3, 200)) < 0.8
    valid[2] = False
    return prediction, target, valid


def _tensors(random_windows):
    return tuple(torch.from_numpy(array) for array in random_windows)


def _exact_error(prediction, target, valid):
    return metrics.absolute_error(prediction.double(), target.double(), valid)


def test_what_stands_in_invalid_samples_changes_nothing(random_windows):
    from emgpose import HandModel

    prediction, target, valid = _tensors(random_windows)
    dirty = torch.where(valid.unsqueeze(1), target, torch.nan)
    hand = HandModel.generic()
    clean_scores = metrics.score_windows(prediction, target, valid, hand)
    dirty_scores = metrics.score_windows(prediction, dirty, valid, hand)
    assert list(clean_scores) == list(metrics.METRIC_UNITS)
    for name, clean in clean_scores.items():
        torch.testing.assert_close(clean, dirty_scores[name], rtol=0, atol=0, equal_nan=True)
        assert clean[:2].isfinite().all()
        assert clean[2].isnan(), "a window without a valid sample has no score"
    error = metrics.absolute_error(prediction, target, valid)
    assert torch.equal(error, metrics.absolute_error(prediction, dirty, valid))
    clean_sums, dirty_sums = (metrics.variance_sums(error, labels, valid) for labels in (target, dirty))
    assert all(map(torch.equal, clean_sums, dirty_sums))


def test_angle_errors_equal_a_plain_loop(random_windows):
    prediction, target, valid = random_windows
    means = metrics.joint_means(*metrics.angle_error(*_tensors(random_windows)))
    for window in range(2):
        errors = np.abs(prediction[window].astype(float) - target[window])[:, valid[window]]
        assert means["mae"][window].item() == pytest.approx(errors.mean())
        assert means["mae_RING_PIP_FE"][window].item() == pytest.approx(errors[JOINT_INDEX["RING_PIP_FE"]].mean())
        assert means["mae_thumb"][window].item() == pytest.approx(errors[:4].mean())
        assert means["mae_mid"][window].item() == pytest.approx(errors[[2, 6, 10, 14, 18]].mean())


def test_a_difference_counts_only_when_all_its_samples_are_valid():
    valid = torch.tensor([[True, True, False, True, True, True, True]])
    prediction = torch.arange(7.0).pow(3).expand(1, 20, 7)
    assert [metrics.differences(prediction, valid, order)[1].item() for order in (1, 2, 3)] == [4, 2, 1]
    assert metrics.mean(*metrics.differences(prediction, valid, 3)).tolist() == [[6.0] * 20]


def test_percentiles_are_right_to_a_tenth_of_a_degree(random_windows):
    prediction, target, valid = random_windows
    windows = _tensors(random_windows)
    counts = metrics.error_histogram(_exact_error(*windows), windows[2]).numpy()
    assert counts.sum(1).tolist() == (20 * valid.sum(1)).tolist()
    errors = np.abs(prediction.astype(float) - target).transpose(0, 2, 1)[valid]
    for percent in (50, 90, 95, 99):
        expected = np.percentile(errors, percent)
        assert abs(metrics.histogram_percentile(counts.sum(0), percent) - expected) <= metrics.HISTOGRAM_WIDTH_RAD
    assert np.isnan(metrics.histogram_percentile(counts[2], 50))


def test_errors_beyond_180_degrees_stay_in_the_last_bin():
    counts = metrics.error_histogram(torch.full((1, 20, 1), 9.0), torch.ones(1, 1).bool())
    assert counts[0, -1] == 20


@pytest.mark.parametrize("odd", [torch.nan, torch.inf])
def test_a_histogram_refuses_an_error_that_no_bin_holds_and_names_it(odd):
    prediction, target, valid = torch.zeros(2, 20, 5), torch.zeros(2, 20, 5), torch.ones(2, 5).bool()
    prediction[1, 2, 3] = odd
    with pytest.raises(DataError, match=r"window 1, sample 3: .*THUMB_MCP_FE.* is NaN or infinite \(1 such"):
        metrics.error_histogram(metrics.absolute_error(prediction, target, valid), valid)
    valid[1, 3] = False
    counts = metrics.error_histogram(metrics.absolute_error(prediction, target, valid), valid)
    assert counts.sum(1).tolist() == [100, 80]


def test_r2_of_joined_windows_equals_that_of_the_whole(random_windows):
    prediction, target, valid = random_windows
    windows = _tensors(random_windows)
    total, count = metrics.variance_sums(_exact_error(*windows), *windows[1:])
    explained = metrics.r2(total.sum(0).numpy(), int(count.sum()))
    for joint in range(20):
        recorded = target[:, joint][valid].astype(float)
        residual = prediction[:, joint][valid].astype(float) - recorded
        expected = 1 - (residual**2).sum() / ((recorded - recorded.mean()) ** 2).sum()
        assert explained[joint] == pytest.approx(expected)


def test_r2_of_a_joint_that_did_not_move_is_nan():
    still = torch.full((1, len(JOINTS), 50), 0.3)
    total, count = metrics.variance_sums(torch.full_like(still, 0.1), still, torch.ones(1, 50).bool())
    assert np.isnan(metrics.r2(total.numpy(), count.numpy())).all()


def test_error_over_time_adds_up_to_the_mean_error(random_windows):
    prediction, target, valid = _tensors(random_windows)
    total, count = metrics.error_over_time(_exact_error(prediction, target, valid), valid, 30)
    assert total.shape == count.shape == (3, 7)
    assert torch.equal(count.sum(1), valid.sum(1))
    mae = metrics.joint_means(*metrics.angle_error(prediction, target, valid))["mae"]
    torch.testing.assert_close(metrics.mean(total.sum(1), count.sum(1)), mae, equal_nan=True)


def test_windows_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="joint=20"):
        metrics.angle_error(torch.zeros(2, 19, 5), torch.zeros(2, 19, 5), torch.ones(2, 5).bool())
    with pytest.raises(ShapeError, match="bool"):
        metrics.angle_error(torch.zeros(2, 20, 5), torch.zeros(2, 20, 5), torch.ones(2, 5))


def test_a_held_pose_against_real_joint_angles_is_scored_over_the_valid_rows_only(shared):
    path = shared / "real" / "emg2pose_angles" / "joint_angle_predictions.csv"
    with open_session(path, rate_hz=29.968) as session:
        truth, usable = session.joint_angles(), session.valid()
    assert (len(usable), int((~usable).sum())) == (1759, 63)
    held = np.median(truth[usable], axis=0)
    target = torch.from_numpy(truth.T[None].copy())
    prediction = torch.from_numpy(np.repeat(held[None, :, None], len(truth), axis=2))
    valid = torch.from_numpy(usable[None].copy())
    junk = torch.where(valid[:, None], target, 1e6)

    means = metrics.joint_means(*metrics.angle_error(prediction, junk, valid))
    assert float(means["mae"]) == pytest.approx(np.abs(truth[usable] - held).mean(), rel=1e-6)

    total, count = metrics.landmark_error(prediction, junk, valid, HandModel.generic(), every=1)
    placed = forward_kinematics(truth[usable].astype(np.float64))
    distance = np.linalg.norm(placed - forward_kinematics(held.astype(np.float64)), axis=-1)
    assert int(count) == 1696
    assert float(metrics.landmark_means(total, count)["landmark_distance"]) == pytest.approx(
        distance[:, list(SCORED_LANDMARKS)].mean(), rel=1e-6
    )


def test_sums_of_float32_errors_are_those_of_float64():
    generator = torch.Generator().manual_seed(0)
    target = 0.4 + torch.randn((3, 20, 10_000), generator=generator).mul(0.002).cumsum(-1)
    prediction = target + 0.1 * torch.randn(target.shape, generator=generator)
    valid = torch.rand((3, 10_000), generator=generator) < 0.9
    valid[0] = True
    error = metrics.absolute_error(prediction, target, valid)
    assert error.dtype == torch.float32
    exact = _exact_error(prediction, target, valid)
    for sums in (
        metrics.angle_sums,
        lambda error, valid: metrics.variance_sums(error, target, valid),
        lambda error, valid: metrics.error_over_time(error, valid, 1000),
    ):
        torch.testing.assert_close(sums(error, valid)[0], sums(exact, valid)[0], rtol=1e-6, atol=0)
    counts = metrics.error_histogram(exact, valid)
    # An error on the edge of a bin may fall to either side.
    moved = (metrics.error_histogram(error, valid).cumsum(1) - counts.cumsum(1)).abs().max()
    assert moved <= 1e-5 * counts.sum(1).max()
    for order, name in enumerate(("velocity", "acceleration", "jerk"), start=1):
        size = metrics.mean(*metrics.differences(prediction, valid, order)).mean(-1) * 2000.0**order
        torch.testing.assert_close(metrics.smoothness(prediction, valid)[name], size, rtol=1e-6, atol=0)
