"""A stream's state as named tensors, good and bad."""

import pytest
import torch
from torch import Tensor

from emgpose.errors import StreamError
from emgpose.models import StreamState
from small_models import small_model


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    model = small_model("tracking_vemg2pose")
    with torch.inference_mode():
        _, state = model(torch.zeros(3, 16, 2_000), model.initial_state(batch_size=3))
    return state.to_tensors()


def test_named_tensors_give_the_state_again(tensors) -> None:
    state = StreamState.from_tensors(tensors)
    n_frames = small_model("tracking_vemg2pose").frame_grid.n_frames(2_000)
    assert (state.n_samples, state.n_steps, len(state.decoder)) == (2_000, n_frames, 4)
    again = state.to_tensors()
    assert again.keys() == tensors.keys()
    assert all(torch.equal(again[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"counters": None}, "counters must be a tensor, it is missing"),
        ({"pose": None}, "pose must be a tensor, it is missing"),
        ({"features": 3.0}, "features must be a tensor, got float"),
        ({"tails.0": None}, "tails.0 must be a tensor"),
        ({"decoder.0": None}, "decoder.0 must be a tensor, it is missing"),
        ({"tails.x": torch.zeros(3, 1, 1)}, r"tails\.\d+ must be a tensor, it is missing"),
        ({"weights": torch.zeros(3)}, "holds 'weights'"),
        ({"pose": torch.zeros(3, 19)}, r"pose has shape \(3, 19\), expected \(batch, 20\)"),
        ({"decoder.1": torch.zeros(2, 16)}, r"decoder.1 has shape \(2, 16\), expected one row for each of its 3"),
        ({"tails.1": torch.zeros(())}, r"tails.1 has shape \(\)"),
        ({"counters": torch.tensor([1, 2, 3])}, r"counters are \[1, 2, 3\]"),
        ({"counters": torch.tensor([1.5, 2.0])}, "two whole numbers"),
        ({"counters": torch.tensor([-1, 0])}, "two whole numbers"),
    ],
)
def test_a_wrong_state_is_refused_with_the_entry_named(tensors, changes, message) -> None:
    wrong = {name: tensor for name, tensor in (tensors | changes).items() if tensor is not None}
    with pytest.raises(StreamError, match=message):
        StreamState.from_tensors(wrong)


def test_what_is_no_mapping_is_refused() -> None:
    with pytest.raises(StreamError, match="of type list"):
        StreamState.from_tensors([torch.zeros(1)])
