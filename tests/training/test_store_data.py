"""Training, evaluation and the static hand read a prepared store as they read its folder, without opening it first."""

import csv
import dataclasses
import os
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from emgpose.config import AugmentConfig, DataConfig
from emgpose.conversion.bids import convert_to_bids
from emgpose.errors import ConfigError, DataError
from emgpose.evaluation import evaluate
from emgpose.preprocessing import Highpass, Preprocessing
from emgpose.recording import read_metadata
from emgpose.recording.store import StoreReader, fetching, open_store
from emgpose.store import prepare_store
from emgpose.training import train
from emgpose.training.recordings import emg_is_known_finite
from follower import Follower
from generated import generate_dataset
from made_batches import assert_same_batches
from small_models import small_model
from small_runs import same_weights, small_config

# Torch warns when a machine has fewer cores than a test takes workers.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "set"
    generate_dataset(folder, n_train_users=3, n_val_users=1, n_test_users=1, n_stages=2, seconds=6.2)
    return folder


@pytest.fixture(scope="module")
def store(root):
    prepare_store(root, root.parent / "store")
    return root.parent / "store"


@pytest.fixture
def own_store(store, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(store, tmp_path / "store")


@pytest.fixture
def reads(monkeypatch, tmp_path):
    """Where every window that is read from a store is noted, in whatever process."""
    notes = tmp_path / "reads"
    notes.touch()
    original = StoreReader.read_planar

    def noted(self, start, stop, out=None):
        with notes.open("a") as file:
            file.write(f"{self.facts.session} {self.facts.side} {start} {stop}\n")
        return original(self, start, stop, out)

    monkeypatch.setattr(StoreReader, "read_planar", noted)
    return notes


@pytest.mark.parametrize("config", [{}, {"skip_invalid": False, "stride_samples": 700}, {"where": "side == 'left'"}])
def test_a_store_gives_the_batches_of_its_folder_bit_for_bit(root, store, make, config):
    augment = AugmentConfig(aggressor_probability=0.3)
    folder, stored = make(root, augment, **config), make(store, augment, **config)
    for _ in range(2):
        assert_same_batches(list(folder.train_dataloader()), list(stored.train_dataloader()))
    assert_same_batches(list(folder.val_dataloader()), list(stored.val_dataloader()))


def test_a_store_is_the_same_data_as_its_folder_in_every_record(root, store, make):
    folder, stored = make(root), make(store)
    for data in (folder, stored):
        data.setup()
    for name in ("fingerprint", "val_fingerprint", "subset", "trained_on", "preparations", "median_pose"):
        assert getattr(folder, name) == getattr(stored, name), name
    assert len(folder.fingerprint) == 32
    assert stored.describe("train", 3, 50).startswith(f"{store}{os.sep}2024-01-01-")
    assert stored.describe("train", 3, 50).replace(str(store), str(root)) == folder.describe("train", 3, 50)


def test_a_run_is_set_up_from_the_index_alone(store, make, monkeypatch):
    def never(*_):
        raise AssertionError("samples were read")

    monkeypatch.setattr(StoreReader, "_read", never)
    data = make(store)
    data.setup()
    assert data.n_train_windows > 0
    assert data.n_val_windows > 0
    assert not data.in_memory


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(store, make, workers):
    alone, helped = make(store), make(store, workers=workers)
    for _ in range(2):
        assert_same_batches(list(alone.train_dataloader()), list(helped.train_dataloader()))
    assert_same_batches(list(alone.val_dataloader()), list(helped.val_dataloader()))


def test_in_an_epoch_workers_and_ranks_read_every_window_once(store, make, reads):
    windows = []
    for rank in range(2):
        data = make(store, jitter=False, workers=2)
        data.trainer = SimpleNamespace(global_rank=rank, world_size=2)
        windows += [window for batch in data.train_dataloader() for window in batch["window"].tolist()]
    assert sorted(windows) == list(range(data.n_train_windows))
    lines = reads.read_text().splitlines()
    assert len(lines) == len(set(lines)) == data.n_train_windows


def test_no_file_stays_open(store, make):
    handles = Path("/proc/self/fd")
    if not handles.is_dir():
        pytest.skip("needs /proc")
    batches = iter(make(store).train_dataloader())
    next(batches)
    targets = [handle.readlink() for handle in handles.iterdir() if handle.is_symlink()]
    assert targets
    assert not any(target.is_relative_to(store) for target in targets)


def test_what_a_worker_is_sent_grows_by_numbers_per_window_only(store, make):
    data = make(store)
    batch = next(iter(data.train_dataloader()))
    windows = data._windows["train"]
    sent = pickle.dumps(windows)
    assert len(sent) < 3000 + 24 * data.n_train_windows + 8 * 6
    copied = pickle.loads(sent)
    number = int(batch["window"][0])
    for name, tensor in windows.read(number, 0).items():
        assert tensor.equal(copied.read(number, 0)[name])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_flipped_bit_is_named_when_it_is_read_and_never_trained_on(own_store, make, workers):
    data = make(own_store, workers=workers)
    data.setup()
    index = open_store(own_store).index
    number = next(n for n, name in enumerate(index.names) if "user01" in name)
    places = index.places(number, "joint_angles")
    shard = sorted((own_store / "shards").iterdir())[int(index.shard[number])]
    content = bytearray(shard.read_bytes())
    content[int(places["offset"][1]) + int(places["bytes"][1]) // 2] ^= 0x10
    shard.write_bytes(content)
    with pytest.raises(DataError) as raised:
        list(data.train_dataloader())
    for part in (shard.name, index.names[number], "joint_angles, chunk 1"):
        assert part in str(raised.value)
    assert "Traceback" not in str(raised.value)


def test_a_store_that_was_prepared_anew_is_noticed_during_a_run(own_store, make):
    data = make(own_store)
    data.setup()
    again = own_store / "store.json.again"
    shutil.copyfile(own_store / "store.json", again)
    again.replace(own_store / "store.json")
    with pytest.raises(DataError, match="was prepared anew since this run began"):
        list(data.train_dataloader())


def test_recordings_that_must_go_through_filters_are_taken_in_like_files(root, store, make):
    def model():
        made = small_model()
        steps = Preprocessing((*made.card.preprocessing.steps, Highpass(30.0)))
        made.card = dataclasses.replace(made.card, preprocessing=steps)
        return made

    folder, stored = make(root, model=model()), make(store, model=model())
    assert_same_batches(list(folder.train_dataloader()), list(stored.train_dataloader()))
    assert stored.in_memory
    assert folder.fingerprint == stored.fingerprint
    assert folder.preparations == stored.preparations
    assert "high-pass 30 Hz" in next(iter(stored.preparations))


def test_what_the_model_cannot_take_is_refused_by_name(store, make):
    with pytest.raises(DataError, match=r"store/2024.*hdf5: .* needs 8 EMG channels, the recording has 16"):
        make(store, AugmentConfig(rotation=0), model=small_model(n_channels=8)).setup()


def test_a_damaged_index_is_refused(own_store, make):
    index = own_store / "index.parquet"
    content = bytearray(index.read_bytes())
    content[len(content) // 2] ^= 1
    index.write_bytes(content)
    with pytest.raises(DataError, match=r"index\.parquet: its checksum is not"):
        make(own_store).setup()


def test_the_table_in_the_store_may_be_given_as_well(store, make):
    one, two = make(store), make(store / "metadata.csv")
    for data in (one, two):
        data.setup()
    assert one.fingerprint == two.fingerprint
    assert not two.in_memory


@pytest.mark.parametrize("where_from", ["root", "store"])
def test_windows_can_be_drawn_as_often_from_each_user(where_from, make, request):
    where = "user != 'user02' or side == 'left'"
    data = make(request.getfixturevalue(where_from), sampling="user", where=where, workers=1)
    table = read_metadata(request.getfixturevalue(where_from)).query("split == 'train'").query(where)
    users = table["user"].to_numpy()
    epochs = [list(data.train_dataloader()) for _ in range(2)]
    for epoch in epochs:
        index = data._windows["train"].index
        drawn = [users[index.session[window]] for batch in epoch for window in batch["window"].tolist()]
        counts = np.unique(drawn, return_counts=True)[1]
        assert len(drawn) == data.n_train_windows
        assert len(counts) == 3
        assert counts.max() - counts.min() <= 1
    again = make(request.getfixturevalue(where_from), sampling="user", where=where)
    again.train_dataloader().start_at(1, 1)
    assert_same_batches(list(again.train_dataloader()), epochs[1][1:])


def test_a_sampling_that_is_none_is_refused():
    with pytest.raises(ConfigError, match=r"data\.sampling: unknown choice 'users'; did you mean 'user'"):
        DataConfig(root="x", sampling="users")


def _learning_curve(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return [{key: value for key, value in row.items() if key != "windows_per_s"} for row in csv.DictReader(file)]


def _losses(folder):
    return np.array([[float(row[name]) for name in ("train_loss", "val_loss")] for row in _learning_curve(folder)])


def test_store_folder_and_bids_copies_give_the_same_loss_curve(root, store, tmp_path):
    convert_to_bids(root, tmp_path / "bids")
    runs = {}
    for name, where in (("folder", root), ("store", store), ("bids", tmp_path / "bids")):
        runs[name] = train(small_config(where, "tracking_vemg2pose"), tmp_path / f"run_{name}")
    assert _learning_curve(runs["folder"].folder) == _learning_curve(runs["store"].folder)
    assert same_weights(runs["folder"].last, runs["store"].last)
    assert same_weights(runs["folder"].best, runs["store"].best)
    # Angles are rounded to 1 microradian, EMG to the step of its 24 bits.
    np.testing.assert_allclose(_losses(runs["bids"].folder), _losses(runs["folder"].folder), rtol=1e-3)


def test_a_run_that_began_with_the_folder_goes_on_with_the_store(root, store, tmp_path):
    whole = train(small_config(root), tmp_path / "whole")
    train(small_config(root, "tracking_vemg2pose", "loop.max_steps=2"), tmp_path / "run")
    result = train(small_config(store, "tracking_vemg2pose", "resume=true"), tmp_path / "run")
    assert same_weights(whole.last, result.last)


def test_an_evaluation_of_a_store_is_that_of_its_folder(root, store):
    one, two = (evaluate(Follower().eval(), where, split=None, by=("split",)) for where in (root, store))
    pd.testing.assert_frame_equal(one.windows, two.windows)
    assert {name: read.digest for name, read in one.recordings.items()} == {
        name: read.digest for name, read in two.recordings.items()
    }
    assert not two.left_out


def test_a_store_may_be_given_by_where_one_stands(store, make, monkeypatch):
    expected = list(make(store).train_dataloader())
    monkeypatch.chdir(store)
    assert_same_batches(list(make(".").train_dataloader()), expected)
    monkeypatch.chdir(store.parent)
    assert_same_batches(list(make(store.name).train_dataloader()), expected)


def test_a_recording_that_is_open_when_its_store_is_prepared_anew_is_not_called_damaged(own_store, make):
    data = make(own_store)
    windows = data.train_dataloader() and data._windows["train"]
    windows.read(0, 0)
    shard = own_store / "shards" / "00000.h5"
    shard.write_bytes(b"another one" * 1000)
    with pytest.raises(DataError, match="its checksum is wrong"):
        windows.read(0, 0)
    store_file = own_store / "store.json"
    shutil.copyfile(store_file, own_store / "again")
    (own_store / "again").replace(store_file)
    with pytest.raises(DataError, match="was prepared anew since its recording was opened"):
        windows.read(0, 0)
    shard.unlink()
    with pytest.raises(DataError, match="was prepared anew since its recording was opened"):
        windows.read(0, 0)


def test_the_disk_is_asked_for_exactly_what_will_be_read(store, make, monkeypatch):
    if not hasattr(os, "posix_fadvise"):
        pytest.skip("needs posix_fadvise")
    asked, fetched = [], []
    original = fetching.fetch

    def noted(path, ranges):
        begin = min(offset for offset, _ in ranges)
        fetched.append((begin, max(offset + size for offset, size in ranges) - begin))
        return original(path, ranges)

    monkeypatch.setattr(os, "posix_fadvise", lambda _, offset, size, advice: asked.append((offset, size)))
    monkeypatch.setattr("emgpose.recording.store.reader.fetch", noted)
    list(make(store).train_dataloader())
    assert asked == fetched
    assert len(asked) > 8


def test_recordings_whose_emg_cannot_but_be_finite_are_not_looked_at_again(store, make):
    data = make(store)
    data.setup()
    session = data._windows["train"].session(0)
    assert emg_is_known_finite(session) == (session.reader._emg_dtype == np.int16)
    assert not emg_is_known_finite(SimpleNamespace(reader=object()))
