"""The exported step, before it becomes a file: for every model that streams, it is the model in calls of one size."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from emgpose.errors import ConfigError
from emgpose.live.export.step_graph import StepGraph
from emgpose.live.export.step_plan import StepPlan
from emgpose.models import MODELS, EmgModel, build_model
from exported_models import VARIANTS, narrow_model, some_emg, some_pose

pytestmark = pytest.mark.usefixtures("one_thread")

STREAMING = [name for name in MODELS if "stream" in narrow_model(name).modes] + list(VARIANTS)


def stepped(model: EmgModel, emg: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
    """Run the graph as a host would, states in and out; gives the numbers and frames of all calls."""
    plan = StepPlan.of(model)
    graph = StepGraph(model, plan).eval()
    states = dict(graph.initial)
    if model.task == "tracking":
        states["pose"] = pose
    padded = torch.nn.functional.pad(emg, (plan.pad_samples, 0))
    numbers, frames = [], []
    with torch.inference_mode():
        for start in range(0, padded.shape[-1] - plan.chunk_samples + 1, plan.chunk_samples):
            angles, number, *after = graph(padded[..., start : start + plan.chunk_samples], *states.values())
            assert [tensor.shape for tensor in after] == [tensor.shape for tensor in states.values()]
            states = dict(zip(states, after, strict=True))
            numbers.append(number)
            frames.append(angles)
    return torch.cat(numbers), torch.cat(frames, dim=-1)


@pytest.mark.parametrize("name", STREAMING)
def test_its_frames_are_those_of_the_model_and_nothing_before_frame_0_counts(name: str) -> None:
    model, emg, pose = narrow_model(name), some_emg(6_000), some_pose()
    with torch.inference_mode():
        expected, _ = model(emg, model.initial_state(pose))
    numbers, frames = stepped(model, emg, pose)
    is_frame = numbers >= 0
    n_frames = int(is_frame.sum())
    assert torch.equal(numbers, torch.arange(len(numbers)) + numbers[0])
    # The last call may still wait for samples.
    assert expected.shape[-1] - n_frames < StepPlan.of(model).frames_per_call
    torch.testing.assert_close(frames[..., is_frame], expected[..., :n_frames], atol=1e-5, rtol=0)
    start = model.initial_state(pose).pose
    assert torch.equal(frames[..., ~is_frame], start[..., None].expand(-1, -1, len(numbers) - n_frames))


@given(
    strides=st.lists(st.sampled_from([2, 4, 5, 8, 10]), min_size=1, max_size=3),
    extra=st.integers(0, 6),
    between=st.sampled_from(["hold", "linear"]),
    name=st.sampled_from(["regression_vemg2pose", "tracking_emg2pose"]),
)
@settings(max_examples=15, deadline=None)
def test_features_at_any_rate_are_put_in_step_with_the_poses(
    strides: list[int], extra: int, between: str, name: str
) -> None:
    sizes: dict[str, Any] = {"hidden_size": 6} if "vemg2pose" in name else {"layer_sizes": (6,)}
    torch.manual_seed(1)
    model = build_model(
        name,
        featurizer="convnet",
        strides=tuple(strides),
        kernels=tuple(stride + extra for stride in strides),
        channels=(4,) * len(strides),
        n_features=4,
        between=between,
        **sizes,
    ).eval()
    plan = StepPlan.of(model)
    emg, pose = some_emg(plan.first_frame_sample + 1 + 3 * plan.chunk_samples), some_pose()
    with torch.inference_mode():
        expected, _ = model(emg, model.initial_state(pose))
    numbers, frames = stepped(model, emg, pose)
    torch.testing.assert_close(frames[..., numbers >= 0], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "chunk", "frames", "pad", "warm_up"),
    [
        # 1,791 samples before the first frame: 22 calls of 80 and 31 samples.
        ("tracking_vemg2pose", 80, 2, 49, 22),
        # 1,471 samples: 36 calls of 40 and 31 samples.
        ("emgpose50", 40, 1, 9, 36),
        ("static_tracking", 40, 1, 39, 0),
        ("causal SensingDynamics", 40, 5, 33, 4),
    ],
)
def test_calls_end_with_the_samples_that_complete_a_pose(
    name: str, chunk: int, frames: int, pad: int, warm_up: int
) -> None:
    plan = StepPlan.of(narrow_model(name))
    sizes = (plan.chunk_samples, plan.frames_per_call, plan.pad_samples, plan.warm_up_calls)
    assert sizes == (chunk, frames, pad, warm_up)
    assert plan.pad_samples + plan.first_frame_sample + 1 == chunk * (warm_up + 1)
    assert plan.first_number + frames * (warm_up + 1) == 1


@pytest.mark.parametrize("name", ["regression_neuropose", "regression_sensingdynamics"])
def test_a_model_that_needs_the_future_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} cannot be exported as a step of a stream: .*choose a model"):
        StepPlan.of(narrow_model(name))
