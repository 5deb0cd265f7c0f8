"""Scores that run over batches and processes equal those of all windows at once."""

import copy
import pickle

import pytest
import torch
from torch import Tensor

pytest.importorskip("torchmetrics", reason="needs the extra train")

from torchmetrics import Metric, MetricCollection

from emgpose import metrics
from emgpose.errors import ShapeError
from emgpose.kinematics import HandModel
from emgpose.running_metrics import AngleError, FingertipDistance, LandmarkDistance, PublishedDerivative

Windows = tuple[Tensor, Tensor, Tensor]


@pytest.fixture(scope="module")
def windows() -> Windows:
    draw = torch.Generator().manual_seed(0)
    prediction, target = (torch.rand((7, 20, 200), generator=draw) * 2 - 0.5 for _ in range(2))
    valid = torch.rand((7, 200), generator=draw) < torch.linspace(0, 1, 7)[:, None]
    return prediction, target, valid


def collection() -> MetricCollection:
    orders = {name: PublishedDerivative(order) for order, name in enumerate(metrics.PUBLISHED_DERIVATIVES, start=1)}
    return MetricCollection(
        {"mae": AngleError(), "landmark_distance": LandmarkDistance(), "fingertip_distance": FingertipDistance()}
        | orders
    )


def expected(windows: Windows) -> dict[str, float]:
    """Scores of all windows together."""
    prediction, _, valid = windows
    hand = HandModel.generic()
    angles, landmarks = metrics.angle_error(*windows), metrics.landmark_error(*windows, hand)
    pooled = {
        "mae": metrics.joint_means(*(part.sum(0) for part in angles))["mae"],
        **metrics.landmark_means(*(part.sum(0) for part in landmarks)),
    }
    for order, name in enumerate(metrics.PUBLISHED_DERIVATIVES, start=1):
        total, count = metrics.differences(prediction, valid, order)
        pooled[name] = 2000 * total.sum() / count.sum() / 20
    return {name: score.item() for name, score in pooled.items()}


@pytest.mark.parametrize("sizes", [[7], [1, 6], [3, 1, 3]])
def test_scores_do_not_depend_on_the_batches(windows, sizes) -> None:
    # The first window has no valid sample.
    assert not windows[2][0].any()
    scores = collection()
    for batch in zip(*(part.split(sizes) for part in windows), strict=True):
        scores.update(*batch)
    assert {name: score.item() for name, score in scores.compute().items()} == pytest.approx(expected(windows))


def test_the_mean_angle_error_is_that_of_the_valid_samples(windows) -> None:
    prediction, target, valid = windows
    score = AngleError()
    score.update(prediction, torch.where(valid[:, None], target, torch.nan), valid)
    errors = (prediction.double() - target.double()).abs().transpose(1, 2)[valid]
    assert score.compute().item() == pytest.approx(errors.mean().item(), rel=1e-12)


def test_processes_with_unequal_counts_give_the_score_of_all_windows(windows) -> None:
    first, second = (tuple(part[rows] for part in windows) for rows in (slice(0, 2), slice(2, 7)))
    for make in (AngleError, LandmarkDistance, FingertipDistance, lambda **options: PublishedDerivative(2, **options)):
        other: Metric = make()
        other.update(*second)
        states = iter(other.sums)
        here = make(
            dist_sync_fn=lambda state, group, states=states: [state, next(states)],
            distributed_available_fn=lambda: True,
        )
        here.update(*first)
        whole = make()
        whole.update(*windows)
        assert here.compute().item() == pytest.approx(whole.compute().item(), rel=1e-12)


def test_sums_stay_in_double_precision_whatever_the_model_is_brought_to(windows) -> None:
    model = torch.nn.Module()
    model.score = AngleError()
    model.half()
    model.score.update(*windows)
    assert tuple(part.dtype for part in model.score.sums) == (torch.float64, torch.int64)


def test_without_a_valid_sample_the_score_is_nan_and_after_reset_nothing_is_left(windows) -> None:
    prediction, target, valid = windows
    scores = collection()
    scores.update(*windows)
    scores.reset()
    scores.update(prediction, target, torch.zeros_like(valid))
    assert all(score.isnan() for score in scores.compute().values())


def test_scores_reset_in_inference_mode_count_on_outside_of_it(windows) -> None:
    score = AngleError()
    with torch.inference_mode():
        score.update(*windows)
        score.reset()
    score.update(*windows)
    assert score.compute().item() == pytest.approx(expected(windows)["mae"])


def test_scores_can_be_copied_and_sent_to_another_process(windows) -> None:
    score = FingertipDistance()
    score.update(*windows)
    for other in (copy.deepcopy(score), pickle.loads(pickle.dumps(score))):
        assert torch.equal(other.compute(), score.compute())


def test_windows_that_do_not_fit_are_refused(windows) -> None:
    prediction, target, valid = windows
    with pytest.raises(ShapeError, match="joint=20"):
        AngleError().update(prediction[:, :19], target, valid)
