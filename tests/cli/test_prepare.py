import json

import pytest

from emgpose.recording.store import open_store
from generated import break_dataset, generate_dataset
from made_stores import small_dataset


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return small_dataset(tmp_path_factory.mktemp("originals"))


def test_prepare_then_check_then_nothing_to_do(run, root, tmp_path):
    code, out, _ = run("prepare", root, "--out", tmp_path / "store", "--verify")
    assert code == 0
    assert "12 recordings, 6000 samples" in out
    assert "12 written" in out
    assert "verified: " in out
    code, out, _ = run("check", tmp_path / "store")
    # Its recordings are a quarter of a second long.
    assert (code, "store_damaged" in out, out.count("error too_short")) == (1, False, 12)
    assert "(store of 12 recordings in 2 shards, 0 left out when it was prepared)" in out
    code, out, _ = run("prepare", root, "--out", tmp_path / "store")
    assert code == 0
    assert "no recording had to be written" in out


def test_a_flipped_bit_is_named_and_ends_in_1(run, root, tmp_path):
    run("prepare", root, "--out", tmp_path / "store")
    shard = tmp_path / "store/shards/00001.h5"
    content = bytearray(shard.read_bytes())
    place = open_store(tmp_path / "store").index.places(9, "emg")["offset"][0]
    content[place + 50] ^= 4
    shard.write_bytes(content)
    code, out, _ = run("check", tmp_path / "store")
    assert code == 1
    assert "store_damaged" in out
    assert "shards/00001.h5: recording 2024-01-01-user0" in out
    assert "emg, chunk 0: its checksum is wrong" in out


def test_broken_recordings_are_named_and_end_in_1(run, tmp_path):
    generate_dataset(tmp_path / "root", n_train_users=1, n_val_users=1, n_test_users=2, n_stages=2, seconds=0.25)
    broken = break_dataset(tmp_path / "root")
    code, out, err = run("prepare", tmp_path / "root", "--out", tmp_path / "store")
    assert code == 1
    assert "12 recordings" in out
    for name in (broken.truncated, broken.nan_channel, broken.rate_200_hz, broken.missing):
        assert f"left out: {name}: " in err
    assert "4 recordings are not in the store" in err
    assert "store_damaged" not in run("check", tmp_path / "store")[1]


def test_json_says_the_same(run, root, tmp_path):
    code, out, _ = run("prepare", root, "--out", tmp_path / "store", "--json")
    document = json.loads(out)
    assert code == 0
    assert (document["recordings"], document["written"], document["left_out"]) == (12, 12, [])
    assert document["bytes"] > 0
    code, out, _ = run("check", tmp_path / "store", "--json")
    assert json.loads(out)["reports"][0]["figures"]["n_shards"] == 2


def test_wrong_usage_ends_in_2(run, root, tmp_path):
    assert run("prepare", root)[0] == 2
    assert run("prepare", root, "--out", tmp_path / "store", "--workers", "0")[0] == 2
    code, _, err = run("prepare", root, "--out", root / "store")
    assert code == 2
    assert "must not lie in the folder of the recordings" in err


def test_a_folder_that_is_no_data_set_ends_in_1(run, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = run("prepare", tmp_path / "empty", "--out", tmp_path / "store")
    assert code == 1
    assert "metadata.csv" in err
    assert not (tmp_path / "store").exists()


def test_options_for_one_recording_are_wrong_usage_for_a_folder_or_store(run, root, tmp_path):
    run("prepare", root, "--out", tmp_path / "store")
    for path in (root, tmp_path / "store"):
        for options in (("--channels", "0"), ("--input-rate", "100")):
            code, out, err = run("check", path, *options)
            assert (code, out, err.count("\n")) == (2, "", 1)
            assert f"{options[0]}: is for single recordings" in err
    assert run("check", next(root.glob("*.hdf5")), "--input-rate", "-1")[0] == 2
