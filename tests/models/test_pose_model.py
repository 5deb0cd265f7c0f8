"""The pose model's timing: the published mode and the stream against plain loops written from their description."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from emgpose.errors import ConfigError, ShapeError
from emgpose.models import PoseModel, build_model

pytestmark = pytest.mark.usefixtures("one_thread")

_SIZES = {"channels": 16, "tds_channels": 4, "n_features": 8, "scale": 0.1}


def small(name: str, **changes: object) -> PoseModel:
    torch.manual_seed(0)
    model = build_model(name, **(_SIZES | changes)).eval()
    assert isinstance(model, PoseModel)
    return model


def some_emg(n_samples: int) -> Tensor:
    return torch.randn((1, 16, n_samples), generator=torch.Generator().manual_seed(1)) * 3


def plain_steps(model: PoseModel, features: Tensor, pose: Tensor) -> Tensor:
    state, poses = model.decoder.initial_state(1), []
    for step in range(features.shape[-1]):
        projected = model.decoder.project(features[..., step : step + 1])[0]
        output, state = model.decoder.step(projected, pose, state)
        pose = model.update(step, output, pose)
        poses.append(pose)
    return torch.stack(poses, dim=-1)


@pytest.mark.parametrize("name", ["tracking_vemg2pose", "regression_vemg2pose", "regression_emg2pose"])
@pytest.mark.parametrize("n_samples", [1_791, 1_840, 2_290, 3_017])
@torch.inference_mode()
def test_published_mode_is_resample_roll_out_upsample(name: str, n_samples: int) -> None:
    model, emg = small(name), some_emg(n_samples)
    pose = torch.full((1, 20), 0.2) if model.task == "tracking" else torch.zeros(1, 20)
    features, _ = model.featurize(emg)
    assert features.shape[-1] == (n_samples - 1_791) // 80 + 1
    n_steps = max(1, round((n_samples - 1_790) / 2_000 * 50))
    resampled = functional.interpolate(features, n_steps, mode="linear", align_corners=True)
    poses = plain_steps(model, resampled, pose)
    expected = functional.interpolate(poses, n_samples - 1_790, mode="linear", align_corners=False)
    torch.testing.assert_close(model.rollout(emg, torch.full((1, 20), 0.2)), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("between", ["hold", "linear"])
@torch.inference_mode()
def test_stream_step_j_comes_every_40_samples_and_uses_frame_half_j(between: str) -> None:
    model, emg = small("regression_vemg2pose", between=between), some_emg(1_790 + 80 * 12 + 1)
    features, _ = model.featurize(emg)
    used = []
    for step in range(24):
        before, after = features[..., step // 2], features[..., (step + 1) // 2]
        used.append(before if between == "hold" else (before + after) / 2)
    expected = plain_steps(model, torch.stack(used, dim=-1), torch.zeros(1, 20))

    late = 0 if between == "hold" else 40
    state = model.initial_state()
    frames, state = model(emg[..., : 1_790 + late], state)
    assert frames.shape[-1] == 0
    for step in range(24):
        start = 1_790 + late + 40 * step
        frames, state = model(emg[..., start : start + 1], state)
        assert frames.shape[-1] == 1
        torch.testing.assert_close(frames[..., 0], expected[..., step], rtol=0, atol=1e-5)
        frames, state = model(emg[..., start + 1 : start + 40], state)
        assert frames.shape[-1] == 0


@torch.inference_mode()
def test_linear_output_is_40_ms_late_and_reaches_each_pose() -> None:
    model, emg = small("tracking_vemg2pose", between="linear"), some_emg(3_000)
    initial = np.full(20, 0.3, dtype=np.float32)
    predicted = model.predict(emg[0].T.numpy(), initial, mode="stream")
    frames, _ = model(emg, model.initial_state(torch.from_numpy(initial)[None]))
    np.testing.assert_allclose(predicted[:41], np.broadcast_to(initial, (41, 20)))
    for step in range(10):
        np.testing.assert_allclose(predicted[80 + 40 * step], frames[0, :, step], atol=1e-6)
    np.testing.assert_allclose(predicted[100], (predicted[80] + predicted[120]) / 2, atol=1e-6)


def test_published_look_ahead_of_the_test_window_is_60_samples() -> None:
    model = small("tracking_vemg2pose")
    assert model.look_ahead_samples("published") == 60
    assert not model.is_causal("published")
    assert (model.look_ahead_samples("stream"), model.is_causal("stream")) == (0, True)


@torch.inference_mode()
def test_published_predictions_use_the_last_sample_that_they_may() -> None:
    model, emg = small("tracking_vemg2pose"), some_emg(11_790)
    # Row 420 lies just after step 10, so it uses step 11, which uses the frame that ends at row 480.
    edited = emg.clone()
    edited[..., 1_790 + 480 :] += 5
    assert not torch.equal(model.rollout(edited)[..., 420], model.rollout(emg)[..., 420])


@torch.inference_mode()
def test_emgpose50_is_the_same_in_both_modes() -> None:
    model, emg = small("emgpose50"), some_emg(4_000)
    pose = np.full(20, 0.1, dtype=np.float32)
    whole = model.rollout(emg, torch.from_numpy(pose)[None])[0].T.numpy()
    for mode in ("published", "stream"):
        np.testing.assert_allclose(model.predict(emg[0].T.numpy(), pose, mode=mode), whole, atol=1e-5)
    assert model.feature_grid.stride == model.stride == 40
    assert model.is_causal("published")


@torch.inference_mode()
def test_regression_does_not_use_the_initial_pose_and_tracking_does() -> None:
    emg = some_emg(2_500)
    for name, uses in (("tracking_emg2pose", True), ("regression_emg2pose", False)):
        model = small(name)
        same = torch.equal(model.rollout(emg, torch.full((1, 20), 0.5)), model.rollout(emg))
        assert same != uses


@torch.inference_mode()
def test_a_learned_initial_pose_is_used_where_none_is_given() -> None:
    model, emg = small("tracking_vemg2pose", learned_initial_pose=True), some_emg(2_500)
    assert model.initial_pose is not None
    model.initial_pose.fill_(0.4)
    given = model.rollout(emg, torch.full((1, 20), 0.4))
    assert torch.equal(model.rollout(emg), given)
    assert model.n_parameters == small("tracking_vemg2pose").n_parameters + 20


@pytest.mark.parametrize("featurizer", ["tds", "convnet"])
@pytest.mark.parametrize("front_end", ["raw", "lowpass_stack", "envelope"])
def test_parts_are_chosen_by_name(featurizer: str, front_end: str) -> None:
    model = build_model("emgpose50", featurizer=featurizer, front_end=front_end, update="position", decoder="mlp")
    emg = some_emg(model.left_context + 81)
    assert model.rollout(emg).shape == (1, 20, 81)


def test_frames_can_be_longer_or_shorter_than_steps() -> None:
    for strides, grid in (((5, 4, 2, 3), 120), ((5, 4, 1, 1), 20), ((5, 4, 3, 1), 60)):
        model = build_model("emgpose50", featurizer={"kind": "convnet", "strides": strides}, between="linear")
        assert isinstance(model, PoseModel)
        assert model.feature_grid.stride == grid
        emg = some_emg(model.frame_grid.sample_of(7) + 1)
        state, frames = model.initial_state(), []
        for chunk in emg.split(17, dim=-1):
            new, state = model(chunk, state)
            frames.append(new)
        whole, _ = model(emg, model.initial_state())
        torch.testing.assert_close(torch.cat(frames, dim=-1), whole, rtol=0, atol=1e-5)
        assert whole.shape[-1] == 8


def test_steps_of_a_long_stream_use_the_frame_of_their_sample_at_any_stride() -> None:
    # 117 * (40 / 39) is just below 120 in floating point.
    for strides in ((13, 3), (11, 7), (61, 1)):
        sizes = {"kind": "convnet", "channels": [2, 2], "kernels": [61, 7], "strides": strides}
        model = build_model("emgpose50", featurizer=sizes)
        assert isinstance(model, PoseModel)
        steps = np.arange(10_000)
        used = model.frames_of_steps(steps, 10**9)
        assert used.lower.tolist() == [40 * step // (strides[0] * strides[1]) for step in steps.tolist()]


def test_a_pose_for_another_batch_is_refused() -> None:
    with pytest.raises(ShapeError, match="batch=1"):
        small("tracking_emg2pose").rollout(some_emg(2_000), torch.zeros(3, 20))
    with pytest.raises(ShapeError, match="expected \\(20,\\)"):
        small("tracking_emg2pose").predict(some_emg(2_000)[0].T.numpy(), np.zeros(19))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chanels": 8}, "did you mean 'channels'"),
        ({"featurizer": "tsd"}, "did you mean 'tds'"),
        ({"channels": "many"}, "expected int"),
        ({"between": "nearest"}, "unknown choice"),
        ({"kernels": (11, 5)}, "as many kernels as strides"),
        ({"strides": (12, 2, 4, 2)}, "skips samples"),
        ({"tds_channels": 7}, "must divide"),
        ({"task": "racking"}, "did you mean 'tracking'"),
        ({"n_channels": 0}, "at least 1"),
    ],
)
def test_impossible_settings_are_refused_and_the_nearest_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_model("tracking_vemg2pose", **changes)


def test_an_unknown_model_is_refused_and_the_nearest_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'tracking_vemg2pose'"):
        build_model("tracking_vemg2pos")
