"""Each experiment can learn one simulated recording by heart."""

import csv
import shutil

import pytest
import torch

from emgpose.experiments import compose_config, experiments
from emgpose.simulation.data_set import simulate_data_set
from emgpose.training import train
from emgpose.training.data import PoseData
from emgpose.training.start import starting_model

pytestmark = pytest.mark.slow

LARGEST_SHARE = {"tracking": 0.3, "regression": 0.6}


@pytest.fixture(scope="module")
def one_recording(tmp_path_factory):
    """A simulated recording that is trained and validated on."""
    made, root = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("one")
    simulate_data_set(made, users=3, stages=2, minutes=0.15, placements=1, repeats=2, seed=3)
    with (made / "metadata.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["split"] == "train")
    rows = [row, row | {"filename": f"{row['filename']}_again", "split": "val", "generalization": "user"}]
    for one in rows:
        shutil.copy(made / f"{row['filename']}.hdf5", root / f"{one['filename']}.hdf5")
    with (root / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        writer.writeheader()
        writer.writerows(rows)
    return root


def static_hand_error_deg(config, task):
    """What a hand that does not move would be wrong by: at each window's initial pose, or at the median pose."""
    model = starting_model(config)
    data = PoseData(config.data, config.augment, model, seed=config.seed)
    errors = []
    for batch in data.val_dataloader():
        target = batch["joint_angles"][..., model.left_context :]
        held = target[..., :1] if task == "tracking" else torch.tensor(data.median_pose)[:, None]
        errors.append((target - held).abs().mean(1)[batch["valid"][:, model.left_context :]])
    return float(torch.rad2deg(torch.cat(errors).mean()))


TDS = ("model.channels=32", "model.tds_channels=8", "model.n_features=16")
LSTM = ("model.hidden_size=64",)
HEAD = (*LSTM, "model.head_sizes=[64]")
MLP = ("model.layer_sizes=[128,128]",)
SIZES = {
    "tracking_vemg2pose": (*TDS, *LSTM),
    "regression_vemg2pose": (*TDS, *LSTM),
    "tracking_emg2pose": (*TDS, *MLP),
    "regression_emg2pose": (*TDS, *MLP),
    "regression_neuropose": ("model.channels=[8,16,32]", "model.residual_blocks=2", "model.dropout=0"),
    "regression_sensingdynamics": ("model.channels=[32,16,32]", "model.hidden_size=128"),
}
# By heart: nothing that varies the windows, no decay, steps that stay large.
BY_HEART = (
    "data.window_samples=3790",
    "data.val_window_samples=3790",
    "data.jitter=false",
    "data.batch_size=8",
    "augment.rotation=0",
    "optim.lr=3e-3",
    "optim.schedule=constant",
    "optim.weight_decay=0",
    "optim.grad_clip=1",
    "loop.max_epochs=400",
    "loop.patience_epochs=null",
    "loop.val_every_epochs=20",
    "loop.accelerator=cpu",
    "loop.threads=1",
    "loop.logger=none",
)


# A large network takes smaller steps, and fewer of them.
FULL_SIZE = ("optim.lr=1e-3", "loop.max_epochs=150", "loop.val_every_epochs=10", "loop.threads=2")


def shares_of_static_hand(config, folder):
    """Error of the best epoch of each task, as a share of the static hand's."""
    result = train(config, folder)
    with (folder / "metrics.csv").open(newline="") as file:
        best = next(row for row in csv.DictReader(file) if int(row["epoch"]) == result.best_epoch)
    for task in starting_model(config).tasks:
        share = float(best[f"val_{task}_mae_deg"]) / static_hand_error_deg(config, task)
        print(f"{config.experiment}, {task}: {share:.0%} of the static hand's error after {result.best_epoch} epochs")
        yield task, share


@pytest.mark.parametrize("experiment", sorted(experiments()))
def test_each_experiment_overfits_one_simulated_recording(experiment, one_recording, tmp_path):
    sizes = SIZES.get(experiment, (*TDS, *HEAD))
    config = compose_config(experiment, f"data.root={one_recording}", *sizes, *BY_HEART)
    for task, share in shares_of_static_hand(config, tmp_path):
        assert share < LARGEST_SHARE[task]


def test_vemg2pose_at_full_size_overfits_one_simulated_recording(one_recording, tmp_path):
    small = [option for option in BY_HEART if option.partition("=")[0] not in {o.partition("=")[0] for o in FULL_SIZE}]
    config = compose_config("tracking_vemg2pose", f"data.root={one_recording}", *small, *FULL_SIZE)
    assert starting_model(config).n_parameters == 5_970_068
    assert dict(shares_of_static_hand(config, tmp_path))["tracking"] < LARGEST_SHARE["tracking"]
