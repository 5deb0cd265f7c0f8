"""The evaluation scores what the protocol says, on whatever part of a data set can be read."""

import functools
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from emgpose import HandModel, metrics, open_session
from emgpose.errors import ConfigError, DataError
from emgpose.evaluation import conditions_of, evaluate, protocol, three_questions
from emgpose.hand import JOINTS
from emgpose.recording.facts import KNOWN_JOINTS
from emgpose.recording.fingerprint import SamplesDigest
from emgpose.windows import read_windows, window_starts
from follower import predict_alone
from generated import break_dataset, generate_session


@pytest.fixture(scope="module")
def broken(generated_root, tmp_path_factory):
    root = tmp_path_factory.mktemp("broken") / "data"
    shutil.copytree(generated_root, root)
    return root, break_dataset(root)


@pytest.fixture
def two_sessions(tmp_path):
    """Two test recordings of two users: 20 s, so three windows each."""
    rows = []
    for number in range(2):
        name = f"s{number}"
        generate_session(tmp_path / f"{name}.hdf5", user=f"u{number}", seconds=20, seed=number, session=name)
        rows.append(
            {"filename": name, "session": name, "user": f"u{number}", "stage": "PlayBlocksChess", "side": "right"}
            | {"moving_hand": "both", "held_out_user": True, "held_out_stage": False, "split": "test"}
            | {"generalization": "user", "start": 0.0, "end": 20.0}
        )
    pd.DataFrame(rows).to_csv(tmp_path / "metadata.csv", index=False)
    return tmp_path


def test_a_window_scores_what_the_model_predicts_for_it_alone(two_sessions, follower):
    result = evaluate(follower, two_sessions)
    assert len(result.windows) == 2 * 3 * 2
    hand = HandModel.generic()
    for _, row in result.windows.iterrows():
        with open_session(two_sessions / f"{row['session']}.hdf5") as session:
            part = session.read(row["start_sample"], row["stop_sample"])
        target = part.joint_angles[500:]
        assert len(target) == 10_000
        assert part.valid.all()
        assert row["n_valid"] == 10_000
        prediction = predict_alone(follower, part.emg, part.joint_angles[500], row["mode"])
        assert row["mae"] == pytest.approx(np.abs(prediction.astype(float) - target).mean(), rel=1e-5)
        assert row["static_mae"] == pytest.approx(
            np.abs(part.joint_angles[500].astype(float) - target).mean(), rel=1e-5
        )
        tensors = [torch.from_numpy(array.T.copy())[None] for array in (prediction, target)]
        scores = metrics.score_windows(*tensors, torch.ones(1, 10_000).bool(), hand)
        for name, score in scores.items():
            assert row[name] == pytest.approx(score.item(), rel=1e-4), name


def test_the_fingerprint_is_that_of_all_samples_of_a_recording(two_sessions, follower, monkeypatch):
    # Several chunks a recording; the digest is taken beside the reading.
    monkeypatch.setattr(protocol, "read_windows", functools.partial(read_windows, chunk_samples=7_000))
    recordings = evaluate(follower, two_sessions).recordings
    assert len(recordings) == 2
    for recording in recordings.values():
        digest = SamplesDigest()
        with open_session(recording.path) as session:
            digest.update(session.read())
        assert recording.digest == digest.hexdigest()


def test_a_fault_in_taking_the_fingerprint_is_no_silence(two_sessions, follower, monkeypatch):
    def fail(self, samples):
        raise MemoryError("no memory for the fingerprint")

    monkeypatch.setattr(SamplesDigest, "update", fail)
    with pytest.raises(MemoryError, match="fingerprint"):
        evaluate(follower, two_sessions)


def test_windows_are_those_of_the_window_rule(two_sessions, follower):
    result = evaluate(follower, two_sessions, modes=["published"])
    for name, rows in result.windows.groupby("session"):
        with open_session(two_sessions / f"{name}.hdf5") as session:
            expected = window_starts(session.n_samples, 10_500, 10_000, session.valid_runs())
        assert rows["start_sample"].tolist() == expected.tolist()
        assert (rows["stop_sample"] - rows["start_sample"] == 10_500).all()


def test_scores_do_not_depend_on_the_batch_size(two_sessions, follower):
    one, three = (evaluate(follower, two_sessions, batch_size=size).windows for size in (1, 3))
    three = three.sort_values(["session", "start_sample", "mode"], ignore_index=True)
    one = one.sort_values(["session", "start_sample", "mode"], ignore_index=True)
    pd.testing.assert_frame_equal(one, three, rtol=1e-9)


def test_the_stream_holds_the_newest_complete_frame(two_sessions, follower):
    from emgpose.evaluation.scoring import predict_windows

    emg, pose = torch.randn(2, 16, 700), torch.zeros(2, 20)
    whole = predict_windows(follower, emg, pose, "published")
    held = predict_windows(follower, emg, pose, "stream")
    assert held.shape == whole.shape
    assert torch.equal(held, whole[..., torch.arange(200) // 40 * 40])


def test_broken_recordings_are_named_and_the_rest_is_scored(broken, follower):
    root, names = broken
    result = evaluate(follower, root)
    reasons = {item.path.stem: item.reason for item in result.left_out}
    assert set(reasons) == {names.truncated, names.nan_channel, names.rate_200_hz, names.missing}
    assert "nan" in reasons[names.nan_channel]
    assert "200 Hz" in reasons[names.rate_200_hz]
    assert "missing" in reasons[names.missing]
    assert result.n_scored == 12
    assert set(result.windows["condition"]) == {"user", "stage", "user_stage"}
    assert set(result.windows["mode"]) == {"published", "stream"}
    good = {row["filename"] for _, row in pd.read_csv(root / "metadata.csv").query("split == 'test'").iterrows()}
    assert set(result.recordings) == good - set(reasons)


def test_what_a_broken_recording_scored_before_it_broke_does_not_count(two_sessions, follower, monkeypatch):
    from emgpose.recording import Session

    read = Session.read

    def breaking_read(self, start=0, stop=None):
        if self.session == "s0" and start >= 20_000:
            raise DataError("s0: the disk went away")
        return read(self, start, stop)

    monkeypatch.setattr(Session, "read", breaking_read)
    result = evaluate(follower, two_sessions, batch_size=1)
    assert set(result.windows["session"]) == {"s1"}
    assert [item.reason for item in result.left_out] == ["s0: the disk went away"]
    assert result.users_without_window() == {"user": ["u0"]}
    assert {user for _, _, user in result.totals} == {"u1"}


def test_recordings_on_which_the_model_gives_nan_are_left_out(two_sessions, follower, monkeypatch):
    rollout = follower.rollout

    def overflowing(emg, pose):
        angles = rollout(emg, pose)
        return torch.where(emg[:, :1, :1] == first_value, torch.nan, angles)

    with open_session(two_sessions / "s0.hdf5") as session:
        start = window_starts(session.n_samples, 10_500, 10_000, session.valid_runs())[1]
        first_value = session.emg(int(start), int(start) + 1)[0, 0].item()
    monkeypatch.setattr(follower, "rollout", overflowing)
    result = evaluate(follower, two_sessions, modes=["published"])
    assert [item.path.stem for item in result.left_out] == ["s0"]
    assert f"sample {start}" in result.left_out[0].reason
    assert set(result.windows["session"]) == {"s1"}
    assert set(result.recordings) == {"s1"}


def test_nothing_to_score_is_an_error_that_says_why(two_sessions, follower):
    for path in two_sessions.glob("*.hdf5"):
        path.unlink()
    with pytest.raises(DataError, match="not one window of 2 recordings"):
        evaluate(follower, two_sessions)


def test_recordings_with_unknown_joints_are_left_out_with_the_names_of_those_joints(two_sessions, follower):
    with h5py.File(two_sessions / "s0.hdf5", "a") as file:
        file["emg2pose"].attrs[KNOWN_JOINTS] = ",".join(JOINTS[2:])
    (left_out,) = evaluate(follower, two_sessions, modes=["published"]).left_out
    assert f"the recording has none of {JOINTS[0]}, {JOINTS[1]};" in left_out.reason


def test_recordings_without_a_whole_window_are_sent_to_the_check(two_sessions, follower):
    for number in range(2):
        path = two_sessions / f"s{number}.hdf5"
        path.unlink()
        generate_session(path, user=f"u{number}", seconds=2, seed=number, session=f"s{number}")
    with pytest.raises(DataError, match=r"2 without a window of 10500 valid samples\): look at .* emgpose check$"):
        evaluate(follower, two_sessions)


def test_a_model_that_cannot_stream_is_scored_as_published_only(two_sessions, follower):
    follower.modes = ("published",)
    assert evaluate(follower, two_sessions).modes == ("published",)
    with pytest.raises(ConfigError, match="published"):
        evaluate(follower, two_sessions, modes=["stream"])
    with pytest.raises(ConfigError, match="offline"):
        evaluate(follower, two_sessions, modes=["offline"])


def test_conditions_can_be_columns_of_the_metadata(generated_root, follower):
    result = evaluate(follower, generated_root, split="val", modes=["published"], by=["generalization", "side"])
    assert set(result.windows["condition"]) == {f"{g}|{s}" for g in ("user", "user_stage") for s in ("left", "right")}
    with pytest.raises(ConfigError, match="no such column"):
        evaluate(follower, generated_root, by=["sidee"])


def test_conditions_of_the_data_sets_own_are_scored_beside_and_named_as_not_held_out(two_sessions, follower):
    table = pd.read_csv(two_sessions / "metadata.csv")
    table.assign(generalization=["user", "seen"], placement=["p0", ""], placement_split="new").to_csv(
        two_sessions / "metadata.csv", index=False
    )
    result = evaluate(follower, two_sessions, modes=["published"])
    assert conditions_of(result) == ["user", "seen", "all"]
    assert "held out by user; seen (and so all) not" in dict(three_questions(result))["Is the split by user and stage?"]
    by_placement = evaluate(follower, two_sessions, modes=["published"], by=["placement"])
    assert set(by_placement.windows["condition"]) == {"p0", "(empty)"}


def test_a_column_value_that_would_pass_for_all_windows_is_refused(two_sessions, follower):
    table = pd.read_csv(two_sessions / "metadata.csv")
    table.assign(placement=["all", "p1"]).to_csv(two_sessions / "metadata.csv", index=False)
    with pytest.raises(ConfigError, match="'all' is the name of all windows together"):
        evaluate(follower, two_sessions, by=["placement"])


def test_train_recordings_are_a_condition_of_their_own(generated_root, follower):
    result = evaluate(follower, generated_root, split="train", modes=["published"])
    assert set(result.windows["condition"]) == {"train"}


def test_the_static_hand_of_regression_comes_from_card_then_train_split_then_zero(generated_root, make_follower):
    from dataclasses import replace

    model = make_follower("regression").eval()
    train = evaluate(model, generated_root, split="val", modes=["published"])
    assert train.static.label == "static_median_train"
    rows = pd.read_csv(generated_root / "metadata.csv").query("split == 'train'")
    angles = []
    for name in rows["filename"]:
        with open_session(generated_root / f"{name}.hdf5") as session:
            angles.append(session.joint_angles()[session.valid()])
    expected = np.median(np.concatenate(angles), axis=0)
    np.testing.assert_allclose(train.static.joint_angles, expected, atol=np.radians(0.5))

    model.card = replace(model.card, median_pose=(0.25,) * 20)
    card = evaluate(model, generated_root, split="val", modes=["published"])
    assert card.static.label == "static_median_checkpoint"
    assert (card.static.joint_angles == 0.25).all()


def test_without_a_train_split_the_static_hand_of_regression_is_zero(two_sessions, make_follower):
    result = evaluate(make_follower("regression").eval(), two_sessions, modes=["published"])
    assert result.static.label == "static_zero"
    row = result.windows.iloc[0]
    with open_session(two_sessions / f"{row['session']}.hdf5") as session:
        target = session.joint_angles(row["start_sample"] + 500, row["stop_sample"])
    assert row["static_mae"] == pytest.approx(np.abs(target).mean(), rel=1e-5)


def test_progress_is_told_for_every_recording(two_sessions, follower):
    calls = []
    evaluate(follower, two_sessions, modes=["published"], progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 2), (2, 2)]


def test_a_longer_recording_needs_no_more_memory(tmp_path, follower):
    import tracemalloc

    peaks = []
    for minutes in (1, 4):
        root = tmp_path / str(minutes)
        root.mkdir()
        generate_session(root / "s.hdf5", seconds=60 * minutes, session="s", invalid_share=0.02)
        row = {"filename": "s", "session": "s", "user": "u", "stage": "PlayBlocksChess", "side": "right"}
        row |= {"moving_hand": "both", "held_out_user": True, "held_out_stage": False, "split": "test"}
        pd.DataFrame([row | {"generalization": "user", "start": 0.0, "end": 60.0}]).to_csv(root / "metadata.csv")
        tracemalloc.start()
        evaluate(follower, root, modes=["published"], batch_size=4)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] <= 1.2 * peaks[0]
