"""What every registered model keeps, whatever is inside."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from emgpose.checkpoints import load_model, save_model
from emgpose.errors import ConfigError, DataError, ShapeError
from emgpose.models import MODELS, EmgModel, ModelCard, build_model

pytestmark = pytest.mark.usefixtures("one_thread")

PARAMETERS = {
    "tracking_vemg2pose": 5_970_068,
    "regression_vemg2pose": 5_980_328,
    "tracking_emg2pose": 2_952_340,
    "regression_emg2pose": 2_952_340,
    "regression_neuropose": 6_354_903,
    "regression_sensingdynamics": 1_738_297,
    "improved_position_tracking": 6_232_724,
    "improved_position_regression": 6_232_744,
    "improved_position_multitask": 6_232_744,
    "improved_velocity_tracking": 6_232_724,
    "improved_velocity_regression": 6_232_744,
    "improved_velocity_multitask": 6_232_744,
    "emgpose50": 6_232_744,
    "static_tracking": 0,
    "static_regression": 0,
}
IMPROVED = [name for name in MODELS if name.startswith("improved_")]
LEFT_CONTEXT = {name: 1790 for name in MODELS if name.endswith("emg2pose") or name in IMPROVED} | {
    "regression_neuropose": 0,
    "regression_sensingdynamics": 166,
    "emgpose50": 1470,
    "static_tracking": 0,
    "static_regression": 0,
}

# Widths do not change timing, so the contracts run on narrow models.
_NARROW_TDS = {"channels": 16, "tds_channels": 4, "n_features": 8}
NARROW: dict[str, dict[str, Any]] = {
    "tracking_vemg2pose": {**_NARROW_TDS, "hidden_size": 12, "scale": 0.05},
    "regression_vemg2pose": {**_NARROW_TDS, "hidden_size": 12, "scale": 0.05},
    "tracking_emg2pose": {**_NARROW_TDS, "layer_sizes": (12, 12), "scale": 0.5},
    "regression_emg2pose": {**_NARROW_TDS, "layer_sizes": (12, 12), "scale": 0.5},
    "regression_neuropose": {"channels": (4, 8, 8), "residual_blocks": 1},
    "regression_sensingdynamics": {"channels": (8, 8, 8), "hidden_size": 8},
    **{name: {**_NARROW_TDS, "hidden_size": 12, "head_sizes": (10,)} for name in IMPROVED},
    "emgpose50": {**_NARROW_TDS, "hidden_size": 12, "head_sizes": (10,), "scale": 0.05},
    "static_tracking": {},
    "static_regression": {},
}
# Other front ends, featurizers and options of models that stream.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "linear": ("tracking_vemg2pose", {"between": "linear"}),
    "linear at 50 Hz": ("emgpose50", {"between": "linear"}),
    "low-pass stack": ("regression_vemg2pose", {"front_end": "lowpass_stack"}),
    "envelope": ("tracking_emg2pose", {"front_end": "envelope"}),
    "causal SensingDynamics": ("regression_sensingdynamics", {"lowpass": "causal"}),
}
STREAMING = [name for name in MODELS if "stream" in build_model(name, **NARROW[name]).modes] + list(VARIANTS)
N_SAMPLES = 2_300


def narrow(name: str) -> EmgModel:
    base, changes = VARIANTS.get(name, (name, {}))
    torch.manual_seed(0)
    return build_model(base, **(NARROW[base] | changes)).eval()


def some_emg(n_samples: int = N_SAMPLES, batch: int = 2) -> Tensor:
    return torch.randn((batch, 16, n_samples), generator=torch.Generator().manual_seed(1)) * 3


def some_pose(batch: int = 2) -> Tensor:
    return torch.randn((batch, 20), generator=torch.Generator().manual_seed(2)) * 0.3


def streamed(model: EmgModel, emg: Tensor, cuts: list[int]) -> Tensor:
    state = model.initial_state(some_pose(len(emg)))
    frames = []
    with torch.inference_mode():
        for start, stop in itertools.pairwise([0, *sorted(cuts), emg.shape[-1]]):
            new, state = model(emg[..., start:stop], state)
            frames.append(new)
    assert state.n_samples == emg.shape[-1]
    return torch.cat(frames, dim=-1)


def test_every_registered_model_is_under_contract() -> None:
    assert set(PARAMETERS) == set(LEFT_CONTEXT) == set(NARROW) == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_parameter_count_and_context_are_pinned(name: str) -> None:
    model = build_model(name)
    assert model.n_parameters == PARAMETERS[name]
    assert (model.left_context, model.receptive_field) == (LEFT_CONTEXT[name], LEFT_CONTEXT[name] + 1)
    assert (model.name, model.sample_rate_hz, model.n_channels) == (name, 2000, 16)
    named = [task for task in ("tracking", "regression", "multitask") if task in name.split("_")]
    assert model.config.task == (named[0] if named else "multitask")
    assert model.tasks == (("tracking", "regression") if model.config.task == "multitask" else (model.config.task,))
    assert model.task == model.tasks[0]


@pytest.mark.parametrize("name", MODELS)
def test_predicts_every_sample_after_the_context_and_needs_its_minimum(name: str) -> None:
    model = narrow(name)
    assert model.rollout(some_emg(), some_pose()).shape == (2, 20, N_SAMPLES - model.left_context)
    assert model.rollout(some_emg(model.min_samples)).shape == (2, 20, model.min_samples - model.left_context)
    with pytest.raises(ShapeError, match=f"needs at least {model.min_samples} "):
        model.rollout(some_emg(model.min_samples - 1))
    with pytest.raises(ShapeError, match=f"needs at least {model.min_samples} "):
        model.predict(some_emg(model.min_samples - 1)[0].T.numpy())


@pytest.mark.parametrize("name", STREAMING)
def test_the_frame_grid_says_when_frames_come(name: str) -> None:
    model = narrow(name)
    first = model.frame_grid.left_context
    if "linear" not in name:
        assert first == model.left_context
    for n_samples, frames in ((first, 0), (first + 1, 1), (first + model.stride, 1), (first + model.stride + 1, 2)):
        assert streamed(model, some_emg(n_samples), []).shape[-1] == frames == model.frame_grid.n_frames(n_samples)


@pytest.mark.parametrize("name", STREAMING)
@settings(max_examples=4, deadline=None, derandomize=True)
@given(cuts=st.lists(st.one_of(st.integers(0, N_SAMPLES), st.integers(1_465, 1_475), st.integers(1_788, 1_833))))
def test_any_chunks_give_the_frames_of_one_call(name: str, cuts: list[int]) -> None:
    model = narrow(name)
    whole = streamed(model, some_emg(), [])
    assert whole.shape[-1] > 0
    torch.testing.assert_close(streamed(model, some_emg(), cuts), whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", STREAMING)
def test_single_samples_give_the_frames_of_one_call(name: str) -> None:
    model, emg = narrow(name), some_emg(1_900, batch=1)
    first = max(0, model.left_context - 20)
    cuts = list(range(first, first + 150))
    torch.testing.assert_close(streamed(model, emg, cuts), streamed(model, emg, []), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", STREAMING)
def test_the_future_never_changes_a_bit_of_the_past(name: str) -> None:
    model, emg = narrow(name), some_emg()
    edited = emg.clone()
    # Just after the sample that completes frame 5.
    edited[..., model.frame_grid.sample_of(5) + 1 :] *= -2
    before, after = streamed(model, emg, []), streamed(model, edited, [])
    assert torch.equal(before[..., :6], after[..., :6])
    if model.n_parameters:
        assert not torch.equal(before[..., 6:], after[..., 6:])


@pytest.mark.parametrize("name", STREAMING)
def test_a_state_that_was_saved_goes_on_the_same(name: str, tmp_path: Path) -> None:
    model, emg = narrow(name), some_emg()
    with torch.inference_mode():
        _, state = model(emg[..., :1_900], model.initial_state(some_pose()))
        torch.save(state.copy().to_tensors(), tmp_path / "state.pt")
        expected, _ = model(emg[..., 1_900:], state)
        restored = type(state).from_tensors(torch.load(tmp_path / "state.pt", weights_only=True))
        continued, _ = model(emg[..., 1_900:], restored)
    assert torch.equal(continued, expected)


@pytest.mark.parametrize("name", STREAMING)
def test_emg_of_more_streams_than_the_state_has_is_refused(name: str) -> None:
    model = narrow(name)
    with pytest.raises(ShapeError, match="holds 2 streams, the state 1"):
        model(some_emg(10), model.initial_state(some_pose(1)))


@pytest.mark.parametrize("name", [*MODELS, *VARIANTS])
def test_in_double_precision_every_mode_gives_the_same_poses(name: str) -> None:
    model, emg = narrow(name), some_emg(2_400, batch=1)[0].T.numpy()
    single = {mode: model.predict(emg, some_pose()[0].numpy(), mode=mode) for mode in model.modes}
    model.double()
    for mode, expected in single.items():
        np.testing.assert_allclose(model.predict(emg, some_pose()[0].numpy(), mode=mode), expected, atol=1e-4)


def test_predict_leaves_each_part_in_the_mode_it_was_in() -> None:
    model = narrow("regression_neuropose").train()
    model.encoder.eval()
    before = [module.training for module in model.modules()]
    model.predict(some_emg(400)[0].T.numpy())
    assert [module.training for module in model.modules()] == before


@pytest.mark.parametrize("name", STREAMING)
def test_predict_in_stream_mode_gives_the_frames_as_they_come(name: str) -> None:
    model, emg = narrow(name), some_emg()
    predicted = model.predict(emg[0].T.numpy(), some_pose()[0].numpy(), mode="stream")
    frames = streamed(model, emg, [])[0].T.numpy()
    assert predicted.shape == (N_SAMPLES - model.left_context, 20)
    assert predicted.dtype == np.float32
    is_linear = "linear" in name
    for frame in range(len(frames) - 1):
        row = model.frame_grid.sample_of(frame + is_linear) - model.left_context
        np.testing.assert_allclose(predicted[row], frames[frame], atol=1e-5)
        if not is_linear:
            np.testing.assert_array_equal(predicted[row], predicted[row + model.stride - 1])


@pytest.mark.parametrize("name", [*MODELS, *VARIANTS])
def test_published_mode_looks_as_far_ahead_as_it_says(name: str) -> None:
    model = narrow(name)
    emg = some_emg(2_400, batch=1)
    claimed = model.look_ahead_samples("published", 2_400)
    with torch.inference_mode():
        before = model.rollout(emg)
        for row in (0, 25, 150):
            edited = emg.clone()
            edited[..., model.left_context + row + claimed + 1 :] += 5
            assert torch.equal(model.rollout(edited)[..., : row + 1], before[..., : row + 1])
    assert model.is_causal("published") == (model.look_ahead_samples("published") == 0)
    if "stream" in model.modes:
        assert model.is_causal("stream")


@pytest.mark.parametrize("name", [*MODELS, *VARIANTS])
def test_save_and_load_give_the_same_model_and_card(name: str, tmp_path: Path) -> None:
    model = narrow(name)
    model.card = ModelCard(
        model.name,
        model.config.task,
        median_pose=(0.1,) * 20,
        trained_on="simulated",
        data_fingerprint="abc",
        notes="A note.",
    )
    loaded = load_model(save_model(model, tmp_path / "model"))
    assert not loaded.training
    assert (loaded.config, loaded.card) == (model.config, model.card)
    with torch.inference_mode():
        assert torch.equal(loaded.rollout(some_emg(), some_pose()), model.rollout(some_emg(), some_pose()))


@pytest.mark.parametrize("name", MODELS)
def test_bad_input_is_refused_with_its_place(name: str) -> None:
    model = narrow(name)
    emg = some_emg()[0].T.numpy().copy()
    for bad in (np.nan, np.inf):
        emg[1_234, 5] = bad
        with pytest.raises(DataError, match="sample 1234, channel 5"):
            model.predict(emg)
    for bad_type in (emg.astype(complex), emg.astype(str)):
        with pytest.raises(DataError, match="not an array of real numbers"):
            model.predict(bad_type)
    with pytest.raises(DataError, match="infinite at sample 0, channel 0"):
        model.predict(np.full((N_SAMPLES, 16), 1e300))
    with pytest.raises(ShapeError, match="channel=16"):
        model.predict(emg[:, :8])
    with pytest.raises(ShapeError, match="channel=16"):
        model.rollout(some_emg()[:, :8])
    with pytest.raises(ConfigError, match="did you mean 'stream'"):
        model.predict(some_emg()[0].T.numpy(), mode="streem")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [name for name in MODELS if name not in STREAMING])
def test_models_that_need_the_future_refuse_to_stream_and_say_why(name: str) -> None:
    model = narrow(name)
    assert not model.is_causal("published")
    assert model.look_ahead_samples("published") > 0
    for refused in (
        lambda: model.predict(some_emg()[0].T.numpy(), mode="stream"),
        lambda: model.initial_state(),
        lambda: model.look_ahead_samples("stream"),
    ):
        with pytest.raises(ConfigError, match=model.why_not_causal.split("(")[0].strip()):
            refused()


@pytest.mark.parametrize("name", [*MODELS, *VARIANTS])
def test_long_recordings_give_what_one_rollout_gives(name: str) -> None:
    model, emg = narrow(name), some_emg(30_123, batch=1)
    with torch.inference_mode():
        whole = model.rollout(emg, some_pose(1))[0].T.numpy()
    rollout = model.begin("published", some_pose(1)[0].numpy())
    for start in range(0, 30_123, 9_001):
        rollout.feed(emg[0].T.numpy()[start : start + 9_001])
    track = rollout.finish()
    np.testing.assert_allclose(track.joint_angles(), whole, atol=1e-5)
    np.testing.assert_array_equal(track.joint_angles(20_000, 20_400, 40), track.joint_angles()[20_000:20_400:40])


@pytest.mark.parametrize("name", [name for name in [*MODELS, *VARIANTS] if "static" not in name])
def test_gradients_reach_every_weight(name: str) -> None:
    model = narrow(name).train()
    model.rollout(some_emg(), some_pose()).square().mean().backward()
    without = [
        key for key, weight in model.named_parameters() if weight.grad is None or not weight.grad.isfinite().all()
    ]
    # A tracking model that is given its initial pose does not use the learned one.
    assert without in ([], ["initial_pose"])
