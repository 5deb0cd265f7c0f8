"""The static hand."""

import numpy as np

from emgpose.models import ModelCard, build_model


def test_tracking_holds_the_initial_pose() -> None:
    pose = np.linspace(0, 1, 20, dtype=np.float32)
    for mode in ("published", "stream"):
        held = build_model("static_tracking").predict(np.zeros((100, 16)), pose, mode=mode)
        np.testing.assert_array_equal(held, np.broadcast_to(pose, (100, 20)))


def test_regression_holds_the_median_of_its_card_or_the_rest_pose() -> None:
    model = build_model("static_regression")
    assert not model.predict(np.zeros((100, 16)), np.ones(20)).any()
    model.card = ModelCard(model.name, model.task, median_pose=tuple(np.linspace(0, 1, 20)))
    held = model.predict(np.zeros((100, 16)), np.ones(20))
    np.testing.assert_allclose(held, np.broadcast_to(np.linspace(0, 1, 20), (100, 20)), rtol=1e-6)
