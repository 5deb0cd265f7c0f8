"""Where a rollout starts, and what is said about it."""

import json

import numpy as np
import pytest
import torch

from emgpose.errors import ConfigError, DataError
from emgpose.hand import JOINTS
from emgpose.prediction import choose_initial_pose, choose_task
from emgpose.recording import open_session
from generated import generate_session
from small_models import small_model


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    path = tmp_path_factory.mktemp("recording") / "a.hdf5"
    generate_session(path, seconds=4.0, invalid_share=0.2)
    with open_session(path) as opened:
        yield opened


def model_at(left_context, name="tracking_emg2pose"):
    """A model whose initial pose is the label of that sample."""
    model = small_model(name)
    model.left_context = left_context
    if getattr(model, "initial_pose", None) is not None:
        torch.nn.init.constant_(model.initial_pose, 0.25)
    return model


def choose(session, choice, *, name="tracking_emg2pose", task=None, left_context=4000):
    model = model_at(left_context, name)
    model.set_task(task or model.task)
    return choose_initial_pose(choice, session, model)


def test_the_recorded_pose_is_the_label_at_left_context(session):
    pose = choose(session, "recorded")
    np.testing.assert_array_equal(pose.joint_angles, session.joint_angles(4000, 4001)[0])
    assert pose.source == "recorded at sample 4000"


def test_an_invalid_label_falls_back_to_rest_and_says_so(session):
    invalid = int(np.flatnonzero(~session.valid())[0])
    pose = choose(session, None, left_context=invalid)
    assert not pose.joint_angles.any()
    assert f"sample {invalid} is not valid" in pose.source


def test_regression_starts_at_rest_and_refuses_to_be_told(session):
    for choice in (None, "rest"):
        pose = choose(session, choice, name="regression_emg2pose")
        assert not pose.joint_angles.any()
        assert pose.source == "rest (all angles zero), as regression starts"
    with pytest.raises(ConfigError, match="use a tracking model"):
        choose(session, "recorded", name="regression_emg2pose")


def test_regression_starts_from_the_learned_pose_and_refuses_to_be_told_another(session):
    pose = choose(session, None, name="emgpose50", task="regression")
    assert (pose.joint_angles == 0.25).all()
    assert pose.source == "the model's own initial pose, as regression starts"
    for choice in ("recorded", "rest"):
        with pytest.raises(ConfigError, match="use --task tracking"):
            choose(session, choice, name="emgpose50", task="regression")


def test_tracking_without_a_recorded_pose_starts_from_the_learned_one(session):
    invalid = int(np.flatnonzero(~session.valid())[0])
    pose = choose(session, None, name="emgpose50", left_context=invalid)
    assert (pose.joint_angles == 0.25).all()
    assert pose.source == f"the model's own initial pose: the label at sample {invalid} is not valid"


@pytest.mark.parametrize(
    ("at", "initial_pose", "task", "reason"),
    [
        ("valid", None, "tracking", "the recording holds the pose to start from"),
        ("invalid", None, "regression", "is not valid"),
        ("invalid", "rest", "tracking", "an initial pose is given"),
    ],
)
def test_a_multitask_model_tracks_where_it_can_be_told_a_pose(session, at, initial_pose, task, reason):
    sample = int(np.flatnonzero(session.valid() == (at == "valid"))[0])
    chosen, why = choose_task(session, model_at(sample, "emgpose50"), initial_pose=initial_pose)
    assert chosen == task
    assert reason in why


def test_a_model_with_one_task_has_no_choice(session):
    for name in ("tracking_emg2pose", "regression_emg2pose"):
        assert choose_task(session, model_at(0, name), initial_pose=None) == (name.split("_")[0], "")


@pytest.mark.parametrize("kind", ["list", "object", "csv", "npz"])
def test_every_pose_file_gives_its_angles(session, tmp_path, kind):
    angles = np.linspace(-0.5, 1.4, 20).astype(np.float32)
    path = tmp_path / f"pose.{'json' if kind in ('list', 'object') else kind}"
    if kind == "npz":
        np.savez(path, joint_angles=angles)
    elif kind == "csv":
        path.write_text(",".join(JOINTS) + "\n" + ",".join(f"{angle:.9g}" for angle in angles) + "\n")
    else:
        values = angles.tolist()
        path.write_text(json.dumps(values if kind == "list" else dict(zip(JOINTS, values, strict=True))))
    pose = choose(session, str(path))
    np.testing.assert_allclose(pose.joint_angles, angles, rtol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2, 3]", "shape"),
        ("[" + ", ".join(["45"] * 20) + "]", "degrees"),
        ("[" + ", ".join(["NaN"] * 20) + "]", "THUMB_CMC_FE is nan"),
        ("[" + ", ".join(["5"] * 20) + "]", "degrees"),
        ("{", "could not read"),
        ("[" * 100_000, "could not read"),
        ('{"THUMB_CMC_FE": 0}', "THUMB_CMC_AA"),
    ],
)
def test_a_bad_pose_file_is_refused_with_the_reason(session, tmp_path, content, message):
    path = tmp_path / "pose.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        choose(session, str(path))


def test_a_damaged_npz_is_refused(session, tmp_path):
    path = tmp_path / "pose.npz"
    path.write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(DataError, match="could not read"):
        choose(session, str(path))


def test_a_missing_pose_file_is_named(session, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        choose(session, str(tmp_path / "none.json"))
