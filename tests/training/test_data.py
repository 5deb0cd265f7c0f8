"""The data module: the right windows, the same whatever workers, memory and restarts, and clear refusals."""

import json
import shutil

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from emgpose.config import AugmentConfig
from emgpose.errors import ConfigError, DataError, SplitError
from emgpose.recording import open_session, read_metadata, write_emg2pose_hdf5
from emgpose.windows import window_starts
from generated import generate_dataset, generate_session
from made_batches import WINDOW, assert_same_batches
from small_models import small_model

# Torch warns when a machine has fewer cores than a test takes workers.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "set"
    generate_dataset(folder, n_train_users=3, n_val_users=1, n_test_users=0, seconds=6.0)
    return folder


@pytest.fixture
def own_root(root, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(root, tmp_path / "set")


def _train_files(root):
    table = read_metadata(root)
    return [root / f"{name}.hdf5" for name in table[table["split"] == "train"]["filename"]]


def test_windows_are_those_of_the_published_rules(root, make):
    data = make(root, jitter=False)
    expected = []
    for path in _train_files(root):
        with open_session(path) as session:
            expected += window_starts(session.n_samples, WINDOW, None, session.valid_runs()).tolist()
    starts = {}
    for batch in data.train_dataloader():
        assert batch["emg"].shape[1:] == (16, WINDOW)
        assert batch["joint_angles"].shape[1:] == (20, WINDOW)
        assert batch["valid"].all()
        starts |= dict(zip(batch["window"].tolist(), batch["start"].tolist(), strict=True))
    assert [starts[window] for window in range(len(starts))] == expected
    assert data.n_train_windows == len(expected)
    assert data.n_train_batches == len(data.train_dataloader()) == -(-len(expected) // 8)


def test_a_window_holds_the_samples_that_its_start_says(root, make):
    data = make(root, AugmentConfig(rotation=0))
    files = _train_files(root)
    batch = next(iter(data.train_dataloader()))
    for number in range(3):
        where = data.describe("train", int(batch["window"][number]), int(batch["start"][number]))
        path, _, samples = where.partition(", samples ")
        start, stop = (int(part) for part in samples.strip("[)").split(", "))
        assert any(str(file) == path for file in files)
        with open_session(path) as session:
            np.testing.assert_array_equal(batch["emg"][number].numpy().T, session.emg(start, stop))
            np.testing.assert_array_equal(batch["joint_angles"][number].numpy().T, session.joint_angles(start, stop))


def test_jitter_differs_between_epochs_and_is_off_when_asked(root, make):
    def starts(batches):
        passed = [(batch["window"], batch["start"]) for batch in batches]
        pairs = sorted(zip(*(torch.cat(part).tolist() for part in zip(*passed, strict=True)), strict=True))
        return [start for _, start in pairs]

    jittered, still = make(root).train_dataloader(), make(root, jitter=False).train_dataloader()
    assert starts(jittered) != starts(jittered)
    assert starts(still) == starts(still)


def test_validation_windows_are_neither_moved_nor_changed(root, make):
    data = make(root, AugmentConfig(rotation=4, aggressor_probability=1.0))
    batches = data.val_dataloader()
    first = list(batches)
    assert_same_batches(first, list(batches))
    assert sum(len(batch["window"]) for batch in first) == data.n_val_windows > 0
    assert torch.cat([batch["window"] for batch in first]).tolist() == list(range(data.n_val_windows))
    path, _, samples = data.describe("val", 0, int(first[0]["start"][0])).partition(", samples ")
    start, stop = (int(part) for part in samples.strip("[)").split(", "))
    assert stop - start == 3000
    with open_session(path) as session:
        np.testing.assert_array_equal(first[0]["emg"][0].numpy().T, session.emg(start, stop))


@pytest.mark.parametrize(("workers", "memory"), [(2, 4.0), (0, 0.0), (2, 0.0)])
def test_workers_and_memory_change_nothing(root, make, workers, memory):
    augment = AugmentConfig(aggressor_probability=0.3)
    reference = make(root, augment)
    other = make(root, augment, workers=workers, in_memory_gib=memory)
    for _ in range(2):
        assert_same_batches(list(reference.train_dataloader()), list(other.train_dataloader()))
    assert_same_batches(list(reference.val_dataloader()), list(other.val_dataloader()))
    assert other.in_memory == (memory > 0)
    assert other.fingerprint == reference.fingerprint
    assert other.subset == reference.subset


def test_the_middle_of_an_epoch_is_the_same_after_a_restart(root, make):
    data = make(root)
    epochs = [list(data.train_dataloader()) for _ in range(2)]
    again = make(root)
    again.train_dataloader().start_at(1, 2)
    assert_same_batches(list(again.train_dataloader()), epochs[1][2:])


def test_another_seed_gives_another_order_and_jitter(root, make):
    one, two = (next(iter(make(root, seed=seed).train_dataloader())) for seed in (1, 2))
    assert one["window"].tolist() != two["window"].tolist()


def test_subsets_are_recorded_with_their_windows(root, make):
    data = make(root, num_users=2, num_stages=1, where="side == 'left'")
    data.setup()
    assert len(data.subset["users"]) == 2
    assert len(data.subset["stages"]) == 1
    assert len(data.subset["files"]) == 2
    assert data.subset["windows"] == data.n_train_windows
    assert data.subset["val"]["windows"] == data.n_val_windows
    assert data.subset["val"]["users"] == ["user03"]
    json.dumps(data.subset)
    everything = make(root)
    everything.setup()
    assert data.fingerprint != everything.fingerprint
    assert data.n_train_windows < everything.n_train_windows


def test_without_a_validation_recording_training_goes_on_without_validation(root, make):
    data = make(root, where="user in ['user00', 'user01']")
    data.setup()
    assert data.n_val_windows == 0
    assert data.val_dataloader() == []
    assert data.val_fingerprint == ""
    assert data.subset["val"]["files"] == []


def test_the_median_pose_is_that_of_the_recordings_chosen(root, make):
    data = make(root, num_users=1)
    data.setup()
    angles = []
    for name in data.subset["files"]:
        with open_session(root / f"{name}.hdf5") as session:
            angles.append(session.joint_angles()[::40][session.valid()[::40]])
    np.testing.assert_allclose(data.median_pose, np.median(np.concatenate(angles), axis=0), atol=np.radians(0.1))


def test_data_count_as_simulated_only_if_every_training_recording_is(own_root, make):
    data = make(own_root)
    data.setup()
    assert data.trained_on == "recorded"
    for path in _train_files(own_root):
        with open_session(path) as session:
            part = session.read()
        path.unlink()
        write_emg2pose_hdf5(
            path,
            part.emg,
            part.joint_angles,
            sample_rate_hz=2000,
            user="u",
            stage="unconstrained",
            side="left",
            attributes={"simulated": True},
        )
    data = make(own_root)
    data.setup()
    assert data.trained_on == "simulated"


def test_windows_default_to_those_of_the_test_protocol(make, tmp_path):
    model = small_model()
    generate_dataset(tmp_path / "set", n_train_users=1, n_test_users=0, n_stages=2, seconds=9.0)
    data = make(tmp_path / "set", model=model, window_samples=None, val_window_samples=None)
    assert next(iter(data.train_dataloader()))["emg"].shape[2] == model.test_window
    assert next(iter(data.val_dataloader()))["emg"].shape[2] == model.test_window


def test_invalid_labels_are_masked_when_they_are_not_left_out(root, make):
    batches = list(make(root, skip_invalid=False).train_dataloader())
    valid = torch.cat([batch["valid"] for batch in batches])
    assert not valid.all()
    assert valid.any()
    assert torch.isfinite(torch.cat([batch["joint_angles"] for batch in batches])).all()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_vanishes_during_training_is_named(own_root, make, workers):
    data = make(own_root, in_memory_gib=0.0, workers=workers)
    batches = data.train_dataloader()
    data.setup()
    gone = _train_files(own_root)[2]
    gone.unlink()
    with pytest.raises(DataError) as raised:
        list(batches)
    assert str(gone) in str(raised.value)
    assert "Traceback" not in str(raised.value)


def test_files_may_vanish_when_they_are_in_memory(own_root, make):
    data = make(own_root)
    data.setup()
    for path in _train_files(own_root):
        path.unlink()
    assert len(list(data.train_dataloader())) == data.n_train_batches


def test_emg_that_is_not_finite_is_found_when_a_window_of_a_file_is_read(own_root, make):
    path = _train_files(own_root)[0]
    generate_session(path, seconds=6.0, nan_channel=5)
    data = make(own_root, in_memory_gib=0.0)
    with pytest.raises(DataError, match=rf"{path.name}: EMG channel emg5 is nan at sample \d+, expected finite"):
        list(data.train_dataloader())


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({"window_samples": 100}, ConfigError, "data.window_samples=100: tracking_vemg2pose needs windows of at least"),
        ({"val_window_samples": 5}, ConfigError, "data.val_window_samples=5: tracking_vemg2pose needs windows of at"),
        ({"window_samples": 13_000}, DataError, "none of the 12 training recordings chosen has a run of valid labels"),
        ({"num_users": 4}, SplitError, "data.num_users=4: there are 3 training users; ask for 3 or fewer"),
        ({"where": "nonsense =="}, SplitError, "query 'nonsense ==' cannot be understood"),
        ({"seed": -1}, ConfigError, "seed: expected a whole number from 0"),
        ({"augment": AugmentConfig(rotation=9)}, ConfigError, "augment.rotation: expected 0 to 8 electrodes"),
    ],
)
def test_what_cannot_be_is_refused_with_its_key(root, make, config, error, message):
    with pytest.raises(error) as raised:
        make(root, **config).setup()
    assert message in str(raised.value)


def test_a_folder_without_a_table_is_refused(tmp_path, make):
    with pytest.raises(DataError, match=r"expected metadata\.csv"):
        make(tmp_path).setup()


class Counting(pl.LightningModule):
    """Notes the windows that it is given."""

    def __init__(self, checkpoint=None):
        super().__init__()
        self.seen = []
        self.n_steps = 0
        self.checkpoint = checkpoint
        self.automatic_optimization = False
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch, number):
        optimizer = self.optimizers()
        optimizer.zero_grad()
        (self.weight.sum() * batch["emg"].abs().mean()).backward()
        optimizer.step()
        self.seen.append(batch["start"].tolist())
        self.n_steps += 1

    def validation_step(self, batch, number):
        self.seen.append(batch["window"].tolist())

    def on_train_batch_end(self, *_):
        if self.checkpoint is not None and self.n_steps == 7:
            self.trainer.save_checkpoint(self.checkpoint)
            self.seen_before = list(self.seen)


# Lightning's own use of torch's pytrees.
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")
def test_lightning_goes_on_in_the_middle_of_an_epoch_by_itself(root, make, tmp_path):
    def fit(epochs, module, checkpoint=None):
        data = make(root)
        trainer = pl.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=1,
            log_every_n_steps=1,
        )
        # The checkpoint is our own and holds optimizer states beside tensors.
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=False)
        return module

    whole = fit(3, Counting(tmp_path / "in_the_middle.ckpt"))
    assert whole.n_steps % 3 == 0
    assert 7 % (whole.n_steps // 3) != 0, "the checkpoint lies inside an epoch"
    resumed = fit(3, Counting(), tmp_path / "in_the_middle.ckpt")
    assert resumed.n_steps == whole.n_steps - 7
    assert resumed.seen == whole.seen[len(whole.seen_before) :]
    assert torch.equal(resumed.weight, whole.weight)
