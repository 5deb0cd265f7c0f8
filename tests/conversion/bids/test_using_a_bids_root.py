from pathlib import Path

import pytest

from emgpose.conversion.bids import convert_to_bids
from emgpose.evaluation import evaluate
from generated import generate_dataset
from small_models import small_model


def test_scores_from_a_bids_data_set_are_those_from_the_folder_that_it_was_made_of(tmp_path: Path) -> None:
    generate_dataset(tmp_path / "hdf5", n_train_users=1, n_val_users=0, n_test_users=1, n_stages=2, seconds=7.5)
    convert_to_bids(tmp_path / "hdf5", tmp_path / "bids")
    model = small_model()
    ours, theirs = (evaluate(model, tmp_path / name) for name in ("hdf5", "bids"))
    assert theirs.left_out == []
    assert len(theirs.windows) == len(ours.windows) > 0
    same = ["session", "user", "stage", "side", "split", "condition", "start_sample", "stop_sample", "n_valid"]
    assert theirs.windows[same].equals(ours.windows[same])
    # Degrees; the step of the angles is 0.00001 deg.
    assert theirs.windows["mae"].to_numpy() == pytest.approx(ours.windows["mae"].to_numpy(), abs=1e-3)


def test_a_recording_that_was_not_fetched_is_left_out_by_name(tmp_path: Path) -> None:
    generate_dataset(tmp_path / "hdf5", n_train_users=0, n_val_users=0, n_test_users=1, n_stages=1, seconds=7.5)
    convert_to_bids(tmp_path / "hdf5", tmp_path / "bids")
    bdf = sorted((tmp_path / "bids").rglob("*_emg.bdf"))[0]
    bdf.unlink()
    bdf.symlink_to("../../../.git/annex/objects/MD5E-s1--0.bdf")
    found = evaluate(small_model(), tmp_path / "bids")
    assert [left_out.path for left_out in found.left_out] == [bdf]
    assert "datalad get" in found.left_out[0].reason
