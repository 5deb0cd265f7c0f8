"""Hops and rollouts in numpy: the numbers of the torch modules, and torch wherever numpy may not."""

import copy
import gc
import warnings

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits
from torch.nn.utils import parametrize
from torch.utils.flop_counter import FlopCounterMode

from emgpose.models import PoseModel, build_model
from emgpose.models.front_ends import RawFrontEnd
from emgpose.models.in_numpy import has_one_thread, hops, may_run_in_numpy, path, prepared_for, rollout_of
from emgpose.models.in_numpy.hops import LONGEST_IN_NUMPY_SAMPLES
from emgpose.models.in_numpy.layers import NumpyNorm
from emgpose.models.in_numpy.path import _PREPARED
from small_models import small_model

SIZES = {"n_features": 8, "channels": (8, 8, 12, 8)}
MODELS = {
    **{
        name: lambda name=name: small_model(name, scale=0.1)
        for name in ("tracking_vemg2pose", "regression_vemg2pose", "tracking_emg2pose", "emgpose50")
    },
    "convnet": lambda: build_model(
        "tracking_vemg2pose", featurizer={"kind": "convnet", **SIZES}, hidden_size=16, scale=0.1
    ),
    "lowpass_stack": lambda: small_model("tracking_vemg2pose", scale=0.1, front_end={"kind": "lowpass_stack"}),
    "hybrid": lambda: small_model("regression_vemg2pose", scale=0.1, update={"kind": "hybrid"}),
    "linear": lambda: small_model("tracking_vemg2pose", scale=0.1, between="linear"),
    "position": lambda: small_model("tracking_vemg2pose", scale=0.5, update={"kind": "position"}),
    "envelope": lambda: small_model("tracking_emg2pose", scale=0.1, front_end={"kind": "envelope"}),
    "multitask": lambda: small_model("emgpose50", scale=0.1, task="multitask", learned_initial_pose=True),
}


@pytest.fixture(autouse=True)
def _one_thread():
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1, user_api="blas"):
        yield
    torch.set_num_threads(n_threads)


def make(name: str) -> PoseModel:
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    assert isinstance(model, PoseModel)
    with torch.no_grad():
        for parameter in model.parameters():  # norms that change nothing would hide a mistake
            parameter += 0.05 * torch.randn_like(parameter)
    return model


def emg_of(n_samples: int, batch_size: int = 1) -> torch.Tensor:
    return torch.randn(batch_size, 16, n_samples, generator=torch.Generator().manual_seed(1))


def streamed(model: PoseModel, emg: torch.Tensor, hop: int, pose: torch.Tensor):
    """Stream by `forward`, with gradients, so in torch."""
    state = model.initial_state(pose, batch_size=len(emg))
    poses = []
    for part in emg.split(hop, dim=-1):
        angles, state = model(part, state)
        poses.append(angles.detach())
    return torch.cat(poses, dim=-1), state


def hopped(model: PoseModel, emg: torch.Tensor, hop: int, pose: torch.Tensor):
    """Stream by `hops`, so in numpy where the model was prepared."""
    hops = model.hops(model.initial_state(pose))
    rows = [hops.push(part[0].T.numpy()) for part in emg.split(hop, dim=-1)]
    return torch.from_numpy(np.concatenate(rows).T[None]), hops.state()


@pytest.fixture
def no_torch_modules(monkeypatch: pytest.MonkeyPatch):
    """Make featurizer and decoder fail if torch runs them."""

    def forbid(model: PoseModel) -> None:
        for part, name in ((model.featurizer, "forward"), (model.decoder, "step"), (model.decoder, "rollout_layers")):
            monkeypatch.setattr(part, name, lambda *_: pytest.fail("torch ran it"), raising=True)

    return forbid


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("hop", [40, 13, 200])
def test_a_prepared_stream_gives_what_torch_gives(name: str, hop: int, no_torch_modules) -> None:
    model, pose = make(name), 0.1 * torch.ones(1, 20)
    emg = emg_of(2600)
    expected, state = streamed(model, emg, hop, pose)
    model.prepare_for_hops()
    if isinstance(model.front_end, RawFrontEnd):
        no_torch_modules(model)
    given, state_in_numpy = hopped(model, emg, hop, pose)
    assert given.shape == expected.shape
    assert expected.abs().max() > 0.05
    assert torch.allclose(given, expected, atol=1e-5)
    expected_state, given_state = state.to_tensors(), state_in_numpy.to_tensors()
    assert list(given_state) == list(expected_state)
    for key, tensor in expected_state.items():
        assert given_state[key].shape == tensor.shape, key
        assert torch.allclose(given_state[key], tensor, atol=2e-5), key


@pytest.mark.parametrize("name", MODELS)
def test_a_stream_may_change_between_torch_and_numpy(name: str) -> None:
    model, pose = make(name), torch.zeros(1, 20)
    emg = emg_of(2400)
    expected, _ = streamed(model, emg, 40, pose)
    model.prepare_for_hops()
    state = model.initial_state(pose)
    poses = []
    for number, part in enumerate(emg.split(40, dim=-1)):
        if number % 3 == 0:
            angles, state = model(part, state)
        else:
            hops = model.hops(state)
            angles, state = torch.from_numpy(hops.push(part[0].T.numpy()).T[None]), hops.state()
        poses.append(angles.detach())
    assert torch.allclose(torch.cat(poses, dim=-1), expected, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_rollout_on_one_thread_gives_what_torch_gives(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, pose = make(name), 0.1 * torch.ones(1, 20)
    emg = emg_of(3000)
    expected = model.rollout(emg, pose).detach()
    for steps in ("step", "rollout_layers"):
        monkeypatch.setattr(model.decoder, steps, lambda *_: pytest.fail("torch ran it"))
    with torch.inference_mode():
        given = model.rollout(emg, pose)
    assert torch.allclose(given, expected, atol=1e-5)


def test_rollouts_are_left_to_torch_where_either_library_has_several_threads() -> None:
    assert has_one_thread()
    torch.set_num_threads(2)
    assert not has_one_thread()
    torch.set_num_threads(1)
    libraries = path._libraries_of_products()
    if not libraries:
        pytest.skip("numpy's library has no threads that can be set")
    libraries[0].set_num_threads(2)
    if libraries[0].num_threads == 1:
        pytest.skip("numpy's library was built or started for a single thread")
    assert not has_one_thread()


def test_numbers_that_float32_cannot_hold_become_what_torch_makes_of_them() -> None:
    model, pose = make("tracking_vemg2pose"), torch.zeros(1, 20)
    model.prepare_for_hops()
    for size in (1e9, 1e20, 1e30, float("inf"), float("nan")):
        emg = size * emg_of(2400)
        expected, _ = streamed(model, emg, 40, pose)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            given, _ = hopped(model, emg, 40, pose)
        assert torch.allclose(given, expected, rtol=1e-3, atol=1e-3, equal_nan=True), size
        assert bool(given.isnan().any()) == (size != 1e9)


@pytest.mark.parametrize("name", MODELS)
def test_a_long_chunk_between_hops_changes_nothing(name: str) -> None:
    model, pose = make(name), 0.1 * torch.ones(1, 20)
    emg = emg_of(5200)
    model.prepare_for_hops()
    expected, _ = hopped(model, emg, 40, pose)
    hops, rows = model.hops(model.initial_state(pose)), []
    for part in emg.split((40, 2000, 120, LONGEST_IN_NUMPY_SAMPLES + 1, 2039), dim=-1):
        poses = hops.push(part[0].T.numpy())
        rows.append(poses.copy())
        poses.fill(7)
    assert torch.allclose(torch.from_numpy(np.concatenate(rows).T[None]), expected, atol=1e-5)


def test_poses_samples_and_state_may_be_changed_by_whoever_gets_them() -> None:
    model = make("tracking_vemg2pose")
    model.prepare_for_hops()
    emg, start = emg_of(2400), torch.zeros(1, 20)
    expected, _ = hopped(model, emg, 40, start)
    state = model.initial_state(start)
    kept = state.copy()
    hops = model.hops(state)
    rows = []
    for part in emg.split(40, dim=-1):
        samples = part[0].T.numpy().copy()
        poses = hops.push(samples)
        rows.append(poses.copy())
        poses.fill(7)
        samples.fill(7)
        before = hops.state().copy()
        given = hops.state()
        hops = model.hops(given)
        for key, tensor in given.to_tensors().items():
            assert torch.equal(tensor, before.to_tensors()[key]), key
    assert torch.equal(torch.from_numpy(np.concatenate(rows).T[None]), expected)
    for key, tensor in state.to_tensors().items():
        assert torch.equal(tensor, kept.to_tensors()[key]), key


@pytest.mark.parametrize("name", ["tracking_vemg2pose", "tracking_emg2pose"])
def test_streams_of_one_model_do_not_share_what_they_work_in(name: str) -> None:
    model = make(name)
    model.prepare_for_hops()
    recordings = (emg_of(2400), emg_of(2400).flip(-1))
    alone = [hopped(model, emg, 40, torch.zeros(1, 20))[0] for emg in recordings]
    both = [model.hops(model.initial_state(torch.zeros(1, 20))) for _ in recordings]
    arrays = [
        {id(value) for value in vars(layer).values() if isinstance(value, np.ndarray) and value.flags.owndata}
        for hops in both
        for layer in hops._featurizer._layers
    ]
    assert not set.union(*arrays[: len(arrays) // 2]) & set.union(*arrays[len(arrays) // 2 :])
    parts = zip(*(emg.split(40, dim=-1) for emg in recordings), strict=True)
    rows = [[hops.push(part[0].T.numpy()) for hops, part in zip(both, pair, strict=True)] for pair in parts]
    for given, expected in zip(zip(*rows, strict=True), alone, strict=True):
        assert torch.equal(torch.from_numpy(np.concatenate(given).T[None]), expected)


def test_a_hop_leaves_numpys_handling_of_errors_to_its_caller() -> None:
    model = make("emgpose50")
    model.prepare_for_hops()
    with np.errstate(over="call", invalid="print"):
        before = np.geterr()
        hopped(model, emg_of(1600), 40, torch.zeros(1, 20))
        assert np.geterr() == before


def test_squares_beyond_float32_in_a_norm_are_left_to_torch() -> None:
    norm = torch.nn.LayerNorm(4)
    row = np.array([1e30, -1e30, 1, 2], dtype=np.float32)
    with np.errstate(over="ignore"), pytest.raises(FloatingPointError, match="squares"):
        NumpyNorm(norm)(row)


@pytest.mark.parametrize("hop", [40, 600])
def test_poses_of_a_rollout_may_be_changed_by_whoever_gets_them(hop: int) -> None:
    model = make("tracking_vemg2pose")
    with torch.no_grad():
        state = model.initial_state()
        for part in emg_of(2400).split(hop, dim=-1):
            given, before = part.clone(), state.copy()
            poses, new_state = model(part, state)
            assert torch.equal(part, given)
            for key, tensor in state.to_tensors().items():
                assert torch.equal(tensor, before.to_tensors()[key]), key
            expected = new_state.copy()
            for tensor in (poses, part):
                tensor.fill_(7)
            for key, tensor in new_state.to_tensors().items():
                assert torch.equal(tensor, expected.to_tensors()[key]), key
            state = new_state


def test_chunks_that_complete_no_frame_are_taken() -> None:
    model = make("tracking_vemg2pose")
    model.prepare_for_hops()
    emg, pose = emg_of(2000), torch.zeros(1, 20)
    expected, _ = streamed(model, emg, 200, pose)
    given, state = hopped(model, emg, 1, pose)
    assert torch.allclose(given, expected, atol=1e-5)
    assert model.hops(state).push(np.empty((0, 16), dtype=np.float32)).shape == (0, 20)


def test_a_hop_may_be_as_long_as_one_likes() -> None:
    model, pose, emg = make("emgpose50"), torch.zeros(1, 20), emg_of(4000)
    model.prepare_for_hops()
    assert torch.allclose(hopped(model, emg, 4000, pose)[0], streamed(model, emg, 4000, pose)[0], atol=1e-5)


def test_weights_changed_in_place_are_seen_and_exchanged_ones_are_left_to_torch() -> None:
    model = make("emgpose50")
    model.prepare_for_hops()
    for part in (model.featurizer, model.decoder):
        assert prepared_for(part) is not None
    emg, pose = emg_of(2400), torch.zeros(1, 20)
    before, _ = hopped(model, emg, 40, pose)
    for parameter in model.parameters():
        parameter.data.mul_(0.9)
    changed, _ = hopped(model, emg, 40, pose)
    assert (changed - before).abs().max() > 1e-3
    assert torch.allclose(changed, streamed(model, emg, 40, pose)[0], atol=1e-5)
    other = {key: 1.1 * tensor for key, tensor in model.state_dict().items()}
    model.load_state_dict(other, assign=True)
    assert prepared_for(model.featurizer) is None
    assert prepared_for(model.decoder) is None
    exchanged, _ = hopped(model, emg, 40, pose)
    assert torch.allclose(exchanged, streamed(model, emg, 40, pose)[0], atol=1e-5)
    assert (exchanged - changed).abs().max() > 1e-3


def test_a_weight_that_moves_is_left_to_torch() -> None:
    model = make("emgpose50")
    model.prepare_for_hops()
    weight = model.featurizer.project.weight
    weight.data = weight.data.clone()
    assert prepared_for(model.featurizer) is None
    assert prepared_for(model.decoder) is not None


def test_layers_exchanged_and_hooks_added_after_preparing_are_seen() -> None:
    model, pose, emg = make("emgpose50"), torch.zeros(1, 20), emg_of(2400)
    model.prepare_for_hops()
    handle = model.featurizer.layers[0].conv.register_forward_hook(lambda _module, _input, output: 2 * output)
    assert prepared_for(model.featurizer) is None
    expected, _ = streamed(model, emg, 40, pose)
    assert torch.allclose(hopped(model, emg, 40, pose)[0], expected, atol=1e-5)
    handle.remove()
    assert prepared_for(model.featurizer) is not None
    model.decoder.out = torch.nn.Linear(model.decoder.out.in_features, model.decoder.out.out_features)
    assert prepared_for(model.decoder) is None
    expected, _ = streamed(model, emg, 40, pose)
    assert torch.allclose(hopped(model, emg, 40, pose)[0], expected, atol=1e-5)


def test_what_numpy_may_not_compute_is_left_to_torch() -> None:
    x = torch.zeros(1, 16, 40)
    with torch.no_grad():
        assert may_run_in_numpy(x)
        assert not may_run_in_numpy(torch.zeros(2, 16, 40))
        assert not may_run_in_numpy(x.double())
        assert not may_run_in_numpy(x.to("meta"))
        with torch.autocast("cpu"):
            assert not may_run_in_numpy(x)
        with FlopCounterMode(display=False):
            assert not may_run_in_numpy(x)
    assert not may_run_in_numpy(x)  # gradients may be wanted


def test_layers_that_are_not_known_or_watched_are_left_to_torch() -> None:
    model = make("tracking_vemg2pose")
    assert rollout_of(model.decoder) is not None
    handle = model.decoder.out.register_forward_hook(lambda *_: None)
    assert rollout_of(model.decoder) is None
    handle.remove()
    assert rollout_of(model.decoder) is not None
    parametrize.register_parametrization(model.decoder.out, "weight", torch.nn.Identity())
    assert rollout_of(model.decoder) is None
    double = make("tracking_vemg2pose").double()
    assert rollout_of(double.decoder) is None
    double.prepare_for_hops()
    assert prepared_for(double.featurizer) is None


def test_a_copy_of_a_prepared_model_has_weights_of_its_own() -> None:
    model = make("emgpose50")
    model.prepare_for_hops()
    other = copy.deepcopy(model)
    emg, pose = emg_of(2400), torch.zeros(1, 20)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
        assert not torch.equal(hopped(model, emg, 40, pose)[0], hopped(other, emg, 40, pose)[0])


def test_what_stands_in_goes_with_its_model() -> None:
    gc.collect()
    before = len(_PREPARED)
    model = make("emgpose50")
    model.prepare_for_hops()
    assert len(_PREPARED) == before + 2
    del model
    gc.collect()
    assert len(_PREPARED) == before


def test_a_small_state_does_not_keep_what_came_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make("emgpose50")
    model.prepare_for_hops()
    owners, from_numpy = {}, torch.from_numpy

    def note(array: np.ndarray) -> torch.Tensor:
        tensor, owner = from_numpy(array), array
        while owner.base is not None:
            owner = owner.base
        owners[tensor.data_ptr()] = owner
        return tensor

    # A tensor does not tell how large the array is of which it shows a part.
    monkeypatch.setattr(torch, "from_numpy", note)
    _, state = hopped(model, emg_of(2400), 200, torch.zeros(1, 20))
    tensors = {key: tensor for key, tensor in state.to_tensors().items() if tensor.numel() and key != "counters"}
    assert len(tensors) > 8
    for key, tensor in tensors.items():
        assert owners[tensor.data_ptr()].size == tensor.numel(), key


@pytest.mark.parametrize("how", ["warn", "raise"])
def test_numbers_too_small_for_float32_are_zero_whatever_numpy_is_told_outside(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make("tracking_vemg2pose")
    emg, pose = 1e-38 * emg_of(2400), torch.zeros(1, 20)
    expected, _ = streamed(model, emg, 40, pose)
    model.prepare_for_hops()
    monkeypatch.setattr(hops, "TorchHops", None)
    with warnings.catch_warnings(), np.errstate(under=how):
        warnings.simplefilter("error")
        poses, _ = hopped(model, emg, 40, pose)
    assert torch.allclose(poses, expected, atol=1e-5)
