"""What a submission runs: every sample of every window, each window by itself."""

import numpy as np
import pytest
import torch

from emgpose.challenge.predictor import STARTS, WindowPredictor, load_predictor
from emgpose.checkpoints import save_model
from emgpose.errors import ConfigError, DataError, ShapeError
from emgpose.models import build_model
from exported_models import narrow_model

RNG = np.random.default_rng(1)
REGRESSION = (
    *("regression_vemg2pose", "regression_emg2pose", "regression_neuropose", "regression_sensingdynamics"),
    *("improved_position_regression", "improved_velocity_multitask", "emgpose50", "static_regression"),
)


def windows(n_windows, n_samples=10_000):
    return RNG.standard_normal((n_windows, 16, n_samples)).astype(np.float32)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("name", REGRESSION)
def test_every_model_with_regression_gives_every_sample(name, start):
    emg = windows(2, 2_600)
    angles = WindowPredictor(narrow_model(name), start).predict(emg)
    assert (angles.shape, angles.dtype) == ((2, 20, 2_600), np.float32)
    assert np.isfinite(angles).all()


def test_poses_after_the_context_are_the_model_s_own_for_hold():
    model = narrow_model("regression_vemg2pose")
    emg = windows(1, 4_000)
    angles = WindowPredictor(model, "hold").predict(emg)
    with torch.inference_mode():
        own = model.rollout(torch.from_numpy(emg)).numpy()
    context = model.left_context
    assert np.array_equal(angles[..., context:], own)
    assert np.array_equal(angles[..., :context], np.repeat(own[..., :1], context, axis=-1))


def test_mirror_and_zeros_are_rollouts_over_a_longer_window():
    model = narrow_model("regression_emg2pose")
    emg = windows(1, 4_000)
    context = model.left_context
    before = {"mirror": emg[..., context:0:-1], "zeros": np.zeros_like(emg[..., :context])}
    for start, samples in before.items():
        with torch.inference_mode():
            wanted = model.rollout(torch.from_numpy(np.concatenate((samples, emg), axis=-1))).numpy()
        assert np.array_equal(WindowPredictor(model, start).predict(emg), wanted)


def test_a_window_does_not_depend_on_the_others_nor_on_how_many_there_are():
    predictor = WindowPredictor(narrow_model("emgpose50"))
    emg = windows(35, 1_600)
    together = predictor.predict(emg)
    alone = np.concatenate([predictor.predict(emg[i : i + 1]) for i in range(len(emg))])
    assert np.abs(together - alone).max() < 1e-5
    assert np.array_equal(together, predictor.predict(emg))


def test_a_tensor_gives_a_tensor_and_double_precision_is_taken():
    predictor = WindowPredictor(narrow_model("emgpose50"))
    emg = windows(1, 2_000)
    tensor = predictor.predict(torch.from_numpy(emg).double())
    assert isinstance(tensor, torch.Tensor)
    assert np.array_equal(tensor.numpy(), predictor.predict(emg))


def test_a_multitask_model_is_set_to_regression():
    model = narrow_model("improved_position_multitask")
    assert model.task == "tracking"
    WindowPredictor(model)
    assert model.task == "regression"


def test_models_that_cannot_take_part_are_refused():
    with pytest.raises(ConfigError, match="runs tracking only"):
        WindowPredictor(narrow_model("tracking_vemg2pose"))
    with pytest.raises(ConfigError, match="8 EMG channels, the challenge gives 16"):
        WindowPredictor(build_model("regression_emg2pose", n_channels=8, channels=16, tds_channels=4))
    long = build_model("emgpose50", featurizer="convnet", channels=(4,), kernels=(12_000,), strides=(40,))
    with pytest.raises(ConfigError, match="needs 12,000 samples"):
        WindowPredictor(long)
    with pytest.raises(ConfigError, match="start must be one of"):
        WindowPredictor(narrow_model("emgpose50"), "wrap")


@pytest.mark.parametrize("shape", [(16, 10_000), (1, 15, 10_000), (0, 16, 10_000), (1, 16, 1_790), (1, 10_000, 16)])
def test_other_shapes_are_refused(shape):
    predictor = WindowPredictor(narrow_model("regression_vemg2pose"))
    with pytest.raises(ShapeError, match="expected"):
        predictor.predict(np.zeros(shape, dtype=np.float32))


def test_a_window_with_nan_is_named():
    emg = windows(3, 2_000)
    emg[2, 4, 7] = np.nan
    with pytest.raises(DataError, match="window 2"):
        WindowPredictor(narrow_model("emgpose50")).predict(emg)


def test_a_folder_is_loaded_as_a_predictor(tmp_path):
    model = narrow_model("emgpose50")
    emg = windows(1, 2_000)
    predictor = load_predictor(save_model(model, tmp_path / "model"), "zeros")
    assert np.array_equal(predictor.predict(emg), WindowPredictor(model, "zeros").predict(emg))
