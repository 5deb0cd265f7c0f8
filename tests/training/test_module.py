"""Steps and validation: exact however a batch is divided, and stopped by what is not finite."""

import h5py
import pytest
import torch
from torchmetrics import MetricCollection

from emgpose.checkpoints import load_model, save_model
from emgpose.config import AugmentConfig, DataConfig
from emgpose.errors import DataError
from emgpose.running_metrics import AngleError, FingertipDistance
from emgpose.training import train
from emgpose.training.data import PoseData
from emgpose.training.start import starting_model
from generated import generate_dataset
from small_models import small_model
from small_runs import small_config, weights_of


def plain_descent(monkeypatch):
    """Make a change of weights show the gradient as it is; Adam would hide its size."""
    monkeypatch.setattr(
        "emgpose.training.module.build_optimiser", lambda config, model: torch.optim.SGD(model.parameters(), lr=1)
    )


def furthest(one, two):
    first, second = weights_of(one), weights_of(two)
    return max(float((first[name] - second[name]).abs().max()) for name in first)


@pytest.mark.parametrize(("experiment", "size"), [("tracking_vemg2pose", 1), ("emgpose50", 4)])
def test_gradients_of_parts_of_a_batch_add_up_to_those_of_the_whole(
    experiment, size, recordings, tmp_path, monkeypatch
):
    plain_descent(monkeypatch)
    overrides = ("loop.max_steps=2", "data.skip_invalid=false", "optim.lr=0.01", "optim.schedule=constant")
    config = small_config(recordings, experiment, *overrides)
    save_model(starting_model(config), tmp_path / "start")
    whole = train(config, tmp_path / "whole").last
    parts = train(
        small_config(recordings, experiment, *overrides, f"optim.micro_batch_size={size}"), tmp_path / "parts"
    ).last
    assert furthest(whole, parts) < 1e-7
    assert furthest(whole, tmp_path / "start") > 1e-4


def test_validation_gives_what_the_running_metrics_give(recordings, tmp_path):
    config = small_config(recordings, "tracking_vemg2pose", "loop.max_epochs=1", "data.batch_size=4")
    result = train(config, tmp_path)
    model = load_model(result.last)
    metrics = MetricCollection({"mae": AngleError(), "tips": FingertipDistance()})
    with torch.no_grad():
        for batch in PoseData(config.data, config.augment, model, seed=0).val_dataloader():
            target = batch["joint_angles"][..., model.left_context :]
            metrics.update(model.rollout(batch["emg"], target[..., 0]), target, batch["valid"][:, model.left_context :])
    scores = metrics.compute()
    assert result.best_val_loss == pytest.approx(float(scores["mae"] + 0.01 * scores["tips"]), rel=1e-6)


def spoil(root, angle):
    """Give one training recording an angle at all its valid samples that no sum survives."""
    path = next(path for path in sorted(root.glob("*.hdf5")) if "user00-FingerWiggling" in path.name)
    with h5py.File(path, "r+") as file:
        series = file["emg2pose/timeseries"]
        rows = series[:]
        rows["joint_angles"][:, 3] = angle
        series[:] = rows
    return path


def test_a_loss_that_is_not_finite_stops_before_the_step_and_names_file_and_samples(tmp_path):
    root = tmp_path / "set"
    generate_dataset(root, n_train_users=1, n_val_users=1, n_test_users=1, n_stages=2, seconds=4.0)
    path = spoil(root, 3e38)
    config = small_config(root, "regression_vemg2pose", "loop.max_epochs=1")
    with pytest.raises(DataError, match=r"step 0: the loss \(inf\) is not finite, for \d of \d windows") as stop:
        train(config, tmp_path / "run")
    assert f"{path}, samples [" in str(stop.value)
    assert "emgpose check" in str(stop.value)
    assert "nothing had been saved yet" in str(stop.value)


def test_weights_that_run_away_are_told_from_bad_windows(recordings, tmp_path):
    config = small_config(recordings, "tracking_vemg2pose", "model.scale=1e38")
    with pytest.raises(DataError, match=r"for 6 of 6 windows.* and 1 more; all windows of the batch are concerned"):
        train(config, tmp_path)


def test_a_batch_without_a_valid_sample_makes_no_step(recordings, tmp_path, monkeypatch):
    original = PoseData.train_dataloader

    class Blind:
        def __init__(self, batches):
            self.batches = batches

        def __getattr__(self, name):
            return getattr(self.batches, name)

        def __len__(self):
            return len(self.batches)

        def __iter__(self):
            for number, batch in enumerate(self.batches):
                if number == 0:
                    batch["valid"].fill_(False)
                yield batch

    monkeypatch.setattr(PoseData, "train_dataloader", lambda self: Blind(original(self)))
    result = train(small_config(recordings, "tracking_vemg2pose", "loop.max_epochs=1"), tmp_path)
    data = PoseData(DataConfig(str(recordings), 2400, 2400, batch_size=6), AugmentConfig(), small_model(), seed=42)
    data.setup()
    assert result.steps == data.n_train_batches - 1
